"""Whether an init container is ours: each way to bring another one, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.support import observed as made
from tests.support import pods
from tests.support.observed import ended, gated, verified
from webhook.observe.pod import gate as gate_module
from webhook.observe.pod.gate import Unproven, proven
from webhook.observe.pod.verdict import Verdict, observed
from webhook.observe.pod.wire import Pod

if TYPE_CHECKING:
    from collections.abc import Callable

Document = dict[str, Any]
IMAGES = (made.IMAGE,)


def read(pod: Document) -> Pod:
    """Return a pod as it comes over the wire."""
    return msgspec.json.decode(msgspec.json.encode(pod), type=Pod)


def test_what_the_webhook_makes_is_a_gate() -> None:
    """With each option that gives it more variables and mounts."""
    tuf = {"trust": {"tuf": {"url": "https://tuf.corp", "root": "{}"}}}
    keyless = {
        "sigstoreConfig": {"certificateIdentity": "a@b.corp", "certificateOidcIssuer": "https://i"}
    }
    chosen: list[Document] = [
        {},
        {"revalidation": {}},
        {"mode": "Audit"},
        {"config": keyless, **tuf},
    ]
    for changes in chosen:
        policy = proven(read(gated(policy=made.stored_policy(**changes))), images=IMAGES)
        assert (policy.namespace, policy.name, policy.generation) == ("team", "granite", 3)
        assert policy.paths == {"/models/granite"}
        assert policy.audit == (changes.get("mode") == "Audit")


def test_a_gate_that_looks_into_an_outer_volume() -> None:
    """Its mounts lie below the program's folder, at paths that the webhook chooses."""
    inner = pods.mount("cache", "/work/cache/inner")
    outer = pods.mount("work", "/work")
    policy = made.stored_policy()
    serving = pods.vllm(pods.mount(), outer, inner)
    given = pods.pod(
        serving,
        volumes=[pods.claim(), pods.claim("work", of="w"), {"name": "cache", "emptyDir": {}}],
    )
    pod = pods.mutated(given)
    pod["metadata"]["uid"] = "u"
    paths = [each["mountPath"] for each in pods.gate_of(pod)["volumeMounts"]]
    assert any(path.startswith("/opt/model-validation/volumes/") for path in paths)
    assert proven(read(pod), images=IMAGES).name == policy["metadata"]["name"]


def gate(change: Callable[[Document], object]) -> Callable[[Document], None]:
    """Return a change of a pod's gate."""

    def changed(pod: Document) -> None:
        (found,) = (e for e in pod["spec"]["initContainers"] if e["name"] == "model-validation")
        change(found)

    return changed


def variable(name: str, value: str) -> Callable[[Document], None]:
    """Return a change that adds a variable."""
    return gate(lambda found: found["env"].append({"name": name, "value": value}))


def mounted(path: str, name: str = "model") -> Callable[[Document], None]:
    """Return a change that adds a mount."""
    return gate(lambda found: found["volumeMounts"].append({"name": name, "mountPath": path}))


def without_policy(found: Document) -> None:
    """Take the policy out of a gate's environment."""
    found["env"] = [e for e in found["env"] if e["name"] != "MODEL_VALIDATION_POLICY"]


def policy_is(text: str) -> Callable[[Document], None]:
    """Return a change of the policy in the gate's environment."""

    def change(found: Document) -> None:
        without_policy(found)
        found["env"].append({"name": "MODEL_VALIDATION_POLICY", "value": text})

    return gate(change)


def bring_a_second(pod: Document) -> None:
    """Add another container of the gate's name."""
    pod["spec"]["initContainers"].append(dict(pods.gate_of(pod)))


FORGED: dict[str, tuple[Callable[[Document], None], str]] = {
    "no gate": (lambda pod: pod["spec"].pop("initContainers"), "no init container"),
    "two": (bring_a_second, "no init container"),
    "image": (gate(lambda g: g.update(image="evil:1")), "has the image 'evil:1'"),
    "command": (gate(lambda g: g.update(command=["sh"])), "command"),
    "no command": (gate(lambda g: g.pop("command")), "command"),
    "arguments": (gate(lambda g: g.update(args=["--help"])), "command"),
    "sidecar": (gate(lambda g: g.update(restartPolicy="Always")), "command"),
    "hook": (gate(lambda g: g.update(lifecycle={"postStart": {}})), "command"),
    "message from the log": (
        gate(lambda g: g.update(terminationMessagePolicy="FallbackToLogsOnError")),
        "command",
    ),
    "message elsewhere": (gate(lambda g: g.update(terminationMessagePath="/m/x")), "command"),
    "preload": (variable("LD_PRELOAD", "/models/x.so"), "variables"),
    "variables of a ConfigMap": (gate(lambda g: g.update(envFrom=[{}])), "variables"),
    "mount over the program": (mounted("/opt/model-validation/lib"), "over its own program"),
    "mount over the interpreter": (mounted("/usr/local/lib"), "over its own program"),
    "mount over everything": (mounted("/"), "over its own program"),
    "mount over the message": (mounted("/dev/termination-log"), "over its own program"),
    "mount by a detour": (mounted("/opt/model-validation/volumes/../lib"), "its own program"),
    "mount by another detour": (mounted("/models/../usr"), "over its own program"),
    "scratch elsewhere": (
        mounted("/usr/lib", "model-validation-scratch"),
        "over its own program",
    ),
    "no policy": (gate(without_policy), "policy"),
    "two policies": (variable("MODEL_VALIDATION_POLICY", "{}"), "policy"),
    "a policy that is none": (policy_is("{"), "policy"),
    "a policy without a uid": (
        policy_is('{"metadata":{"name":"granite","namespace":"team"},"spec":{}}'),
        "policy",
    ),
    "a policy with a long name": (
        policy_is(
            f'{{"metadata":{{"name":"{"g" * 254}","namespace":"team","uid":"u"}},"spec":{{}}}}'
        ),
        "policy",
    ),
    "another namespace's policy": (
        policy_is('{"metadata":{"name":"g","namespace":"other","uid":"u"},"spec":{}}'),
        "another namespace's",
    ),
    "processes of the pod": (
        lambda pod: pod["spec"].update(shareProcessNamespace=True),
        "reach into the gate's",
    ),
    "processes of the node": (lambda pod: pod["spec"].update(hostPID=True), "reach into"),
}


@pytest.mark.parametrize("name", FORGED)
def test_another_container_proves_nothing(name: str) -> None:
    """Whatever it says, the pod does not count as verified."""
    change, sentence = FORGED[name]
    pod = ended(gated(), [verified()])
    assert observed(read(pod), images=IMAGES).verdict is Verdict.VERIFIED
    change(pod)
    with pytest.raises(Unproven, match=sentence):
        proven(read(pod), images=IMAGES)
    assert observed(read(pod), images=IMAGES).verdict is Verdict.UNPROVEN


def test_a_policy_that_is_too_long_is_none() -> None:
    """The webhook writes none that is longer; it takes no room among those that are remembered."""
    pod = gated()
    (text,) = (e["value"] for e in pods.gate_of(pod)["env"] if e["name"].endswith("_POLICY"))
    for spaces, long in ((96 * 1024 - len(text), False), (96 * 1024 + 1 - len(text), True)):
        remembered = gate_module.read.cache_info().misses
        policy_is(" " * spaces + text)(pod)
        if long:
            with pytest.raises(Unproven, match="policy"):
                proven(read(pod), images=IMAGES)
        else:
            proven(read(pod), images=IMAGES)
        assert gate_module.read.cache_info().misses - remembered == (0 if long else 1)
