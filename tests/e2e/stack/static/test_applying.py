"""The overlays on a real API server: applied, as pods admitted, and taken off again."""

from __future__ import annotations

import http.client
import json
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from tests.e2e.api_server.installation.manifests import built
from tests.e2e.stack.static import manifests
from tests.e2e.stack.static.manifests import FLUX, OVERLAYS, STACK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.e2e.api_server.control_plane import ControlPlane, Document

KEEPING = ("-l", "app.kubernetes.io/component!=storage")

pytestmark = pytest.mark.apiserver


@pytest.fixture(autouse=True)
def _gone(cluster: ControlPlane) -> Iterator[None]:
    """Take off what a test leaves; that a namespace goes is a controller's work, done here."""
    yield
    for kind in ("deployment", "service", "persistentvolumeclaim", "modelvalidation", "secret"):
        cluster.kubectl(
            *("delete", kind, "--all", "-n", "llm", "--wait=false", "--ignore-not-found"),
            check=False,
        )
    patch = '{"metadata":{"finalizers":null}}'
    for claim in ("vllm-models", "open-webui", "open-webui-uploads"):
        cluster.kubectl("patch", "pvc", claim, "-n", "llm", "-p", patch, check=False)
    cluster.remove_namespace("llm")


@pytest.fixture
def flux_system(cluster: ControlPlane) -> Iterator[None]:
    """The namespace of Flux's objects, for one test."""
    cluster.make_namespace("flux-system")
    yield
    cluster.remove_namespace("flux-system")


def apply(cluster: ControlPlane, documents: list[Document]) -> None:
    """Apply objects, and make the ServiceAccounts that a controller would make."""
    cluster.apply(map(manifests.without_sops, documents))
    account = {"name": "default", "namespace": "llm"}
    cluster.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_it_applies_and_its_pods_are_restricted(cluster: ControlPlane, overlay: str) -> None:
    """The API server takes each object, and each pod, under Pod Security `restricted`."""
    documents = manifests.build(overlay)
    apply(cluster, documents)
    pods = manifests.pods([*documents, *manifests.build("prepare")])
    apply(cluster, manifests.of_kind(manifests.build("prepare"), "ServiceAccount"))
    assert len(pods) >= 5
    for pod in pods:
        answer = cluster.create(pod, dry_run=True)
        assert (answer.status, answer.warnings) == (http.client.CREATED, ()), answer.message


@pytest.mark.parametrize("overlay", ["granite", "production"])
def test_deleting_it_leaves_the_volumes(cluster: ControlPlane, overlay: str) -> None:
    """As the guide says: all but the namespace and the three claims goes, models and chats stay."""
    folder = str(STACK / "overlays" / overlay)
    cluster.kubectl("apply", "-k", folder)
    cluster.kubectl("delete", "-k", folder, *KEEPING, "--wait=false")
    left = cluster.kubectl("get", "-k", folder, "--ignore-not-found", "-o", "name").stdout
    assert set(left.split()) == {
        "namespace/llm",
        "persistentvolumeclaim/open-webui",
        "persistentvolumeclaim/open-webui-uploads",
        "persistentvolumeclaim/vllm-models",
    }


def test_flux_keeps_the_volumes_too() -> None:
    """Flux does not prune the objects that `kubectl delete` leaves."""
    prune = "kustomize.toolkit.fluxcd.io/prune"
    for each in manifests.build("example"):
        metadata = each["metadata"]
        stays = metadata["labels"].get("app.kubernetes.io/component") == "storage"
        assert (metadata.get("annotations", {}).get(prune) == "disabled") is stays
        assert stays is (each["kind"] in ("Namespace", "PersistentVolumeClaim"))


@pytest.mark.usefixtures("flux_system")
def test_flux_installs_the_webhook_before_the_stack(cluster: ControlPlane) -> None:
    """Its objects are taken; the stack waits for the webhook."""
    documents = built(FLUX)
    cluster.apply(documents)
    webhook, stack = (
        manifests.named(documents, "Kustomization", name)["spec"]
        for name in ("model-validation-webhook", "llm")
    )
    # Both are waited for whole: the stack's policy, too, whatever the overlay calls it.
    assert (webhook["wait"], stack["wait"]) == (True, True)
    assert stack["dependsOn"] == [{"name": "model-validation-webhook"}]
    assert stack["decryption"] == {"provider": "sops", "secretRef": {"name": "sops-age"}}
    root = STACK.parents[1]
    for each in (webhook, stack):
        assert (root / each["path"] / "kustomization.yaml").is_file()
        assert each["sourceRef"] == {"kind": "GitRepository", "name": "llm"}
        assert each["prune"] is True


def test_flux_keeps_the_definition_and_the_api_server_s_rules() -> None:
    """A renamed or removed Kustomization prunes neither the policies nor what enforces them."""
    kustomization = manifests.named(built(FLUX), "Kustomization", "model-validation-webhook")[
        "spec"
    ]
    with TemporaryDirectory() as folder:
        # As kustomize-controller does: the patches of the Kustomization on top of its path.
        found = built(
            write(
                Path(folder).resolve(),
                STACK.parents[1] / kustomization["path"],
                patches=kustomization["patches"],
            )
        )
    kept = {each["kind"] for each in found if is_kept(each)}
    rules = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    assert kept == {"CustomResourceDefinition", *rules}
    assert not [each for each in found if each["kind"] in kept and not is_kept(each)]


def is_kept(document: Document) -> bool:
    """Return whether Flux leaves an object where its Kustomization no longer has it."""
    annotations = document["metadata"].get("annotations", {})
    return bool(annotations.get("kustomize.toolkit.fluxcd.io/prune") == "disabled")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_flux_substitutes_nothing_that_is_another_s(overlay: str) -> None:
    """`postBuild` would replace ${…} of Llama Stack and of Grafana, even by nothing."""
    for each in manifests.build(overlay):
        others = re.search(r"\$\{?\w", json.dumps(each)) is not None
        annotations = each["metadata"].get("annotations", {})
        spared = annotations.get("kustomize.toolkit.fluxcd.io/substitute") == "disabled"
        assert spared is others, each["metadata"]["name"]


@pytest.mark.usefixtures("flux_system")
def test_a_signed_artifact_takes_git_s_place(cluster: ControlPlane) -> None:
    """The API server takes the source, which is verified, and both Kustomizations name it."""
    with TemporaryDirectory() as folder:
        documents = built(write(Path(folder).resolve(), FLUX, components=[FLUX / "oci"]))
    cluster.apply(documents)
    assert not manifests.of_kind(documents, "GitRepository")
    source = manifests.named(documents, "OCIRepository", "llm")["spec"]
    assert source["verify"]["provider"] == "cosign"
    assert source["verify"]["matchOIDCIdentity"]
    named = [each["spec"]["sourceRef"] for each in manifests.of_kind(documents, "Kustomization")]
    assert named == [{"kind": "OCIRepository", "name": "llm"}] * 2


def write(
    folder: Path,
    base: Path,
    *,
    patches: Sequence[Document] = (),
    components: Sequence[Path] = (),
) -> Path:
    """Write a kustomization on top of another one; return its folder."""
    kustomization = {
        "resources": [os.path.relpath(base.resolve(), folder)],
        "components": [os.path.relpath(each.resolve(), folder) for each in components],
        "patches": list(patches),
    }
    (folder / "kustomization.yaml").write_text(json.dumps(kustomization))
    return folder
