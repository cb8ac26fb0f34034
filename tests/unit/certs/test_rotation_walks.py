"""Random walks: replicas that compete and die, time that jumps, users who destroy; never a gap."""

from __future__ import annotations

import datetime as dt

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from certs.issuing import issue, new_authority
from certs.objects import CONFIGURATIONS
from tests.support.fakes.certs_simulation import (
    AUTHORITY_PATH,
    EPOCH,
    SERVING_PATH,
    SETTINGS,
    Cluster,
    Replica,
    bundled,
    encoded,
    run,
)

SKEW = dt.timedelta(minutes=2)
"""By how much a replica's clock may be off; the certificates allow for five minutes."""

REPLICAS = 3
JUMPS = [
    *(dt.timedelta(seconds=each) for each in (1, 5, 31, 400)),
    *(dt.timedelta(days=each) for each in (20, 61, 100, 250)),
]
FOREIGN, FOREIGN_BUNDLE, FOREIGN_ISSUER = (new_authority(now=EPOCH) for _ in range(3))
FOREIGN_PAIR = issue(FOREIGN_ISSUER, names=SETTINGS.names, now=EPOCH)
LOST_AUTHORITY = [
    {"data": None},
    encoded(tls_key=None),
    encoded(tls_key=b"junk"),
    encoded(tls_crt=b"junk"),
    encoded(ca_crt=None),
    encoded(ca_crt=b"junk", tls_crt=None),
    encoded(tls_crt=FOREIGN.certificate, tls_key=FOREIGN.key),
    encoded(ca_crt=FOREIGN.certificate),
]
LOST_SERVING = [
    {"data": None},
    encoded(tls_crt=b"junk"),
    encoded(tls_key=FOREIGN.key),
    encoded(tls_crt=FOREIGN_PAIR.certificate, tls_key=FOREIGN_PAIR.key),
]
numbers = st.integers(0, REPLICAS - 1)


class Walk(RuleBasedStateMachine):
    """A cluster with three replicas, all of which think that they lead."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.replicas = [self._replica(number) for number in range(REPLICAS)]

    def _replica(self, number: int) -> Replica:
        return Replica(self.cluster, skew=(number - 1) * SKEW)

    @rule(number=numbers, moves=st.integers(1, 12))
    def work(self, number: int, moves: int) -> None:
        """A replica goes on; a turn is four reads and a write or two."""
        for _ in range(moves):
            self.replicas[number].move()

    @rule(number=numbers, seconds=st.sampled_from([40, 400]))
    def lead(self, number: int, seconds: int) -> None:
        """A replica works alone for a while."""
        assert (
            run(self.cluster, self.replicas[number], duration=dt.timedelta(seconds=seconds)) == []
        )

    @rule(number=numbers)
    def die(self, number: int) -> None:
        """A replica ends between two calls, and another takes its place."""
        self.replicas[number].die()
        self.replicas[number] = self._replica(number)

    @rule(jump=st.sampled_from(JUMPS))
    def time_passes(self, jump: dt.timedelta) -> None:
        """No replica works meanwhile."""
        self.cluster.elapsed += jump

    @rule(path=st.sampled_from([AUTHORITY_PATH, SERVING_PATH, *CONFIGURATIONS]))
    def touch(self, path: str) -> None:
        """A user changes what does not concern us."""
        self.cluster.user_patches(path, {})

    @rule(damage=st.sampled_from(LOST_SERVING))
    def lose_serving(self, damage: dict[str, object]) -> None:
        """A user destroys the serving pair."""
        self.cluster.user_patches(SERVING_PATH, damage)

    # What must stay trusted is kept twice. Who destroys both copies has made a gap.

    @precondition(lambda self: self._published_whole())
    @rule(damage=st.sampled_from(LOST_AUTHORITY))
    def lose_authority(self, damage: dict[str, object]) -> None:
        """A user destroys the authority."""
        # A list of the present authority alone is the last step of a rotation: nobody can tell
        # that a user wrote it earlier, who has ended the rotation by that.
        alone = encoded(ca_crt=self.cluster.secret(AUTHORITY_PATH, "tls.crt"))
        if damage != alone:
            self.cluster.user_patches(AUTHORITY_PATH, damage)

    @precondition(lambda self: self._listed_whole())
    @rule(path=st.sampled_from(CONFIGURATIONS))
    def reapply(self, path: str) -> None:
        """A user puts a configuration back to what the manifests say."""
        self.cluster.reapply(path)

    @precondition(lambda self: self._listed_whole())
    @rule(path=st.sampled_from(CONFIGURATIONS))
    def publish_another(self, path: str) -> None:
        """A user writes another authority into `caBundle`."""
        self.cluster.user_patches(path, bundled(FOREIGN_BUNDLE.certificate))

    @invariant()
    def no_gap(self) -> None:
        """Whatever may be presented verifies under whatever may be trusted."""
        assert self.cluster.gaps() == []

    def teardown(self) -> None:
        """Left alone, any replica brings it all in order."""
        replica = self._replica(1)
        assert run(self.cluster, replica, duration=dt.timedelta(minutes=8)) == []
        assert replica.complaint is None
        assert self.cluster.leaves() == {self.cluster.secret(SERVING_PATH, "tls.crt")}
        assert self.cluster.bundles() == {self.cluster.secret(AUTHORITY_PATH, "tls.crt")}
        assert self.cluster.gaps() == []

    def _published_whole(self) -> bool:
        """Tell whether some entry has, as we wrote it, what covers all that is in use."""
        current = self.cluster.published()
        return any(self.cluster.covered(each) for each in current)

    def _listed_whole(self) -> bool:
        """Tell whether the authority's Secret has it."""
        return self.cluster.covered(self.cluster.secret(AUTHORITY_PATH, "ca.crt"))


def test_no_walk_finds_a_gap() -> None:
    """Whatever happens in whatever order; and left alone, all ends in order."""
    run_state_machine_as_test(Walk, settings=settings(max_examples=40, stateful_step_count=25))
