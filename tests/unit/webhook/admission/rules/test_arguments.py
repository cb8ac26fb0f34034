"""The effects of the workload's arguments on mutation: refusals, warnings, covered paths."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.pods import (
    DIGEST,
    MODEL,
    claim,
    container,
    gate_of,
    mount,
    pod,
    run,
    strict_policy,
    vllm,
)
from validator.contract import COVER_VARIABLE
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from tests.support.pods import Document


def cover(given: Document) -> list[str]:
    """Return the paths that the gate is told to find in the signature."""
    for variable in gate_of(run(given).pod)["env"]:
        if variable["name"] == COVER_VARIABLE:
            paths: list[str] = json.loads(variable["value"])
            return paths
    return []


def test_what_is_opened_is_covered() -> None:
    """Every path once, of every container that serves, in an order of its own."""
    second = vllm(name="second", args=[f"--chat-template={MODEL}/b.jinja"])
    first = vllm(args=[f"--chat-template={MODEL}/a.jinja"])
    expected = [MODEL, f"{MODEL}/a.jinja", f"{MODEL}/b.jinja"]
    assert cover(pod(first, second)) == cover(pod(second, first)) == expected


def test_what_is_opened_elsewhere_is_refused() -> None:
    """Another model beside the verified one."""
    given = pod(vllm(args=["--speculative-config.model=/models/draft"]))
    with pytest.raises(PodRefused, match=r"'vllm': .*/models/draft"):
        run(given)


def test_what_cannot_be_read_is_a_warning() -> None:
    """A shell stands between us and vLLM: `Check` admits it and says so."""
    given = pod(vllm(command=["sh", "-c", f"vllm serve {MODEL}"], args=[]))
    result = run(given)
    assert result.warnings
    assert result.unread


def test_native_sidecars_are_judged_too_and_what_has_ended_is_not() -> None:
    """A sidecar that serves something else runs beside the verdict; a fetcher does not."""
    other = ["vllm", "serve", "/elsewhere"]
    fetch = container("fetch", mount(), args=["--to", "/elsewhere"])
    assert gate_of(run(pod(initContainers=[fetch])).pod)
    sidecar = container("sidecar", mount(), command=other, restartPolicy="Always")
    with pytest.raises(PodRefused, match="/elsewhere"):
        run(pod(initContainers=[fetch, sidecar]))


SHARED_MEMORY = "/dev/shm"  # noqa: S108 — a mount point
STRICT = strict_policy()
PINNED = {
    "image": f"docker.io/vllm/vllm-openai@{DIGEST}",
    "securityContext": {"runAsUser": 1000},
}
BESIDE = PINNED | {
    "securityContext": {
        "runAsUser": 2000,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
}


def test_strict_is_asked_where_the_policy_says_so() -> None:
    """`Strict` refuses what `Check` warns of; literal arguments and pinned images pass."""
    wrapped = pod(vllm(command=["sh", "-c", f"vllm serve {MODEL}"], args=[]) | PINNED)
    assert run(wrapped).warnings
    with pytest.raises(PodRefused):
        run(wrapped, STRICT)
    assert gate_of(run(pod(vllm() | PINNED), STRICT).pod)


def test_strict_knows_which_volumes_are_empty_at_first() -> None:
    """A scratch directory that another container fills is not one."""
    serving = vllm(mount(), mount("tmp", "/tmp")) | PINNED  # noqa: S108 — a mount point
    filling = container("fill", mount("tmp", "/x")) | BESIDE
    volumes = [claim(), {"name": "tmp", "emptyDir": {}}]
    assert gate_of(run(pod(serving, volumes=volumes), STRICT).pod)
    with pytest.raises(PodRefused, match="tmp"):
        run(pod(serving, volumes=volumes, initContainers=[filling]), STRICT)


def test_strict_looks_at_whoever_sees_the_model_at_another_path() -> None:
    """The volume counts, and not only the path: a container beside vLLM is not unknown to it."""
    other = container("other", mount("model", "/m"), command=["sh", "-c", "x"]) | BESIDE
    with pytest.raises(PodRefused, match="'other'"):
        run(pod(vllm() | PINNED, other), STRICT)
    memory = vllm(mount(), mount("shm", SHARED_MEMORY)) | PINNED
    volumes = [claim(), {"name": "shm", "emptyDir": {"medium": "Memory"}}]
    assert run(pod(memory, container("other") | BESIDE, volumes=volumes), STRICT)


@pytest.mark.parametrize(
    "beside",
    [
        {"containers": [vllm() | PINNED, container("other") | BESIDE]},
        {"initContainers": [container("other", restartPolicy="Always") | BESIDE]},
    ],
    ids=["container", "native sidecar"],
)
def test_strict_lets_nobody_into_vllms_shared_memory(beside: Document) -> None:
    """A pod's containers have one, and vLLM reads Python objects out of it, which are code."""
    with pytest.raises(PodRefused, match="other containers can write its /dev/shm"):
        run(pod(vllm() | PINNED, **beside), STRICT)
    assert gate_of(run(pod(vllm() | PINNED, **beside)).pod)


def test_strict_does_not_mind_who_has_ended() -> None:
    """Files that an init container leaves there have no names that vLLM creates itself."""
    first = container("first") | BESIDE
    assert gate_of(run(pod(vllm() | PINNED, initContainers=[first]), STRICT).pod)


def test_strict_lets_nothing_have_the_model_before_the_verdict() -> None:
    """A writer could keep a file open and hand it to a process that outlives it."""
    fetch = container("fetch", mount(), image=f"registry.example/tool@{DIGEST}")
    given = pod(vllm() | PINNED, initContainers=[fetch])
    assert gate_of(run(given).pod)
    with pytest.raises(PodRefused, match=r"initContainers\[0\] 'fetch' .*let a Job write"):
        run(given, STRICT)


def test_a_vllm_that_runs_before_the_gate_is_warned_of() -> None:
    """It serves another model for as long as it runs, and the gate has to wait for it."""
    early = container("early", mount("evil", "/evil"), command=["vllm", "serve", "/evil"])
    writer = container("writer", mount())
    given = pod(initContainers=[early, writer], volumes=[claim(), claim("evil", of="evil")])
    (warning,) = run(given).warnings
    assert "initContainers[0] 'early' starts vLLM before the gate" in warning
