"""The validator as a Job, without the webhook: the shipped example."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

if TYPE_CHECKING:
    from tests.e2e.api_server.client import Document
    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory
    from tests.sigstore import PrivateSigstore

EXAMPLE: Final = Path(__file__).parents[4] / "manifests" / "examples" / "standalone-job.yaml"


def test_the_example_as_it_is_refuses_a_model_of_another_sigstore(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory, private_sigstore: PrivateSigstore
) -> None:
    """Unchanged, it trusts the public Sigstore alone, and no signer of another one."""
    model = store()
    (model.model / "model.sig").unlink()
    private_sigstore.sign_model(model.model, model.model / "model.sig")
    namespace = space()
    cluster.claim(namespace, model.folder, name="models")
    cluster.api.kubectl("-n", namespace, "apply", "-f", str(EXAMPLE))
    assert _ended(cluster, namespace, "failed") == 1
    log = _log(cluster, namespace)
    assert log.startswith("Verification failed: the signature is recorded in a transparency log")


def test_the_example_with_the_models_signer_verifies_it(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """With what its comment says to set, the Job completes, and its log says what was verified."""
    model = store()
    namespace = space()
    cluster.claim(namespace, model.folder, name="models")
    settings, job = yaml.safe_load_all(EXAMPLE.read_text())
    document: Document = yaml.safe_load(settings["data"]["policy.yaml"])
    document["spec"]["config"] = {"privateKeyConfig": {"publicKey": model.public_key}}
    settings["data"]["policy.yaml"] = json.dumps(document)
    both = json.dumps({"apiVersion": "v1", "kind": "List", "items": [settings, job]})
    cluster.api.kubectl("-n", namespace, "apply", "-f", "-", given=both)
    assert _ended(cluster, namespace, "complete") == 0
    assert _log(cluster, namespace).startswith("Verification succeeded: /models/granite\n")


def _ended(cluster: Cluster, namespace: str, how: str) -> int:
    """Wait as the example's comment says, and return the validator's exit code."""
    wait = ("wait", f"--for=condition={how}", "job/check-model", "--timeout=60s")
    cluster.api.kubectl("-n", namespace, *wait, seconds=70)
    (pod,) = cluster.pods(namespace)
    return int(pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"])


def _log(cluster: Cluster, namespace: str) -> str:
    return cluster.api.kubectl("-n", namespace, "logs", "job/check-model").stdout
