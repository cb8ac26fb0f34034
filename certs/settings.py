"""The decisions of the person who installs certs, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from certs.issuing import AUTHORITY_LIFETIME, SERVING_LIFETIME
from certs.rotation import Waits

if TYPE_CHECKING:
    import datetime as dt


class SetupError(Exception):
    """An option is not what it should be; the text is one sentence for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The webhook that gets a certificate, and all durations.

    Attributes:
        namespace: Of the Secrets, the Lease and the webhook's Service.
        service: The Service's name.
        serving_lifetime: Of a serving certificate; renewed after two thirds of it.
        authority_lifetime: Of an authority; renewed likewise.
        waits: The times for which old and new are accepted side by side.
    """

    namespace: str
    service: str = "model-validation-webhook"
    serving_lifetime: dt.timedelta = SERVING_LIFETIME
    authority_lifetime: dt.timedelta = AUTHORITY_LIFETIME
    waits: Waits = field(default_factory=Waits)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the webhook's DNS names; the API server asks for the first."""
        host = f"{self.service}.{self.namespace}"
        return f"{host}.svc", f"{host}.svc.cluster.local", host
