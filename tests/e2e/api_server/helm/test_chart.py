"""The chart's objects are those of the kustomizations, and its values reach them."""

from __future__ import annotations

import os
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from scripts.generate_chart import TEMPLATES, templates
from tests.e2e.api_server import building
from tests.e2e.api_server.helm.chart import (
    CHART,
    HOOK,
    annotations_of,
    by_identity,
    helm,
    installed,
    rendered,
)
from tests.e2e.api_server.installation import manifests

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = f"sha256:{'0' * 64}"

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("helm_is_built")]


def test_the_templates_are_those_of_the_kustomizations() -> None:
    """Where they are not: `make chart` writes them again."""
    kubectl = building.find(["kubectl"])["kubectl"]
    written = {path.name: path.read_text() for path in TEMPLATES.glob("*.yaml")}
    generated = templates(str(kubectl))
    assert written.keys() == generated.keys()
    assert [name for name, text in generated.items() if written[name] != text] == []


@pytest.mark.parametrize(
    ("settings", "overlay", "components"),
    [
        ((), "default", ()),
        (("certManager.enabled=true",), "cert-manager", ()),
        (("operatorCompat.enabled=true",), "operator-compat", ()),
        (
            ("operatorCompat.enabled=true", "openshift.enabled=true"),
            "operator-compat",
            ("openshift",),
        ),
        (("openshift.enabled=true",), "default", ("openshift",)),
        (("openshift.enabled=true", "certManager.enabled=true"), "cert-manager", ("openshift",)),
        (("metrics.serviceMonitor=true",), "default", ("service-monitor",)),
        (("observe.enabled=true",), "default", ("observe",)),
        (("observe.enabled=true", "observe.reports=true"), "default", ("observe", "reports")),
        (("policyAuthors=admin",), "default", ("policies-by-admin",)),
        (("policyAuthors=edit",), "default", ("policies-by-edit",)),
    ],
)
def test_both_ways_install_the_same(
    settings: tuple[str, ...], overlay: str, components: tuple[str, ...], tmp_path: Path
) -> None:
    """Object by object, with the values' defaults and with each switch."""
    folder = manifests.on_top(
        tmp_path,
        components=components,
        resources=[os.path.relpath(manifests.overlay_folder(overlay), tmp_path)],
    )
    wanted = by_identity(manifests.built(folder))
    found = installed(rendered(tmp_path, *settings))
    assert found.keys() == wanted.keys()
    for identity, document in found.items():
        assert document == wanted[identity], identity


def test_the_test_is_the_doctor(tmp_path: Path) -> None:
    """The objects of manifests/examples/doctor.yaml, as hooks of Helm, with our image."""
    path = CHART.parent / "examples" / "doctor.yaml"
    wanted = by_identity(list(yaml.safe_load_all(path.read_text())))
    hooks = by_identity([each for each in rendered(tmp_path) if HOOK in annotations_of(each)])
    order = []
    for each in hooks.values():
        added = each["metadata"].pop("annotations")
        assert added[HOOK] == "test"
        order.append((int(added["helm.sh/hook-weight"]), each["kind"]))
    assert hooks == wanted
    assert (min(order)[1], max(order)[1]) == ("Namespace", "Job")


def test_images_are_set_in_one_place_each(tmp_path: Path) -> None:
    """The gate's reaches the arguments of webhook and observe, and the API server's own policy."""
    settings = (
        "images.webhook.repository=registry.example/webhook,images.webhook.tag=1.2.3",
        f"images.validator.repository=registry.example/validator,images.validator.digest={DIGEST}",
        "previousGateImage=registry.example/validator:1.2.2",
        "observe.enabled=true",
    )
    documents = rendered(tmp_path, *settings)
    text = yaml.safe_dump_all(documents)
    assert text.count("registry.example/webhook:1.2.3") == len(_pods(documents))
    assert "model-validation/webhook" not in text
    assert "model-validation/validator" not in text
    (observe,) = [
        container
        for pod in _pods(documents)
        for container in pod["containers"]
        if container["name"] == "observe"
    ]
    assert observe["env"] == [
        {"name": "GATE_IMAGE", "value": f"registry.example/validator@{DIGEST}"}
    ]
    assert observe["args"] == [
        "--gate-image=$(GATE_IMAGE)",
        "--gate-image=registry.example/validator:1.2.2",
    ]
    (namespace,) = [
        each
        for each in documents
        if each["kind"] == "Namespace" and HOOK not in annotations_of(each)
    ]
    prefix = "validation.rhtas.redhat.com"
    assert annotations_of(namespace) == {
        f"{prefix}/gate-image": f"registry.example/validator@{DIGEST}",
        f"{prefix}/previous-gate-image": "registry.example/validator:1.2.2",
    }


def test_pull_secrets_replicas_and_resources(tmp_path: Path) -> None:
    """Of all our pods, of the webhook, and of one component."""
    documents = rendered(
        tmp_path,
        "imagePullSecrets={one,two},replicas=3",
        "resources.webhook.limits.memory=2Gi",
        "metrics.serviceMonitor=true,metrics.labels.release=prometheus",
    )
    for pod in _pods(documents):
        assert pod["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
    named = {(each["kind"], each["metadata"]["name"]): each for each in documents}
    webhook = named["Deployment", "model-validation-webhook"]["spec"]
    certs = named["Deployment", "model-validation-certs"]["spec"]
    assert (webhook["replicas"], certs["replicas"]) == (3, 1)
    (container,) = webhook["template"]["spec"]["containers"]
    assert container["resources"] == {"limits": {"memory": "2Gi"}}
    assert "requests" in certs["template"]["spec"]["containers"][0]["resources"]
    labels = named["ServiceMonitor", "model-validation-webhook"]["metadata"]["labels"]
    assert labels["release"] == "prometheus"


def test_all_pods_run_where_they_are_told(tmp_path: Path) -> None:
    """The manifests' own selector stays, and a mesh can be told to leave the pods alone."""
    documents = rendered(
        tmp_path,
        "nodeSelector.pool=system",
        "tolerations[0].key=system,tolerations[0].operator=Exists",
        "podAnnotations.mesh=off",
        "observe.enabled=true",
    )
    pods = _pods(documents)
    assert len(pods) == 4
    for pod in pods:
        assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", "pool": "system"}
        assert pod["tolerations"] == [{"key": "system", "operator": "Exists"}]
    for each in documents:
        if each["kind"] in {"Deployment", "Job"}:
            assert each["spec"]["template"]["metadata"]["annotations"] == {"mesh": "off"}


def test_the_notes_say_what_comes_next(tmp_path: Path) -> None:
    """The test, and, where no registry is named, which images the nodes must have."""
    install = ("install", "ours", str(CHART), "--dry-run=client")
    ran = helm(*install, home=tmp_path)
    assert ran.returncode == 0, ran.stderr
    notes = ran.stdout.partition("NOTES:\n")[2]
    assert "helm test ours\n" in notes
    assert "model-validation/validator:" in notes
    named = [
        f"--set=images.{each}.repository=registry.example/{each}"
        for each in ("webhook", "validator")
    ]
    ran = helm(*install, *named, "--namespace=apps", home=tmp_path)
    notes = ran.stdout.partition("NOTES:\n")[2]
    assert "helm test ours --namespace apps\n" in notes
    assert "registry.example" not in notes


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("nodeSelector=system", "nodeSelector"),
        ("operatorCompat.enable=true", "enable"),
        ("replcias=3", "replcias"),
        ("replicas=0", "replicas"),
        ("images.webhook.digest=latest", "digest"),
        ("certManager=true", "certManager"),
        ("resources.webhok.limits.memory=1Gi", "webhok"),
        ("images.webhook.tag=a b", "tag"),
        ("policyAuthors=view", "policyAuthors"),
        ("images.webhook.repository=a@b", "repository"),
    ],
)
def test_a_wrong_value_is_refused(setting: str, named: str, tmp_path: Path) -> None:
    """By the schema, before anything is installed."""
    ran = helm("template", "ours", str(CHART), f"--set={setting}", home=tmp_path)
    assert ran.returncode != 0
    assert named in ran.stderr


def _pods(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the specifications of our own pods."""
    kinds = {"Deployment", "Job"}
    return [
        deepcopy(each["spec"]["template"]["spec"]) for each in documents if each["kind"] in kinds
    ]
