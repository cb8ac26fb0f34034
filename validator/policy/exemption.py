"""`ModelValidationExemption`: a workload that may run for a time, whatever its verdict is.

An object of the cluster's admin. Its pods get their gate all the same, as under `mode: Audit`: the
models are verified and reported, and nothing is stopped (decision 0056).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from validator import contract
from validator.policy.document import Metadata, ModelValidation, converted
from validator.policy.origins import AppliedExemption, Resolved
from validator.policy.schema.fields import Document, Name, Part, Text, VolumeName
from validator.policy.workload import IMAGES_LIMIT, Image

if TYPE_CHECKING:
    from typing import Self

KIND: Final = contract.EXEMPTION_KIND
PLURAL: Final = "modelvalidationexemptions"

LONGEST: Final = timedelta(days=90)
"""From an exemption's creation to its end: whoever needs it for longer asks again."""


_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


def _utc(given: datetime) -> datetime:
    """Return a moment in UTC; one that is beyond all years there, as the first or last one."""
    return min(max(given, _FIRST), _LAST).astimezone(UTC)


class ExemptedWorkload(Part, frozen=True, kw_only=True):
    """The workload whose pods are exempt, by what their owner is called."""

    kind: Annotated[
        str,
        Meta(
            max_length=63,
            pattern=r"^[A-Z][A-Za-z0-9]*\Z",
            description="Kind of the pods' controller, such as StatefulSet; Deployment for pods of "
            "its ReplicaSets; Pod for one pod by its name.",
        ),
    ]
    name: Annotated[Name, Meta(description="Its name.")]


class ExemptionSpec(Part, frozen=True, kw_only=True):
    """The exemption proper."""

    namespace: Annotated[VolumeName, Meta(description="The workload's namespace.")]
    workload: ExemptedWorkload
    images: Annotated[
        tuple[Image, ...],
        Meta(
            min_length=1,
            max_length=IMAGES_LIMIT,
            description="All images that the pods may have: NAME@sha256:…, or sha256:… alone; a "
            "pod with any other is not exempt.",
        ),
    ]
    expires: Annotated[
        datetime,
        Meta(
            tz=True,
            description="Its end, RFC 3339, at most 90 days after its creation: pods that are "
            "created later are not exempt.",
        ),
    ]
    requested_by: Annotated[
        Text,
        Meta(description="Who asked for it; nobody checks it: the audit log has who wrote it."),
    ]
    reason: Annotated[Text, Meta(description="Why, for whoever reads it later.")]


class ExemptionMetadata(Metadata, frozen=True, kw_only=True):
    """The metadata, with the time by which the longest duration counts."""

    creation_timestamp: Annotated[datetime, Meta(tz=True)] | None = None


class ModelValidationExemption(
    Document, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=False
):
    """An exemption of one workload from being stopped, until a date."""

    api_version: Literal["rhtas.redhat.com/v1alpha1"]
    kind: Literal["ModelValidationExemption"]
    metadata: ExemptionMetadata
    spec: ExemptionSpec
    status: dict[str, Any] | None = None

    @classmethod
    def from_object(cls, document: object, *, source: str) -> Self:
        """Build an exemption from decoded JSON or YAML.

        Args:
            document: What the decoder returned, of any type.
            source: Where it comes from, for the sentence.

        Raises:
            PolicyError: It is not a valid ModelValidationExemption.
        """
        return converted(document, cls, kind=KIND, source=source)

    @property
    def end(self) -> datetime:
        """The moment from which it counts no more, never later than `LONGEST` allows, in UTC."""
        expires, created = _utc(self.spec.expires), self.metadata.creation_timestamp
        if created is None:
            return expires
        created = _utc(created)
        return min(expires, created + min(LONGEST, _LAST - created))

    @property
    def is_cut(self) -> bool:
        """Whether it counts no longer than `LONGEST` allows, although it says so."""
        return self.end < _utc(self.spec.expires)

    def applied_to(self, policy: ModelValidation) -> ModelValidation:
        """Return a policy as it holds for the exempt workload: it reports, and stops nothing."""
        applied = AppliedExemption(
            name=self.metadata.name, uid=self.metadata.uid, expires=f"{self.end:%Y-%m-%dT%H:%M:%SZ}"
        )
        resolved = msgspec.structs.replace(policy.resolved or Resolved(), exemption=applied)
        spec = msgspec.structs.replace(policy.spec, mode="Audit")
        return msgspec.structs.replace(policy, spec=spec, resolved=resolved)
