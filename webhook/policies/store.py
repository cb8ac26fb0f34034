"""The policies and namespaces that are known: the interface of a source, and its memory.

Belongs here: what every source shares. The sources are `webhook.policies.directory` and
`webhook.policies.cluster`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from validator.errors import PolicyError
from validator.policy.document import ModelValidation
from validator.text import quoted
from webhook.policies.choice import BrokenPolicy, Policy
from webhook.settings import NamespaceOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PREVIOUS_SECONDS: Final = 30
"""For which a replaced generation is accepted: another replica may still know only that one."""

PREVIOUS_LIMIT: Final = 8
"""Generations of one policy that are remembered for that time."""


class Source(Protocol):
    """A source of policies and namespaces."""

    @property
    def ready(self) -> bool:
        """Whether the policies are known, so that reviews can be answered."""

    @property
    def stale(self) -> bool:
        """Whether the known policies may be outdated, so that only a live read decides."""

    def policies(self, namespace: str) -> tuple[Policy, ...]:
        """Return what is known for a namespace."""

    def namespace(self, name: str) -> NamespaceOptions | None:
        """Return a namespace's options, `None` where it is not known."""

    def previous(self, policy: ModelValidation) -> tuple[ModelValidation, ...]:
        """Return what this policy said until a moment ago, latest first."""

    @property
    def gate_images(self) -> tuple[str, ...]:
        """The images that a gate may have besides ours: other replicas' during an upgrade."""

    async def refresh(self, namespace: str) -> None:
        """Read one namespace, and the gate's images, live.

        Raises:
            NotReady: They cannot be read.
        """

    async def run(self) -> None:
        """Follow changes until cancelled."""


class Store:
    """The policies and namespaces that are known now, and what was replaced a moment ago."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._policies: dict[str | None, dict[str, Policy]] = {}
        self._previous: dict[tuple[str | None, str], deque[tuple[float, ModelValidation]]] = {}
        self._namespaces: dict[str, NamespaceOptions] = {}

    def policies(self, namespace: str) -> tuple[Policy, ...]:
        """Return what is known for a namespace; what names no namespace is known for all."""
        everywhere = self._policies.get(None, {})
        return (*everywhere.values(), *self._policies.get(namespace, {}).values())

    def previous(self, policy: ModelValidation) -> tuple[ModelValidation, ...]:
        """Return what this policy said during the last `PREVIOUS_SECONDS`, latest first."""
        remembered = self._previous.get((policy.metadata.namespace, policy.metadata.name), deque())
        since = self._clock() - PREVIOUS_SECONDS
        return tuple(old for replaced, old in remembered if replaced >= since)

    def namespace(self, name: str) -> NamespaceOptions | None:
        """Return a namespace's options, `None` where it is not known."""
        return self._namespaces.get(name)

    def count(self) -> tuple[int, int]:
        """Return how many policies can be used, and how many cannot."""
        known = [policy for by_name in self._policies.values() for policy in by_name.values()]
        broken = sum(isinstance(policy, BrokenPolicy) for policy in known)
        return len(known) - broken, broken

    def put(self, policy: Policy) -> None:
        """Take a policy in, unless a later generation of it is known."""
        namespace, name, uid, generation = identity(policy)
        known = self._policies.get(namespace, {}).get(name)
        if known is not None:
            _, _, known_uid, known_generation = identity(known)
            # After a live read, the watch still brings events from before it.
            same = uid is not None and uid == known_uid
            if known == policy or (same and (generation or 0) < (known_generation or 0)):
                return
            self._remember(known)
        self._policies.setdefault(namespace, {})[name] = policy

    def remove(self, namespace: str | None, name: str) -> None:
        """Forget a policy, also what it said before."""
        self._previous.pop((namespace, name), None)
        self._policies.get(namespace, {}).pop(name, None)

    def replace(self, policies: Iterable[Policy], *, namespace: str | None = None) -> None:
        """Know exactly these policies, in one namespace or in all."""
        kept = {identity(policy)[:2]: policy for policy in policies}
        namespaces = list(self._policies) if namespace is None else [namespace]
        for where in namespaces:
            for name in set(self._policies.get(where, {})):
                if (where, name) not in kept:
                    self.remove(where, name)
        for policy in kept.values():
            self.put(policy)

    def put_namespace(self, options: NamespaceOptions) -> None:
        """Take a namespace in."""
        self._namespaces[options.name] = options

    def remove_namespace(self, name: str) -> None:
        """Forget a namespace."""
        self._namespaces.pop(name, None)

    def replace_namespaces(self, options: Iterable[NamespaceOptions]) -> None:
        """Know exactly these namespaces."""
        self._namespaces = {each.name: each for each in options}

    def _remember(self, policy: Policy) -> None:
        if isinstance(policy, ModelValidation):
            key = (policy.metadata.namespace, policy.metadata.name)
            remembered = self._previous.setdefault(key, deque(maxlen=PREVIOUS_LIMIT))
            remembered.appendleft((self._clock(), policy))


def identity(policy: Policy) -> tuple[str | None, str, str | None, int | None]:
    """Return namespace, name, uid and generation."""
    named = policy if isinstance(policy, BrokenPolicy) else policy.metadata
    return named.namespace, named.name, named.uid, named.generation


def read(document: Mapping[str, Any], *, source: str) -> Policy:
    """Return the policy that a document holds, usable or broken.

    One that is too large for a gate's environment is broken, and kept without its contents: etcd
    takes fifteen times as much, and each namespace may have any number. Its status is not kept.

    Raises:
        PolicyError: It does not even say which policy it is.
    """
    try:
        policy = ModelValidation.from_object(document, source=source)
        policy.to_environment()
        return msgspec.structs.replace(policy, status=None)
    except PolicyError as error:
        return _broken(document, error=error)


def _broken(document: Mapping[str, Any], *, error: PolicyError) -> BrokenPolicy:
    metadata, spec = document.get("metadata"), document.get("spec")
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
        raise error
    namespace, uid = metadata.get("namespace"), metadata.get("uid")
    generation = metadata.get("generation")
    return BrokenPolicy(
        name=metadata["name"],
        namespace=namespace if isinstance(namespace, str) else None,
        reason=str(error),
        default=isinstance(spec, Mapping) and spec.get("default") is True,
        deleted="deletionTimestamp" in metadata,
        uid=uid if isinstance(uid, str) else None,
        generation=generation if isinstance(generation, int) else None,
    )


def namespace_options(document: Mapping[str, Any], *, source: str) -> NamespaceOptions:
    """Return what a Namespace's document says.

    Raises:
        PolicyError: It has no name, or labels that are not text.
    """
    metadata = document.get("metadata")
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
        raise PolicyError(f"{source}: the Namespace has no metadata.name")
    labels = metadata.get("labels") or {}
    if not isinstance(labels, Mapping) or not all(
        isinstance(text, str) for pair in labels.items() for text in pair
    ):
        raise PolicyError(
            f"{source}: the labels of the Namespace {quoted(metadata['name'])} are not all text: "
            "put them in quotes"
        )
    return NamespaceOptions(name=metadata["name"], labels=dict(labels))
