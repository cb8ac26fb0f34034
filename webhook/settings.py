"""The decisions of the person who installs the webhook, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GATE_COMMAND: Final = (
    *("/opt/model-validation/bin/python", "-I", "-X", "utf8", "-m", "validator"),
)
"""The validator in its image: isolated from HOME, the working directory and PYTHON* variables;
file names are bytes in UTF-8, whatever the image's locale says."""

Version = tuple[int, int]
"""Kubernetes' major and minor version."""

GATE_USER: Final = 65532
"""The validator image's own numeric user, for pods that name none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """The gate's image, how it is started, and by which Kubernetes.

    Attributes:
        image: Image reference of the validator.
        accepted_images: Further references that the validating side accepts in a
            pod: other replicas' during an upgrade.
        command: The program, by absolute path, without the subcommand.
        user: The image's numeric user.
        server: The API server's version, `None` where it is not known.
    """

    image: str
    accepted_images: tuple[str, ...] = ()
    command: tuple[str, ...] = GATE_COMMAND
    user: int = GATE_USER
    server: Version | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceOptions:
    """A namespace, as far as its labels steer us (they belong to the cluster's admin).

    Attributes:
        name: Its name.
        labels: Its labels, as far as they are known.
        labels_known: Whether they are: without a cluster, a namespace may be no more than a name.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    labels_known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The webhook's listeners, sources, and time to drain.

    Attributes:
        certificate: PEM file of the serving certificate; re-read when it changes.
        key: PEM file of its key.
        host: Address of both listeners; `None` for all, IPv4 and IPv6.
        port: Of the reviews, TLS; 0 for a free one.
        probe_port: Of probes and metrics, plain; 0 for a free one.
        policies: Directory of policies; `None` to watch the cluster's.
        kubeconfig: Of the cluster; `None` for the pod's own ServiceAccount.
        gate_namespace: Whose annotations name images that a gate may have as well; `None` for
            none but ours.
        operator_compat: Whether the Go operator's label is honoured as ours is.
        drain_seconds: From SIGTERM until the listeners close, for endpoints to drop us.
    """

    certificate: Path
    key: Path
    host: str | None = None
    port: int = 8443
    probe_port: int = 8080
    policies: Path | None = None
    kubeconfig: Path | None = None
    gate_namespace: str | None = None
    operator_compat: bool = False
    drain_seconds: float = 10
