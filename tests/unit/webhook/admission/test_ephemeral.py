"""Ephemeral containers of a running pod: debugging, but not of the verdict."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.support.pods import DIGEST, claim, mount, mutated, pod, policy, strict_policy, vllm
from validator.contract import GATE_CONTAINER, MONITOR_CONTAINER, SCRATCH_VOLUME
from webhook.admission.validation import check_ephemeral
from webhook.errors import PodRefused

Document = dict[str, Any]


def running(*, exit_code: int | None = 0, volumes: list[Document] | None = None) -> Document:
    """Return a mutated pod whose gate has ended with `exit_code` (`None`: still runs)."""
    result = mutated(pod(volumes=volumes or [claim(), claim("again")]))
    ended = {"running": {}} if exit_code is None else {"terminated": {"exitCode": exit_code}}
    result["status"] = {"initContainerStatuses": [{"name": GATE_CONTAINER, "state": ended}]}
    return result


def debugger(**changes: Any) -> Document:
    """Return an ephemeral container as `kubectl debug` adds it."""
    return {"name": "debugger", "image": "busybox:1", "targetContainerName": "vllm"} | changes


def check(old: Document, *added: Document, chosen: Any = None) -> None:
    """Add ephemeral containers to a pod."""
    new = copy.deepcopy(old)
    new["spec"].setdefault("ephemeralContainers", []).extend(added)
    check_ephemeral(new, old=old, policy=chosen or policy())


@pytest.mark.parametrize(
    "added",
    [
        debugger(),
        debugger(volumeMounts=[mount(readOnly=True)]),
        debugger(securityContext={"capabilities": {"drop": ["ALL"]}}),
    ],
)
def test_admits_a_debugger_that_only_looks(added: Document) -> None:
    """Once the model is verified."""
    check(running(), added)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": GATE_CONTAINER}, "takes the name"),
        ({"targetContainerName": GATE_CONTAINER}, "aims at it"),
        ({"name": MONITOR_CONTAINER}, "takes the name"),
        ({"targetContainerName": MONITOR_CONTAINER}, "aims at it"),
        ({"volumeMounts": [mount()]}, "'model' writable"),
        ({"volumeMounts": [mount("again", "/x")]}, "'again' writable"),
        ({"volumeDevices": [{"name": "again", "devicePath": "/dev/x"}]}, "'again' writable"),
        ({"volumeMounts": [mount(SCRATCH_VOLUME, "/x", readOnly=True)]}, "the gate's own volume"),
        ({"securityContext": {"privileged": True}}, "is privileged .*--profile=restricted"),
        ({"securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}}, "'SYS_PTRACE'"),
    ],
)
@pytest.mark.parametrize("with_policy", [True, False])
def test_refuses_one_that_reaches_for_gate_or_model(
    changes: Document, words: str, *, with_policy: bool
) -> None:
    """Also when the policy is gone: none of this needs one."""
    old = running()
    new = copy.deepcopy(old)
    new["spec"]["ephemeralContainers"] = [debugger(**changes)]
    with pytest.raises(PodRefused, match=words):
        check_ephemeral(new, old=old, policy=policy() if with_policy else None)


def test_refuses_one_that_could_place_a_link_for_the_next_start() -> None:
    """It writes a volume within which the workload has something mounted."""
    home, inner = mount("home", "/root/.cache"), mount("inner", "/root/.cache/vllm")
    volumes = [claim(), claim("home", of="home"), claim("inner", of="inner")]
    old = mutated(pod(vllm(mount(), home, inner), volumes=volumes))
    old["status"] = running()["status"]
    with pytest.raises(
        PodRefused, match="mounts the volume 'home' writable, which holds the model or"
    ):
        check(old, debugger(volumeMounts=[mount("home", "/h")]))
    check(old, debugger(volumeMounts=[mount("inner", "/i")]))


def test_refuses_one_that_could_move_the_folder_on_which_the_model_is_mounted() -> None:
    """A volume around the model's, which the gate does not mount where one container has it."""
    around = [mount("home", "/models"), mount(at="/models/granite")]
    volumes = [claim(), {"name": "home", "emptyDir": {}}, {"name": "own", "emptyDir": {}}]
    given = vllm(*around, mount("own", "/var/run"))
    old = mutated(pod(given, volumes=volumes))
    old["status"] = running()["status"]
    with pytest.raises(PodRefused, match="mounts the volume 'home' writable, which holds the"):
        check(old, debugger(volumeMounts=[mount("home", "/x")]))
    check(old, debugger(volumeMounts=[mount("home", "/x", readOnly=True)]))
    check(old, debugger(volumeMounts=[mount("own", "/x")]))


def test_refuses_one_that_could_place_a_link_in_an_empty_dir_of_one_container() -> None:
    """The gate does not look for links there: at the pod's start nobody else has written it."""
    home, inner = mount("home", "/root/.cache"), mount("inner", "/root/.cache/vllm")
    volumes = [claim(), {"name": "home", "emptyDir": {}}, claim("inner", of="inner")]
    old = mutated(pod(vllm(mount(), home, inner), volumes=volumes))
    old["status"] = running()["status"]
    with pytest.raises(PodRefused, match="mounts the volume 'home' writable, which holds the"):
        check(old, debugger(volumeMounts=[mount("home", "/h")]))
    check(old, debugger(volumeMounts=[mount("inner", "/i")]))


@pytest.mark.parametrize("exit_code", [None, 1, 3])
def test_refuses_any_before_the_gate_has_succeeded(exit_code: int | None) -> None:
    """The verdict is not to be helped along."""
    with pytest.raises(PodRefused, match="not verified yet"):
        check(running(exit_code=exit_code), debugger())


def test_refuses_any_in_a_pod_without_a_gate() -> None:
    """A pod that was never verified says so."""
    old = running()
    old["spec"]["initContainers"] = []
    with pytest.raises(PodRefused, match="never verified"):
        check(old, debugger())


def test_believes_the_stored_pod_alone() -> None:
    """A status that comes with the request is not the kubelet's."""
    old, new = running(exit_code=None), running()
    new["spec"]["ephemeralContainers"] = [debugger()]
    with pytest.raises(PodRefused, match="not verified yet"):
        check_ephemeral(new, old=old, policy=policy())


def test_what_is_there_already_holds_nothing_up() -> None:
    """An earlier debugger was checked when it came."""
    old = running(exit_code=1)
    old["spec"]["ephemeralContainers"] = [debugger(securityContext={"privileged": True})]
    check(old)


def test_policies_can_allow_privileges_and_audit_allows_all() -> None:
    """The policy's author may allow it."""
    strong = debugger(securityContext={"privileged": True})
    check(running(), strong, chosen=policy(allowPrivileged=True))
    check(running(exit_code=1), strong, chosen=policy(mode="Audit"))


def test_without_the_stored_pod_all_are_new() -> None:
    """Nothing passes for known."""
    new = running()
    new["spec"]["ephemeralContainers"] = [debugger(volumeMounts=[mount()])]
    with pytest.raises(PodRefused, match="writable"):
        check_ephemeral(new, old=None, policy=policy())


@pytest.mark.parametrize("known", ["by the policy", "by the gate"])
def test_under_strict_no_container_is_added(known: str) -> None:
    """Not even one that only looks; and also when the policy is gone or has been relaxed."""
    strict = strict_policy()
    given = pod(vllm(image=f"docker.io/vllm/vllm-openai@{DIGEST}"))
    old = mutated(given, strict) if known == "by the gate" else mutated(given)
    ended = {"terminated": {"exitCode": 0}}
    old["status"] = {"initContainerStatuses": [{"name": GATE_CONTAINER, "state": ended}]}
    if known == "by the gate":
        for chosen in (policy(), None):
            new = copy.deepcopy(old)
            new["spec"]["ephemeralContainers"] = [debugger()]
            with pytest.raises(PodRefused, match="Strict no container is added"):
                check_ephemeral(new, old=old, policy=chosen)
    else:
        check(old, debugger())
        with pytest.raises(PodRefused, match="Strict no container is added"):
            check(old, debugger(), chosen=strict)
