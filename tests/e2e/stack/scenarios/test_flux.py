"""The webhook and the stack from Git: Flux brings both, Secrets and all, on volumes that stayed."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.api_server import building
from tests.e2e.api_server.processes import until
from tests.e2e.node import installing
from tests.e2e.node.cluster import condition
from tests.e2e.stack.beside import flux
from tests.e2e.stack.beside.sigstore import MALLORY
from tests.e2e.stack.beside.webui import QUESTION, Session
from tests.e2e.stack.overlay import ACCOUNT, CLAIMS
from tests.sigstore.private import ALICE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.stack.beside.flux import Sources
    from tests.e2e.stack.stack import Stack

KUSTOMIZATIONS = "kustomizations.kustomize.toolkit.fluxcd.io"
SOURCE = "ocirepositories.source.toolkit.fluxcd.io/llm"
POLICY = "modelvalidation/granite"
REQUEST = "reconcile.fluxcd.io/requestedAt"
CONDITION_SECONDS = 120
RECONCILING_SECONDS = 600
PRUNING_SECONDS = 120


@pytest.fixture(scope="module")
def sources(stack: Stack) -> Iterator[Sources]:
    """Flux, which finds nothing yet: no webhook is left, and no stack."""
    programs = building.find(building.FLUX)
    installing.uninstall(stack.cluster.api)
    with flux.flux(stack, programs) as running:
        stack.cluster.api.kubectl("create", "namespace", flux.NAMESPACE)
        yield running


@pytest.fixture(scope="module")
def reconciled(stack: Stack, sources: Sources) -> list[str]:
    """The conditions of the stack's Kustomization, from the first until it was ready."""
    api = stack.cluster.api
    key = flux.make_repository(stack, building.find(building.FLUX))
    secret = ("create", "secret", "generic", "sops-age", "--from-file=age.agekey=/dev/stdin")
    api.kubectl("-n", flux.NAMESPACE, *secret, given=key)
    entry = stack.cluster.folder / "flux" / "entry"
    flux.write_kustomization(entry, sources.repository)
    api.kubectl("apply", "-k", str(entry))
    return _said_until_ready(stack)


def test_an_artifact_is_used_only_if_the_right_one_has_signed_it(
    stack: Stack, sources: Sources
) -> None:
    """source-controller refuses what nobody has signed, or somebody else, and says so."""
    registry = sources.registry
    digest = registry.push({"mine/kustomization.yaml": b"resources: []\n"}, tag="latest")
    stack.cluster.api.apply(
        [
            flux.signed_source(
                stack.cluster.folder / "flux" / "signed",
                registry.url,
                identity=ALICE.name,
                issuer=ALICE.issuer,
            )
        ]
    )
    assert "no signatures found" in _verified(stack, "False")
    registry.sign(digest, sources.signers, MALLORY)
    assert "none of the expected identities matched" in _verified(stack, "False", asked="1")
    assert "artifact" not in _object(stack, SOURCE)["status"]
    registry.sign(digest, sources.signers, ALICE)
    assert f"verified signature of revision latest@{digest}" in _verified(stack, "True", asked="2")
    assert _object(stack, SOURCE)["status"]["artifact"]["revision"] == f"latest@{digest}"
    _flux(stack, "delete", SOURCE)


def test_the_stack_waits_for_the_webhook(stack: Stack, reconciled: list[str]) -> None:
    """It says so, and nothing of it is made before the webhook is ready."""
    waiting = "dependency 'flux-system/model-validation-webhook' is not ready"
    assert any(waiting in each for each in reconciled)
    (ready,) = (
        each["lastTransitionTime"]
        for each in _kustomization(stack, "model-validation-webhook")["status"]["conditions"]
        if each["type"] == "Ready"
    )
    listed = _deployments(stack)
    assert len(listed) == 4
    made = [each["metadata"]["creationTimestamp"] for each in listed]
    assert min(map(datetime.fromisoformat, made)) >= datetime.fromisoformat(ready)


def test_secrets_are_decrypted_on_the_way(stack: Stack, reconciled: list[str]) -> None:
    """The Secrets in Git are encrypted, and Open WebUI's administrator can log in with them."""
    tree = stack.cluster.folder / "flux" / "tree" / flux.CLUSTER
    assert "ENC[AES256_GCM" in (tree / ACCOUNT).read_text()
    assert reconciled
    assert Session.begin(stack).chat()


def test_the_conversation_is_still_there(stack: Stack, reconciled: list[str]) -> None:
    """The volumes outlived the stack, and the next one takes them up."""
    assert reconciled
    assert any(QUESTION in said for said in Session.begin(stack).conversations().values())


def test_the_stack_s_health_has_its_policy_s(stack: Stack, reconciled: list[str]) -> None:
    """Its Kustomization is not healthy with a policy that is not, by what `observe` writes."""
    assert reconciled
    ready = json.loads(stack.kubectl("get", POLICY, "-o", "json"))["status"]["conditions"]
    assert ("Ready", "True") in {(each["type"], each["status"]) for each in ready}
    observe = ("-n", installing.NAMESPACE, "scale", "deployment/model-validation-observe")
    stack.cluster.api.kubectl(*observe, "--replicas=0")
    # The conditions of a policy that cannot be used, which the API server would not take here.
    stalled = {
        "type": "Stalled",
        "status": "True",
        "reason": "Invalid",
        "message": "it cannot be used",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = json.dumps({"status": {"conditions": [stalled]}})
    stack.kubectl("patch", POLICY, "--subresource=status", "--type=merge", "-p", status)
    assert "ModelValidation/llm/granite status: 'Failed'" in _health(stack, "False", asked="1")
    stack.cluster.api.kubectl(*observe, "--replicas=1")
    until(
        lambda: "Stalled" not in stack.kubectl("get", POLICY, "-o", "json"),
        what="observe has written what the policy is",
        seconds=60,
        pause=1,
    )
    _health(stack, "True", asked="2")


def test_taking_it_back_leaves_the_volumes(stack: Stack, reconciled: list[str]) -> None:
    """With its Kustomization the stack goes, by Flux, but for the namespace and three claims."""
    assert reconciled
    deleting = ("delete", f"{KUSTOMIZATIONS}/llm", f"--timeout={PRUNING_SECONDS}s")
    stack.cluster.api.kubectl("-n", flux.NAMESPACE, *deleting, seconds=PRUNING_SECONDS + 10)
    assert _deployments(stack) == []
    listed = json.loads(stack.kubectl("get", "persistentvolumeclaims", *CLAIMS, "-o", "json"))
    assert {each["status"]["phase"] for each in listed["items"]} == {"Bound"}
    assert (stack.model / "model.sig").exists()


def _said_until_ready(stack: Stack) -> list[str]:
    said: list[str] = []
    end = time.monotonic() + RECONCILING_SECONDS
    while time.monotonic() < end:
        status = _kustomization(stack, "llm").get("status", {})
        for each in status.get("conditions", []):
            if each["type"] == "Ready" and each["message"] not in said:
                said.append(each["message"])
        if condition({"status": status}, "Ready") == "True":
            return said
        time.sleep(0.2)
    pytest.fail(f"the stack is not reconciled; it said {said}")


def _deployments(stack: Stack) -> list[dict[str, Any]]:
    """Return the stack's own: Envoy's, which Envoy Gateway makes, may be beside them."""
    ours = ("-l", "app.kubernetes.io/part-of=llm")
    listed: list[dict[str, Any]] = json.loads(
        stack.kubectl("get", "deployments", *ours, "-o", "json")
    )["items"]
    return listed


def _verified(stack: Stack, status: str, *, asked: str = "") -> str:
    """Return what Flux says of the signature, now or after it was asked to look again."""
    return _condition(stack, SOURCE, "SourceVerified", status, asked=asked)


def _health(stack: Stack, status: str, *, asked: str) -> str:
    """Return what Flux says of the stack's health after it was asked to look again."""
    return _condition(stack, f"{KUSTOMIZATIONS}/llm", "Ready", status, asked=asked)


def _condition(stack: Stack, name: str, kind: str, status: str, *, asked: str) -> str:
    """Return the message of a condition when it has a status, and Flux has seen the request."""
    if asked:
        _flux(stack, "annotate", "--overwrite", name, f"{REQUEST}={asked}")
    said = [""]

    def reached() -> bool:
        found = _object(stack, name).get("status", {})
        for each in found.get("conditions", []):
            if each["type"] == kind and each["status"] == status:
                said[0] = each["message"]
                return bool(found.get("lastHandledReconcileAt", "") == asked)
        return False

    until(reached, what=f"{name} has {kind} {status}", seconds=CONDITION_SECONDS, pause=0.5)
    return said[0]


def _kustomization(stack: Stack, name: str) -> dict[str, Any]:
    return _object(stack, f"{KUSTOMIZATIONS}/{name}")


def _object(stack: Stack, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_flux(stack, "get", name, "-o", "json"))
    return found


def _flux(stack: Stack, *arguments: str) -> str:
    return stack.cluster.api.kubectl("-n", flux.NAMESPACE, *arguments).stdout
