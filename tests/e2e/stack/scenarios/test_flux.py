"""The webhook and the stack from Git: Flux brings both, Secrets and all, on volumes that stayed."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.api_server import building
from tests.e2e.node import installing
from tests.e2e.node.cluster import condition
from tests.e2e.stack.beside import flux
from tests.e2e.stack.beside.webui import QUESTION, Session
from tests.e2e.stack.overlay import ACCOUNT, CLAIMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.stack.stack import Stack

KUSTOMIZATIONS = "kustomizations.kustomize.toolkit.fluxcd.io"
RECONCILING_SECONDS = 600
PRUNING_SECONDS = 120


@pytest.fixture(scope="module")
def reconciled(stack: Stack) -> Iterator[list[str]]:
    """The conditions of the stack's Kustomization, from the first until it was ready."""
    programs = building.find(building.FLUX)
    api = stack.cluster.api
    installing.uninstall(api)
    with flux.flux(stack, programs) as url:
        key = flux.make_repository(stack, programs)
        api.kubectl("create", "namespace", flux.NAMESPACE)
        secret = ("create", "secret", "generic", "sops-age", "--from-file=age.agekey=/dev/stdin")
        api.kubectl("-n", flux.NAMESPACE, *secret, given=key)
        entry = stack.cluster.folder / "flux" / "entry"
        flux.write_kustomization(entry, url)
        api.kubectl("apply", "-k", str(entry))
        yield _said_until_ready(stack)


def test_the_stack_waits_for_the_webhook(stack: Stack, reconciled: list[str]) -> None:
    """It says so, and nothing of it is made before the webhook is ready."""
    waiting = "dependency 'flux-system/model-validation-webhook' is not ready"
    assert any(waiting in each for each in reconciled)
    (ready,) = (
        each["lastTransitionTime"]
        for each in _kustomization(stack, "model-validation-webhook")["status"]["conditions"]
        if each["type"] == "Ready"
    )
    listed = json.loads(stack.kubectl("get", "deployments", "-o", "json"))["items"]
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


def test_taking_it_back_leaves_the_volumes(stack: Stack, reconciled: list[str]) -> None:
    """With its Kustomization the stack goes, by Flux, but for the namespace and three claims."""
    assert reconciled
    deleting = ("delete", f"{KUSTOMIZATIONS}/llm", f"--timeout={PRUNING_SECONDS}s")
    stack.cluster.api.kubectl("-n", flux.NAMESPACE, *deleting, seconds=PRUNING_SECONDS + 10)
    assert json.loads(stack.kubectl("get", "deployments", "-o", "json"))["items"] == []
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


def _kustomization(stack: Stack, name: str) -> dict[str, Any]:
    got = stack.cluster.api.kubectl(
        *("-n", flux.NAMESPACE, "get", f"{KUSTOMIZATIONS}/{name}"),
        *("-o", "json"),
    )
    found: dict[str, Any] = json.loads(got.stdout)
    return found
