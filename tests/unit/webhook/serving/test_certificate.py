from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from prometheus_client import CollectorRegistry

from certs.issuing import Authority, ServingPair, issue, new_authority
from webhook.metrics import Metrics
from webhook.serving.certificate import FILE_LIMIT, ServingCertificate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

NOW = dt.datetime.now(dt.UTC)
EXPIRY = "model_validation_webhook_certificate_expiry_timestamp_seconds"
FAILURES = "model_validation_webhook_certificate_reload_failures_total"


class Server(Protocol):
    """Connect to the test's server; return the serial number of what it shows."""

    async def __call__(self, *, server_name: str | None = "localhost") -> int:
        """Connect, with or without a server name."""


@pytest.fixture(scope="module")
def authority() -> Authority:
    """One authority for all."""
    return new_authority(now=NOW)


@pytest.fixture
def pair(authority: Authority) -> Callable[..., ServingPair]:
    """Issue a pair for localhost that is valid from `start` for `lifetime`."""

    def make(
        *, start: dt.datetime = NOW, lifetime: dt.timedelta = dt.timedelta(days=1)
    ) -> ServingPair:
        return issue(authority, names=["localhost", "127.0.0.1"], now=start, lifetime=lifetime)

    return make


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., None]:
    """Write certificate and key to where they are read."""

    def write(certificate: bytes, key: bytes) -> None:
        (tmp_path / "tls.crt").write_bytes(certificate)
        (tmp_path / "tls.key").write_bytes(key)

    return write


@pytest.fixture
def metrics() -> Metrics:
    """Collectors of a registry of their own."""
    return Metrics(CollectorRegistry())


@pytest.fixture
def serving(tmp_path: Path, metrics: Metrics) -> ServingCertificate:
    """The serving certificate of the test's files, not read yet."""
    return ServingCertificate(tmp_path / "tls.crt", tmp_path / "tls.key", metrics=metrics)


@pytest.fixture
async def connect(serving: ServingCertificate, authority: Authority) -> AsyncIterator[Server]:
    """A listener with the serving certificate's context, and a client that checks it."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=serving.context)
    port = server.sockets[0].getsockname()[1]
    trust = ssl.create_default_context(cadata=authority.certificate.decode())

    async def make(*, server_name: str | None = "localhost") -> int:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trust, server_hostname=server_name or "127.0.0.1"
        )
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return x509.load_der_x509_certificate(shown).serial_number

    yield make
    server.close()
    await server.wait_closed()


def is_ready(serving: ServingCertificate) -> bool:
    """Ask anew, which a type checker does not expect of a property."""
    return serving.ready


def serial(pair: ServingPair) -> int:
    """Return the serial number of a pair."""
    return x509.load_pem_x509_certificate(pair.certificate).serial_number


async def test_new_connections_get_the_new_certificate(
    serving: ServingCertificate,
    connect: Server,
    pair: Callable[..., ServingPair],
    install: Callable[..., None],
) -> None:
    """A renewed pair is served without a restart, also to clients that send no server name."""
    for fresh in (pair(), pair()):
        install(fresh.certificate, fresh.key)
        serving.reload()
        assert is_ready(serving)
        assert await connect() == serial(fresh)
        assert await connect(server_name=None) == serial(fresh)


async def test_there_is_nothing_to_serve_with_at_first(
    serving: ServingCertificate,
    connect: Server,
    pair: Callable[..., ServingPair],
    install: Callable[..., None],
) -> None:
    """An empty Secret means not ready and failed handshakes, until the pair is there."""
    serving.reload()
    assert not is_ready(serving)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await connect()
    fresh = pair()
    install(fresh.certificate, fresh.key)
    serving.reload()
    assert is_ready(serving)
    assert await connect() == serial(fresh)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda good, other: (good.certificate, other.key), id="foreign key"),
        pytest.param(lambda good, _: (good.certificate, b""), id="no key"),
        pytest.param(lambda _, other: (b"junk", other.key), id="no certificate"),
        pytest.param(lambda good, _: (good.certificate[:200], good.key), id="truncated"),
        pytest.param(lambda good, _: (b"x" * 2_000_000, good.key), id="huge"),
    ],
)
async def test_a_bad_pair_keeps_the_last_good_one(  # noqa: PLR0913, PLR0917 — fixtures
    serving: ServingCertificate,
    connect: Server,
    pair: Callable[..., ServingPair],
    install: Callable[..., None],
    metrics: Metrics,
    spoil: Callable[[ServingPair, ServingPair], tuple[bytes, bytes]],
) -> None:
    """Half a rotation, or rubbish, is counted and not served; the listener lives on."""
    good = pair()
    install(good.certificate, good.key)
    serving.reload()
    install(*spoil(pair(), pair()))
    serving.reload()
    assert metrics.registry.get_sample_value(FAILURES) == 1
    assert is_ready(serving)
    assert await connect() == serial(good)


@pytest.mark.parametrize("days", [-2, 2])
async def test_a_pair_of_another_day_is_not_taken(
    serving: ServingCertificate,
    pair: Callable[..., ServingPair],
    install: Callable[..., None],
    days: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither an expired certificate nor one from the future is served; the log has the date."""
    start = NOW + dt.timedelta(days=days)
    strange = pair(start=start, lifetime=dt.timedelta(days=1))
    install(strange.certificate, strange.key)
    serving.reload()
    assert not is_ready(serving)
    log = capsys.readouterr().out
    day = start + dt.timedelta(days=1) if days < 0 else start - dt.timedelta(minutes=5)
    assert f"{day:%Y-%m-%d}" in log


async def test_a_pair_that_expires_in_use_is_not_ready(
    serving: ServingCertificate,
    pair: Callable[..., ServingPair],
    install: Callable[..., None],
    metrics: Metrics,
) -> None:
    """Readiness ends with the certificate's life, so that a replica with a newer one answers."""
    # Certificates count whole seconds.
    short = pair(start=dt.datetime.now(dt.UTC), lifetime=dt.timedelta(seconds=2))
    install(short.certificate, short.key)
    serving.reload()
    assert is_ready(serving)
    await asyncio.sleep(2.1)
    assert not is_ready(serving)
    serving.reload()
    assert (metrics.registry.get_sample_value(FAILURES) or 0) >= 1


async def test_the_expiry_can_be_watched(
    serving: ServingCertificate,
    pair: Callable[..., ServingPair],
    install: Callable[..., None],
    metrics: Metrics,
) -> None:
    """The metric is the certificate's end in Unix time, 0 while there is none."""
    assert metrics.registry.get_sample_value(EXPIRY) == 0
    good = pair(lifetime=dt.timedelta(hours=5))
    install(good.certificate, good.key)
    serving.reload()
    end = (NOW + dt.timedelta(hours=5)).replace(microsecond=0).timestamp()
    assert metrics.registry.get_sample_value(EXPIRY) == end


async def test_an_encrypted_key_does_not_ask_for_a_password(
    serving: ServingCertificate, pair: Callable[..., ServingPair], install: Callable[..., None]
) -> None:
    """A key with a password is refused, without a question on the terminal."""
    good = pair()
    key = serialization.load_pem_private_key(good.key, password=None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    install(good.certificate, encrypted)
    serving.reload()
    assert not is_ready(serving)


async def test_old_protocols_are_refused(
    serving: ServingCertificate, pair: Callable[..., ServingPair], install: Callable[..., None]
) -> None:
    """TLS 1.2 is the least that is spoken."""
    good = pair()
    install(good.certificate, good.key)
    serving.reload()
    assert serving.context.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_a_file_that_is_too_large_is_said(
    serving: ServingCertificate,
    pair: Callable[..., ServingPair],
    install: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also where it begins with what would do."""
    good = pair()
    install(good.certificate + b"\n" * FILE_LIMIT, good.key)
    serving.reload()
    assert not serving.ready
    assert "tls.crt is larger than 1,048,576 bytes" in capsys.readouterr().out


async def test_files_that_change_while_they_are_read_are_not_taken(
    serving: ServingCertificate,
    pair: Callable[..., ServingPair],
    install: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """OpenSSL reads the files anew: what it loaded may be another pair than was looked at."""
    first, second = pair(), pair()
    install(first.certificate, first.key)
    load = ssl.SSLContext.load_cert_chain

    def changing(context: ssl.SSLContext, *arguments: Any, **options: Any) -> None:
        install(second.certificate, second.key)
        load(context, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(ssl.SSLContext, "load_cert_chain", changing)
        serving.reload()
    assert not is_ready(serving)
    assert "changed while they were read" in capsys.readouterr().out
    serving.reload()
    assert is_ready(serving)
