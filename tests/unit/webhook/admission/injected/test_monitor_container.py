"""The monitor: where it stands, what it shares with the gate, and what its pod learns from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.pods import (
    DIGEST,
    MODEL,
    NAMESPACE,
    SETTINGS,
    claim,
    container,
    gate_of,
    monitor_of,
    mount,
    mutated,
    names,
    pod,
    policy,
    run,
    strict_policy,
    vllm,
)
from validator.contract import (
    GATE_CONTAINER,
    MONITOR_CONTAINER,
    SCRATCH_VOLUME,
    SERVICE_ACCOUNT_PATH,
)
from webhook.admission.pod import Manifest
from webhook.admission.validation import check_created
from webhook.errors import PodRefused
from webhook.settings import GATE_COMMAND

if TYPE_CHECKING:
    from tests.support.pods import Document


def watched(**spec: Any) -> Any:
    """Return a policy with re-validation."""
    return policy(**({"revalidation": {}} | spec))


def watch(given: Document, **spec: Any) -> Document:
    """Return the monitor of a mutated pod."""
    return monitor_of(mutated(given, watched(**spec)))


PROBE = {
    "exec": {"command": [*GATE_COMMAND, "monitor", "--status"]},
    "failureThreshold": 1,
    "periodSeconds": 5,
    "successThreshold": 1,
    "timeoutSeconds": 10,
}


def test_is_the_gate_but_for_what_keeps_it_running() -> None:
    """Image, environment, mounts, user and message are the gate's; all defaults are written out."""
    given = mutated(pod(vllm(args=[f"--chat-template={MODEL}/a.jinja"])), watched())
    gate, monitor = gate_of(given), monitor_of(given)
    own = {
        "name": MONITOR_CONTAINER,
        "command": [*GATE_COMMAND, "monitor"],
        "resources": {
            "requests": {"cpu": "250m", "memory": "256Mi"},
            "limits": {"cpu": "250m", "memory": "256Mi"},
        },
        "restartPolicy": "Always",
        "volumeMounts": [
            {"name": "model", "mountPath": "/models", "readOnly": True},
            {"name": SCRATCH_VOLUME, "mountPath": SERVICE_ACCOUNT_PATH},
        ],
        "startupProbe": PROBE | {"failureThreshold": 17280},
        "readinessProbe": PROBE,
    }
    assert monitor == gate | own
    assert len(gate["env"]) == 3


def test_without_revalidation_there_is_none() -> None:
    """It is off by default, and a pod that brings one under such a policy loses it."""
    assert names(mutated(pod())["spec"]["initContainers"]) == [GATE_CONTAINER]
    copied = mutated(pod(), watched())
    assert mutated(copied) == mutated(pod())


def test_stands_directly_after_the_gate() -> None:
    """So it follows every writer of the model, and precedes all that wait for the verdict."""
    given = pod(
        initContainers=[
            container("mesh", restartPolicy="Always"),
            container("download", mount()),
            container("check", mount(readOnly=True)),
        ]
    )
    result = mutated(given, watched())
    expected = ["mesh", "download", GATE_CONTAINER, MONITOR_CONTAINER, "check"]
    assert names(result["spec"]["initContainers"]) == expected
    late = result["spec"]["initContainers"]
    late.append(container("late", mount()))
    moved = mutated(result, watched())["spec"]["initContainers"]
    assert names(moved) == [
        *("mesh", "download", "check", "late"),
        *(GATE_CONTAINER, MONITOR_CONTAINER),
    ]


@pytest.mark.parametrize(
    ("action", "mode", "probes"),
    [
        ("Unready", "Enforce", {"startupProbe", "readinessProbe"}),
        ("Report", "Enforce", {"startupProbe"}),
        ("Unready", "Audit", set()),
        ("Report", "Audit", set()),
    ],
)
def test_what_a_verdict_does_is_the_policys(action: str, mode: str, probes: set[str]) -> None:
    """The workload always waits for a good one, but under Audit, which stops nothing."""
    monitor = watch(pod(), revalidation={"action": action}, mode=mode)
    assert {name for name in monitor if name.endswith("Probe")} == probes


@pytest.mark.parametrize(
    ("amounts", "requests", "limits"),
    [
        ([({"cpu": "2"}, {"cpu": "2"})], "250m", "250m"),
        ([({"cpu": "100m"}, {"cpu": "4"})], "100m", "250m"),
        ([({"cpu": "100m"}, {"cpu": "0.15"})], "100m", "150m"),
        ([({"cpu": "2"}, {})], "250m", None),
        ([({}, {"cpu": "50m"}), ({}, {})], "50m", "50m"),
        ([({"memory": "1Gi"}, {"memory": "1Gi"})], None, None),
    ],
)
def test_costs_little_cpu_and_names_what_the_workload_names(
    amounts: list[tuple[Document, Document]], requests: str | None, limits: str | None
) -> None:
    """Never more than the workload, in no worse a ratio, and a limit only where it has one."""
    containers = [
        container(f"c{index}", mount(), resources={"requests": asked, "limits": allowed})
        for index, (asked, allowed) in enumerate(amounts)
    ]
    resources = watch(pod(*containers))["resources"]
    assert resources["requests"].get("cpu") == requests
    assert resources["limits"].get("cpu") == limits
    assert resources["requests"]["memory"] == resources["limits"]["memory"] == "256Mi"


def test_has_the_memory_that_the_policy_gives_the_gate_but_not_its_cpu() -> None:
    """A large bundle takes as much here as there; cores that the gate uses for minutes do not."""
    given = {"requests": {"cpu": "8", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}
    assert watch(pod(), resources=given)["resources"] == {
        "requests": {"cpu": "250m", "memory": "1Gi"},
        "limits": {"cpu": "250m", "memory": "1Gi"},
    }


@pytest.mark.parametrize(
    "given",
    [
        pod(vllm(), container(MONITOR_CONTAINER)),
        pod(initContainers=[container(MONITOR_CONTAINER), container(MONITOR_CONTAINER)]),
        pod(vllm(), container(MONITOR_CONTAINER), initContainers=[container(MONITOR_CONTAINER)]),
    ],
)
@pytest.mark.parametrize("revalidation", [None, {}])
def test_its_name_is_taken(given: Document, revalidation: Document | None) -> None:
    """With and without re-validation: no other container may pass for the monitor."""
    with pytest.raises(PodRefused, match="give it another name"):
        run(given, policy(revalidation=revalidation) if revalidation is not None else policy())


def test_one_that_a_pod_brings_is_replaced_whole() -> None:
    """Neither image nor probe of it survives, nor does its place, and it counts as no writer."""
    own = container(
        MONITOR_CONTAINER,
        mount(),
        image="registry.example/yes:1",
        restartPolicy="Always",
        readinessProbe={"exec": {"command": ["true"]}},
        lifecycle={},
    )
    given = pod(initContainers=[own, container("a")])
    assert mutated(given, watched()) == mutated(pod(initContainers=[container("a")]), watched())


def test_keeps_what_kubernetes_changes_between_two_calls() -> None:
    """As the gate does: what we took back, its plugins would refuse in the end."""
    between = mutated(pod(vllm(resources={})), watched())
    for each in between["spec"]["initContainers"]:
        each["imagePullPolicy"] = "Always"
        each["resources"]["limits"] |= {"cpu": "1", "ephemeral-storage": "1Gi"}
    assert mutated(between, watched()) == between
    assert check_created(Manifest(raw=between), watched(), gate=SETTINGS, namespace=NAMESPACE) == ()


def test_is_no_part_of_the_workload() -> None:
    """Under Strict, every container that sees the model has to be one that is known: ours is."""
    image = f"docker.io/vllm/vllm-openai@{DIGEST}"
    strict = strict_policy(revalidation={}, workload={"arguments": "Strict", "images": [DIGEST]})
    once = mutated(pod(vllm(image=image)), strict)
    assert mutated(once, strict) == once
    assert not run(once, strict).warnings


def test_the_policys_own_volume_is_watched() -> None:
    """A mount that the webhook adds is the monitor's as well."""
    volume = {"persistentVolumeClaim": {"claimName": "granite"}}
    given = pod(vllm(volumeMounts=[]), volumes=[claim("cache", of="cache")])
    result = mutated(given, watched(model={"volume": volume}))
    assert monitor_of(result)["volumeMounts"][0] == gate_of(result)["volumeMounts"][0]
