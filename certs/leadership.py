"""The choice of the replica that works: the holder of the Lease, as long as it renews it.

Safety does not depend on it: each write names the version that was read, so two replicas
that both believe to lead cannot open a gap. It only saves useless work and log lines. So
where there is no Lease, since Argo CD leaves Leases out, each replica works.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import structlog

from certs.objects import Lease, Sighting, lease_patch
from webhook.cluster.errors import ApiError, Conflict

if TYPE_CHECKING:
    from collections.abc import Callable

    from certs.objects import Api, Claim

LEASE_SECONDS: Final = 15
"""Without a renewal, another replica takes over then, as with Kubernetes' own controllers."""

RENEW_SECONDS: Final = 5
"""Between two renewals, or two looks at another's Lease: two may fail."""

_log = structlog.get_logger()


class Leadership:
    """Our claim on the Lease at `path`, under the name `identity`."""

    def __init__(
        self,
        api: Api,
        *,
        path: str,
        identity: str,
        now: Callable[[], dt.datetime],
        clock: Callable[[], float],
    ) -> None:
        self._api = api
        self._path = path
        self._identity = identity
        self._now = now
        self._clock = clock
        self._seen = Sighting((), 0)
        self._renewed: float | None = None
        self._because = ""

    async def held(self) -> bool:
        """Claim or renew the Lease where that is due; tell whether it is ours.

        Raises:
            ApiError: It cannot be known: the API server does not answer.
        """
        start = self._clock()
        if self._renewed is not None and start - self._renewed < RENEW_SECONDS:
            return True
        lease = await self._api.get(self._path, Lease)
        if lease is None:
            self._lead(start, because="there is no Lease")
            return True
        self._seen = self._seen.again((lease.metadata.resource_version,), at=self._clock())
        held = may_claim(lease.spec, self._identity, unchanged=start - self._seen.since)
        if held:
            try:
                await self._api.patch(self._path, lease_patch(lease, self._claim(lease.spec)))
            except Conflict:
                held = False
        if held:
            self._lead(start, because="the Lease is ours")
        elif self._because:
            _log.info("standing by", identity=self._identity)
            self._renewed, self._because = None, ""
        return held

    async def release(self) -> None:
        """Give the Lease back, if it is ours, so that no replica waits for its end."""
        if self._renewed is None:
            return
        self._renewed = None
        try:
            lease = await self._api.get(self._path, Lease)
            if lease and lease.spec.holder_identity == self._identity:
                await self._api.patch(self._path, lease_patch(lease, {"holderIdentity": None}))
        except ApiError as error:
            _log.warning("the Lease was not given back", reason=str(error))

    def _lead(self, start: float, *, because: str) -> None:
        self._renewed = start
        if because != self._because:
            _log.info("leading", identity=self._identity, reason=because)
            self._because = because

    def _claim(self, before: Claim) -> dict[str, Any]:
        """Return the fields of the Lease that change."""
        # The API server refuses a time without microseconds.
        now = self._now().astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if before.holder_identity == self._identity:
            return {"renewTime": now}
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": (before.lease_transitions or 0) + 1,
        }


def may_claim(claim: Claim, identity: str, *, unchanged: float) -> bool:
    """Tell whether the Lease may be claimed or renewed.

    Args:
        claim: What it says.
        identity: Our name.
        unchanged: For how many seconds we have seen it say that; its times are another's clock's.
    """
    if not claim.holder_identity or claim.holder_identity == identity:
        return True
    return unchanged >= (claim.lease_duration_seconds or LEASE_SECONDS)
