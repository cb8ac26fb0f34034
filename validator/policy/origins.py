"""What went into a resolved policy besides the policy itself, for the report of its gate.

Only `trust_root.resolve` and an exemption write it, and a rule's list of TrustRoots is compared
with it. No definition of a resource has it, and a file that says it itself is refused.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from validator.policy.schema.fields import Name, Part
from validator.policy.signers import SIGNERS_LIMIT

ORIGINS_LIMIT: Final = SIGNERS_LIMIT + 1
"""TrustRoots that one document names: one for each signer, and one for all keyless ones."""


class Origin(Part, frozen=True, kw_only=True):
    """An object of the cluster that was read, by name and in which state."""

    name: Name
    uid: Annotated[str, Meta(max_length=64)] | None = None
    generation: Annotated[int, Meta(ge=0)] | None = None

    @property
    def shown(self) -> str:
        """Name and generation, for a report: the generation grows with each renewal."""
        return self.name if self.generation is None else f"{self.name}/{self.generation}"


class AppliedExemption(Part, frozen=True, kw_only=True):
    """The exemption by which a policy stops nothing for the pod."""

    name: Name
    uid: Annotated[str, Meta(max_length=64)] | None = None
    expires: Annotated[str, Meta(max_length=64)]


class Resolved(Part, frozen=True, kw_only=True):
    """The objects that a resolved policy was made of.

    Attributes:
        trust_roots: The TrustRoots that it names.
        trusts_nothing_else: Whether they vouch for each signer that it accepts.
    """

    trust_roots: Annotated[tuple[Origin, ...], Meta(max_length=ORIGINS_LIMIT)] = ()
    trusts_nothing_else: bool = False
    exemption: AppliedExemption | None = None
