"""Two replicas and a Lease."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import msgspec
import pytest

from certs.leadership import LEASE_SECONDS, RENEW_SECONDS, Leadership, may_claim
from certs.objects import Claim, lease_path
from webhook.cluster.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from certs.objects import Kind, Object

PATH = lease_path("model-validation")
NOW = dt.datetime(2026, 11, 25, tzinfo=dt.UTC)


class FakeLease:
    """An API server with one Lease, and a clock."""

    def __init__(self) -> None:
        self.spec: Object | None = {}
        self.version = 1
        self.seconds = 0.0
        self.overtaken_by: str | None = None

    async def get(self, _: str, kind: type[Kind]) -> Kind | None:
        """Return it."""
        if self.spec is None:
            return None
        document = {"metadata": {"resourceVersion": str(self.version)}, "spec": self.spec}
        found = msgspec.convert(document, kind)
        if self.overtaken_by:
            self._write({"holderIdentity": self.overtaken_by})
            self.overtaken_by = None
        return found

    async def patch(self, path: str, body: Object) -> None:
        """Write it, if the version is right."""
        if body["metadata"]["resourceVersion"] != str(self.version):
            raise Conflict(path)
        self._write(body["spec"])

    def changes(self, path: str) -> AsyncGenerator[None]:
        """Leases are not watched."""
        raise NotImplementedError(path)

    def replica(self, name: str) -> Leadership:
        """Return a candidate."""
        return Leadership(
            self,
            path=PATH,
            identity=name,
            now=lambda: NOW + dt.timedelta(seconds=self.seconds),
            clock=lambda: self.seconds,
        )

    def _write(self, fields: Object) -> None:
        self.version += 1
        self.spec = (self.spec or {}) | fields


@pytest.fixture
def lease() -> FakeLease:
    """A Lease without a holder."""
    return FakeLease()


async def test_the_first_one_leads(lease: FakeLease) -> None:
    """And says so, in the fields that kubectl shows."""
    assert await lease.replica("a").held()
    assert lease.spec == {
        "holderIdentity": "a",
        "leaseDurationSeconds": LEASE_SECONDS,
        "acquireTime": "2026-11-25T00:00:00.000000Z",
        "renewTime": "2026-11-25T00:00:00.000000Z",
        "leaseTransitions": 1,
    }
    assert not await lease.replica("b").held()


async def test_a_leader_renews(lease: FakeLease) -> None:
    """And stays, however long another waits."""
    a, b = lease.replica("a"), lease.replica("b")
    for _ in range(20):
        assert await a.held()
        assert not await b.held()
        lease.seconds += 5
    assert lease.spec is not None
    assert lease.spec["acquireTime"] == "2026-11-25T00:00:00.000000Z"
    assert lease.spec["renewTime"] == "2026-11-25T00:01:35.000000Z"


async def test_the_lease_is_not_written_at_each_turn(lease: FakeLease) -> None:
    """Only when its renewal is due."""
    a = lease.replica("a")
    await a.held()
    version = lease.version
    lease.seconds += 4
    assert await a.held()
    assert lease.version == version


async def test_a_dead_leader_is_followed(lease: FakeLease) -> None:
    """After the Lease's duration, by the follower's own clock."""
    assert await lease.replica("a").held()
    b = lease.replica("b")
    lease.seconds += 1000
    assert not await b.held()
    lease.seconds += LEASE_SECONDS - 1
    assert not await b.held()
    lease.seconds += 1
    assert await b.held()


async def test_a_leader_that_slept_is_none(lease: FakeLease) -> None:
    """It looks before it works."""
    a, b = lease.replica("a"), lease.replica("b")
    await a.held()
    await b.held()
    lease.seconds += LEASE_SECONDS
    assert await b.held()
    assert not await a.held()


async def test_of_two_at_once_one_wins(lease: FakeLease) -> None:
    """The API server refuses the second."""
    a = lease.replica("a")
    lease.overtaken_by = "b"
    assert not await a.held()
    assert lease.spec is not None
    assert lease.spec["holderIdentity"] == "b"


async def test_a_lease_that_is_given_back_is_free(lease: FakeLease) -> None:
    """The next one need not wait."""
    a, b = lease.replica("a"), lease.replica("b")
    await a.held()
    assert not await b.held()
    await a.release()
    assert await b.held()


async def test_another_lease_is_not_given_back(lease: FakeLease) -> None:
    """A follower, or who was overtaken, leaves it as it is."""
    a, b = lease.replica("a"), lease.replica("b")
    await a.held()
    await b.held()
    await b.release()
    lease.seconds += LEASE_SECONDS
    await b.held()
    await a.release()
    assert lease.spec is not None
    assert lease.spec["holderIdentity"] == "b"


async def test_without_a_lease_each_works(lease: FakeLease) -> None:
    """Argo CD leaves Leases out; a Lease that comes later counts from the next look on."""
    lease.spec = None
    a, b = lease.replica("a"), lease.replica("b")
    assert await a.held()
    assert await b.held()
    lease.spec = {}
    lease.seconds += RENEW_SECONDS
    assert await a.held()
    assert not await b.held()
    assert lease.spec["holderIdentity"] == "a"


async def test_a_lease_that_was_lost_need_not_be_given_back(lease: FakeLease) -> None:
    """The end is as quiet as the work was."""
    a = lease.replica("a")
    assert await a.held()
    lease.spec = None
    await a.release()
    lease.spec = {}
    assert await lease.replica("b").held()


def test_a_holder_without_a_duration_is_given_ours() -> None:
    """Another program may have written the Lease without a duration."""
    claim = Claim(holder_identity="x")
    assert not may_claim(claim, "a", unchanged=LEASE_SECONDS - 1)
    assert may_claim(claim, "a", unchanged=LEASE_SECONDS)
