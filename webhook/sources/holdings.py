"""The policies that are held, by namespace and name, within bounds of memory.

A namespace that goes over its bound is left out whole, and so is the largest one where all
together go over theirs: with a part of its policies, a pod could get
another one than its namespace means. Its pods are refused, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from validator import contract
from validator.policy.document import ModelValidation
from validator.text import quoted
from webhook.policies.choice import BrokenPolicy, LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.policies.choice import Policy

Key = tuple[str | None, str]
"""Namespace and name."""

OVERHEAD: Final = 1024
"""Bytes that a policy counts besides its text, for its objects; an ordinary one takes 900."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Bytes of policies as JSON, each with `OVERHEAD`.

    A text with one character beyond the Basic Multilingual Plane takes four bytes in memory for
    each of its characters: the largest total took 120 MiB so, and 25 MiB in plain English.

    Attributes:
        namespace: Of one namespace: 20 of the largest policies, or 1,500 ordinary ones.
        total: Of all namespaces: 250 of the largest policies, or 18,000 ordinary ones.
        kind: Of one cluster-scoped kind: 40 of the largest objects, or 3,000 ordinary ones.
    """

    namespace: int = 2 * 1024 * 1024
    total: int = 24 * 1024 * 1024
    kind: int = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The amount that is held.

    Attributes:
        usable: Policies.
        broken: Policies that cannot be used.
        left_out: Namespaces.
        size: Bytes, as `Bounds` counts them.
    """

    usable: int
    broken: int
    left_out: int
    size: int


class Holdings:
    """Policies by namespace and name.

    Args:
        bounds: See `Bounds`; `None` for what is bounded elsewhere.
    """

    def __init__(self, bounds: Bounds | None) -> None:
        self._bounds = bounds
        self._policies: dict[str | None, dict[str, Policy]] = {}
        self._sizes: dict[str | None, int] = {}
        self._broken = 0
        self._total = 0
        self._left_out: dict[str | None, LeftOut] = {}

    def __iter__(self) -> Iterator[Policy]:
        for by_name in self._policies.values():
            yield from by_name.values()

    def count(self) -> Held:
        """Return how much is held."""
        count = sum(map(len, self._policies.values()))
        return Held(
            usable=count - self._broken,
            broken=self._broken,
            left_out=len(self._left_out),
            size=self._total,
        )

    def of(self, namespace: str | None) -> tuple[Policy | LeftOut, ...]:
        """Return what is held of a namespace."""
        if left_out := self._left_out.get(namespace):
            return (left_out,)
        return tuple(self._policies.get(namespace, {}).values())

    def get(self, key: Key) -> Policy | None:
        """Return the policy of that namespace and name."""
        namespace, name = key
        return self._policies.get(namespace, {}).get(name)

    def left_out(self) -> dict[str | None, LeftOut]:
        """Return the namespaces that are left out."""
        return dict(self._left_out)

    def put(self, policy: Policy) -> None:
        """Hold a policy in place of its namesake, or leave its namespace out."""
        namespace, name = key(policy)
        if namespace in self._left_out:
            return
        self.remove((namespace, name))
        size = _size(policy)
        self._policies.setdefault(namespace, {})[name] = policy
        self._count(namespace, policy, size=size)
        if self._bounds is None:
            return
        if self._sizes[namespace] > self._bounds.namespace:
            self._leave_out(namespace, _one_too_large(namespace, self._bounds.namespace))
        elif self._total > self._bounds.total:
            # Not the one that came last: a small namespace must not pay for large ones.
            largest = max(self._sizes, key=self._sizes.__getitem__)
            self._leave_out(largest, _all_too_large(largest, self._bounds.total))

    def remove(self, key: Key) -> None:
        """Forget a policy."""
        namespace, name = key
        policy = self._policies.get(namespace, {}).pop(name, None)
        if policy is not None:
            self._count(namespace, policy, size=-_size(policy))

    def clear(self, namespace: str | None) -> None:
        """Forget all of a namespace, also that it was left out."""
        for name in list(self._policies.get(namespace, {})):
            self.remove((namespace, name))
        self._policies.pop(namespace, None)
        self._sizes.pop(namespace, None)
        self._left_out.pop(namespace, None)

    def take(self, namespace: str | None, other: Holdings) -> None:
        """Hold what another one holds of a namespace, in place of what is held here."""
        self.clear(namespace)
        for each in other.of(namespace):
            if isinstance(each, LeftOut):
                self._left_out[namespace] = each
            else:
                self.put(each)

    def _count(self, namespace: str | None, policy: Policy, *, size: int) -> None:
        self._sizes[namespace] = self._sizes.get(namespace, 0) + size
        self._total += size
        if isinstance(policy, BrokenPolicy):
            self._broken += 1 if size > 0 else -1

    def _leave_out(self, namespace: str | None, reason: str) -> None:
        self.clear(namespace)
        self._left_out[namespace] = LeftOut(reason)


def _one_too_large(namespace: str | None, limit: int) -> str:
    return (
        f"the {contract.KIND}s of the namespace {quoted(namespace)} take more than the {limit:,} "
        "bytes that the webhook holds of one namespace: delete some, or shorten their keys, "
        "certificates and trusted roots"
    )


def _all_too_large(namespace: str | None, limit: int) -> str:
    return (
        f"the {contract.KIND}s of all namespaces take more than the {limit:,} bytes that the "
        f"webhook holds, and those of the namespace {quoted(namespace)}, the largest, were left "
        "out: delete some, or have the cluster's admin limit them by a ResourceQuota"
    )


def key(policy: Policy) -> Key:
    """Return a policy's namespace and name."""
    named = policy if isinstance(policy, BrokenPolicy) else policy.metadata
    return named.namespace, named.name


def _size(policy: Policy) -> int:
    if isinstance(policy, ModelValidation):
        return OVERHEAD + len(msgspec.json.encode(policy))
    return OVERHEAD + len(policy.name) + len(policy.reason)
