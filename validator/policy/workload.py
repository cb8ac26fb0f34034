"""The demands of a policy on the pod: arguments, re-validation, the gate's resources and user."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta

from validator.policy.schema import image_reference
from validator.policy.schema.fields import Duration, Identifier, Part, Quantity, Rate, Rule

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}


_BYTES: Final = {"M": 10**6, "Mi": 2**20, "G": 10**9, "Gi": 2**30}


IMAGES_LIMIT: Final = 64
"""Images of one list: the releases of a server and its helpers that are in use at once."""

Image = Annotated[str, Meta(max_length=512, pattern=image_reference.ALLOWED)]


class Workload(Part, frozen=True, kw_only=True):
    """Demands on the containers that serve the model."""

    arguments: Annotated[
        Literal["Check", "Strict"],
        Meta(description="Check guards against mistakes; Strict is an allowlist, the boundary."),
    ] = "Check"
    images: Annotated[
        tuple[Image, ...],
        Meta(
            max_length=IMAGES_LIMIT,
            description="The images that may serve under Strict, which admits no pod without: "
            "NAME@sha256:…, or sha256:… alone.",
        ),
    ] = ()
    other_images: Annotated[
        tuple[Image, ...],
        Meta(
            max_length=IMAGES_LIMIT,
            description="The images that may run beside them under Strict.",
        ),
    ] = ()


class Revalidation(Part, frozen=True, kw_only=True):
    """Verify again and again while the workload runs, in a sidecar."""

    interval: Annotated[
        Duration,
        Meta(description="How often all is read again, changed or not: 10s to 24h."),
    ] = "1h"
    action: Annotated[
        Literal["Unready", "Report", "Stop"],
        Meta(
            description="Unready takes the pod out of its Services; Report says it in the log; "
            "Stop also ends the pod's containers, and the gate runs again (Kubernetes 1.36; on an "
            "older one it is Unready)."
        ),
    ] = "Unready"
    bytes_per_second: Annotated[
        Rate,
        Meta(description="How fast the model is read beside the workload: 1M to 99999Gi."),
    ] = "100Mi"

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "revalidation.interval is too short or too long: choose one from 10s to 24h",
            "duration(self.interval) >= duration('10s') && "
            "duration(self.interval) <= duration('24h')",
            lambda self: 10 <= self.seconds <= _SECONDS["h"] * 24,  # noqa: PLR2004 — as it says
        ),
    )

    @property
    def seconds(self) -> int:
        """The interval in seconds."""
        return int(self.interval[:-1]) * _SECONDS[self.interval[-1]]

    @property
    def rate(self) -> int:
        """The rate in bytes per second."""
        number = self.bytes_per_second.rstrip("MGi")
        return int(number) * _BYTES[self.bytes_per_second.removeprefix(number)]


class Amounts(Part, frozen=True, kw_only=True):
    """Amounts of the two resources that a gate uses."""

    cpu: Annotated[Quantity, Meta(description="Cores, such as 500m or 2.")] | None = None
    memory: Annotated[Quantity, Meta(description="Bytes, such as 512Mi.")] | None = None


class Resources(Part, frozen=True, kw_only=True):
    """The gate's resources; mirrored from the workload, if absent."""

    requests: Amounts | None = None
    limits: Amounts | None = None


class SecurityContext(Part, frozen=True, kw_only=True):
    """The gate's user and groups; the workload's, if absent."""

    run_as_user: Annotated[Identifier, Meta(description="Numeric user.")] | None = None
    run_as_group: Annotated[Identifier, Meta(description="Numeric group.")] | None = None
