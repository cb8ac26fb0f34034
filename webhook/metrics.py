"""The webhook's metrics, for Prometheus.

Each name and label value is one of a few constants: nothing that a pod's author
writes becomes a label.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from webhook.cluster.watch_metrics import WatchMetrics

PREFIX: Final = "model_validation_webhook"

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Bounds of the histogram: a review takes about a millisecond, the API server waits for five
seconds."""


class Metrics:
    """The collectors, all in the given registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.reviews = Counter(
            f"{PREFIX}_reviews",
            "Reviews answered, by path and verdict.",
            ("path", "verdict"),
            registry=registry,
        )
        self.seconds = Histogram(
            f"{PREFIX}_review_seconds",
            "Time from the request's headers to its answer.",
            ("path",),
            buckets=SECONDS,
            registry=registry,
        )
        self.exempt_pods = Counter(
            f"{PREFIX}_exempt_pods",
            "Pods that were admitted by a ModelValidationExemption.",
            registry=registry,
        )
        self._policies = Gauge(
            f"{PREFIX}_policies",
            "ModelValidations that are known, by whether they can be used.",
            ("state",),
            registry=registry,
        )
        self._policies_size = Gauge(
            f"{PREFIX}_policies_bytes",
            "Size of the ModelValidations that are known, as their bounds count it.",
            registry=registry,
        )
        self._left_out = Gauge(
            f"{PREFIX}_namespaces_left_out",
            "Namespaces whose ModelValidations are more than is held; their pods are refused.",
            registry=registry,
        )
        self._cluster_objects = Gauge(
            f"{PREFIX}_cluster_objects",
            "Objects of the whole cluster that are known, by resource and usability.",
            ("resource", "state"),
            registry=registry,
        )
        self._kinds_left_out = Gauge(
            f"{PREFIX}_cluster_kinds_left_out",
            "Whether a cluster-scoped resource has more objects than are held, by resource.",
            ("resource",),
            registry=registry,
        )
        self.policy_reload_failures = Counter(
            f"{PREFIX}_policy_reload_failures",
            "Looks at the policies' directory that failed; the last good state stays.",
            registry=registry,
        )
        self.watch = WatchMetrics(PREFIX, registry)
        self.live_reads = Counter(
            f"{PREFIX}_live_reads",
            "Reads of one namespace past the watch, by outcome.",
            ("outcome",),
            registry=registry,
        )
        self.certificate_expiry = Gauge(
            f"{PREFIX}_certificate_expiry_timestamp_seconds",
            "When the serving certificate expires, in Unix time; 0 while there is none.",
            registry=registry,
        )
        self.certificate_reload_failures = Counter(
            f"{PREFIX}_certificate_reload_failures",
            "Looks at the certificate's files that failed; the last good pair stays.",
            registry=registry,
        )

    def count_policies(self, *, usable: int, broken: int, left_out: int = 0, size: int = 0) -> None:
        """Show how many policies are known, and how many namespaces are left out."""
        self._policies.labels("usable").set(usable)
        self._policies.labels("broken").set(broken)
        self._policies_size.set(size)
        self._left_out.set(left_out)

    def count_cluster_objects(
        self, resource: str, *, usable: int, broken: int, left_out: bool
    ) -> None:
        """Show how many objects of a cluster-scoped resource are known."""
        self._cluster_objects.labels(resource, "usable").set(usable)
        self._cluster_objects.labels(resource, "broken").set(broken)
        self._kinds_left_out.labels(resource).set(left_out)
