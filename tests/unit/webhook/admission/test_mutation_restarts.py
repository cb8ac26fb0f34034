"""`spec.onRestart`: a container that sees the model restarts after another verdict, or alone."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from tests.support.pods import (
    DIGEST,
    NAMESPACE,
    SETTINGS,
    STRICT_WORKLOAD,
    Document,
    container,
    gate_of,
    monitor_of,
    mount,
    pod,
    policy,
    vllm,
)
from validator.contract import GATE_CONTAINER
from webhook.admission.mutation import Mutation, mutate
from webhook.admission.pod import Manifest
from webhook.admission.validation import check_created
from webhook.errors import PodRefused

NEW = (1, 36)
ANY_CODE = {"action": "RestartAllContainers", "exitCodes": {"operator": "NotIn"}}
FAILURES = {"action": "RestartAllContainers", "exitCodes": {"operator": "NotIn", "values": [0]}}
ALWAYS = {"restartPolicy": "Never", "restartPolicyRules": [ANY_CODE]}
"""The rule restarts it after every code, and the kubelet by itself never."""
SIDECAR = {"restartPolicy": "Always", "restartPolicyRules": [ANY_CODE]}
ON_FAILURE = {"restartPolicy": "OnFailure", "restartPolicyRules": [FAILURES]}


def run(given: Document, *, server: Any = NEW, **spec: Any) -> Mutation:
    """Mutate a pod under a policy that asks for Verify, or says what `spec` says."""
    return mutate(
        Manifest(raw=given),
        policy(**{"onRestart": "Verify"} | spec),
        gate=replace(SETTINGS, server=server),
        namespace=NAMESPACE,
    )


def rules_of(given: Document) -> dict[str, Document]:
    """Return by name what the containers say of restarts, where they say anything."""
    spec = given["spec"]
    told = {
        each["name"]: {
            key: each[key] for key in ("restartPolicy", "restartPolicyRules") if key in each
        }
        for each in (*spec["initContainers"], *spec["containers"])
    }
    return {name: said for name, said in told.items() if said}


def by_codes(action: str, operator: str, *values: int) -> Document:
    """Return a rule as people write it."""
    return {"action": action, "exitCodes": {"operator": operator, "values": list(values)}}


@pytest.mark.parametrize(
    ("pod_policy", "expected"),
    [
        ({}, ALWAYS),
        ({"restartPolicy": "Always"}, ALWAYS),
        ({"restartPolicy": "OnFailure"}, ON_FAILURE),
        ({"restartPolicy": "Never"}, {}),
    ],
)
def test_what_sees_the_model_restarts_with_the_gate(
    pod_policy: Document, expected: Document
) -> None:
    """By the pod's restart policy; other containers, the gate and what never restarts stay."""
    result = run(pod(vllm(), container("other"), **pod_policy))
    assert rules_of(result.pod) == ({"vllm": expected} if expected else {})
    assert gate_of(result.pod)["name"] == GATE_CONTAINER
    assert result.restarts_verified
    assert result.warnings == ()


def test_the_containers_own_policy_comes_first() -> None:
    """A container's `restartPolicy` holds instead of the pod's, and stays."""
    result = run(
        pod(
            vllm(restartPolicy="OnFailure"),
            container("reader", mount(), restartPolicy="Never"),
            restartPolicy="Always",
        )
    )
    assert rules_of(result.pod) == {"vllm": ON_FAILURE, "reader": {"restartPolicy": "Never"}}


def test_init_containers_after_the_gate() -> None:
    """A sidecar restarts whatever its end was; another one only if it failed, and is no sidecar."""
    init = [
        container("writer", mount()),
        container("reader", mount(readOnly=True)),
        container("cache", mount(readOnly=True), restartPolicy="Always"),
        container("mesh", restartPolicy="Always"),
    ]
    result = run(pod(initContainers=init))
    assert rules_of(result.pod) == {
        "reader": ON_FAILURE,
        "cache": SIDECAR,
        "mesh": {"restartPolicy": "Always"},
        "vllm": ALWAYS,
    }


@pytest.mark.parametrize(
    "own",
    [
        [ANY_CODE],
        [by_codes("RestartAllContainers", "In", 0), FAILURES],
        [by_codes("RestartAllContainers", "In", 3), by_codes("RestartAllContainers", "NotIn", 3)],
    ],
)
def test_rules_that_suffice_stay_alone(own: list[Document]) -> None:
    """None is added where each exit code restarts everything already."""
    given = {"restartPolicy": "Always", "restartPolicyRules": own}
    assert rules_of(run(pod(vllm(**given))).pod) == {"vllm": given | {"restartPolicy": "Never"}}


@pytest.mark.parametrize(
    ("own", "codes"),
    [
        ([by_codes("Restart", "In", 5, 3, 4, 9)], "3-5, 9"),
        ([by_codes("RestartAllContainers", "In", 3), by_codes("Restart", "In", 3, 4)], "4"),
        ([by_codes("Restart", "NotIn", 1)], "0, 2-255"),
        ([by_codes("Restart", "NotIn")], "0-255"),
        ([{"action": "Restart"}, by_codes("Restart", "In", 7)], "7"),
    ],
)
def test_own_rules_stay_before_ours(own: list[Document], codes: str) -> None:
    """They are kept, in their order, and a warning says after which codes no gate runs."""
    result = run(pod(vllm(restartPolicy="Always", restartPolicyRules=own)))
    kept = rules_of(result.pod)["vllm"]["restartPolicyRules"]
    assert kept[: len(own)] == own
    assert kept[len(own) :] == ([] if codes == "0-255" else [ANY_CODE])
    (warning,) = result.warnings
    assert warning == (
        "containers[0] 'vllm': by its restartPolicyRules it restarts without a verification after "
        f"the exit codes {codes}: let these rules say RestartAllContainers, or remove them"
    )


PROBES = ("livenessProbe", "startupProbe")
RESIZED = [
    {"resourceName": "cpu", "restartPolicy": "NotRequired"},
    {"resourceName": "memory", "restartPolicy": "RestartContainer"},
]


@pytest.mark.parametrize("probe", PROBES)
def test_a_failed_probe_leaves_the_restart_to_the_rules(probe: str) -> None:
    """The kubelet asks a container's policy alone there; `Never` has it end, and the rule match."""
    result = run(pod(vllm(**{probe: {"tcpSocket": {"port": 8000}}}), container("other")))
    assert rules_of(result.pod) == {"vllm": ALWAYS}
    assert result.warnings == ()


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("where", ["sidecar", "OnFailure"])
def test_a_probe_that_restarts_past_the_gate(probe: str, where: str) -> None:
    """Where the policy has to stay as it is, a warning says so; a readiness probe restarts none."""
    probes = {probe: {"tcpSocket": {"port": 1}}, "readinessProbe": {"tcpSocket": {"port": 1}}}
    cache = container("cache", mount(readOnly=True), **probes)
    if where == "sidecar":
        given = pod(initContainers=[cache | {"restartPolicy": "Always"}])
    else:
        given = pod(vllm(), cache, restartPolicy="OnFailure")
    warning, _not_read = run(given).warnings
    assert warning.endswith(
        f"'cache': when its {probe} fails, it restarts without a verification, since Kubernetes "
        "asks no restart rule then: remove the probe"
    )


def test_a_resize_that_restarts_past_the_gate() -> None:
    """Kubernetes asks no rule for that, either."""
    (warning,) = run(pod(vllm(resizePolicy=RESIZED), container("b", resizePolicy=RESIZED))).warnings
    assert warning == (
        "containers[0] 'vllm': by its resizePolicy it restarts without a verification when its "
        "resources are changed: set NotRequired in place of RestartContainer"
    )
    assert run(pod(vllm(resizePolicy=RESIZED[:1]))).warnings == ()
    assert run(pod(vllm(resizePolicy=RESIZED)), onRestart="Keep").warnings == ()


def test_a_node_that_the_pod_names_may_be_an_older_one() -> None:
    """The scheduler passes older nodes over, and is not asked; from 1.39 on there are none."""
    (warning,) = run(pod(nodeName="old")).warnings
    assert warning == (
        "spec.nodeName passes by the scheduler, which knows the nodes that run the gate again: on "
        "an older one the pod's containers restart without a verification; choose the node by "
        "nodeSelector or affinity"
    )
    assert run(pod(nodeName="old"), server=(1, 39)).warnings == ()
    assert run(pod(nodeName="old"), onRestart="Keep").warnings == ()


def test_strict_refuses_a_resize_past_the_gate() -> None:
    """And not one that leaves the container running."""
    serving = vllm(image=f"docker.io/vllm/vllm-openai@{DIGEST}")
    strict: Document = {
        "workload": STRICT_WORKLOAD,
        "model": {"volume": {"persistentVolumeClaim": {"claimName": "granite"}}},
    }
    run(pod(serving | {"resizePolicy": RESIZED[:1]}), **strict)
    with pytest.raises(PodRefused, match=r"by its resizePolicy it restarts without a verification"):
        run(pod(serving | {"resizePolicy": RESIZED}), **strict)


def test_an_init_container_that_succeeds_is_not_restarted() -> None:
    """A rule on 0 says nothing there, and one on others does."""
    rules = [by_codes("Restart", "NotIn")]
    reader = container(
        "reader", mount(readOnly=True), restartPolicy="Never", restartPolicyRules=rules
    )
    warning = run(pod(initContainers=[container("writer", mount()), reader])).warnings[0]
    assert "the exit codes 1-255:" in warning


def test_strict_refuses_a_restart_past_the_gate() -> None:
    """Under Strict, and only where restarts are verified at all."""
    rules = [by_codes("Restart", "In", 3)]
    serving = vllm(
        image=f"docker.io/vllm/vllm-openai@{DIGEST}",
        restartPolicy="Always",
        restartPolicyRules=rules,
    )
    strict: Document = {
        "workload": STRICT_WORKLOAD,
        "model": {"volume": {"persistentVolumeClaim": {"claimName": "granite"}}},
    }
    run(pod(serving), **strict, onRestart="Keep")
    with pytest.raises(PodRefused, match=r"restarts without a verification after the exit codes 3"):
        run(pod(serving), **strict)
    run(pod(serving | {"restartPolicyRules": []}), **strict)


def test_there_must_be_room_for_a_rule() -> None:
    """Kubernetes takes twenty."""
    rules = [by_codes("RestartAllContainers", "In", code) for code in range(21)]
    run(pod(vllm(restartPolicy="Always", restartPolicyRules=rules[:19])))
    with pytest.raises(PodRefused, match=r"has 20 restartPolicyRules, and"):
        run(pod(vllm(restartPolicy="Always", restartPolicyRules=rules[:20])))
    run(pod(vllm(restartPolicy="Never", restartPolicyRules=rules[:20])))
    with pytest.raises(PodRefused, match="has too many entries: 20 are allowed"):
        run(pod(vllm(restartPolicy="Never", restartPolicyRules=rules)))


@pytest.mark.parametrize(
    ("wanted", "server", "verified"),
    [
        ("Verify", (1, 36), True),
        ("Verify", (2, 0), True),
        ("Verify", (1, 35), False),
        ("Verify", None, False),
        ("Keep", (1, 40), False),
        (None, (1, 38), False),
        (None, (1, 39), True),
        (None, None, False),
    ],
)
def test_the_api_servers_version_decides(
    wanted: str | None, server: Any, *, verified: bool
) -> None:
    """By default only where each node has it, which may be three minor versions older."""
    spec = {"onRestart": wanted} if wanted else {"onRestart": None}
    result = run(pod(), server=server, **spec)
    assert result.restarts_verified == verified
    assert rules_of(result.pod) == ({"vllm": ALWAYS} if verified else {})
    assert bool(result.warnings) == (wanted == "Verify" and not verified)


@pytest.mark.parametrize(
    ("server", "spec", "said"),
    [
        (
            (1, 35),
            {},
            ("Kubernetes 1.35", "nothing watches it: set spec.revalidation in the policy"),
        ),
        (
            None,
            {"revalidation": {}},
            ("of an unknown version", "spec.revalidation watches it meanwhile"),
        ),
    ],
)
def test_where_the_server_is_older_a_warning_says_so(
    server: Any, spec: Document, said: tuple[str, str]
) -> None:
    """The pod is admitted all the same, and the sentence says what holds instead."""
    has, held = said
    (warning,) = run(pod(), server=server, **spec).warnings
    assert warning == (
        f"spec.onRestart Verify needs Kubernetes 1.36, and the API server is {has}: a restarted "
        f"container reads the model without the gate, and {held}"
    )


@pytest.mark.parametrize(
    ("server", "mode", "stops"),
    [((1, 36), "Enforce", True), ((1, 35), "Enforce", False), ((1, 36), "Audit", False)],
)
def test_the_monitor_has_the_pod_begin_again(server: Any, mode: str, *, stops: bool) -> None:
    """`action: Stop` is a code and its rule; on an older server the pod is only unready."""
    spec = {"mode": mode, "revalidation": {"action": "Stop"}, "onRestart": "Keep"}
    result = run(pod(), server=server, **spec)
    monitor = monitor_of(result.pod)
    assert (monitor["command"][-1] == "--stop") == stops
    stop = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [4]}}
    assert monitor.get("restartPolicyRules") == ([stop] if stops else None)
    assert ("readinessProbe" in monitor) == (mode == "Enforce")
    sentence = (
        "spec.revalidation.action Stop needs Kubernetes 1.36, and the API server is Kubernetes "
        "1.35: a bad model makes the pod unready, and its containers go on"
    )
    assert (sentence in result.warnings) == (server < NEW)
    assert run(result.pod, server=server, **spec).pod == result.pod


def test_audit_changes_no_restarts() -> None:
    """It stops nothing, and so restarts nothing either."""
    result = run(pod(), mode="Audit")
    assert rules_of(result.pod) == {}
    assert not result.restarts_verified
    assert result.warnings == ()


@pytest.mark.parametrize("pod_policy", ["Always", "OnFailure", "Never"])
def test_twice_is_once(pod_policy: str) -> None:
    """The webhook is asked again after others, and `/validate` accepts what it has made."""
    init = [container("reader", mount(readOnly=True)), container("cache", restartPolicy="Always")]
    own = [by_codes("Restart", "In", 3)]
    serving = vllm(restartPolicy="Always", restartPolicyRules=own)
    given = pod(serving, vllm(name="b"), initContainers=init, restartPolicy=pod_policy)
    first = copy.deepcopy(run(given).pod)
    assert run(first).pod == first
    settings = replace(SETTINGS, server=NEW)
    checked = policy(onRestart="Verify")
    assert check_created(Manifest(raw=first), checked, gate=settings, namespace=NAMESPACE) == ()
    # A replica that takes the server for an older one sees rules of the pod's own.
    assert run(first, server=(1, 35)).pod == first


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ({}, "'vllm'.*restartPolicy is missing"),
        (ALWAYS | {"restartPolicy": "Always"}, "'vllm'.*restartPolicy is not what the webhook"),
        ({"restartPolicy": "Always"}, "'vllm'.*restartPolicy is not what the webhook"),
    ],
)
def test_a_rule_that_was_taken_away_is_missed(left: Document, said: str) -> None:
    """Another webhook may not undo it, nor have the kubelet restart the container alone."""
    given = copy.deepcopy(run(pod()).pod)
    serving = given["spec"]["containers"][0]
    for field in ("restartPolicy", "restartPolicyRules"):
        del serving[field]
    serving |= left
    with pytest.raises(PodRefused, match=said):
        check_created(
            Manifest(raw=given),
            policy(onRestart="Verify"),
            gate=replace(SETTINGS, server=NEW),
            namespace=NAMESPACE,
        )


def test_the_gate_is_told_the_policy_whole() -> None:
    """The environment of the gate carries the field; only where it is set, for older gates."""
    assert '"onRestart":"Verify"' in policy(onRestart="Verify").to_environment()
    assert "onRestart" not in policy().to_environment()
