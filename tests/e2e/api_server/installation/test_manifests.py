"""The manifests, as kustomize builds them."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.e2e.api_server.installation import manifests
from tests.e2e.api_server.webhook_registration import LABEL_KEYS
from tests.support.fakes.openshift import CONSTRAINTS, admitted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.api_server.control_plane import Document

PROJECT = Path(__file__).parents[4] / "pyproject.toml"
NAMESPACE = "model-validation"
WEBHOOK_IMAGE, GATE_IMAGE = "model-validation/webhook", "model-validation/validator"
GATE_ANNOTATION = "validation.rhtas.redhat.com/gate-image"
CLUSTER_WIDE = {
    "Namespace",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    "PriorityClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
}

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("programs")]


def images(documents: list[Document]) -> Iterator[str]:
    """Yield the images of all containers, and of the gate wherever it is named."""
    for document in documents:
        if document["kind"] == "Namespace":
            yield document["metadata"]["annotations"][GATE_ANNOTATION]
        if document["kind"] == "Deployment":
            for container in document["spec"]["template"]["spec"]["containers"]:
                yield container["image"]
                yield from (each["value"] for each in container.get("env", ()))


@pytest.mark.parametrize("overlay", manifests.OVERLAYS)
def test_each_object_says_what_it_belongs_to(overlay: str) -> None:
    """By the labels that tools look for, by its name, and by the one namespace."""
    for document in manifests.overlay(overlay):
        metadata = document["metadata"]
        labels = metadata["labels"]
        assert labels["app.kubernetes.io/name"] == labels["app.kubernetes.io/part-of"] == NAMESPACE
        assert labels["app.kubernetes.io/component"] in {"webhook", "certs"}
        name = metadata["name"].removeprefix("zz-")
        assert name.startswith("model-validation") or name.endswith(".rhtas.redhat.com")
        inside = None if document["kind"] in CLUSTER_WIDE else NAMESPACE
        assert metadata.get("namespace") == inside, document["kind"]


@pytest.mark.parametrize("overlay", manifests.OVERLAYS)
def test_images_are_of_this_version(overlay: str) -> None:
    """The containers', and the gate's where it is injected and where it is checked."""
    version = tomllib.loads(PROJECT.read_text())["project"]["version"]
    found = set(images(manifests.overlay(overlay)))
    assert found == {f"{WEBHOOK_IMAGE}:{version}", f"{GATE_IMAGE}:{version}"}


def test_a_user_sets_each_image_in_one_place(tmp_path: Path) -> None:
    """`images:` on top of an overlay reaches the gate, which is in no container here."""
    mine = "registry.example.com/ml"
    digest = f"sha256:{'0' * 64}"
    entries = [
        {"name": WEBHOOK_IMAGE, "newName": f"{mine}/webhook", "newTag": "1.2.3"},
        {"name": GATE_IMAGE, "newName": f"{mine}/validator", "digest": digest},
    ]
    found = list(images(manifests.built(manifests.on_top(tmp_path, images=entries))))
    assert set(found) == {f"{mine}/webhook:1.2.3", f"{mine}/validator@{digest}"}
    assert len(found) == 4


@pytest.mark.parametrize("overlay", manifests.OVERLAYS)
def test_neither_secrets_nor_trust_are_in_the_manifests(overlay: str) -> None:
    """Applying again does not reset contents written in the cluster."""
    for document in manifests.overlay(overlay):
        assert document["kind"] != "Secret" or not {"data", "stringData"} & document.keys()
        assert document["kind"] != "Lease" or "spec" not in document
        for entry in document.get("webhooks", ()):
            assert "caBundle" not in entry["clientConfig"]


@pytest.mark.parametrize("kind", ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"])
def test_the_operators_key_is_treated_as_ours(kind: str) -> None:
    """Its entry differs in the name and in the key, and in nothing else."""
    (configuration,) = manifests.overlay("operator-compat", kind)
    (alone,) = manifests.overlay("default", kind)
    entries = []
    for entry in configuration["webhooks"]:
        (expression,) = entry.pop("objectSelector")["matchExpressions"]
        assert entry.pop("name").partition(".")[2] == expression["key"].partition("/")[0]
        entries.append((expression.pop("key"), expression, entry))
    keys, expressions, rest = zip(*entries, strict=True)
    assert set(keys) == set(LABEL_KEYS)
    assert expressions[0] == expressions[1] == {"operator": "Exists"}
    assert rest[0] == rest[1]
    assert len(alone["webhooks"]) == 1


def test_the_operators_key_has_all_bindings_of_ours() -> None:
    """Each binding on labelled pods has a twin."""
    by_key: dict[str, list[Document]] = {key: [] for key in LABEL_KEYS}
    for binding in manifests.overlay("operator-compat", "ValidatingAdmissionPolicyBinding"):
        selector = binding["spec"].get("matchResources", {}).pop("objectSelector", {})
        for expression in selector.get("matchExpressions", ()):
            by_key[expression["key"]].append(binding["spec"])
    ours, theirs = by_key.values()
    assert ours == theirs
    assert len(ours) == 2


def test_cert_manager_takes_the_place_of_our_certificates() -> None:
    """The same Secret with the same files; nothing of the other way is left."""
    ours, theirs = manifests.overlay("default"), manifests.overlay("cert-manager")
    issued = {
        each["spec"]["secretName"]: each["metadata"]["name"]
        for each in theirs
        if each["kind"] == "Certificate"
    }
    assert issued.keys() == {each["metadata"]["name"] for each in ours if each["kind"] == "Secret"}
    common = manifests.of_webhook(ours)
    assert {each["kind"] for each in theirs if each not in common} == {"Certificate", "Issuer"} | {
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    }
    injected = f"{NAMESPACE}/{issued['model-validation-webhook-tls']}"
    for configuration in (each for each in theirs if "webhooks" in each):
        annotations = configuration["metadata"].pop("annotations")
        assert annotations == {"cert-manager.io/inject-ca-from": injected}
        assert configuration in common


@pytest.mark.parametrize(
    ("components", "services"),
    [
        ((), ["model-validation-webhook-metrics"]),
        (("observe",), ["model-validation-observe-metrics", "model-validation-webhook-metrics"]),
    ],
)
def test_prometheus_scrapes_the_services_with_metrics(
    components: tuple[str, ...], services: list[str], tmp_path: Path
) -> None:
    """With the component, by the labels of the Services and the name of their port."""
    components = (*components, "service-monitor", "alerts", "dashboard")
    documents = manifests.built(manifests.on_top(tmp_path, components=components))
    (monitor,) = [each["spec"] for each in documents if each["kind"] == "ServiceMonitor"]
    (endpoint,) = monitor["endpoints"]
    scraped = [
        each["metadata"]["name"]
        for each in documents
        if each["kind"] == "Service"
        and monitor["selector"]["matchLabels"].items() <= each["metadata"]["labels"].items()
        and endpoint["port"] in {port["name"] for port in each["spec"]["ports"]}
    ]
    assert sorted(scraped) == services
    (rules,) = [each["spec"] for each in documents if each["kind"] == "PrometheusRule"]
    jobs = {
        job
        for group in rules["groups"]
        for rule in group["rules"]
        for job in re.findall(r'job="([^"]*)"', rule["expr"])
    }
    assert jobs == {"model-validation-webhook-metrics"}


def test_spans_are_let_out_to_where_they_are_sent(tmp_path: Path) -> None:
    """The component's address has the port and the namespace of its NetworkPolicy."""
    documents = manifests.built(manifests.on_top(tmp_path, components=("otel",)))
    named = {(each["kind"], each["metadata"]["name"]): each for each in documents}
    webhook = named["Deployment", "model-validation-webhook"]["spec"]["template"]
    variables = {each["name"]: each["value"] for each in webhook["spec"]["containers"][0]["env"]}
    address = urlsplit(variables["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
    policy = named["NetworkPolicy", "model-validation-otel"]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= webhook["metadata"]["labels"].items()
    (rule,) = policy["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": address.port}]
    (out,) = rule["to"]
    namespace = out["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    assert (address.hostname or "").endswith(f".{namespace}")


def test_verdicts_are_added_and_change_nothing_else(tmp_path: Path) -> None:
    """A program, its account and its Service; it counts the verdicts of the overlay's gate."""
    images = [{"name": "model-validation/validator", "newName": "registry.corp/v", "newTag": "7"}]
    (tmp_path / "without").mkdir()
    without = manifests.built(manifests.on_top(tmp_path / "without", images=images))
    folder = manifests.on_top(tmp_path, components=("observe",), images=images)
    added = [each for each in manifests.built(folder) if each not in without]
    kinds = ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Service", "Deployment"]
    assert sorted(each["kind"] for each in added) == sorted(kinds)
    assert {each["metadata"]["labels"][manifests.COMPONENT] for each in added} == {"observe"}
    (deployment,) = [each for each in added if each["kind"] == "Deployment"]
    (service,) = [each for each in added if each["kind"] == "Service"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "GATE_IMAGE", "value": "registry.corp/v:7"}]


def test_reports_are_a_right_and_an_argument(tmp_path: Path) -> None:
    """Of the program that writes verdicts, and nothing else changes."""
    (tmp_path / "without").mkdir()
    without = manifests.built(manifests.on_top(tmp_path / "without", components=("observe",)))
    documents = manifests.built(manifests.on_top(tmp_path, components=("observe", "reports")))
    added = [each for each in documents if each not in without]
    kinds = ["ClusterRole", "ClusterRoleBinding", "Deployment"]
    assert sorted(each["kind"] for each in added) == kinds
    (deployment,) = [each for each in added if each["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["--gate-image=$(GATE_IMAGE)", "--reports"]
    (role,) = [each for each in added if each["kind"] == "ClusterRole"]
    (right,) = role["rules"]
    assert (right["resources"], right["verbs"]) == (["reports"], ["create", "patch"])


@pytest.mark.parametrize("prefix", ["model-validation", "registry.example.com/ml"])
def test_verdicts_count_for_the_webhooks_gate(prefix: str, tmp_path: Path) -> None:
    """Also where a user's kustomization sets no tag: the overlay's stays, on both images."""
    entries = [
        {"name": WEBHOOK_IMAGE, "newName": f"{prefix}/webhook"},
        {"name": GATE_IMAGE, "newName": f"{prefix}/validator"},
    ]
    folder = manifests.on_top(tmp_path, components=("observe",), images=entries)
    webhook, observe = (
        container
        for name in ("model-validation-webhook", "model-validation-observe")
        for each in manifests.built(folder)
        if (each["kind"], each["metadata"]["name"]) == ("Deployment", name)
        for container in each["spec"]["template"]["spec"]["containers"]
    )
    (gate,) = (each["value"] for each in webhook["env"] if each["name"] == "GATE_IMAGE")
    assert gate.startswith(f"{prefix}/validator:")
    assert observe["env"] == [{"name": "GATE_IMAGE", "value": gate}]
    assert observe["image"] == webhook["image"]


@pytest.mark.parametrize("overlay", ["default", "cert-manager"])
def test_openshift_assigns_the_users(overlay: str, tmp_path: Path) -> None:
    """Its SCC restricted-v2 refuses a user or group that is not of the namespace's range."""
    folder = manifests.on_top(
        tmp_path,
        components=("observe", "openshift"),
        resources=[os.path.relpath(manifests.overlay_folder(overlay), tmp_path)],
    )
    for deployment in manifests.built(folder):
        if deployment["kind"] == "Deployment":
            template = deployment["spec"]["template"]
            pod = template["spec"]
            contexts = [pod["securityContext"], *(c["securityContext"] for c in pod["containers"])]
            named = {"runAsUser", "runAsGroup", "fsGroup", "seLinuxOptions"}
            assert not any(named & context.keys() for context in contexts)
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert admitted(template, CONSTRAINTS["restricted-v2"])


def test_the_host_network_is_consistent(tmp_path: Path) -> None:
    """The program listens on the ports that the container names, and the Services lead there."""
    folder = manifests.on_top(tmp_path, components=("host-network",))
    documents = manifests.built(folder)
    (webhook,) = (
        each
        for each in documents
        if each["kind"] == "Deployment" and each["metadata"]["name"] == "model-validation-webhook"
    )
    pod = webhook["spec"]["template"]["spec"]
    assert (pod["hostNetwork"], pod["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {f"--port={ports['webhook']}", f"--probe-port={ports['probes']}"} <= {*container["args"]}
    namespace = next(each for each in documents if each["kind"] == "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"


@pytest.mark.parametrize("overlay", manifests.OVERLAYS)
def test_only_linux_nodes_are_asked(overlay: str) -> None:
    """A cluster may have Windows nodes as well."""
    for deployment in manifests.overlay(overlay, "Deployment"):
        selector = deployment["spec"]["template"]["spec"]["nodeSelector"]
        assert selector == {"kubernetes.io/os": "linux"}


@pytest.mark.parametrize("overlay", manifests.OVERLAYS)
def test_a_drained_node_leaves_a_replica(overlay: str) -> None:
    """By a budget where there are several; where there is one, a budget would stop the drain."""
    budgets = manifests.overlay(overlay, "PodDisruptionBudget")
    for deployment in manifests.overlay(overlay, "Deployment"):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        covering = [
            budget["spec"]
            for budget in budgets
            if budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
        ]
        if deployment["spec"]["replicas"] == 1:
            assert not covering
            continue
        (spec,) = covering
        assert spec.get("maxUnavailable", 0) == 1 or spec.get("minAvailable", 0) == 1
