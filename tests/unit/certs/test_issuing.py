from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from certs.issuing import (
    AUTHORITY_LIFETIME,
    SERVING_LIFETIME,
    Authority,
    issue,
    needs_renewal,
    new_authority,
)

if TYPE_CHECKING:
    from cryptography.x509.verification import Subject

NOW = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
SERVICE = "webhook.model-validation.svc"


@pytest.fixture(scope="module")
def authority() -> Authority:
    """An authority made at `NOW`."""
    return new_authority(now=NOW)


def accepted(authority: Authority, certificate: bytes, *, subject: Subject) -> bool:
    """Tell whether a client that trusts the authority accepts the certificate an hour later."""
    store = Store([x509.load_pem_x509_certificate(authority.certificate)])
    verifier = PolicyBuilder().store(store).time(NOW + dt.timedelta(hours=1))
    try:
        verifier.build_server_verifier(subject).verify(
            x509.load_pem_x509_certificate(certificate), []
        )
    except VerificationError:
        return False
    return True


def test_a_client_accepts_the_certificate_for_its_names_only(authority: Authority) -> None:
    """The issued certificate holds for each DNS name and address asked for, and no other."""
    pair = issue(authority, names=[SERVICE, "127.0.0.1", "::1"], now=NOW)

    for address in ("127.0.0.1", "::1"):
        subject = x509.IPAddress(ipaddress.ip_address(address))
        assert accepted(authority, pair.certificate, subject=subject)
    assert accepted(authority, pair.certificate, subject=x509.DNSName(SERVICE))
    assert not accepted(authority, pair.certificate, subject=x509.DNSName("other.example"))


def test_another_authority_is_not_enough(authority: Authority) -> None:
    """A certificate is refused by who trusts only another authority of ours."""
    other = new_authority(now=NOW + dt.timedelta(seconds=1))
    pair = issue(other, names=[SERVICE], now=NOW)
    assert not accepted(authority, pair.certificate, subject=x509.DNSName(SERVICE))


def test_a_certificate_does_not_outlive_its_authority(authority: Authority) -> None:
    """Near the authority's end a certificate is issued for what remains."""
    pair = issue(authority, names=[SERVICE], now=NOW + AUTHORITY_LIFETIME - dt.timedelta(days=1))
    end = x509.load_pem_x509_certificate(pair.certificate).not_valid_after_utc
    assert end == NOW + AUTHORITY_LIFETIME


@pytest.mark.parametrize(
    ("age", "reason"),
    [
        (dt.timedelta(0), None),
        (SERVING_LIFETIME * 0.6, None),
        (SERVING_LIFETIME * 0.7, "two thirds"),
        (SERVING_LIFETIME, "expired on 2027-02-21 12:00 UTC"),
        (-dt.timedelta(hours=1), "not valid before"),
    ],
)
def test_renewal_follows_the_age(
    authority: Authority, age: dt.timedelta, reason: str | None
) -> None:
    """Fresh certificates stay, old, expired and future ones are renewed with a reason."""
    pair = issue(authority, names=[SERVICE], now=NOW)
    found = needs_renewal(pair.certificate, now=NOW + age)
    assert (found is None) if reason is None else (found is not None and reason in found)


@pytest.mark.parametrize("text", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_not_a_certificate_is_renewed(text: bytes) -> None:
    """An empty or garbled Secret gives a reason, not an exception."""
    assert needs_renewal(text, now=NOW) == "it is not a PEM certificate"


def test_a_nameless_certificate_is_not_issued(authority: Authority) -> None:
    """No client could accept a certificate without a name."""
    with pytest.raises(ValueError, match="at least one"):
        issue(authority, names=[], now=NOW)


def test_keys_do_not_show_in_logs(authority: Authority) -> None:
    """The values' texts leave the private keys out."""
    pair = issue(authority, names=[SERVICE], now=NOW)
    assert "PRIVATE KEY" not in repr(authority) + repr(pair)


def test_an_authority_with_a_key_of_another_kind_signs_nothing(authority: Authority) -> None:
    """A Secret may hold any key; ours is an EC key."""
    key = ed25519.Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with pytest.raises(ValueError, match="the authority's key is not an EC key"):
        issue(Authority(authority.certificate, key), names=[SERVICE], now=NOW)
