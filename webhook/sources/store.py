"""The policies and namespaces that are known: the interface of a source, and its memory.

Belongs here: what every source shares. The sources are `webhook.sources.directory` and
`webhook.sources.cluster`.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from validator.policy.document import ModelValidation
from webhook.policies.choice import BrokenPolicy, LeftOut, Policy
from webhook.sources.holdings import Bounds, Holdings, Key, key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from validator.policy.exemption import ModelValidationExemption
    from webhook.policies.cluster_rules import Rule, Rules
    from webhook.settings import NamespaceOptions, Version
    from webhook.sources.holdings import Held

PREVIOUS_SECONDS: Final = 30
"""For which a replaced generation is accepted: another replica may still know only that one."""

PREVIOUS_LIMIT: Final = 8
"""Generations of one policy that are remembered for that time."""

PREVIOUS_TOTAL: Final = 128
"""Generations of all policies that are remembered; the largest take 12 MiB as JSON."""


class Source(Protocol):
    """A source of policies and namespaces."""

    @property
    def ready(self) -> bool:
        """Whether the policies are known, so that reviews can be answered."""

    @property
    def stale(self) -> bool:
        """Whether the known policies may be outdated, so that only a live read decides."""

    def policies(self, namespace: str) -> tuple[Policy | LeftOut, ...]:
        """Return what is known for a namespace."""

    def namespace(self, name: str) -> NamespaceOptions | None:
        """Return a namespace's options, `None` where it is not known."""

    def previous(self, policy: ModelValidation) -> tuple[ModelValidation, ...]:
        """Return what this policy said until a moment ago, latest first."""

    def exemptions(self, namespace: str) -> tuple[ModelValidationExemption, ...]:
        """Return the exemptions of a namespace's pods, ended ones as well."""

    def rules(self, namespace: str) -> Rules:
        """Return the rules of the cluster, at least those that may hold in a namespace."""

    def earlier_rules(self, namespace: str) -> tuple[Rules, ...]:
        """Return those rules as they were until a moment ago, latest first."""

    @property
    def gate_images(self) -> tuple[str, ...]:
        """The images that a gate may have besides ours: other replicas' during an upgrade."""

    @property
    def server(self) -> Version | None:
        """The API server's version, `None` where it is not known."""

    async def refresh(self, namespace: str) -> None:
        """Read one namespace, and the gate's images, live.

        Raises:
            NotReady: They cannot be read.
        """

    async def run(self) -> None:
        """Follow changes until cancelled."""


class Store:
    """The policies and namespaces that are known now, and what was replaced a moment ago.

    Args:
        bounds: Of the policies; `None` for what is bounded elsewhere.
        clock: Monotonic, in seconds.
    """

    def __init__(
        self, *, bounds: Bounds | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._bounds = bounds
        self._held = Holdings(bounds)
        self._replaced: deque[tuple[float, Key, ModelValidation]] = deque(maxlen=PREVIOUS_TOTAL)
        self._namespaces: dict[str, NamespaceOptions] = {}
        self._exemptions: tuple[ModelValidationExemption, ...] = ()
        self._rules: Rules = ()
        self._replaced_rules: deque[tuple[float, Rules]] = deque(maxlen=PREVIOUS_LIMIT)

    def policies(self, namespace: str) -> tuple[Policy | LeftOut, ...]:
        """Return what is known for a namespace; what names no namespace is known for all."""
        return (*self._held.of(None), *self._held.of(namespace))

    def get(self, key: Key) -> Policy | None:
        """Return the policy of that namespace and name."""
        return self._held.get(key)

    def previous(self, policy: ModelValidation) -> tuple[ModelValidation, ...]:
        """Return what this policy said during the last `PREVIOUS_SECONDS`, latest first."""
        self._forget_old()
        own = key(policy)
        latest_first = [old for _, whose, old in reversed(self._replaced) if whose == own]
        return tuple(latest_first[:PREVIOUS_LIMIT])

    def namespace(self, name: str) -> NamespaceOptions | None:
        """Return a namespace's options, `None` where it is not known."""
        return self._namespaces.get(name)

    def exemptions(self, namespace: str) -> tuple[ModelValidationExemption, ...]:
        """Return the exemptions of a namespace's pods, ended ones as well."""
        return tuple(each for each in self._exemptions if each.spec.namespace == namespace)

    def replace_exemptions(self, exemptions: Iterable[ModelValidationExemption]) -> None:
        """Know exactly these exemptions."""
        self._exemptions = tuple(exemptions)

    def rules(self, namespace: str) -> Rules:  # noqa: ARG002 — which of them hold is decided later
        """Return the rules of the cluster."""
        return self._rules

    def earlier_rules(self, namespace: str) -> tuple[Rules, ...]:  # noqa: ARG002 — see `rules`
        """Return the rules as they were during the last `PREVIOUS_SECONDS`, latest first."""
        since = self._clock() - PREVIOUS_SECONDS
        return tuple(rules for when, rules in reversed(self._replaced_rules) if when >= since)

    def replace_rules(self, rules: Iterable[Rule]) -> None:
        """Know exactly these rules of the cluster."""
        known = tuple(rules)
        if known != self._rules:
            self._replaced_rules.append((self._clock(), self._rules))
            self._rules = known

    def count(self) -> Held:
        """Return how much is held."""
        return self._held.count()

    def left_out(self) -> dict[str | None, LeftOut]:
        """Return the namespaces whose policies are more than can be held."""
        return self._held.left_out()

    def put(self, policy: Policy) -> None:
        """Take a policy in, unless a later generation of it is known."""
        known = self._held.get(key(policy))
        later = self._later(policy)
        if later is known:
            return
        self._remember(known)
        self._held.put(later)

    def remove(self, key: Key) -> None:
        """Forget a policy, also what it said before."""
        kept = [each for each in self._replaced if each[1] != key]
        self._replaced = deque(kept, maxlen=PREVIOUS_TOTAL)
        self._held.remove(key)

    def listing(self, *, live: bool = False) -> Listing:
        """Begin a list of policies, which takes no more memory than may be held.

        Args:
            live: Whether it is a live read, beside the watch. Where a watch goes on from the list,
                the list is right, also where it has earlier generations: the cluster's state was
                restored.
        """
        return Listing(Holdings(self._bounds), known=self._later if live else self._same)

    def replace(
        self, policies: Listing | Iterable[Policy], *, namespace: str | None = None
    ) -> None:
        """Know exactly these policies, in one namespace or in all."""
        if isinstance(policies, Listing):
            listing = policies
        else:
            listing = self.listing()
            for policy in policies:
                listing.add(policy)
        before = list(self._held if namespace is None else self._held.of(namespace))
        for known in before:
            if isinstance(known, LeftOut):
                continue
            now = listing.held.get(key(known))
            if now is None:
                self.remove(key(known))
            elif now is not known:
                self._remember(known)
        if namespace is None:
            self._held = listing.held
        else:
            self._held.take(namespace, listing.held)

    def put_namespace(self, options: NamespaceOptions) -> None:
        """Take a namespace in."""
        self._namespaces[options.name] = options

    def remove_namespace(self, name: str) -> None:
        """Forget a namespace."""
        self._namespaces.pop(name, None)

    def replace_namespaces(self, options: Iterable[NamespaceOptions]) -> None:
        """Know exactly these namespaces."""
        self._namespaces = {each.name: each for each in options}

    def _same(self, policy: Policy) -> Policy:
        """Return the policy, as the object that is known already if that is equal."""
        known = self._held.get(key(policy))
        return known if known is not None and known == policy else policy

    def _later(self, policy: Policy) -> Policy:
        """Return the policy, or what is known of it already or of a later generation."""
        known = self._held.get(key(policy))
        if known is None or known == policy:
            return known or policy
        _, _, uid, generation = identity(policy)
        _, _, known_uid, known_generation = identity(known)
        # After a live read, the watch still brings events from before it.
        same = uid is not None and uid == known_uid
        return known if same and (generation or 0) < (known_generation or 0) else policy

    def _remember(self, policy: Policy | None) -> None:
        if not isinstance(policy, ModelValidation):
            return
        self._forget_old()
        own = [each for each in self._replaced if each[1] == key(policy)]
        if len(own) >= PREVIOUS_LIMIT:
            self._replaced.remove(own[0])
        self._replaced.append((self._clock(), key(policy), policy))

    def _forget_old(self) -> None:
        since = self._clock() - PREVIOUS_SECONDS
        while self._replaced and self._replaced[0][0] < since:
            self._replaced.popleft()


class Listing:
    """Policies as a list brings them, page by page.

    Args:
        held: What is filled.
        known: Returns the policy, or what is known of it already.
    """

    def __init__(self, held: Holdings, *, known: Callable[[Policy], Policy]) -> None:
        self.held = held
        self._known = known

    def add(self, policy: Policy) -> None:
        """Take the next policy in."""
        self.held.put(self._known(policy))


def identity(policy: Policy) -> tuple[str | None, str, str | None, int | None]:
    """Return namespace, name, uid and generation."""
    named = policy if isinstance(policy, BrokenPolicy) else policy.metadata
    return named.namespace, named.name, named.uid, named.generation
