"""Properties of every pod, tried with generated ones."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import jsonpatch
from hypothesis import HealthCheck, assume, event, given, reject, settings
from hypothesis import strategies as st

from tests.support.generated_pods import anything, damaged, pods, policies
from tests.support.pods import NAMESPACE, SETTINGS, gate_of, run
from webhook.admission import storage
from webhook.admission.json_patch import patch
from webhook.admission.pod import INJECTED_NAMES, Manifest, read_pod
from webhook.admission.validation import check_created, check_ephemeral
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from validator.policy.document import ModelValidation
    from webhook.admission.mutation import Mutation

Document = dict[str, Any]

thorough = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
)


def accepted(pod: Document, policy: ModelValidation) -> Mutation:
    """Mutate, or have another pod drawn."""
    try:
        result = run(pod, policy)
    except PodRefused as refusal:
        event(f"refused: {str(refusal).partition(' ')[2][:30]}")
        reject()
    assume(result.pod["spec"] is not pod["spec"])
    return result


@thorough
@given(pods(), policies)
def test_done_twice_it_is_done_once(pod: Document, policy: ModelValidation) -> None:
    """And the pod that went in is as it was."""
    before = json.dumps(pod)
    once = accepted(pod, policy)
    assert json.dumps(pod) == before
    again = run(json.loads(json.dumps(once.pod)), policy)
    assert again.pod == once.pod


@thorough
@given(pods(), policies)
def test_its_patch_gives_the_mutated_pod(pod: Document, policy: ModelValidation) -> None:
    """Applied by another implementation; and there is none for a mutated pod."""
    after = accepted(pod, policy).pod
    operations = json.loads(json.dumps(patch(pod, after)))
    assert jsonpatch.JsonPatch(operations).apply(json.loads(json.dumps(pod))) == after
    assert patch(after, run(after, policy).pod) == []


@thorough
@given(pods(), policies)
def test_what_it_makes_passes_validation(pod: Document, policy: ModelValidation) -> None:
    """Without a word."""
    after = json.loads(json.dumps(accepted(pod, policy).pod))
    assert check_created(Manifest(raw=after), policy, gate=SETTINGS, namespace=NAMESPACE) == ()


@thorough
@given(pods(), policies)
def test_nobody_writes_the_model_after_the_gate(pod: Document, policy: ModelValidation) -> None:
    """Under Enforce: none after or beside it has a writable way to the volume, or is early."""
    assume(policy.spec.mode == "Enforce")
    after = read_pod(accepted(pod, policy).pod)
    declared = storage.read_volumes(after)
    (position,) = (placed.index for placed in after.init if placed.is_gate)
    model = declared[after.init[position].mounts[0].name]
    for placed in (*after.init, *after.containers):
        if placed.field == "initContainers" and placed.index < position and not placed.is_sidecar:
            continue
        for mount in placed.mounts:
            if declared[mount.name].reaches(model):
                assert mount.read_only, placed.where
                assert placed.field == "containers" or placed.index >= position, placed.where


@thorough
@given(pods(), policies)
def test_gate_and_monitor_stand_together(pod: Document, policy: ModelValidation) -> None:
    """One gate, then one monitor if the policy has one; the workload is unchanged."""
    after = read_pod(accepted(pod, policy).pod)
    found = [(placed.index, placed.view.name) for placed in after.init if placed.is_injected]
    wanted = INJECTED_NAMES if policy.spec.revalidation else INJECTED_NAMES[:1]
    assert found == list(enumerate(wanted, start=found[0][0]))
    others = [placed.view.name for placed in after.init if not placed.is_injected]
    before = [placed.view.name for placed in read_pod(pod).init if not placed.is_injected]
    assert others == before


@thorough
@given(pods(), st.data())
def test_the_order_of_volumes_does_not_matter(pod: Document, data: st.DataObject) -> None:
    """The gate is the same whatever the order in which a pod declares its volumes."""
    policy = data.draw(policies)
    gate = gate_of(accepted(pod, policy).pod)
    shuffled = data.draw(st.permutations(pod["spec"]["volumes"]))
    reordered = {**pod, "spec": {**pod["spec"], "volumes": shuffled}}
    assert gate_of(run(reordered, policy).pod) == gate


@thorough
@given(damaged() | anything, damaged() | anything, policies)
def test_whatever_comes_is_answered(one: Any, other: Any, policy: ModelValidation) -> None:
    """Any JSON is either a pod that is mutated or refused in a sentence."""
    with contextlib.suppress(PodRefused):
        result = run(one, policy)
        assert result.pod is one or patch(one, result.pod)
    with contextlib.suppress(PodRefused):
        check_created(Manifest(raw=one), policy, gate=SETTINGS, namespace=NAMESPACE)
    with contextlib.suppress(PodRefused):
        check_ephemeral(one, old=other, policy=policy)
    with contextlib.suppress(PodRefused):
        check_ephemeral(one, old=None, policy=None)
