"""A pod passes when mutation would change nothing, but for what Kubernetes itself changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.pods import (
    NAMESPACE,
    SETTINGS,
    claim,
    container,
    mount,
    mutated,
    names,
    pod,
    policy,
    vllm,
)
from validator.contract import GATE_CONTAINER, LABEL, MONITOR_CONTAINER
from webhook.admission.pod import Manifest
from webhook.admission.validation import check_created
from webhook.errors import PodRefused

Document = dict[str, Any]
Change = Callable[[Document, Document], object]
"""A change of a mutated pod's spec and of its gate."""


def sidecar(*mounts: Document, **changes: Any) -> Document:
    """Return a native sidecar, as a webhook that sorts after ours adds it."""
    return container("zzz", *mounts, restartPolicy="Always", **changes)


def admitted(change: Change, given: Document | None = None) -> Document:
    """Return a mutated pod after `change`."""
    result = mutated(given or pod())
    gate = next(c for c in result["spec"]["initContainers"] if c["name"] == GATE_CONTAINER)
    change(result["spec"], gate)
    return result


def check(created: Document, **changes: Any) -> None:
    """Validate under the policy that it was mutated with, fields replaced by `changes`."""
    assert (
        check_created(Manifest(raw=created), policy(**changes), gate=SETTINGS, namespace=NAMESPACE)
        == ()
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda _, __: None,
        lambda _, gate: gate.update(imagePullPolicy="Always"),
        lambda _, gate: gate.update(image="registry.example/model-validator:0"),
        lambda _, gate: gate["resources"]["requests"].update({"ephemeral-storage": "1Gi"}),
        lambda _, gate: gate["resources"]["limits"].update({"ephemeral-storage": "1Gi"}),
        lambda _, gate: gate["resources"]["limits"].update(cpu="8", memory="2Gi"),
        lambda _, gate: gate["resources"]["requests"].update(memory="512Mi"),
        lambda _, gate: gate["securityContext"]["capabilities"]["drop"].append("MKNOD"),
        lambda _, gate: gate["securityContext"]["capabilities"].update(drop=["KILL", "ALL"]),
        lambda spec, _: spec["volumes"].append({"name": "token", "projected": {"sources": []}}),
        lambda spec, _: spec["containers"][0]["volumeMounts"].append(mount("token", "/token")),
        lambda spec, _: spec["initContainers"].append(container("mesh")),
        lambda spec, _: spec["initContainers"].insert(0, container("mesh")),
        lambda spec, _: spec["initContainers"].append(sidecar()),
        lambda spec, _: spec["initContainers"].insert(0, sidecar()),
        lambda spec, _: spec["initContainers"].extend([container("mesh"), sidecar()]),
        lambda spec, _: spec["initContainers"].append(
            sidecar(mount(readOnly=True, recursiveReadOnly="IfPossible"))
        ),
        lambda spec, _: spec.update(tolerations=[{"operator": "Exists"}], priority=0),
    ],
)
def test_admits_what_kubernetes_and_others_may_change(change: Change) -> None:
    """The named differences, and everything that is not ours."""
    check(admitted(change))


def test_admits_defaults_for_resources_of_which_nothing_is_said() -> None:
    """A LimitRange gives CPU to a gate whose workload has none."""
    without = pod(vllm(resources={}))
    check(admitted(lambda _, gate: gate["resources"]["limits"].update(cpu="1"), without))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda _, gate: gate.update(image="evil"), "runs the image 'evil'.* by that digest"),
        (lambda _, gate: gate["env"].append({"name": "A"}), r"env\[3\] 'A' must not be there"),
        (lambda _, gate: gate["env"].pop(0), r"env\[0\].* is missing"),
        (lambda _, gate: gate["env"][0].update(value="{}"), r"env\[0\].*value is not what"),
        (lambda _, gate: gate.update(envFrom=[{}]), "envFrom must not be there"),
        (lambda _, gate: gate.update(args=["--help"]), "args must not be there"),
        (lambda _, gate: gate["command"].insert(0, "/bin/true"), r"command\[0\] must not be there"),
        (lambda _, gate: gate.update(lifecycle={}), "lifecycle must not be there"),
        (lambda _, gate: gate.update(restartPolicy="Always"), "restartPolicy must not be there"),
        (lambda _, gate: gate.update(ports=[{"containerPort": 1}]), "ports must not be there"),
        (lambda _, gate: gate.update(workingDir="/models"), "workingDir must not be there"),
        (lambda _, gate: gate["volumeMounts"].append(mount("x", "/x")), r"volumeMounts\[2\]"),
        (lambda _, gate: gate["volumeMounts"][0].pop("readOnly"), "readOnly is missing"),
        (lambda _, gate: gate["resources"]["limits"].update(cpu="1m"), r"limits\.cpu"),
        (lambda _, gate: gate["resources"].update(claims=[]), r"resources\.claims"),
        (lambda _, gate: gate["resources"]["limits"].update(memory="128Mi"), r"limits\.memory"),
        (lambda _, gate: gate["resources"]["limits"].update(memory="1G!"), r"limits\.memory"),
        (lambda _, gate: gate["resources"]["limits"].update(memory="2048Mi"), r"limits\.memory"),
        (
            lambda _, gate: gate["securityContext"]["capabilities"].update(drop=["MKNOD"]),
            r"capabilities\.drop",
        ),
        (
            lambda _, gate: gate["securityContext"]["capabilities"].update(add=["MKNOD"]),
            r"capabilities\.add",
        ),
        (
            lambda _, gate: gate["securityContext"].update(privileged=True),
            "is privileged|securityContext.privileged",
        ),
        (
            lambda _, gate: gate["securityContext"].update(runAsNonRoot=False),
            r"securityContext\.runAsNonRoot is not what",
        ),
        (
            lambda _, gate: gate["securityContext"].update(allowPrivilegeEscalation=0),
            r"securityContext\.allowPrivilegeEscalation",
        ),
    ],
)
def test_refuses_what_another_webhook_does_to_the_gate(change: Change, words: str) -> None:
    """The sentence names the gate and the field."""
    with pytest.raises(PodRefused, match=words) as refusal:
        check(admitted(change))
    assert f"initContainers[0] '{GATE_CONTAINER}'" in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda spec, _: spec.pop("initContainers"), "has not been mutated"),
        (
            lambda spec, _: spec["initContainers"].append(container("late", mount())),
            r"initContainers\[0\].* must be initContainers\[1\], after initContainers\[1\] 'late'",
        ),
        (
            lambda spec, _: spec["initContainers"].insert(0, container("a", mount(readOnly=True))),
            r"initContainers\[1\].* must be initContainers\[0\], before initContainers\[0\] 'a'",
        ),
        (
            lambda spec, _: spec["initContainers"].insert(0, vllm(name="a", volumeMounts=[])),
            "container 'a': .* not mounted in this container",
        ),
        (
            lambda spec, _: spec["initContainers"].append(sidecar(mount())),
            r"initContainers\[1\] 'zzz': volumeMounts\[0\] 'model'",
        ),
        (
            lambda spec, _: (
                spec["initContainers"].append(sidecar(mount("other", "/models/x/..")))
                or spec["volumes"].append(claim("other"))
            ),
            "'zzz' mounts the volume 'other'",
        ),
        (
            lambda spec, _: spec["initContainers"].append(
                sidecar(securityContext={"privileged": True})
            ),
            "'zzz' is privileged",
        ),
        (
            lambda spec, _: spec["containers"].append(container("x", mount())),
            r"containers\[1\] 'x': volumeMounts\[0\] 'model'",
        ),
        (
            lambda spec, _: spec["containers"][0]["volumeMounts"][0].pop("recursiveReadOnly"),
            r"'vllm': volumeMounts\[0\] 'model': recursiveReadOnly is missing: .* before 1\.31",
        ),
        (
            lambda spec, _: spec["volumes"].pop(),
            r"volumes\[1\]: it was changed|volumes\[1\] is missing",
        ),
        (
            lambda spec, _: spec["volumes"][1]["emptyDir"].pop("medium"),
            "'model-validation-scratch' bears a name",
        ),
        (lambda spec, _: spec.update(hostPID=True), r"spec\.hostPID"),
        (
            lambda spec, _: spec["containers"].append(
                container("x", mount("model", "/models/granite"))
            ),
            "what is verified",
        ),
    ],
)
def test_refuses_what_undoes_the_mutation(change: Change, words: str) -> None:
    """Whatever was added after us is held to the same rules."""
    with pytest.raises(PodRefused, match=words):
        check(admitted(change, pod(volumes=[claim()])))


def watched(change: Change) -> Document:
    """Return a mutated pod with a monitor, after `change` of its spec and of the monitor."""
    result = mutated(pod(), policy(revalidation={}))
    monitor = next(c for c in result["spec"]["initContainers"] if c["name"] == MONITOR_CONTAINER)
    change(result["spec"], monitor)
    return result


@pytest.mark.parametrize(
    "change",
    [
        lambda _, __: None,
        lambda _, monitor: monitor.update(imagePullPolicy="Always"),
        lambda _, monitor: monitor.update(image="registry.example/model-validator:0"),
        lambda _, monitor: monitor["resources"]["limits"].update({"ephemeral-storage": "1Gi"}),
        lambda spec, _: spec["initContainers"].append(container("mesh")),
        lambda spec, _: spec["initContainers"].insert(0, container("mesh")),
        lambda spec, _: spec["initContainers"].append(sidecar()),
        lambda spec, _: spec["initContainers"].insert(0, sidecar()),
    ],
)
def test_admits_what_kubernetes_may_change_of_the_monitor(change: Change) -> None:
    """The same as of the gate, each image for itself: replicas differ during a rollout."""
    check(watched(change), revalidation={})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda spec, _: spec["initContainers"].pop(), "has no init container 'model-validation-m"),
        (lambda _, monitor: monitor.update(image="evil"), r"runs the image 'evil'"),
        (lambda _, monitor: monitor.pop("restartPolicy"), "restartPolicy is missing"),
        (lambda _, monitor: monitor.pop("startupProbe"), "startupProbe is missing"),
        (lambda _, monitor: monitor.pop("readinessProbe"), "readinessProbe is missing"),
        (lambda _, monitor: monitor.update(livenessProbe={}), "livenessProbe must not be there"),
        (
            lambda _, monitor: monitor["readinessProbe"]["exec"].update(command=["true"]),
            r"readinessProbe\.exec\.command",
        ),
        (
            lambda _, monitor: monitor["readinessProbe"].update(failureThreshold=100),
            "readinessProbe.failureThreshold is not what",
        ),
        (lambda _, monitor: monitor["env"][0].update(value="{}"), r"env\[0\].*value is not what"),
        (lambda _, monitor: monitor.update(lifecycle={}), "lifecycle must not be there"),
        (lambda _, monitor: monitor["volumeMounts"][0].pop("readOnly"), "readOnly is missing"),
        (
            lambda spec, _: spec["initContainers"].insert(1, container("mesh")),
            r"initContainers\[2\].* must be initContainers\[1\], before initContainers\[1\] 'mesh'",
        ),
    ],
)
def test_refuses_what_another_webhook_does_to_the_monitor(change: Change, words: str) -> None:
    """The sentence names the monitor and the field."""
    with pytest.raises(PodRefused, match=words) as refusal:
        check(watched(change), revalidation={})
    assert MONITOR_CONTAINER in str(refusal.value)


def test_refuses_a_monitor_that_the_policy_does_not_ask_for() -> None:
    """It would have been taken out by mutation."""
    other = container(MONITOR_CONTAINER, restartPolicy="Always")
    with pytest.raises(PodRefused, match=r"initContainers\[1\] '.*-monitor' must not be there"):
        check(admitted(lambda spec, _: spec["initContainers"].append(other)))


def test_a_late_sidecar_is_placed_before_the_gate_when_we_are_asked_again() -> None:
    """It may serve the model's volume; where nobody asks us again, it stands where it is."""
    late = admitted(lambda spec, _: spec["initContainers"].append(sidecar()))
    again = mutated(late)
    assert names(again["spec"]["initContainers"]) == ["zzz", GATE_CONTAINER]
    check(late)
    check(again)


@pytest.mark.parametrize(
    "revalidation", [{}, {"revalidation": {}}], ids=["the gate", "the gate and its monitor"]
)
def test_a_late_filler_of_a_cache_is_named(revalidation: Document) -> None:
    """A link that it leaves would lead the inner mount over the model."""
    home, inner = mount("home", "/root/.cache"), mount("inner", "/root/.cache/vllm")
    volumes = [claim(), claim("home", of="home"), claim("inner", of="inner")]
    late = mutated(pod(vllm(mount(), home, inner), volumes=volumes), policy(**revalidation))
    late["spec"]["initContainers"].append(container("late", mount("home", "/h")))
    at = len(late["spec"]["initContainers"]) - 1
    with pytest.raises(
        PodRefused,
        match=rf"'model-validation' must be initContainers\[1\], after .*\[{at}\] 'late'",
    ):
        check(late, **revalidation)


def test_names_the_gate_before_all_that_follows_from_it() -> None:
    """A pod that brings one and was not mutated has other differences too, volumes first."""
    own = container(GATE_CONTAINER, image=SETTINGS.image)
    with pytest.raises(PodRefused, match=r"^initContainers\[0\] 'model-validation': "):
        check(pod(initContainers=[own], volumes=[claim()]))


def test_refuses_a_gate_with_another_policy() -> None:
    """A gate that was written for a laxer policy does not pass under this one."""
    with pytest.raises(PodRefused, match=r"env\[0\].*value is not what the webhook wrote"):
        check(mutated(pod()), model={"digests": ["sha256:" + "1" * 64]})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda _, gate: gate["env"].append({"name": "AWS_REGION", "value": "x"}),
            "'AWS_REGION' must not be there: EKS' .*/skip-containers: model-[a-z]+,model-[a-z]+-m",
        ),
        (
            lambda _, gate: gate["volumeMounts"].append(
                mount("azure", "/var/run/secrets/azure/tokens")
            ),
            "'azure' must not be there: Azure .*/skip-containers: model-[a-z]+;model-[a-z]+-mon",
        ),
        (
            lambda _, gate: gate["env"].append({"name": "https_proxy", "value": "x"}),
            "an injector of proxies does this",
        ),
        (lambda _, gate: gate["env"].append({"name": "TZ", "value": "x"}), "k8tz"),
        (lambda _, gate: gate["env"].append({"name": "DD_ENTITY_ID"}), "Datadog"),
        (lambda _, gate: gate["env"].append({"name": "X"}), "another webhook changed it after"),
        (lambda _, gate: gate.update(stdin=True), "another webhook changed it after this one"),
    ],
)
def test_says_who_probably_changed_the_gate_and_what_to_set(change: Change, words: str) -> None:
    """A person cannot leave out what another webhook puts in."""
    with pytest.raises(PodRefused, match=words):
        check(admitted(change))


def test_says_that_the_label_may_have_come_late() -> None:
    """A webhook that labels pods after ours leaves them without a gate."""
    with pytest.raises(PodRefused, match=f"no other webhook adds the label {LABEL} after"):
        check(pod())
