"""The objects of the cluster that are read and written: their paths, fields and patches.

Each write names the version that was read, so that the API server refuses it where
another client wrote in between.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import msgspec

from certs.issuing import Authority, ServingPair
from webhook.cluster.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

Object = dict[str, Any]

AUTHORITY: Final = "model-validation-ca"
SERVING: Final = "model-validation-webhook-tls"
LEASE: Final = "model-validation-certs"
CONFIGURATION: Final = "zz-model-validation"

CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"
TRUSTED: Final = "ca.crt"
"""Key of the authority's Secret: all authorities to trust, the present one first."""

CONFIGURATIONS: Final = tuple(
    f"/apis/admissionregistration.k8s.io/v1/{plural}/{CONFIGURATION}"
    for plural in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
)


def secret_path(namespace: str, name: str) -> str:
    """Return where a Secret is."""
    return f"/api/v1/namespaces/{namespace}/secrets/{name}"


def lease_path(namespace: str) -> str:
    """Return where the Lease is."""
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LEASE}"


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """Of any object; no two objects, and no two states of one, share a version."""

    resource_version: str


class Secret(msgspec.Struct, frozen=True):
    """A Secret, its values decoded."""

    metadata: Metadata
    data: dict[str, bytes] | None = None

    @property
    def authority(self) -> Authority:
        """Return the authority that it holds, empty where it holds none."""
        return Authority(self._value(CERTIFICATE), self._value(KEY))

    @property
    def serving(self) -> ServingPair:
        """Return the serving pair that it holds, empty where it holds none."""
        return ServingPair(self._value(CERTIFICATE), self._value(KEY))

    @property
    def trusted(self) -> bytes:
        """Return the authorities to trust, PEM."""
        return self._value(TRUSTED)

    def _value(self, key: str) -> bytes:
        return (self.data or {}).get(key, b"")


class _ClientConfig(msgspec.Struct, frozen=True, rename={"bundle": "caBundle"}):
    bundle: bytes = b""


class Entry(msgspec.Struct, frozen=True, rename={"client": "clientConfig"}):
    """One webhook of a configuration."""

    name: str
    client: _ClientConfig

    @property
    def bundle(self) -> bytes:
        """Return whom the API server trusts, PEM."""
        return self.client.bundle


class Configuration(msgspec.Struct, frozen=True):
    """A mutating or a validating webhook configuration."""

    metadata: Metadata
    webhooks: list[Entry] | None = None

    @property
    def entries(self) -> list[Entry]:
        """Return its webhooks."""
        return self.webhooks or []


class Claim(msgspec.Struct, frozen=True, rename="camel"):
    """The leader, as the Lease names it; without a name there is none."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    lease_transitions: int | None = None


class Lease(msgspec.Struct, frozen=True):
    """A Lease."""

    metadata: Metadata
    spec: Claim = Claim()


@dataclass(frozen=True, slots=True)
class Sighting:
    """The last seen state, and the time since when it has been unchanged.

    Attributes:
        seen: Values that compare equal where nothing has changed.
        since: In seconds of a monotonic clock.
    """

    seen: tuple[object, ...] = field(repr=False)
    since: float

    def again(self, seen: tuple[object, ...], *, at: float) -> Sighting:
        """Return the sighting after another look."""
        return self if seen == self.seen else Sighting(seen, at)


Kind = TypeVar("Kind", Secret, Configuration, Lease)


class Api(Protocol):
    """The part of an API client that certs needs; each call raises `ApiError` only."""

    async def get(self, path: str, kind: type[Kind]) -> Kind | None:
        """Return the object at a path, `None` where there is none."""

    async def patch(self, path: str, body: Object) -> None:
        """Merge `body` into the object at a path; raise `Conflict` where it is another by now."""

    def changes(self, path: str) -> AsyncGenerator[None]:
        """Yield whenever the object at a path may have changed, first at once, for a while."""


def missing(*paths: str) -> ApiError:
    """Return the error of objects that the manifests ship and that are not there."""
    return ApiError(f"missing: {', '.join(paths)}: apply the webhook's manifests again")


def secret_patch(secret: Secret, data: Mapping[str, bytes]) -> Object:
    """Return what writes these values, and leaves others."""
    return _patch(secret.metadata, data=data)


def bundle_patch(configuration: Configuration, bundle: bytes) -> Object:
    """Return what writes `caBundle` in each entry."""
    entries = [
        {"name": entry.name, "clientConfig": {"caBundle": bundle}}
        for entry in configuration.entries
    ]
    return _patch(configuration.metadata, webhooks=entries)


def lease_patch(lease: Lease, spec: Mapping[str, Any]) -> Object:
    """Return what writes these fields of a Lease, and leaves others."""
    return _patch(lease.metadata, spec=spec)


def _patch(metadata: Metadata, **fields: Any) -> Object:
    patch: Object = msgspec.to_builtins(
        {"metadata": {"resourceVersion": metadata.resource_version}, **fields}
    )
    return patch
