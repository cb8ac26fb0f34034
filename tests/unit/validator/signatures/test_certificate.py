from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.certificates import CA, CODE_SIGNING, DAY, LEAF, NOW, Party, Profile, material
from tests.support.signed_model import Document, Signer, b64
from validator.bundle import parse_bundle
from validator.errors import PolicyError, SignatureError
from validator.limits import DEFAULT
from validator.signatures.certificate import CertificateVerifier

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from validator.signatures import Signed

SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH


@pytest.fixture(scope="module")
def root() -> Party:
    """The authority that is trusted."""
    return Party.root()


def carrying(*ders: bytes) -> Callable[[Document], object]:
    """Return an edit that replaces a bundle's chain."""
    return lambda made: made.update(verificationMaterial=material(*ders))


def verified(bundle: bytes, anchor: Party, *, after: timedelta = 0 * DAY) -> Signed:
    """Return what an authority's verifier says of a bundle, some time after now."""
    parsed = parse_bundle(bundle, limits=DEFAULT)
    return anchor.verifier.verify(parsed, now=NOW + after, allow_legacy=False)


def refused(bundle: bytes, anchor: Party, *, after: timedelta = 0 * DAY) -> str:
    """Return the sentence by which a bundle is refused."""
    with pytest.raises(SignatureError) as caught:
        verified(bundle, anchor, after=after)
    return str(caught.value)


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_a_path_to_the_authority_is_accepted(root: Party, depth: int) -> None:
    """Directly below the authority, or by intermediates in the bundle."""
    chain: list[Party] = []
    issuer = root
    for level in range(depth):
        issuer = issuer.issue(f"intermediate {level}", CA)
        chain.insert(0, issuer)
    signed = verified(issuer.issue().bundle(b"payload", *chain), root)
    assert signed.payload == b"payload"
    assert signed.signer.identity == "CN=signer"
    assert signed.signer.issuer == issuer.certificate.subject.rfc4514_string()
    assert not signed.signer.notes


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_larger_curves_are_accepted(root: Party, curve: ec.EllipticCurve) -> None:
    """P-384 and P-521 leaves verify with their hashes."""
    leaf = root.issue(key=ec.generate_private_key(curve))
    assert verified(leaf.bundle(b"payload"), root).payload == b"payload"


def test_the_root_may_be_in_the_bundle(root: Party) -> None:
    """Signers that add the authority itself to the chain do no harm."""
    assert verified(root.issue().bundle(b"payload", root), root)


def test_several_authorities_may_be_trusted(root: Party) -> None:
    """One file may hold several; one suffices."""
    other = Party.root("other")
    verifier = CertificateVerifier.from_pem(other.pem + root.pem, source="both")
    parsed = parse_bundle(root.issue().bundle(b"payload"), limits=DEFAULT)
    assert verifier.verify(parsed, now=NOW, allow_legacy=False)


def test_few_of_many_authorities_are_named(root: Party) -> None:
    """A system's bundle has 150 of them."""
    others = [Party.root(f"other {number}") for number in range(5)]
    verifier = CertificateVerifier.from_pem(b"".join(other.pem for other in others), source="many")
    parsed = parse_bundle(root.issue().bundle(b"payload"), limits=DEFAULT)
    with pytest.raises(SignatureError) as caught:
        verifier.verify(parsed, now=NOW, allow_legacy=False)
    assert "('CN=other 0', 'CN=other 1', 'CN=other 2' and 2 more): " in str(caught.value)


def test_an_intermediate_may_be_the_anchor(root: Party) -> None:
    """Trust in an intermediate covers what it issued, and nothing else of the root's."""
    intermediate = root.issue("intermediate", CA)
    assert verified(intermediate.issue().bundle(b"payload"), intermediate)
    assert "does not lead" in refused(root.issue().bundle(b"payload"), intermediate)


@pytest.mark.parametrize("after", [31 * DAY, 1000 * DAY])
def test_an_expired_certificate_is_refused(root: Party, after: timedelta) -> None:
    """There is no trusted time of signing: what counts is today."""
    assert verified(root.issue().bundle(b"payload"), root, after=29 * DAY)
    said = refused(root.issue().bundle(b"payload"), root, after=after)
    assert said == (
        "the certificate of 'CN=signer' expired on 2026-12-23: sign again with a valid one"
    )


def test_a_certificate_of_tomorrow_is_refused(root: Party) -> None:
    """Not valid yet is not valid."""
    leaf = root.issue(profile=replace(LEAF, starts=DAY))
    assert "is not valid before 2026-11-24: compare the clocks" in refused(
        leaf.bundle(b"payload"), root
    )


@pytest.mark.parametrize(("starts", "ends"), [(-9 * DAY, -DAY), (DAY, 9 * DAY)])
def test_an_intermediate_out_of_its_time_is_refused(
    root: Party, starts: timedelta, ends: timedelta
) -> None:
    """Every certificate of the path must be valid now."""
    intermediate = root.issue("intermediate", replace(CA, starts=starts, ends=ends))
    bundle = intermediate.issue().bundle(b"payload", intermediate)
    assert "a certificate in the chain " in refused(bundle, root)


def test_an_expired_authority_is_refused() -> None:
    """A trust anchor has an end, too."""
    root = Party.root("old", replace(CA, ends=-DAY))
    assert "does not lead to an accepted authority ('CN=old')" in refused(
        root.issue().bundle(b"payload"), root
    )


def test_a_reversed_chain_is_told_apart(root: Party) -> None:
    """The most common mistake has a sentence of its own."""
    intermediate = root.issue("intermediate", CA)
    leaf = intermediate.issue()
    bundle = leaf.bundle(
        b"payload",
        edit=carrying(root.der, intermediate.der, leaf.der),
    )
    assert "the chain is in the wrong order: the signer's certificate comes first" in refused(
        bundle, root
    )


def test_a_shuffled_chain_after_the_leaf_is_accepted(root: Party) -> None:
    """Only the signer's place is fixed; the others are looked for."""
    first = root.issue("first", CA)
    second = first.issue("second", CA)
    assert verified(second.issue().bundle(b"payload", first, second), root)


def test_an_incomplete_chain_is_refused(root: Party) -> None:
    """Nothing is fetched: what is missing in between is missing."""
    intermediate = root.issue("intermediate", CA)
    said = refused(intermediate.issue().bundle(b"payload"), root)
    assert "does not lead to an accepted authority ('CN=root')" in said


def test_another_authority_of_the_same_name_is_refused(root: Party) -> None:
    """Names prove nothing; keys do."""
    bundle = Party.root().issue().bundle(b"payload")
    assert "does not lead to an accepted authority" in refused(bundle, root)


def test_a_certificate_that_signed_itself_is_refused(root: Party) -> None:
    """A self-signed certificate is refused, also with the names of an authority."""
    alone = Party.root("root", replace(CA, usage=("digital_signature", "key_cert_sign")))
    assert "does not lead" in refused(alone.bundle(b"payload"), root)


def test_a_leaf_cannot_issue(root: Party) -> None:
    """A signer's certificate is no authority: CA:FALSE, or no constraints at all."""
    for ca in (False, None):
        leaf = root.issue(
            "leaf", replace(LEAF, ca=ca, usage=("digital_signature", "key_cert_sign"))
        )
        assert "does not lead" in refused(leaf.issue("other").bundle(b"payload", leaf), root)


@pytest.mark.parametrize("usage", [("digital_signature",), ("crl_sign",)])
def test_an_authority_without_cert_sign_cannot_issue(root: Party, usage: tuple[str, ...]) -> None:
    """A signer's certificate with CA:TRUE, as reference signers make them, makes no signers."""
    leaf = root.issue("leaf", replace(LEAF, ca=True, usage=usage, purposes=(SERVER_AUTH,)))
    assert "may not issue" in refused(leaf.issue("other").bundle(b"payload", leaf), root)


def test_an_authority_without_key_usage_may_issue(root: Party) -> None:
    """As RFC 5280 has it: only a key usage that is there restricts."""
    plain = root.issue("plain", replace(CA, usage=None))
    assert verified(plain.issue().bundle(b"payload", plain), root)


def test_a_path_length_counts(root: Party) -> None:
    """An authority that may issue to signers only makes no authorities."""
    short = root.issue("short", replace(CA, path_length=0))
    below = short.issue("below", CA)
    assert "does not lead" in refused(below.issue().bundle(b"payload", below, short), root)


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (replace(LEAF, usage=("key_agreement",)), "key usage lacks digitalSignature"),
        (replace(LEAF, usage=("content_commitment",)), "key usage lacks digitalSignature"),
        (replace(LEAF, purposes=(SERVER_AUTH,)), "extended key usage lacks codeSigning"),
    ],
)
def test_a_certificate_for_something_else_is_refused(
    root: Party, profile: Profile, said: str
) -> None:
    """A certificate of a TLS server, or for nothing, signs no models."""
    assert said in refused(root.issue(profile=profile).bundle(b"payload"), root)


@pytest.mark.parametrize("purposes", [None, (CODE_SIGNING,), (SERVER_AUTH, CODE_SIGNING)])
def test_code_signing_is_asked_for_where_purposes_are_given(
    root: Party, purposes: tuple[x509.ObjectIdentifier, ...] | None
) -> None:
    """Without extended usages, digitalSignature is enough."""
    profile = replace(LEAF, purposes=purposes)
    assert verified(root.issue(profile=profile).bundle(b"payload"), root)


def test_what_reference_signers_make_is_accepted_and_noted(root: Party) -> None:
    """Leaves that are authorities, or bear their issuer's name, are reported."""
    profile = replace(LEAF, ca=True, key_ids=True)
    signed = verified(root.issue("root", profile).bundle(b"payload"), root)
    assert signed.signer.notes == (
        "the signer's certificate is an authority itself (CA:TRUE)",
        "the signer's certificate names itself as its issuer",
    )


def test_a_leaf_with_an_rsa_key_is_refused(root: Party) -> None:
    """OMS signs with ECDSA; the sentence says which keys verify a model."""
    leaf = root.issue(key=rsa.generate_private_key(65537, 2048))
    by_somebody = Signer().bundle(
        b"payload",
        edit=carrying(leaf.der),
    )
    said = refused(by_somebody, root)
    assert said == (
        "a key of type RSA cannot verify a model: ECDSA on P-256, P-384 or P-521 is needed"
    )


def test_somebody_elses_certificate_is_refused(root: Party) -> None:
    """A good chain beside another key's signature proves nothing."""
    mallory, alice = root.issue("mallory"), root.issue("alice")
    bundle = mallory.bundle(
        b"payload",
        edit=carrying(alice.der),
    )
    assert "does not match the signed payload" in refused(bundle, root)


def test_a_changed_payload_is_refused(root: Party) -> None:
    """The chain holds, the signature does not."""

    def edit(made: Document) -> None:
        made["dsseEnvelope"]["payload"] = b64(b"other")

    assert "does not match" in refused(root.issue().bundle(b"payload", edit=edit), root)


@pytest.mark.parametrize("der", [b"junk", b"\x30\x00", b"\x30\x84\xff\xff\xff\xff"])
def test_a_certificate_that_is_none_is_refused(root: Party, der: bytes) -> None:
    """As the signer's certificate or as a later one of the chain."""
    for chain in ([der], [root.issue().der, der]):
        bundle = root.issue().bundle(b"payload", edit=carrying(*chain))
        assert refused(bundle, root) == (
            f"certificate {len(chain)} of the bundle's chain cannot be read: sign again with a "
            "certificate in DER form"
        )


def test_a_lack_of_memory_is_no_verdict(root: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing of the certificates: neither of the bundle's, nor of the anchors."""

    def exhausted(_: bytes) -> None:
        raise MemoryError

    bundle = root.issue().bundle(b"payload")
    monkeypatch.setattr(x509, "load_der_x509_certificate", exhausted)
    with pytest.raises(MemoryError):
        verified(bundle, root)
    monkeypatch.setattr(x509, "load_pem_x509_certificates", exhausted)
    with pytest.raises(MemoryError):
        CertificateVerifier.from_pem(root.pem, source="ca.pem")


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_a_damaged_certificate_never_ends_in_another_error(root: Party) -> None:
    """Whichever byte of the certificate is damaged, the answer is a refusal."""
    leaf = root.issue()
    for place in range(len(leaf.der)):
        der = bytearray(leaf.der)
        der[place] ^= 0xFF
        refused(leaf.bundle(b"payload", edit=carrying(bytes(der))), root)


def test_a_hostile_name_writes_no_lines(root: Party) -> None:
    """A certificate's names are escaped and bounded in sentences and reports."""
    leaf = root.issue("x\nVerification succeeded\u202e" + "y" * 20)
    signed = verified(leaf.bundle(b"payload"), root)
    assert re.fullmatch(r"[\x20-\x7e]+", signed.signer.identity)


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        (b"", r"not certificates in PEM form \(it is empty\)"),
        (b"junk", "not certificates in PEM form$"),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "certificates in PEM form, of which one cannot be read",
        ),
        pytest.param(
            Party.root().der,
            r"not certificates in PEM form \(they look like DER\): convert them by `openssl x509 ",
            id="DER",
        ),
        pytest.param(
            Party.root().pem + b"-----BEGIN PRIVATE KEY-----\n",
            r"not certificates in PEM form \(it looks like a private key\)",
            id="certificate and private key",
        ),
    ],
)
def test_an_anchor_that_is_none_is_the_policys_mistake(pem: bytes, said: str) -> None:
    """Said before any bundle is read."""
    with pytest.raises(PolicyError, match=rf"ca\.pem: {said}"):
        CertificateVerifier.from_pem(pem, source="ca.pem")


def test_a_public_key_is_no_authority() -> None:
    """The two kinds of anchors are not taken for one another."""
    with pytest.raises(PolicyError, match="not certificates in PEM form"):
        CertificateVerifier.from_pem(Signer().public_pem, source="ca.pem")


def test_a_key_on_a_curve_that_nobody_reads_is_refused(root: Party) -> None:
    """The path holds, since OpenSSL knows secp112r1, and the key is none to verify with."""
    leaf = root.issue()
    made = asn1.Certificate.load(leaf.der)
    tbs = made["tbs_certificate"]
    tbs["subject_public_key_info"] = asn1_keys.PublicKeyInfo(
        {
            "algorithm": {
                "algorithm": "ec",
                "parameters": asn1_keys.ECDomainParameters("named", "1.3.132.0.6"),
            },
            "public_key": bytes.fromhex(
                "0409487239995a5ee76b55f9c2f098a89ce5af8724c0a23e0e0ff77500"
            ),
        }
    )
    signed = tbs.dump(force=True)
    made["tbs_certificate"] = asn1.TbsCertificate.load(signed)
    made["signature_value"] = root.key.sign(signed, ec.ECDSA(SHA256()))
    assert refused(leaf.bundle(b"payload", edit=carrying(made.dump())), root) == (
        "the signer's certificate holds a key that is not supported: ECDSA on P-256, P-384 or "
        "P-521 is needed"
    )
