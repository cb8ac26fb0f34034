"""The serving certificate: read by content every few seconds, swapped for new connections.

A mounted Secret changes without file events, and a live context that is given a
bad pair breaks its listener. So each new pair is loaded into a context of its
own, and only a good one is handed out, by the callback for server names.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog
from cryptography import x509

from webhook.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path

    from webhook.metrics import Metrics

RELOAD_SECONDS: Final = 2
"""Between two looks at the files; the kubelet takes up to 90 s to show a changed Secret."""

FILE_LIMIT: Final = 1024 * 1024
"""Bytes of each file, as Kubernetes limits a Secret."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LoadedPair:
    """A pair that was found good.

    Attributes:
        context: Serves with it.
        content: The files' bytes, to notice a change.
        expires: The certificate's end.
    """

    context: ssl.SSLContext
    content: tuple[bytes, bytes] = field(repr=False)
    expires: dt.datetime


class ServingCertificate:
    """The pair that new connections get, and the context to listen with."""

    def __init__(
        self,
        certificate: Path,
        key: Path,
        *,
        metrics: Metrics,
        reload_seconds: float = RELOAD_SECONDS,
    ) -> None:
        self._files = certificate, key
        self._metrics = metrics
        self._reload_seconds = reload_seconds
        self._pair: LoadedPair | None = None
        self._complaint = ""
        self.context = new_context()
        self.context.sni_callback = self._hand_out

    @property
    def ready(self) -> bool:
        """Whether there is a pair, and it has not expired."""
        return self._pair is not None and self._pair.expires > _now()

    async def run(self) -> None:
        """Look at the files every few seconds until cancelled."""
        while True:
            self.reload()
            await asyncio.sleep(self._reload_seconds)

    def reload(self) -> None:
        """Look at the files now; a pair that is not good leaves the last good one in use."""
        try:
            content = _content(*self._files)
            # An expired pair is read again each time, so that its error is counted each time.
            if self._pair is None or content != self._pair.content or not self.ready:
                self._take(load(*self._files, content=content, now=_now()))
        except SetupError as error:
            self._metrics.certificate_reload_failures.inc()
            self._complain(str(error))
        else:
            self._complaint = ""

    def _take(self, pair: LoadedPair) -> None:
        self._pair = pair
        self._metrics.certificate_expiry.set(pair.expires.timestamp())
        _log.info("certificate loaded", expires=pair.expires.isoformat())

    def _complain(self, sentence: str) -> None:
        """Log what is wrong, once."""
        if sentence != self._complaint:
            meanwhile = (
                "the one that was loaded before stays in use"
                if self._pair
                else "no review is answered until the files hold one"
            )
            _log.error("the certificate cannot be used", reason=sentence, meanwhile=meanwhile)
            self._complaint = sentence

    def _hand_out(self, connection: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> int | None:
        """Give a new connection the current pair; OpenSSL calls this also without a server name."""
        if self._pair is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._pair.context
        return None


def new_context() -> ssl.SSLContext:
    """Return a server's context without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def load(
    certificate: Path, key: Path, *, content: tuple[bytes, bytes], now: dt.datetime
) -> LoadedPair:
    """Return the pair that the files hold, loaded into a fresh context.

    Args:
        certificate: File, PEM.
        key: File, PEM, not encrypted.
        content: What was read from the files.
        now: The time, with its zone.

    Raises:
        SetupError: Not a pair, not valid now, or changed since `content` was read.
    """
    try:
        leaf = x509.load_pem_x509_certificate(content[0])
    except ValueError as error:
        raise SetupError(f"{certificate} does not begin with a PEM certificate") from error
    if leaf.not_valid_after_utc <= now:
        raise SetupError(_expired(leaf.not_valid_after_utc))
    if leaf.not_valid_before_utc > now:
        raise SetupError(
            "the serving certificate is not valid before "
            f"{leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC: look at the clocks"
        )
    context = new_context()
    try:
        # Without a password OpenSSL would ask for it on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise SetupError(
            f"{certificate} and {key} are not a pair that can be used: the key must be the "
            "certificate's, PEM, without a password"
        ) from error
    # OpenSSL read the files itself: they must still hold what was checked here.
    if _content(certificate, key) != content:
        raise SetupError(f"{certificate} and {key} changed while they were read")
    return LoadedPair(context, content, leaf.not_valid_after_utc)


def _content(certificate: Path, key: Path) -> tuple[bytes, bytes]:
    return _read(certificate), _read(key)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_LIMIT + 1)
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > FILE_LIMIT:
        raise SetupError(f"{path} is larger than {FILE_LIMIT:,} bytes")
    return content


def _expired(end: dt.datetime) -> str:
    return f"the serving certificate expired on {end:%Y-%m-%d %H:%M} UTC: renew it"


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
