"""The labelled pods that are known, by policy: a few hundred bytes of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from webhook.observe.pod.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from webhook.observe.pod.verdict import Observed
    from webhook.observe.pod.wire import Key

PODS_LIMIT: Final = 50_000
"""Pods that are held: five times the largest installation that was measured, some 100 MiB. Further
ones are counted as left out, and the process says that it is not complete."""


class Pods:
    """The pods that are known now.

    Args:
        limit: How many are held.
    """

    def __init__(self, *, limit: int = PODS_LIMIT) -> None:
        self._limit = limit
        self._pods: dict[Key, Observed] = {}
        self._of_policy: dict[Key, dict[str, Observed]] = {}
        self._left_out: set[Key] = set()

    def __len__(self) -> int:
        return len(self._pods)

    def __iter__(self) -> Iterator[Observed]:
        return iter(self._pods.values())

    @property
    def left_out(self) -> int:
        """The number of pods that are not held, since there are too many."""
        return len(self._left_out)

    def get(self, key: Key) -> Observed | None:
        """Return what is known of a pod."""
        return self._pods.get(key)

    def of(self, policy: Key) -> Collection[Observed]:
        """Return the pods whose gate has, or whose label names, a policy."""
        return self._of_policy.get(policy, {}).values()

    def policies(self) -> Collection[Key]:
        """Return the policies of all pods; of those without one, the name is ""."""
        return self._of_policy.keys()

    def put(self, pod: Observed) -> Iterable[Key]:
        """Take a pod in; return the policies of which something changed."""
        key = (pod.namespace, pod.name)
        before = self._pods.get(key)
        if before == pod:
            return ()
        if before is None and len(self._pods) >= self._limit:
            # Bounded like the pods: beyond it, how many there are is of no use.
            if len(self._left_out) < self._limit:
                self._left_out.add(key)
            return ()
        changed = set(self.remove(key))
        self._pods[key] = pod
        policy = (pod.namespace, pod.policy)
        self._of_policy.setdefault(policy, {})[pod.name] = pod
        return changed | {policy}

    def remove(self, key: Key) -> Iterable[Key]:
        """Forget a pod; return the policies of which something changed."""
        self._left_out.discard(key)
        before = self._pods.pop(key, None)
        if before is None:
            return ()
        policy = (before.namespace, before.policy)
        pods = self._of_policy[policy]
        del pods[before.name]
        if not pods:
            del self._of_policy[policy]
        return (policy,)


def counts(pods: Iterable[Observed], *, uid: str | None) -> dict[Verdict, int]:
    """Return how many pods have each verdict under a policy.

    Args:
        pods: Those of its name.
        uid: Of the policy that there is now; `None` where there is none.
    """
    found = dict.fromkeys(Verdict, 0)
    for pod in pods:
        found[under(pod, uid=uid)] += 1
    return found


def under(pod: Observed, *, uid: str | None) -> Verdict:
    """Return a pod's verdict under the policy with this uid.

    A policy that was deleted and made anew by the same name is another one: what an earlier one
    has accepted says nothing about it.
    """
    other = pod.policy_uid not in {"", uid}
    return Verdict.UNPROVEN if other else pod.verdict
