"""The next single step, decided from what the cluster holds; no step opens a gap.

At every moment, each serving certificate that a replica of the webhook may still
present verifies under each `caBundle` that an API server may still use. So:

1. An authority that is damaged or old is replaced, and *kept trusted* beside the
   new one: the list of the trusted is a part of the authority's Secret.
2. That list is published, in each entry of both webhook configurations.
3. Only when it has stood everywhere for the settling time is a serving
   certificate issued by the new authority; at once where the present one has
   expired, since nobody is served by that.
4. Only when that has stood for the overlap are the old authorities forgotten,
   which step 2 then publishes.

Nothing else is stored, and no time: a wait is over when *this process* has seen all
objects unchanged for so long, by a monotonic clock. A replica that takes over waits
anew, so a wait can become longer, and never shorter.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding

from certs.flaws import authority_flaw, certificates, is_issued_by, serving_flaw

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cryptography.x509 import Certificate

    from certs.issuing import Authority, ServingPair

SETTLING: Final = dt.timedelta(seconds=30)
"""For every API server to use a `caBundle` that was written: their caches follow within a second,
each by a watch of its own, which a busy machine may delay."""

OVERLAP: Final = dt.timedelta(minutes=5)
"""For every replica of the webhook to serve with a pair that was written: the kubelet shows a
changed Secret after up to 90 s, the webhook looks every 2 s; three times that."""

TRUSTED_LIMIT: Final = 16
"""Authorities that are trusted at a time. Each unfinished rotation adds one; an entry of a
configuration grows by 1 KB with each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The objects' contents, as far as the plan depends on them.

    Attributes:
        authority: Of its Secret; empty values where that has none.
        trusted: PEM of all authorities to trust, of the same Secret.
        serving: Of its Secret; empty values where that has none, `None` without the Secret.
        published: The `caBundle` of each entry of the webhook configurations.
    """

    authority: Authority
    trusted: bytes
    serving: ServingPair | None
    published: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class MakeAuthority:
    """Make an authority; go on trusting `beside`."""

    reason: str
    beside: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class Trust:
    """Write the list of the trusted, PEM."""

    reason: str
    trusted: bytes


@dataclass(frozen=True, slots=True)
class Publish:
    """Write `bundle` where an entry has another."""

    bundle: bytes


@dataclass(frozen=True, slots=True)
class Issue:
    """Issue a serving certificate."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again after `remaining`, should nothing change until then."""

    reason: str
    remaining: dt.timedelta


@dataclass(frozen=True, slots=True)
class Rest:
    """All is as it should be."""


Step = MakeAuthority | Trust | Publish | Issue | Wait | Rest


@dataclass(frozen=True, slots=True)
class Waits:
    """The times for which old and new are accepted side by side.

    Attributes:
        settling: From published everywhere to the first certificate by the new authority.
        overlap: From there until the old authority is forgotten.
    """

    settling: dt.timedelta = SETTLING
    overlap: dt.timedelta = OVERLAP


def plan(
    state: State, *, names: Sequence[str], now: dt.datetime, unchanged: dt.timedelta, waits: Waits
) -> Step:
    """Return the next step.

    Args:
        state: What the cluster holds.
        names: DNS names of the webhook.
        now: The time, with its zone.
        unchanged: For how long all of `state` has been seen as it is.
        waits: The times for which old and new are accepted side by side.
    """
    leaf = next(iter(certificates(state.serving.certificate)), None) if state.serving else None
    trusted = _trusted(state, leaf, now=now)
    # 1. An authority that can issue, and the old one kept.
    if flaw := authority_flaw(state.authority, now=now):
        return MakeAuthority(flaw, _bounded(trusted, leaf, limit=TRUSTED_LIMIT - 1))
    own = certificates(state.authority.certificate)[0]
    others = tuple(each for each in trusted if each != own)
    bundle = pem([own, *_bounded(others, leaf, limit=TRUSTED_LIMIT - 1)])
    if bundle != state.trusted:
        return Trust("the list of the trusted was incomplete", bundle)
    # 2. Published everywhere.
    if any(each != bundle for each in state.published):
        return Publish(bundle)
    if state.serving is None:
        return Rest()
    flaw = serving_flaw(state.serving, issuer=own, names=names, now=now)
    if flaw and (not others or _ran_out(leaf, others, now=now)):
        return Issue(flaw)
    return _rotated(flaw, unchanged, waits=waits, alone=pem([own])) if others else Rest()


def _rotated(flaw: str | None, unchanged: dt.timedelta, *, waits: Waits, alone: bytes) -> Step:
    """Return the next step while others are trusted beside the present authority."""
    # 3. A serving certificate by it, once all API servers accept that.
    if flaw:
        if unchanged < waits.settling:
            return Wait("until all API servers trust it", waits.settling - unchanged)
        return Issue(flaw)
    # 4. The others forgotten, once all replicas serve with that.
    if unchanged < waits.overlap:
        return Wait("until all replicas serve with it", waits.overlap - unchanged)
    return Trust("all replicas serve with the present authority's certificate", alone)


def _ran_out(leaf: Certificate | None, others: Sequence[Certificate], *, now: dt.datetime) -> bool:
    """Tell whether the certificate expired in use: then no replica presents a valid one.

    An expired one that none of the others has issued was put there; replicas refuse to load it.
    """
    if leaf is None or leaf.not_valid_after_utc > now:
        return False
    return any(is_issued_by(leaf, each) for each in others)


def pem(of: Iterable[Certificate]) -> bytes:
    """Return the certificates as one PEM text."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in of)


def _trusted(
    state: State, leaf: Certificate | None, *, now: dt.datetime
) -> tuple[Certificate, ...]:
    """Return whom clients must go on trusting, each once, without what has expired.

    The list is made whole from what is published in two cases, in which it is damaged or came
    from a backup: it does not cover the certificate of the Secret, or nothing was published under
    the present authority. In the second case both Secrets may agree with one another, and replicas
    of the webhook still present another certificate until they see theirs.
    """
    listed = certificates(state.trusted)
    published = [certificates(bundle) for bundle in dict.fromkeys(state.published)]
    own = certificates(state.authority.certificate)[:1]
    covered = leaf and any(is_issued_by(leaf, each) for each in listed)
    if not covered or not any(bundle[:1] == own for bundle in published):
        listed += tuple(each for bundle in published for each in bundle)
    return tuple(each for each in dict.fromkeys(listed) if each.not_valid_after_utc > now)


def _bounded(
    trusted: tuple[Certificate, ...], leaf: Certificate | None, *, limit: int
) -> tuple[Certificate, ...]:
    """Return at most `limit` of them, the issuer of the certificate in use always among them."""
    if len(trusted) <= limit:
        return trusted
    return tuple(
        sorted(trusted, key=lambda each: leaf is None or not is_issued_by(leaf, each))[:limit]
    )
