"""The decisions of the person who installs it, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserveSettings:
    """The images that count, the way to the cluster, and the listeners.

    Attributes:
        images: The images that a gate may have.
        reports: Whether OpenReports' reports are written, too.
        operator_compat: Whether pods with the Go operator's label count, too.
        kubeconfig: Of the cluster; `None` for the pod's own ServiceAccount.
        host: Address of the probes' listener; `None` for all, IPv4 and IPv6.
        probe_port: Of probes and metrics, plain; 0 for a free one.
        page_port: Of the page, on loopback; 0 for a free one.
    """

    images: tuple[str, ...]
    reports: bool = False
    operator_compat: bool = False
    kubeconfig: Path | None = None
    host: str | None = None
    probe_port: int = 8080
    page_port: int = 8081
