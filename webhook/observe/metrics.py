"""The metrics of what the gates have said, for Prometheus.

The names of policies and namespaces are labels here, and whoever may create them chooses them:
so they are bounded in number, and what is beyond the bound is counted under empty names.
"""

from __future__ import annotations

from collections import Counter as Tally
from typing import TYPE_CHECKING, Final

from prometheus_client import Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from webhook.cluster.watch_metrics import WatchMetrics
from webhook.observe.pod.verdict import Verdict
from webhook.observe.pods import under

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client import CollectorRegistry, Metric

    from webhook.observe.pod.wire import Key
    from webhook.observe.pods import Pods
    from webhook.observe.policies import Policies

PREFIX: Final = "model_validation_observe"

POLICIES_SHOWN: Final = 1_000
"""Policies with series of their own, five each; Prometheus takes a few thousand of a target."""

REST: Final = "", ""
"""Namespace and policy of pods beyond that, and of those without a policy."""


class Metrics:
    """The collectors, all in the given registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.writes = Counter(
            f"{PREFIX}_status_writes",
            "Statuses that were written, by outcome.",
            ("outcome",),
            registry=registry,
        )
        self.reports = Counter(
            f"{PREFIX}_report_writes",
            "Reports of OpenReports that were written, by outcome.",
            ("outcome",),
            registry=registry,
        )
        self.events = Counter(
            f"{PREFIX}_events", "Events, by what became of them.", ("outcome",), registry=registry
        )
        self.watch = WatchMetrics(PREFIX, registry)
        for outcome in ("done", "failed"):
            self.writes.labels(outcome)
            self.reports.labels(outcome)
        for outcome in ("created", "known", "failed", "dropped"):
            self.events.labels(outcome)


class Held(Collector):
    """Collector of the pods and policies that are held, counted when Prometheus asks.

    Args:
        pods: The pods.
        policies: The policies.
        left_out: Returns, by further resource, how many of its objects are not held, or 1.
        shown: Policies with series of their own.
    """

    def __init__(
        self,
        pods: Pods,
        policies: Policies,
        *,
        left_out: Callable[[], Mapping[str, int]] = dict,
        shown: int = POLICIES_SHOWN,
    ) -> None:
        self._pods = pods
        self._policies = policies
        self._left_out = left_out
        self._shown = shown

    def collect(self) -> Iterator[Metric]:
        """Yield the pods by namespace, policy and verdict, and what is left out."""
        family = GaugeMetricFamily(
            f"{PREFIX}_pods",
            "Labelled pods, by policy and verdict; without names: of no policy, or of too many.",
            labels=("namespace", "policy", "verdict"),
        )
        for (namespace, policy, verdict), number in self._numbers().items():
            family.add_metric((namespace, policy, verdict), number)
        yield family
        left_out = GaugeMetricFamily(
            f"{PREFIX}_left_out",
            "Objects that are not held, since there are too many; 1 for a kind that is left out.",
            labels=("resource",),
        )
        left_out.add_metric(("pods",), self._pods.left_out)
        left_out.add_metric(("modelvalidations",), self._policies.left_out)
        for resource, number in self._left_out().items():
            left_out.add_metric((resource,), number)
        yield left_out

    def _numbers(self) -> Tally[tuple[str, str, str]]:
        known = sorted(policy.key for policy in self._policies)
        named: set[Key] = set(known[: self._shown])
        numbers: Tally[tuple[str, str, str]] = Tally(
            {(*key, str(verdict)): 0 for key in (*named, REST) for verdict in Verdict}
        )
        for key in self._pods.policies():
            policy = self._policies.get(key)
            uid = policy.uid if policy else None
            for pod in self._pods.of(key):
                numbers[(*(key if key in named else REST), str(under(pod, uid=uid)))] += 1
        return numbers
