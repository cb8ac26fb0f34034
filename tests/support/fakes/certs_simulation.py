"""A cluster in memory, with API servers that lag and kubelets that are slow: the other side.

Each call of a replica is one move, so that moves of several replicas mix in any order and a
replica can die between any two. `gaps` knows what every webhook replica may still present and what
every API server may still trust, at the latest that the waits allow for.
"""

from __future__ import annotations

import datetime as dt
import types
from base64 import b64decode, b64encode
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from prometheus_client import CollectorRegistry

from certs.controller import Controller
from certs.flaws import certificates
from certs.metrics import Metrics
from certs.objects import AUTHORITY, CONFIGURATIONS, SERVING, secret_path
from certs.settings import Settings
from webhook.cluster.errors import ApiError, Conflict

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Generator, Iterator

    from certs.objects import Kind, Object
    from certs.rotation import Waits

EPOCH = dt.datetime(2026, 11, 25, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
NAMESPACE = "model-validation"
SETTINGS = Settings(namespace=NAMESPACE)
AUTHORITY_PATH = secret_path(NAMESPACE, AUTHORITY)
SERVING_PATH = secret_path(NAMESPACE, SERVING)
LAG = SETTINGS.waits.settling - SECOND
"""For which an API server may go on using a `caBundle` that was replaced."""
LOADING = SETTINGS.waits.overlap - SECOND
"""For which a replica of the webhook may go on presenting a certificate that was replaced."""


@types.coroutine
def _move() -> Generator[None]:
    yield


@dataclass(frozen=True, slots=True)
class Written:
    """A value, when it was written, and whether a user did, who may do anything."""

    at: dt.timedelta
    value: bytes
    by_user: bool


class Cluster:
    """The objects and their history; it is an `Api` for the replicas.

    Attributes:
        elapsed: The time since `EPOCH`.
        objects: JSON, by path.
    """

    def __init__(self) -> None:
        self.elapsed = dt.timedelta()
        self.objects: dict[str, Object] = {}
        self._version = 0
        self._bundles: dict[tuple[str, str], list[Written]] = {}
        self._leaves: list[Written] = []
        for path in (AUTHORITY_PATH, SERVING_PATH):
            self._put(path, {"kind": "Secret"}, by_user=True)
        for path in CONFIGURATIONS:
            self.reapply(path)

    @property
    def now(self) -> dt.datetime:
        """The true time."""
        return EPOCH + self.elapsed

    # What the controller asks

    async def get(self, path: str, kind: type[Kind]) -> Kind | None:
        """Return an object as it is when the move is made."""
        await _move()
        found = self.objects.get(path)
        return None if found is None else msgspec.convert(found, kind)

    async def patch(self, path: str, body: Object) -> None:
        """Write, if the version is that of the object when the move is made."""
        await _move()
        found = self.objects.get(path)
        if found is None or body["metadata"] != found["metadata"]:
            raise Conflict(f"{path} was changed by somebody else")
        self._put(path, merged(found, body), by_user=False)

    def changes(self, path: str) -> AsyncGenerator[None]:
        """No client listens here."""
        raise NotImplementedError(path)

    # What a user does

    def user_patches(self, path: str, body: Object) -> None:
        """Write whatever a user wants."""
        self._put(path, merged(self.objects[path], body), by_user=True)

    def reapply(self, path: str) -> None:
        """Put a configuration there as the manifests ship it."""
        entries: list[Object] = [
            {"name": name, "clientConfig": {}} for name in ("ours", "compatible")
        ]
        self._put(path, {"webhooks": entries}, by_user=True)

    def secret(self, path: str, key: str) -> bytes:
        """Return a value of a Secret, empty where there is none."""
        return b64decode((self.objects[path].get("data") or {}).get(key, ""))

    def published(self) -> set[bytes]:
        """Return the bundles that the configurations hold."""
        return {history[-1].value for history in self._bundles.values()}

    # What can go wrong

    def bundles(self) -> set[bytes]:
        """Return what API servers may trust now, apart from what users wrote."""
        return {
            written.value
            for history in self._bundles.values()
            for written in self._current(history, LAG)
            if not written.by_user
        }

    def leaves(self) -> set[bytes]:
        """Return what replicas of the webhook may present now, apart from what users wrote."""
        return {
            written.value
            for written in self._current(self._leaves, LOADING)
            if not written.by_user and self._valid(written.value)
        }

    def gaps(self) -> list[str]:
        """Return what an API server may refuse now, as sentences."""
        return [
            f"after {self.elapsed}: {_subject(leaf)} fails with {list(map(str, _names(bundle)))}"
            for leaf in self.leaves()
            for bundle in self.bundles()
            if not self._verifies(leaf, bundle)
        ]

    def covered(self, bundle: bytes) -> bool:
        """Tell whether all that may be presented now verifies with a bundle, which is one."""
        return bool(certificates(bundle)) and all(
            self._verifies(leaf, bundle) for leaf in self.leaves()
        )

    def _current(self, history: list[Written], lag: dt.timedelta) -> Iterator[Written]:
        """Yield the last value, and those whose successor is not older than `lag`."""
        for number, written in enumerate(history):
            replaced = history[number + 1].at if number + 1 < len(history) else self.elapsed
            if replaced + lag > self.elapsed:
                yield written

    def _verifies(self, leaf: bytes, bundle: bytes) -> bool:
        if not (trusted := certificates(bundle)):
            return False
        store = Store(list(trusted))
        name = x509.DNSName(f"model-validation-webhook.{NAMESPACE}.svc")
        verifier = PolicyBuilder().store(store).time(self.now).build_server_verifier(name)
        try:
            verifier.verify(x509.load_pem_x509_certificate(leaf), [])
        except VerificationError:
            return False
        return True

    def _valid(self, leaf: bytes) -> bool:
        certificate = x509.load_pem_x509_certificate(leaf)
        return certificate.not_valid_before_utc <= self.now < certificate.not_valid_after_utc

    def _put(self, path: str, content: Object, *, by_user: bool) -> None:
        self._version += 1
        self.objects[path] = content | {"metadata": {"resourceVersion": str(self._version)}}
        for entry in content.get("webhooks", []):
            bundle = b64decode(entry["clientConfig"].get("caBundle") or "")
            history = self._bundles.setdefault((path, entry["name"]), [])
            if not history or history[-1].value != bundle:
                history.append(Written(self.elapsed, bundle, by_user))
        if path == SERVING_PATH:
            leaf = self.secret(path, "tls.crt")
            # A replica keeps its last good pair; whatever is not one does not replace it.
            known = bool(self._leaves) and self._leaves[-1].value == leaf
            if not known and _is_pair(leaf, self.secret(path, "tls.key")) and self._valid(leaf):
                if not self.leaves():
                    # Out of service until now: who lags comes back later, and loses nothing.
                    for history in self._bundles.values():
                        del history[:-1]
                self._leaves.append(Written(self.elapsed, leaf, by_user))


class Replica:
    """A replica of the controller without a Lease, so that all replicas work at once."""

    def __init__(
        self, cluster: Cluster, *, skew: dt.timedelta = dt.timedelta(), waits: Waits | None = None
    ) -> None:
        self._cluster = cluster
        settings = Settings(namespace=NAMESPACE, waits=waits or SETTINGS.waits)
        self.metrics = Metrics(CollectorRegistry())
        self._controller = Controller(
            cluster,
            settings,
            metrics=self.metrics,
            now=lambda: cluster.now + skew,
            clock=lambda: cluster.elapsed / SECOND,
        )
        self._turn: Coroutine[Any, Any, float] | None = None
        self.complaint: str | None = None

    def move(self) -> float | None:
        """Go on to the next call of the API server; return the pause where the turn ends."""
        if self._turn is None:
            self._turn = self._controller.turn()
            self.complaint = None
        try:
            self._turn.send(None)
        except StopIteration as end:
            self._turn = None
            return float(end.value)
        except Conflict:
            self._turn = None
            return 0
        except ApiError as error:
            self._turn = None
            self.complaint = str(error)
            return 5
        return None

    def turn(self) -> float:
        """Take a whole turn; return the pause after it."""
        while (pause := self.move()) is None:
            pass
        return pause

    def die(self) -> None:
        """End wherever it is."""
        if self._turn is not None:
            self._turn.close()


def run(cluster: Cluster, replica: Replica, *, duration: dt.timedelta) -> list[str]:
    """Let a replica alone work for a while; return the gaps that opened."""
    found, end = cluster.gaps(), cluster.elapsed + duration
    while cluster.elapsed < end:
        pause = dt.timedelta(seconds=max(0.5, replica.turn()))
        found += cluster.gaps()
        cluster.elapsed += pause
        found += cluster.gaps()
    return found


def encoded(**data: bytes | None) -> Object:
    """Return the patch of a Secret's values; `_` in a key is a dot, `None` removes."""
    values = {
        key.replace("_", "."): None if value is None else b64encode(value).decode()
        for key, value in data.items()
    }
    return {"data": values}


def bundled(bundle: bytes) -> Object:
    """Return the patch that puts a bundle into both entries of a configuration."""
    value = b64encode(bundle).decode()
    names = ("ours", "compatible")
    return {"webhooks": [{"name": each, "clientConfig": {"caBundle": value}} for each in names]}


def merged(whole: Any, change: Any) -> Any:
    """Merge as the API server does: objects by key, entries of a configuration by name."""
    if isinstance(change, dict) and isinstance(whole, dict | None):
        result = deepcopy(whole or {})
        for key, value in change.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = merged(result.get(key), value)
        return result
    if isinstance(change, list) and isinstance(whole, list):
        by_name = {each["name"]: each for each in change}
        return [merged(each, by_name.get(each["name"], {})) for each in whole]
    return deepcopy(change)


def _is_pair(certificate: bytes, key: bytes) -> bool:
    try:
        leaf = x509.load_pem_x509_certificate(certificate)
        return leaf.public_key() == serialization.load_pem_private_key(key, None).public_key()
    except ValueError:
        return False


def _names(bundle: bytes) -> list[x509.Name]:
    return [each.subject for each in certificates(bundle)]


def _subject(leaf: bytes) -> str:
    return str(x509.load_pem_x509_certificate(leaf).issuer)
