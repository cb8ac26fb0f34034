"""The cluster-scoped objects that the webhook knows: by kind and name, within bounds.

Belongs here: what all such kinds share, and the list of them. A further kind is one more line in
`KINDS`. What an object means is decided elsewhere (`webhook.policies.cluster_rules`).
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
import structlog

from validator import contract
from validator.errors import PolicyError
from validator.policy import exemption, trust_root
from webhook.cluster.watch import Begun, Changed, Found, Listed, Removed
from webhook.policies import cluster_rules, exemptions, trust_roots
from webhook.policies.broken import Broken
from webhook.policies.choice import LeftOut
from webhook.sources.holdings import OVERHEAD, Bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from validator.policy.document import Metadata
    from webhook.cluster.watch import Change, Object

PREVIOUS_SECONDS: Final = 30
"""For which a replaced state is accepted: another replica may still know only that one."""

PREVIOUS_LIMIT: Final = 8
"""States that are remembered for that time."""

TOLD: Final = 10
"""Objects that the log names at once as unusable; the others are counted."""

_log = structlog.get_logger()


class ClusterObject(Protocol):
    """An object of such a kind, usable or broken."""

    @property
    def metadata(self) -> Metadata:
        """Its name, uid, generation, and whether it is being deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterKind:
    """A kind of cluster-scoped objects that decide about pods.

    Attributes:
        kind: As the objects have it.
        plural: As paths and roles have it.
        read: Returns the object that a document holds, usable or broken; raises `PolicyError`
            where the document does not even say which object it is.
    """

    kind: str
    plural: str
    read: Callable[[Mapping[str, Any]], ClusterObject]

    @property
    def path(self) -> str:
        """The collection's path on the API server."""
        return f"/apis/{contract.API_VERSION}/{self.plural}"


RULES: Final = ClusterKind(
    kind=contract.CLUSTER_KIND, plural=contract.CLUSTER_PLURAL, read=cluster_rules.read
)

ROOTS: Final = ClusterKind(kind=trust_root.KIND, plural=trust_root.PLURAL, read=trust_roots.read)
EXEMPTIONS: Final = ClusterKind(kind=exemption.KIND, plural=exemption.PLURAL, read=exemptions.read)

KINDS: Final = (RULES, ROOTS, EXEMPTIONS)
"""All of them: each is listed and watched, and counts for readiness and staleness."""


@dataclass(frozen=True, slots=True)
class ClusterObjects:
    """All cluster-scoped objects as they were known at one moment.

    Attributes:
        by_kind: By plural, in the order of their names; in place of a kind's objects a `LeftOut`,
            where they are more than is held.
    """

    by_kind: Mapping[str, tuple[ClusterObject, ...] | LeftOut] = field(default_factory=dict)

    def of(self, kind: ClusterKind) -> tuple[ClusterObject, ...] | LeftOut:
        """Return the objects of a kind."""
        return self.by_kind.get(kind.plural, ())


class ClusterStore:
    """The cluster-scoped objects that are known now, and a moment ago.

    Args:
        bounds: See `Bounds`.
        clock: Monotonic, in seconds.
    """

    def __init__(
        self, *, bounds: Bounds | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._bound = (bounds or Bounds()).kind
        self._held: dict[str, dict[str, ClusterObject] | LeftOut] = {}
        self._listings: dict[str, Listing] = {}
        self._replaced: deque[tuple[float, ClusterObjects]] = deque(maxlen=PREVIOUS_LIMIT)
        self.now = ClusterObjects()

    def previous(self) -> tuple[ClusterObjects, ...]:
        """Return what was known during the last `PREVIOUS_SECONDS`, latest first."""
        since = self._clock() - PREVIOUS_SECONDS
        while self._replaced and self._replaced[0][0] < since:
            self._replaced.popleft()
        return tuple(state for _, state in reversed(self._replaced))

    def listing(self, kind: ClusterKind) -> Listing:
        """Begin a list of objects, which takes no more memory than may be held."""
        return Listing(kind, bound=self._bound)

    def replace(self, listing: Listing, *, live: bool = False) -> None:
        """Know exactly the objects of a list.

        Args:
            listing: The list, whole.
            live: Whether it was read beside the watch, which then may know later generations.
        """
        held = listing.held
        known = self._held.get(listing.kind.plural)
        if live and isinstance(held, dict) and isinstance(known, dict):
            held = {name: _later(known.get(name), each) for name, each in held.items()}
        self._know(listing.kind, held)

    def take(self, kind: ClusterKind, change: Change) -> None:
        """Follow a change that a watch brought."""
        match change:
            case Begun():
                self._listings[kind.plural] = self.listing(kind)
            case Found(item):
                self._listings[kind.plural].add(item)
            case Listed():
                self.replace(self._listings.pop(kind.plural, self.listing(kind)))
                _log.info("listed", kind=kind.kind, objects=self.count(kind))
            case Changed(item):
                for each in _read(kind, [item]):
                    self._put(kind, each)
            case Removed(item):
                for each in _read(kind, [item]):
                    self._remove(kind, each.metadata)

    def count(self, kind: ClusterKind) -> int:
        """Return how many objects of a kind are known."""
        held = self._held.get(kind.plural, {})
        return 0 if isinstance(held, LeftOut) else len(held)

    def _put(self, kind: ClusterKind, given: ClusterObject) -> None:
        held = self._held.get(kind.plural, {})
        if isinstance(held, LeftOut):
            return
        name = given.metadata.name
        known = held.get(name)
        later = _later(known, given)
        if later is known:
            return
        listing = self.listing(kind)
        for each in {**held, name: later}.values():
            listing.put(each)
        self._know(kind, listing.held)

    def _remove(self, kind: ClusterKind, gone: Metadata) -> None:
        held = self._held.get(kind.plural, {})
        if isinstance(held, LeftOut):
            return
        known = held.get(gone.name)
        uids = {each.uid for each in (known.metadata if known else gone, gone)} - {None}
        if len(uids) > 1:
            # A live read knows already what was created since in its place.
            return
        self._know(kind, {other: each for other, each in held.items() if other != gone.name})

    def _know(self, kind: ClusterKind, held: dict[str, ClusterObject] | LeftOut) -> None:
        """Hold the objects of a kind, and remember what was held before."""
        known = self._held.get(kind.plural)
        if isinstance(held, LeftOut) and held != known:
            _log.error("left out", kind=kind.kind, reason=held.reason)
        _tell_broken(kind, known, held)
        self._held[kind.plural] = held
        ordered = held if isinstance(held, LeftOut) else tuple(held[name] for name in sorted(held))
        if kind.plural in self.now.by_kind and ordered == self.now.of(kind):
            return
        if all(each.plural in self.now.by_kind for each in KINDS):
            # Else it is no state: what is not listed yet is not known to be absent.
            self._replaced.append((self._clock(), self.now))
        self.now = ClusterObjects({**self.now.by_kind, kind.plural: ordered})


class Listing:
    """The objects of one kind as a list brings them.

    Args:
        kind: Of the objects.
        bound: Bytes of them.
    """

    def __init__(self, kind: ClusterKind, *, bound: int) -> None:
        self.kind = kind
        self._left = bound
        self._bound = bound
        self.held: dict[str, ClusterObject] | LeftOut = {}

    def add(self, item: Object) -> None:
        """Take the next object in, as the API server has it."""
        for each in _read(self.kind, [item]):
            self.put(each)

    def put(self, given: ClusterObject) -> None:
        """Take the next object in; leave all out, where they are too many."""
        if isinstance(self.held, LeftOut):
            return
        self._left -= OVERHEAD + len(msgspec.json.encode(given))
        if self._left < 0:
            self.held = LeftOut(
                f"the {self.kind.kind}s of the cluster take more than the {self._bound:,} bytes "
                "that the webhook holds of them: delete some, or shorten their keys, certificates "
                "and trusted roots"
            )
            return
        self.held[given.metadata.name] = given


def _tell_broken(
    kind: ClusterKind,
    before: dict[str, ClusterObject] | LeftOut | None,
    now: dict[str, ClusterObject] | LeftOut,
) -> None:
    """Log which objects cannot be used any more: who wrote an exemption is told nowhere else."""
    if isinstance(now, LeftOut):
        return
    known = before if isinstance(before, dict) else {}
    broken = [
        (name, each.reason)
        for name, each in now.items()
        if isinstance(each, Broken) and known.get(name) != each
    ]
    for name, reason in broken[:TOLD]:
        _log.warning("cannot be used", kind=kind.kind, name=name, reason=reason)
    if len(broken) > TOLD:
        _log.warning("cannot be used", kind=kind.kind, more=len(broken) - TOLD)


def _read(kind: ClusterKind, items: Iterable[Object]) -> Iterator[ClusterObject]:
    """Yield the objects in a list's items, which may leave out what they all share."""
    for item in items:
        shared = {"apiVersion": contract.API_VERSION, "kind": kind.kind}
        try:
            yield kind.read(shared | item)
        except PolicyError as error:
            _log.error("an object without a name", kind=kind.kind, reason=str(error))


def _later(known: ClusterObject | None, given: ClusterObject) -> ClusterObject:
    """Return the given object, or the known one where that is equal or of a later generation."""
    if known is None or known == given:
        return known or given
    # After a live read, the watch still brings events from before it.
    before, after = known.metadata, given.metadata
    same = before.uid is not None and before.uid == after.uid
    return known if same and (after.generation or 0) < (before.generation or 0) else given
