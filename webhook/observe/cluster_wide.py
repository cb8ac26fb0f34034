"""What policies are judged by beside themselves, followed: the cluster's objects and namespaces."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NoReturn

import structlog

from validator.errors import PolicyError
from webhook.cluster.paths import NAMESPACES
from webhook.observe.cluster_statuses import KINDS, STATED_RULES, Stated
from webhook.observe.collection import keep
from webhook.observe.status.in_force import in_force
from webhook.policies import cluster_rules, trust_roots
from webhook.policies.choice import LeftOut
from webhook.policies.objects import namespace_options
from webhook.sources.cluster_objects import ROOTS
from webhook.sources.cluster_watch import ClusterWatch
from webhook.sources.holdings import Bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from webhook.cluster.watch import Object
    from webhook.observe.cluster_statuses import Statuses
    from webhook.observe.collection import Follower
    from webhook.observe.pod.wire import Key
    from webhook.observe.policies import Known, Policies
    from webhook.policies.cluster_rules import Rules
    from webhook.policies.trust_roots import Roots
    from webhook.settings import NamespaceOptions
    from webhook.sources.cluster_objects import ClusterKind, ClusterObjects

ALL_KINDS: Final = (ROOTS, *KINDS)
COLLECTIONS: Final = (NAMESPACES, *(kind.path for kind in ALL_KINDS))
"""All that is followed here."""

AT_A_TIME: Final = 50
"""Policies that are judged anew before anything else has its turn: a few ms."""

_log = structlog.get_logger()


class ClusterWide:
    """Follows the cluster's objects and namespaces, and judges policies by them.

    Args:
        follower: See `Follower`.
        policies: Those that are judged anew, when something changes.
        statuses: Those of rules and exemptions.
        judged: Is told which policy was judged anew.
    """

    def __init__(
        self,
        follower: Follower,
        *,
        policies: Policies,
        statuses: Statuses,
        judged: Callable[[Key], None],
    ) -> None:
        self._follower = follower
        self._policies = policies
        self._statuses = statuses
        self._judged = judged
        self._watch = ClusterWatch(
            follower.api,
            timing=follower.timing,
            bounds=Bounds(),
            failed=follower.failed,
            heard=self._hear,
        )
        self._namespaces: dict[str, NamespaceOptions] = {}
        self._roots: Roots = ()
        self._rules: Rules = ()
        self._seen: ClusterObjects | None = None
        self._due: dict[Key, None] = {}
        self._woken = asyncio.Event()

    @property
    def left_out(self) -> dict[str, int]:
        """By resource, 1 for a kind whose objects are more than are held, else 0."""
        state = self._watch.store.now
        return {kind.plural: int(isinstance(state.of(kind), LeftOut)) for kind in ALL_KINDS}

    def is_settled(self, policy: Key) -> bool:
        """Tell whether a policy was judged by what is known now."""
        return policy not in self._due and policy[0] in self._namespaces

    def in_force(self, policy: Known) -> Known:
        """Return a policy as it is in force; as it is, where its namespace is not known yet."""
        namespace = self._namespaces.get(policy.namespace)
        if namespace is None:
            return policy
        return in_force(policy, roots=self._roots, rules=self._rules, namespace=namespace)

    async def run(self, is_known: Callable[[], bool]) -> None:
        """Follow, judge and write until cancelled.

        Args:
            is_known: See `Writer.run`.
        """
        namespaces = self._follower.changes(NAMESPACES)
        async with asyncio.TaskGroup() as tasks:
            for kind in ALL_KINDS:
                tasks.create_task(self._watch.follow(kind))
            tasks.create_task(
                keep(namespaces, put=self._put_namespace, remove=self._remove_namespaces)
            )
            tasks.create_task(self._judge())
            tasks.create_task(self._statuses.run(is_known))

    def wake(self) -> None:
        """Write what waits: all may be known now."""
        self._statuses.wake()

    # What is followed

    def _hear(self, kind: ClusterKind) -> None:
        """Take the state of the cluster's objects in, where it is another one."""
        state = self._watch.store.now
        if state is not self._seen:
            self._seen = state
            self._take(state)
            self._statuses.take(state)
        self._follower.heard(kind.path, kind.path)

    def _take(self, state: ClusterObjects) -> None:
        """Have all policies judged anew, unless roots and rules say what they said."""
        roots = trust_roots.among(state.of(ROOTS))
        stated = state.of(STATED_RULES)
        written = (
            stated
            if isinstance(stated, LeftOut)
            else tuple(each.given for each in stated if isinstance(each, Stated))
        )
        rules: Rules = tuple(
            each if isinstance(each, LeftOut) else cluster_rules.resolved(each, roots)
            for each in cluster_rules.among(written)
        )
        if roots == self._roots and rules == self._rules:
            return
        self._roots, self._rules = roots, rules
        self._statuses.judge(roots, self._namespaces.values())
        self._have_judged(policy.key for policy in self._policies)

    def _put_namespace(self, item: Object) -> bool:
        try:
            options = namespace_options(item, source="the API server's list")
        except PolicyError as error:
            _log.error("a namespace that cannot be read", reason=str(error))
            return False
        if options != self._namespaces.get(options.name):
            self._namespaces[options.name] = options
            self._have_judged(self._policies.in_namespace(options.name))
            self._statuses.judge(self._roots, self._namespaces.values())
        return True

    def _remove_namespaces(self, keys: Iterable[Key]) -> None:
        for _, name in keys:
            self._namespaces.pop(name, None)
        self._statuses.judge(self._roots, self._namespaces.values())

    # Policies, judged anew

    def _have_judged(self, policies: Iterable[Key]) -> None:
        self._due |= dict.fromkeys(policies)
        if self._due:
            self._woken.set()

    async def _judge(self) -> NoReturn:
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._due:
                for key in list(self._due)[:AT_A_TIME]:
                    del self._due[key]
                    policy = self._policies.get(key)
                    if policy is not None:
                        self._policies.put(self.in_force(policy))
                    self._judged(key)
                await asyncio.sleep(0)
