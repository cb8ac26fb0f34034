from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certs.flaws import authority_flaw, certificates, is_issued_by, serving_flaw
from certs.issuing import Authority, ServingPair, issue, new_authority

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

NOW = dt.datetime(2026, 11, 25, tzinfo=dt.UTC)
NAMES = ("webhook.ns.svc", "webhook.ns")
AUTHORITY = new_authority(now=NOW)
OTHER = new_authority(now=NOW)
ISSUER = certificates(AUTHORITY.certificate)[0]
PAIR = issue(AUTHORITY, names=NAMES, now=NOW)
DAY = dt.timedelta(days=1)


def key_pem(key: CertificateIssuerPrivateKeyTypes, *, password: bytes | None = None) -> bytes:
    """Return a private key as PEM."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def self_signed(key: CertificateIssuerPrivateKeyTypes, *extensions: x509.ExtensionType) -> bytes:
    """Return a certificate with the extensions only, PEM."""
    name = x509.Name([])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + DAY)
    )
    for each in extensions:
        builder = builder.add_extension(each, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


EC_KEY = ec.generate_private_key(ec.SECP256R1())
LOCKED = key_pem(EC_KEY, password=b"secret")
A_CA = x509.BasicConstraints(ca=True, path_length=None)


def test_what_is_in_order_has_no_flaw() -> None:
    """As it was issued."""
    assert authority_flaw(AUTHORITY, now=NOW) is None
    assert serving_flaw(PAIR, issuer=ISSUER, names=NAMES, now=NOW) is None


@pytest.mark.parametrize(
    ("authority", "flaw"),
    [
        (Authority(b"", b""), "there is no certificate that can be read"),
        (Authority(b"junk", AUTHORITY.key), "there is no certificate that can be read"),
        (Authority(AUTHORITY.certificate, b""), "there is no key that can be read"),
        (Authority(AUTHORITY.certificate, b"junk"), "there is no key that can be read"),
        (Authority(AUTHORITY.certificate, LOCKED), "there is no key that can be read"),
        (Authority(AUTHORITY.certificate, OTHER.key), "its key is another certificate's"),
        (
            Authority(PAIR.certificate, PAIR.key),
            "its certificate is not an authority's",
        ),
        (
            Authority(self_signed(EC_KEY), key_pem(EC_KEY)),
            "its certificate is not an authority's",
        ),
        (
            Authority(self_signed(EC_KEY, A_CA), key_pem(EC_KEY)),
            "its certificate is not an authority's",
        ),
    ],
)
def test_a_damaged_authority_is_told(authority: Authority, flaw: str) -> None:
    """Whatever a Secret holds, a sentence says why it cannot be used."""
    assert authority_flaw(authority, now=NOW) == flaw


def test_an_authority_with_another_kind_of_key_is_told() -> None:
    """Whoever replaced it by an RSA authority of their own gets ours."""
    key = rsa.generate_private_key(65537, 2048)
    authority = Authority(self_signed(key, A_CA), key_pem(key))
    assert authority_flaw(authority, now=NOW) == "its key is not an EC key"


@pytest.mark.parametrize(
    ("pair", "flaw"),
    [
        (ServingPair(b"", b""), "there is no certificate that can be read"),
        (ServingPair(PAIR.certificate, OTHER.key), "its key is another certificate's"),
        (issue(OTHER, names=NAMES, now=NOW), "it is not from the present authority"),
        (issue(AUTHORITY, names=NAMES[:1], now=NOW), "it is for other names"),
        (issue(AUTHORITY, names=[*NAMES, "more"], now=NOW), "it is for other names"),
        (
            issue(AUTHORITY, names=NAMES, now=NOW - 91 * DAY),
            "it expired on 2026-11-24 00:00 UTC",
        ),
    ],
)
def test_a_damaged_serving_pair_is_told(pair: ServingPair, flaw: str) -> None:
    """Another's, for others, or too old."""
    assert serving_flaw(pair, issuer=ISSUER, names=NAMES, now=NOW) == flaw


def test_an_old_authority_is_told() -> None:
    """By the same rule as for any certificate."""
    flaw = authority_flaw(AUTHORITY, now=NOW + 250 * DAY)
    assert flaw is not None
    assert flaw.startswith("two thirds of its lifetime are over")


def test_a_short_life_is_not_born_old() -> None:
    """The allowance for other clocks is a part of the lifetime."""
    short = new_authority(now=NOW, lifetime=dt.timedelta(minutes=1))
    assert authority_flaw(short, now=NOW + dt.timedelta(seconds=35)) is None
    assert authority_flaw(short, now=NOW + dt.timedelta(seconds=41)) is not None


def test_a_signature_counts_and_not_a_name() -> None:
    """An authority of the same name is another."""
    assert AUTHORITY.certificate != OTHER.certificate
    assert certificates(OTHER.certificate)[0].subject == ISSUER.subject
    leaf = certificates(PAIR.certificate)[0]
    assert is_issued_by(leaf, ISSUER)
    assert not is_issued_by(leaf, certificates(OTHER.certificate)[0])


def test_a_list_with_junk_is_no_list() -> None:
    """A list that is damaged in part is not trusted in part."""
    both = AUTHORITY.certificate + OTHER.certificate
    assert len(certificates(both)) == 2
    assert certificates(both.replace(b"MII", b"!!!", 1)) == ()
