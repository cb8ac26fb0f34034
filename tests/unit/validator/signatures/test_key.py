from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.support.certificates import NOW, Party
from tests.support.signed_model import Document, Signer, b64
from validator.bundle import parse_bundle
from validator.errors import PolicyError, SignatureError
from validator.limits import DEFAULT
from validator.signatures import legacy_pae, pae
from validator.signatures.key import KeyVerifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from validator.signatures import Signed

CURVES = (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())


def verified(bundle: bytes, verifier: KeyVerifier, *, allow_legacy: bool = False) -> Signed:
    """Return what a key says of a bundle."""
    parsed = parse_bundle(bundle, limits=DEFAULT)
    return verifier.verify(parsed, now=NOW, allow_legacy=allow_legacy)


def public_pem(key: Any) -> bytes:
    """Return the public half of any key, PEM."""
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_each_curve_verifies_with_its_hash(curve: ec.EllipticCurve) -> None:
    """P-256 with SHA-256, P-384 with SHA-384, P-521 with SHA-512."""
    signer = Signer(ec.generate_private_key(curve))
    signed = verified(signer.bundle(b"payload"), signer.verifier)
    assert signed.payload == b"payload"
    assert signed.signer.identity == f"sha256:{signer.verifier.fingerprint}"
    assert not signed.signer.notes


@pytest.mark.parametrize("curve", CURVES[1:], ids=lambda curve: curve.name)
def test_another_hash_than_the_curves_does_not_hold(curve: ec.EllipticCurve) -> None:
    """The hash follows from the curve; a signature cannot choose a weaker one."""
    signer = Signer(ec.generate_private_key(curve))

    def weaker(bundle: Document) -> None:
        message = b"".join(pae(bundle["dsseEnvelope"]["payloadType"], b"payload"))
        signature = signer.key.sign(message, ec.ECDSA(hashes.SHA256()))
        bundle["dsseEnvelope"]["signatures"][0]["sig"] = b64(signature)

    with pytest.raises(SignatureError, match="does not match the signed payload"):
        verified(signer.bundle(b"payload", edit=weaker), signer.verifier)


def test_another_key_is_refused_by_the_hint() -> None:
    """The sentence names both keys, so that a person can tell them apart."""
    signer, other = Signer(), Signer()
    with pytest.raises(SignatureError, match="the bundle names the key") as caught:
        verified(signer.bundle(b"payload"), other.verifier)
    assert signer.verifier.fingerprint in str(caught.value)
    assert other.verifier.fingerprint in str(caught.value)


@pytest.mark.parametrize(
    "hint",
    [None, "", "prod-2026", "3C53", "O3x72oO6dxTZ0CuE39uiELsQYMy3a3gy0UZVC1jAkCw=", 5, [], {}],
)
def test_the_key_decides_whatever_the_hint(hint: object) -> None:
    """The hint is not signed: any form of it, or none, is the signer's own business."""
    signer = Signer()
    bundle = signer.bundle(
        b"payload",
        edit=lambda made: made["verificationMaterial"]["publicKey"].update(hint=hint),
    )
    assert verified(bundle, signer.verifier).payload == b"payload"


def test_an_entry_of_a_log_is_let_be_and_noted() -> None:
    """The specification allows it; nothing rests on it (OMS 4.1)."""
    signer = Signer()
    bundle = signer.bundle(
        b"payload",
        edit=lambda made: made["verificationMaterial"].update(tlogEntries=[{"logIndex": "7"}]),
    )
    (note,) = verified(bundle, signer.verifier).signer.notes
    assert "log's entry in the bundle was not verified" in note


@pytest.mark.parametrize("hint", [None, "", "of the accepted key"])
def test_another_key_is_refused_whatever_the_hint(hint: str | None) -> None:
    """Nothing rests on the hint: without one, or with a lie, the signature decides."""
    signer, other = Signer(), Signer()
    claimed = other.verifier.fingerprint if hint else hint
    bundle = signer.bundle(
        b"payload",
        edit=lambda made: made["verificationMaterial"]["publicKey"].update(hint=claimed),
    )
    with pytest.raises(SignatureError, match="made by another key, or"):
        verified(bundle, other.verifier)


def test_the_bundles_own_key_is_ignored() -> None:
    """A key in the bundle is no trust anchor."""
    signer, other = Signer(), Signer()
    bundle = signer.bundle(
        b"payload",
        edit=lambda made: made["verificationMaterial"].update(
            publicKey={"rawBytes": b64(signer.public_pem)}
        ),
    )
    assert verified(bundle, signer.verifier).payload == b"payload"
    with pytest.raises(SignatureError):
        verified(bundle, other.verifier)


@pytest.mark.parametrize(
    "edit",
    [
        lambda envelope: envelope.update(payload=b64(b"Payload")),
        lambda envelope: envelope.update(payloadType="application/json"),
        lambda envelope: envelope["signatures"][0].update(
            sig=b64(b"\x30\x06\x02\x01\x00\x02\x01\x00")
        ),
        lambda envelope: envelope["signatures"][0].update(sig=b64(b"junk")),
        lambda envelope: envelope["signatures"][0].update(sig=envelope["payload"]),
    ],
    ids=["payload", "payload type", "zero signature", "junk signature", "payload as signature"],
)
def test_a_changed_envelope_does_not_hold(edit: Callable[[Document], object]) -> None:
    """Payload, type and signature are bound to each other."""
    signer = Signer()
    bundle = signer.bundle(b"payload", edit=lambda made: edit(made["dsseEnvelope"]))
    with pytest.raises(SignatureError, match="does not match the signed payload"):
        verified(bundle, signer.verifier)


def test_every_flipped_bit_of_the_payload_is_noticed() -> None:
    """No bit of what is signed can be changed."""
    signer = Signer()
    for index in range(8):
        payload = bytearray(b"payload!")
        payload[index] ^= 1 << index
        document = json.loads(signer.bundle(b"payload!"))
        document["dsseEnvelope"]["payload"] = b64(bytes(payload))
        with pytest.raises(SignatureError):
            verified(json.dumps(document).encode(), signer.verifier)


def in_old_form(signer: Signer) -> bytes:
    """Return a bundle as v0.2 signed it: another encoding, and SHA-256 on every curve."""

    def edit(made: Document) -> None:
        envelope = made["dsseEnvelope"]
        message = b"".join(legacy_pae(envelope["payloadType"], b"payload"))
        signature = signer.key.sign(message, ec.ECDSA(hashes.SHA256()))
        envelope["signatures"][0]["sig"] = b64(signature)

    return signer.bundle(b"payload", edit=edit)


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_the_form_of_v02_is_accepted_only_when_asked_for(curve: ec.EllipticCurve) -> None:
    """The older encoding is another message, and says so in the report."""
    signer = Signer(ec.generate_private_key(curve))
    with pytest.raises(SignatureError, match="accept it with --allow-legacy"):
        verified(in_old_form(signer), signer.verifier)
    signed = verified(in_old_form(signer), signer.verifier, allow_legacy=True)
    assert signed.signer.notes == ("signed in the form of v0.2",)


def test_the_encodings_are_the_published_ones() -> None:
    """DSSE's own example; v0.2 wrote the payload as Python shows bytes."""
    assert b"".join(pae("http://example.com/HelloWorld", b"hello world")) == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert b"".join(legacy_pae("é", b"x'")) == b'DSSEV1 2 \xc3\xa9 2 b"x\'"'


@pytest.mark.parametrize("quotes", [b"", b"'", b'"', b"'\""])
@pytest.mark.parametrize("place", [0, 65_535, 65_536, 131_071])
def test_the_older_encoding_is_made_in_pieces(quotes: bytes, place: int) -> None:
    """Wherever a quote stands, it decides how Python shows the rest."""
    payload = bytearray(b"\\\x00\xff{} " * 22_000)
    payload[place:place] = quotes
    whole = b"DSSEV1 1 t %d %a" % (len(payload), bytes(payload))
    assert b"".join(legacy_pae("t", bytes(payload))) == whole


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        (b"\n", r"not a public key in PEM form \(it is empty\)"),
        pytest.param(
            Signer().key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            r"not a public key in PEM form \(it looks like DER\): convert it by `openssl pkey",
            id="DER",
        ),
        (
            Signer().public_pem
            + Signer().key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            r"not a public key in PEM form \(it looks like a private key\)",
        ),
        (b"ssh-ed25519 AAAA", "not a public key in PEM form"),
        (
            b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            "a public key in PEM form that",
        ),
        (Party.root().pem, "not a public key in PEM form .it is a certificate"),
        (Signer().public_pem * 2, "holds 2 keys or certificates in PEM form, and exactly one"),
        (Party.root().pem + Signer().public_pem, "holds 2 keys or certificates in PEM form"),
        (public_pem(ec.generate_private_key(ec.SECP256K1())), "an elliptic-curve key on secp256k1"),
        (public_pem(ed25519.Ed25519PrivateKey.generate()), "a key of type Ed25519"),
        (Party.root().pem, "not a public key in PEM form"),
        (
            Signer().key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            r"not a public key in PEM form \(it looks like a private key\)",
        ),
    ],
)
def test_a_key_of_another_kind_is_the_policys_mistake(pem: bytes, said: str) -> None:
    """A key that OMS does not sign with is refused before any bundle is read."""
    with pytest.raises(PolicyError, match=rf"key\.pub: {said}"):
        KeyVerifier.from_pem(pem, source="key.pub")


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (lambda: rsa.generate_private_key(65537, 2048), "RSA"),
        (lambda: dsa.generate_private_key(1024), "DSA"),  # noqa: S505 — of any size
    ],
)
def test_a_key_without_a_curve_is_the_policys_mistake(made: Callable[[], Any], kind: str) -> None:
    """As above; these take long to make, and are made by the worker that needs them."""
    with pytest.raises(PolicyError, match=rf"key\.pub: a key of type {kind}"):
        KeyVerifier.from_pem(public_pem(made()), source="key.pub")
