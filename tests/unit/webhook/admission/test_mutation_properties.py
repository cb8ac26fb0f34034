"""Properties of every pod, tried with generated ones."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jsonpatch
from hypothesis import HealthCheck, assume, event, given, reject, settings
from hypothesis import strategies as st

from tests.support.generated_pods import anything, containers, damaged, pods, policies
from tests.support.pods import MODEL, NAMESPACE, SETTINGS, gate_of, run
from validator.contract import GATE_CONTAINER, NESTED_VARIABLE
from validator.paths import covers
from webhook.admission.json_patch import patch
from webhook.admission.pod import INJECTED_NAMES, Manifest, read_pod
from webhook.admission.validation import check_created, check_ephemeral
from webhook.admission.volume import read_volumes
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from validator.policy.document import ModelValidation

Document = dict[str, Any]

UNLINKED = frozenset({"configMap", "secret", "projected", "emptyDir"})
"""Kinds on which no link is looked for: an emptyDir only where it is a container's own."""

thorough = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutated:
    """A generated pod that was mutated, its volumes in another order, and what comes later.

    Attributes:
        before: The pod.
        after: The mutated pod.
        policy: Its policy.
        shuffled: Its volumes in another order.
        late: Init containers that another webhook adds, each with its place.
    """

    before: Document
    after: Document
    policy: ModelValidation
    shuffled: list[Document]
    late: list[tuple[int, Document]]


def done_twice_it_is_done_once(mutated: Mutated) -> None:
    """A mutated pod is not mutated again."""
    again = run(json.loads(json.dumps(mutated.after)), mutated.policy)
    assert again.pod == mutated.after


def its_patch_gives_the_mutated_pod(mutated: Mutated) -> None:
    """Another implementation applies it; and there is none for a mutated pod."""
    before, after = mutated.before, mutated.after
    operations = json.loads(json.dumps(patch(before, after)))
    assert jsonpatch.JsonPatch(operations).apply(json.loads(json.dumps(before))) == after
    assert patch(after, run(after, mutated.policy).pod) == []


def it_passes_validation(mutated: Mutated) -> None:
    """Validation has no warnings either."""
    manifest = Manifest(raw=json.loads(json.dumps(mutated.after)))
    warnings = check_created(manifest, mutated.policy, gate=SETTINGS, namespace=NAMESPACE)
    assert warnings == ()


def nobody_writes_the_model_after_the_gate(mutated: Mutated) -> None:
    """Under Enforce: none after or beside it has a writable way to the volume, or is early."""
    if mutated.policy.spec.mode == "Enforce":
        _guarded(mutated.after)


def nor_does_whoever_is_added_later(mutated: Mutated) -> None:
    """Another webhook's init containers, wherever it puts them, are harmless or refused."""
    if mutated.policy.spec.mode != "Enforce":
        return
    after = json.loads(json.dumps(mutated.after))
    for place, late in mutated.late:
        after["spec"]["initContainers"].insert(place, late)
    with contextlib.suppress(PodRefused):
        check_created(Manifest(raw=after), mutated.policy, gate=SETTINGS, namespace=NAMESPACE)
        event("a later init container is admitted")
        _guarded(after)


def the_gate_looks_where_a_link_could_lead_a_mount(mutated: Mutated) -> None:
    """Mounts are compared in pairs, where links can lie and others can place them."""
    if mutated.policy.spec.mode != "Enforce":
        return
    after = read_pod(mutated.after)
    (gate,) = (placed for placed in after.init if placed.is_gate)
    kinds = {name: volume.kind for name, volume in read_volumes(after).items()}
    own = {mount.at for mount in gate.mounts}
    looked_at = {
        path
        for variable in gate.raw["env"]
        if variable["name"] == NESTED_VARIABLE
        for path in json.loads(variable["value"]).values()
    }
    for placed in (*after.containers, *after.init[gate.index + 1 :]):
        has_model = any(mount.at in own & {"/models", MODEL} for mount in placed.mounts)
        for outer in placed.mounts if has_model and not placed.is_injected else ():
            for inner in placed.mounts:
                if inner is not outer and covers(outer.at, inner.at):
                    event("a mount within a mount")
                    assert kinds[outer.name] in UNLINKED or inner.at in looked_at, placed.where


def _guarded(pod: Document) -> None:
    after = read_pod(pod)
    declared = read_volumes(after)
    (position,) = (placed.index for placed in after.init if placed.is_gate)
    model = declared[after.init[position].mounts[0].name]
    for placed in (*after.init, *after.containers):
        if placed.field == "initContainers" and placed.index < position and not placed.is_sidecar:
            continue
        for mount in placed.mounts:
            if declared[mount.name].reaches(model):
                assert mount.read_only, placed.where
                assert placed.field == "containers" or placed.index >= position, placed.where


def gate_and_monitor_stand_together(mutated: Mutated) -> None:
    """One gate, then one monitor if the policy has one; the workload is unchanged."""
    after = read_pod(mutated.after)
    found = [(placed.index, placed.view.name) for placed in after.init if placed.is_injected]
    wanted = INJECTED_NAMES if mutated.policy.spec.revalidation else INJECTED_NAMES[:1]
    assert found == list(enumerate(wanted, start=found[0][0]))
    others = [placed.view.name for placed in after.init if not placed.is_injected]
    before = [
        placed.view.name for placed in read_pod(mutated.before).init if not placed.is_injected
    ]
    assert others == before


def the_order_of_volumes_does_not_matter(mutated: Mutated) -> None:
    """The gate is the same whatever the order in which a pod declares its volumes."""
    before = mutated.before
    reordered = {**before, "spec": {**before["spec"], "volumes": mutated.shuffled}}
    assert gate_of(run(reordered, mutated.policy).pod) == gate_of(mutated.after)


PROPERTIES: Final[tuple[Callable[[Mutated], None], ...]] = (
    done_twice_it_is_done_once,
    its_patch_gives_the_mutated_pod,
    it_passes_validation,
    nobody_writes_the_model_after_the_gate,
    nor_does_whoever_is_added_later,
    the_gate_looks_where_a_link_could_lead_a_mount,
    gate_and_monitor_stand_together,
    the_order_of_volumes_does_not_matter,
)
"""The properties of each mutated pod; generating a pod costs more than trying one of them."""


@thorough
@given(pods(), policies, st.data())
def test_each_mutated_pod_has_all_properties(
    pod: Document, policy: ModelValidation, data: st.DataObject
) -> None:
    """The pod that went in is as it was, and the one that comes out has each property."""
    before = json.dumps(pod)
    try:
        after = run(pod, policy).pod
    except PodRefused as refusal:
        event(f"refused: {str(refusal).partition(' ')[2][:30]}")
        reject()
    assert json.dumps(pod) == before
    if policy.spec.mode == "Audit":
        # One that can have no gate is admitted without.
        init = after["spec"].get("initContainers", ())
        assume(any(each["name"] == GATE_CONTAINER for each in init))
    shuffled = data.draw(st.permutations(pod["spec"]["volumes"]))
    late = [
        (data.draw(st.integers(0, len(after["spec"]["initContainers"]))), each)
        for each in data.draw(containers("late-", sidecars=True))
    ]
    mutated = Mutated(before=pod, after=after, policy=policy, shuffled=shuffled, late=late)
    for holds in PROPERTIES:
        holds(mutated)


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
