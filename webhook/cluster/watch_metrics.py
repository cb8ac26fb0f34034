"""The metrics of watches, for Prometheus, which each program that watches has under its prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class WatchMetrics:
    """The collectors, all in the given registry.

    Args:
        prefix: Of their names.
        registry: Takes them.
    """

    def __init__(self, prefix: str, registry: CollectorRegistry) -> None:
        self._restarts = Counter(
            f"{prefix}_watch_restarts",
            "Watches that ended otherwise than by their time, by resource.",
            ("resource",),
            registry=registry,
        )
        self._heard = Gauge(
            f"{prefix}_watch_heard_timestamp_seconds",
            "When the API server was heard of last, in Unix time, by resource.",
            ("resource",),
            registry=registry,
        )

    def restarted(self, resource: str) -> None:
        """Count the watch of a resource that has ended before its time."""
        self._restarts.labels(resource).inc()

    def heard(self, resource: str) -> None:
        """Show that the API server has just said something of a resource."""
        self._heard.labels(resource).set_to_current_time()
