"""From a review to its answer: choose the policy, ask the core, say what it says.

Knows neither HTTP nor a cluster: the source of policies is passed in. A pod is
refused only on what was read live: what is known may be a moment old, since
policy and pod often come in one `kubectl apply`, and replicas disagree for a while.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from validator import contract
from validator.errors import PolicyError
from validator.policy.cluster_rules.resolved import ResolvedPolicy
from validator.text import quoted
from webhook.admission import json_patch, memory, mutation, validation
from webhook.admission.memory import Inputs, Memory
from webhook.admission.pod import Manifest
from webhook.errors import NotReady, PodRefused, RequestError
from webhook.policies import choice, exempted, resolution
from webhook.policies.choice import NoPolicy
from webhook.review import Answer, Review

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from validator.policy.document import ModelValidation
    from webhook.settings import GateSettings, NamespaceOptions
    from webhook.sources.store import Source

PATCH_LIMIT: Final = 1024 * 1024
"""Bytes of a patch: ten times the largest policy; etcd takes objects of up to 1.5 MiB."""

EARLIER_LIMIT: Final = 16
"""Earlier states of policy and rules together by which one pod is judged."""

_PODS: Final = ("", "v1", "pods")

_Pod = dict[str, Any]
_Judge = Callable[[Review, Manifest], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewer:
    """Answers reviews.

    Attributes:
        source: Who knows the policies.
        gate: The gate that is injected.
        operator_compat: Whether the Go operator's label is honoured as ours is.
        memory: Answers on pods of workloads that are starting.
        now: Returns the time, aware; exemptions end by it.
    """

    source: Source
    gate: GateSettings
    operator_compat: bool = False
    memory: Memory = field(default_factory=Memory)
    now: Callable[[], datetime] = field(default=partial(datetime.now, UTC))

    async def mutate(self, review: Review) -> Answer:
        """Answer `/mutate`: the pod with its gate.

        Raises:
            RequestError: This path does not answer such a review.
            NotReady: The policies are not known.
        """
        if (review.resource, review.subresource, review.operation) != (_PODS, "", "CREATE"):
            raise _misdirected(review, path="/mutate", expected="CREATE of pods")
        return await self._answered(review, self._mutated)

    async def validate(self, review: Review) -> Answer:
        """Answer `/validate`: whether the pod is as `/mutate` left it.

        Raises:
            RequestError: This path does not answer such a review.
            NotReady: The policies are not known.
        """
        if review.resource == _PODS:
            match review.subresource, review.operation:
                case "", "CREATE":
                    return await self._answered(review, self._validated)
                case "ephemeralcontainers", "UPDATE":
                    return await self._answered(
                        review, self._debugged, live=partial(self._debugged, live=True)
                    )
        raise _misdirected(
            review,
            path="/validate",
            expected="CREATE of pods and UPDATE of pods/ephemeralcontainers",
        )

    async def _answered(
        self, review: Review, judge: _Judge, *, live: _Judge | None = None
    ) -> Answer:
        """Return the answer; refuse, or rely on what is stale, only after a live read."""
        # Read once: a second judgement has another policy, and the same pod.
        manifest = Manifest(raw=_object(review.object, which="object"))
        if not review.namespace:
            raise RequestError("the request names no namespace, and each pod has one")
        if not self.source.ready:
            raise NotReady("the policies are not known yet: try again in a moment")
        if not self.source.stale:
            answer = judge(review, manifest)
            if answer.refusal is None:
                return answer
        await self.source.refresh(review.namespace)
        return (live or judge)(review, manifest)

    def _mutated(self, review: Review, manifest: Manifest) -> Answer:
        try:
            policy, namespace = self._selected(review, manifest.raw)
        except PodRefused as refusal:
            return Answer(uid=review.uid, refusal=str(refusal))
        found = self._exemptions(review, manifest.raw)
        inputs = self._inputs("mutate", found.applied_to(policy), namespace)
        return _noted(self._once(review, manifest, inputs, self._gated), found)

    def _gated(self, review: Review, manifest: Manifest, inputs: Inputs) -> Answer:
        policy = inputs.policy
        try:
            result = mutation.mutate(manifest, policy, gate=inputs.gate, namespace=inputs.namespace)
            patch = _written(json_patch.patch(manifest.raw, result.pod))
        except (PodRefused, PolicyError) as refusal:
            return _answer(review, policy, refusal=str(refusal))
        warnings = (
            *exempted.warning(policy),
            *self._overruled(manifest.raw, policy),
            *result.warnings,
        )
        answer = _answer(review, policy, patch=patch, warnings=warnings)
        on_restart = "Verify" if result.restarts_verified else "Keep"
        return replace(answer, audit={**answer.audit, "on-restart": on_restart})

    def _validated(self, review: Review, manifest: Manifest) -> Answer:
        try:
            policy, namespace = self._selected(review, manifest.raw)
        except PodRefused as refusal:
            return Answer(uid=review.uid, refusal=str(refusal))
        found = self._exemptions(review, manifest.raw)
        inputs = self._inputs("validate", found.applied_to(policy), namespace)
        answer = self._once(review, manifest, inputs, self._checked)
        if answer.refusal is None:
            return answer
        # Whoever mutated it may not know the latest state yet.
        for each in self._earlier(manifest.raw, namespace, now=policy):
            earlier = self._checked(review, manifest, replace(inputs, policy=each))
            if earlier.refusal is None:
                return earlier
        return answer

    def _checked(self, review: Review, manifest: Manifest, inputs: Inputs) -> Answer:
        policy = inputs.policy
        try:
            warnings = validation.check_created(
                manifest, policy, gate=inputs.gate, namespace=inputs.namespace
            )
        except (PodRefused, PolicyError) as refusal:
            return _answer(review, policy, refusal=str(refusal))
        return _answer(review, policy, warnings=warnings)

    def _once(
        self,
        review: Review,
        manifest: Manifest,
        inputs: Inputs,
        judge: Callable[[Review, Manifest, Inputs], Answer],
    ) -> Answer:
        """Return the answer on a pod, from memory where one like it was judged by these inputs."""
        key = memory.key(manifest.raw, inputs)
        answer = self.memory.recall(key)
        if answer is None:
            answer = judge(review, manifest, inputs)
            self.memory.remember(key, answer)
            return answer
        return replace(answer, uid=review.uid)

    def _inputs(self, task: str, policy: ModelValidation, namespace: NamespaceOptions) -> Inputs:
        return Inputs(
            task=task,
            policy=policy,
            gate=self._gate,
            namespace=namespace,
            operator_compat=self.operator_compat,
        )

    def _debugged(self, review: Review, manifest: Manifest, *, live: bool = False) -> Answer:
        old = _object(review.old_object, which="oldObject")
        policy: ModelValidation | None = None
        try:
            policy, _ = self._selected(review, manifest.raw)
        except PodRefused as refusal:
            if not live:
                return Answer(uid=review.uid, refusal=str(refusal))
            # A running pod outlives its policy; what holds for any gate still holds for it.
        try:
            validation.check_ephemeral(manifest.raw, old=old, policy=policy)
        except (PodRefused, PolicyError) as refusal:
            return _answer(review, policy, refusal=str(refusal))
        return _answer(review, policy)

    @property
    def _gate(self) -> GateSettings:
        """The gate, with what the source knows of the cluster now."""
        source = self.source
        return dataclasses.replace(
            self.gate, accepted_images=source.gate_images, server=source.server
        )

    def _selected(self, review: Review, pod: _Pod) -> tuple[ModelValidation, NamespaceOptions]:
        namespace = self.source.namespace(review.namespace)
        if namespace is None:
            raise PodRefused(
                f"the namespace {quoted(review.namespace)} is not known: it is new or being "
                "deleted; try again in a moment"
            )
        rules = self.source.rules(namespace.name)
        policy = resolution.with_rules(self._chosen(pod, namespace), rules, namespace=namespace)
        return policy, namespace

    def _chosen(self, pod: _Pod, namespace: NamespaceOptions) -> ModelValidation | NoPolicy:
        return resolution.chosen(
            _labels(pod),
            namespace=namespace,
            policies=self.source.policies(namespace.name),
            operator_compat=self.operator_compat,
        )

    def _earlier(
        self, pod: _Pod, namespace: NamespaceOptions, *, now: ModelValidation
    ) -> Iterator[ModelValidation]:
        """Yield what policy and rules said together until a moment ago, latest first."""
        policy = self._chosen(pod, namespace)
        generations = [policy]
        if not isinstance(policy, NoPolicy):
            generations += self.source.previous(policy)
        name = namespace.name
        states = (self.source.rules(name), *self.source.earlier_rules(name))
        said = [now]
        for rules, generation in itertools.product(states, generations):
            try:
                each = resolution.with_rules(generation, rules, namespace=namespace)
            except PodRefused:  # a rule that could not be used then
                continue
            if each in said:
                continue
            said.append(each)
            yield each
            if len(said) > EARLIER_LIMIT:
                return

    def _exemptions(self, review: Review, pod: _Pod) -> exempted.Found:
        known, namespace = self.source.exemptions(review.namespace), review.namespace
        return exempted.find(known, pod, namespace=namespace, now=self.now())

    def _overruled(self, pod: _Pod, policy: ModelValidation) -> tuple[str, ...]:
        """Return the warning that the namespace chose another policy than the pod names."""
        named = choice.asked_for(_labels(pod), operator_compat=self.operator_compat)
        if named in {choice.THE_ONE, policy.metadata.name}:
            return ()
        sentence = (
            f"the pod names the {contract.KIND} {quoted(named)}, but its namespace is bound to "
            f"{quoted(policy.metadata.name)}"
        )
        return (sentence,)


def _answer(review: Review, policy: ModelValidation | None, **said: Any) -> Answer:
    """Return an answer that names the policy it is based on, also for the audit log."""
    if policy is None:
        return Answer(uid=review.uid, **said)
    audit = {"policy": policy.metadata.name, "mode": policy.spec.mode}
    if isinstance(policy, ResolvedPolicy):
        audit["cluster-rules"] = ",".join(each.shown for each in policy.also_required)
        if policy.of_cluster:
            audit["policy-kind"] = contract.CLUSTER_KIND
    if policy.metadata.uid is not None:
        audit["policy-uid"] = policy.metadata.uid
    if policy.metadata.generation is not None:
        audit["policy-generation"] = str(policy.metadata.generation)
    if policy.resolved is not None and policy.resolved.exemption is not None:
        audit["exemption"] = policy.resolved.exemption.name
    return Answer(uid=review.uid, policy=policy.metadata.name, audit=audit, **said)


def _noted(answer: Answer, found: exempted.Found) -> Answer:
    """Return the answer with the sentence on an exemption that has ended."""
    if found.note is None:
        return answer
    if answer.refusal is not None:
        return replace(answer, refusal=f"{answer.refusal}; {found.note}")
    return replace(answer, warnings=(*answer.warnings, found.note))


def _misdirected(review: Review, *, path: str, expected: str) -> RequestError:
    group, version, plural = review.resource
    what = "/".join(part for part in (group, version, plural, review.subresource) if part)
    return RequestError(
        f"{path} answers {expected}, not {review.operation} of {quoted(what)}: correct the rules "
        "of the webhook's configuration"
    )


def _object(document: _Pod | None, *, which: str) -> _Pod:
    if document is None:
        raise RequestError(f"the request has no {which}, and this review needs one")
    return document


def _labels(pod: _Pod) -> Mapping[str, str]:
    metadata = pod.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else ()
    if labels is None:
        return {}
    if not isinstance(labels, dict) or not all(isinstance(v, str) for v in labels.values()):
        raise RequestError("the object is not a pod: its metadata or labels are no mapping of text")
    return labels


def _written(operations: list[json_patch.Operation]) -> bytes:
    """Return a patch as JSON.

    Raises:
        PodRefused: It is too large.
    """
    if not operations:
        return b""
    patch = msgspec.json.encode(operations)
    if len(patch) > PATCH_LIMIT:
        raise PodRefused(
            f"the changes that the gate needs are {len(patch):,} bytes, and {PATCH_LIMIT:,} are "
            "allowed: make the pod smaller"
        )
    return patch
