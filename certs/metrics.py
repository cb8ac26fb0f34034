"""The metrics of certs, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge

if TYPE_CHECKING:
    import datetime as dt

PREFIX: Final = "model_validation_certs"
CERTIFICATES: Final = "authority", "serving"


class Metrics:
    """The collectors, all in the given registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.leader = Gauge(
            f"{PREFIX}_leader", "1 where this replica is the one that works.", registry=registry
        )
        self._expiry = Gauge(
            f"{PREFIX}_expiry_timestamp_seconds",
            "When the certificate expires, in Unix time, as this replica saw it last; 0 for none.",
            ("certificate",),
            registry=registry,
        )
        self.issued = Counter(
            f"{PREFIX}_issued",
            "Certificates that this replica made.",
            ("certificate",),
            registry=registry,
        )
        self.published = Counter(
            f"{PREFIX}_published",
            "Webhook configurations into which this replica wrote caBundle.",
            registry=registry,
        )
        self.failures = Counter(
            f"{PREFIX}_failures",
            "Looks and steps that failed, and are tried again.",
            registry=registry,
        )
        for name in CERTIFICATES:
            self.issued.labels(name)
            self.expires(name, None)

    def expires(self, certificate: str, end: dt.datetime | None) -> None:
        """Show when a certificate expires."""
        self._expiry.labels(certificate).set(end.timestamp() if end else 0)
