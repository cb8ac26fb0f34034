"""Paths of every kind that honest authorities make, and those that no path may have."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto

from tests.support.certificates import CA, LEAF, NOW, Party, Profile, named
from validator.bundle import parse_bundle
from validator.errors import PolicyError, SignatureError
from validator.limits import DEFAULT
from validator.signatures import path
from validator.signatures.certificate import CertificateVerifier

if TYPE_CHECKING:
    from collections.abc import Callable

POLICY = x509.CertificatePolicies(
    [x509.PolicyInformation(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), None)]
)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.2"), b"\x05\0")
OF_ACME = x509.NameConstraints([x509.DirectoryName(named("acme"))], None)


def judge(root: Party, leaf: Party, *chain: Party) -> None:
    """Verify what a leaf signed, by a root and the rest of the chain in the bundle."""
    parsed = parse_bundle(leaf.bundle(b"payload", *chain), limits=DEFAULT)
    root.verifier.verify(parsed, now=NOW, allow_legacy=False)


def refused(root: Party, leaf: Party, *chain: Party) -> str:
    """Return the sentence of the refusal."""
    with pytest.raises(SignatureError) as caught:
        judge(root, leaf, *chain)
    return str(caught.value)


KEYS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "RSA": lambda: (rsa.generate_private_key(65537, 3072), rsa.generate_private_key(65537, 2048)),
    "Ed25519": lambda: (ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()),
    "Ed448": lambda: (ed448.Ed448PrivateKey.generate(), ed448.Ed448PrivateKey.generate()),
}
"""The keys of a root and of an authority below it."""


@pytest.mark.parametrize("kind", KEYS)
def test_an_authority_may_have_another_kind_of_key(kind: str) -> None:
    """OMS restricts the kinds of keys for signers alone."""
    hash_ = hashes.SHA256() if kind == "RSA" else None
    of_root, of_middle = KEYS[kind]()
    root = Party.root("root", replace(CA, hash=hash_), key=of_root)
    judge(root, root.issue("signer", replace(LEAF, hash=hash_)))
    middle = root.issue("middle", replace(CA, hash=hash_), key=of_middle)
    judge(root, middle.issue("signer", replace(LEAF, hash=hash_)), middle)


def test_a_weak_key_or_hash_in_the_path_is_refused() -> None:
    """OpenSSL by itself takes both; a path is as strong as its weakest signature."""
    weak = Party.root(key=rsa.generate_private_key(65537, 1024))  # noqa: S505 — the weak key of this test
    assert "too weak" in refused(weak, weak.issue())
    root = Party.root()
    assert "sha224, which is not supported" in refused(
        root, root.issue("signer", replace(LEAF, hash=hashes.SHA224()))
    )


HONEST: dict[str, tuple[Profile, Profile]] = {
    "critical policies in the leaf": (CA, replace(LEAF, extensions=((POLICY, True),))),
    "critical policies in the authority": (replace(CA, extensions=((POLICY, True),)), LEAF),
    "no key usage": (CA, replace(LEAF, usage=None)),
    "no extension at all": (CA, Profile(ca=None, usage=None, purposes=None)),
    "any extended usage": (
        CA,
        replace(LEAF, purposes=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)),
    ),
    "another usage beside codeSigning": (
        CA,
        replace(
            LEAF,
            purposes=(ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.CODE_SIGNING),
        ),
    ),
    "a key usage of more than signatures": (
        CA,
        replace(LEAF, usage=("digital_signature", "key_agreement")),
    ),
    "a satisfied constraint on mail": (
        replace(
            CA,
            extensions=((x509.NameConstraints([x509.RFC822Name("acme.example")], None), True),),
        ),
        replace(LEAF, names=(x509.RFC822Name("signer@acme.example"),)),
    ),
    "key identifiers": (replace(CA, key_ids=True), replace(LEAF, key_ids=True)),
}


@pytest.mark.parametrize("case", HONEST)
def test_what_honest_authorities_issue_is_accepted(case: str) -> None:
    """RFC 5280 allows it, and a company's authority makes it."""
    authority, leaf = HONEST[case]
    root = Party.root()
    middle = root.issue("middle", authority)
    judge(root, middle.issue("signer", leaf), middle)


@pytest.mark.parametrize(("name", "accepted"), [("acme", True), ("other", False)])
def test_a_constraint_on_directory_names_counts(name: str, accepted: bool) -> None:  # noqa: FBT001 — a parameter of the test
    """Satisfied it admits, violated it refuses."""
    root = Party.root()
    middle = root.issue("middle", replace(CA, extensions=((OF_ACME, True),)))
    leaf = middle.issue(name)
    if accepted:
        judge(root, leaf, middle)
    else:
        assert "a name is not among those that an authority in the chain may" in refused(
            root, leaf, middle
        )


@pytest.mark.parametrize(
    ("constraint", "name"),
    [
        (x509.RFC822Name("acme.example"), x509.RFC822Name("a@other.example")),
        (x509.DNSName("acme.example"), x509.DNSName("acme.example.org")),
        (
            x509.UniformResourceIdentifier("acme.example"),
            x509.UniformResourceIdentifier("https://other.example/a"),
        ),
        (
            x509.IPAddress(ipaddress.ip_network("10.0.0.0/8")),
            x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_name_outside_of_a_constraint_is_refused(
    constraint: x509.GeneralName, name: x509.GeneralName
) -> None:
    """Permitted names of each kind."""
    root = Party.root()
    limits = x509.NameConstraints([constraint], None)
    middle = root.issue("middle", replace(CA, extensions=((limits, True),)))
    leaf = middle.issue("signer", replace(LEAF, names=(name,)))
    assert "a name is not among those" in refused(root, leaf, middle)


def test_a_long_chain_is_accepted() -> None:
    """As long as a bundle's chain may be."""
    root = Party.root()
    chain = [root]
    for number in range(DEFAULT.certificates - 1):
        chain.insert(0, chain[0].issue(f"authority {number}", CA))
    judge(root, chain[0].issue(), *chain[:-1])


def test_an_authority_with_a_new_key_is_found_by_it() -> None:
    """Two of one name without key identifiers, as anchors or in the chain, in either order."""
    old, new = Party.root("root"), Party.root("root")
    for pem in (old.pem + new.pem, new.pem + old.pem):
        verifier = CertificateVerifier.from_pem(pem, source="roots")
        for issuer in (old, new):
            parsed = parse_bundle(issuer.issue().bundle(b"payload"), limits=DEFAULT)
            verifier.verify(parsed, now=NOW, allow_legacy=False)
    one, other = old.issue("middle", CA), old.issue("middle", CA)
    for chain in ((one, other), (other, one)):
        judge(old, one.issue(), *chain)
        assert "a signature in the chain does not hold" in refused(old, new.issue(), *chain)


def test_an_authority_that_two_others_certified_is_believed_by_either() -> None:
    """Whichever of its certificates comes first."""
    root, foreign = Party.root("root"), Party.root("foreign")
    crossed = foreign.issue("middle", CA)
    middle = root.issue("middle", CA, key=crossed.key)
    for chain in ((crossed, middle), (middle, crossed), (crossed, foreign, middle, root)):
        judge(root, middle.issue(), *chain)
        judge(foreign, middle.issue(), *chain)
    assert "an issuer is missing" in refused(root, middle.issue(), crossed)


def test_a_strong_path_beside_a_weak_one_is_found() -> None:
    """The flaws that OpenSSL does not mind are of one path, not of all."""
    root = Party.root("root")
    weak = root.issue("middle", replace(CA, hash=hashes.SHA224()))
    strong = root.issue("middle", CA, key=weak.key)
    for chain in ((weak, strong), (strong, weak)):
        judge(root, strong.issue(), *chain)
    assert "sha224, which is not supported" in refused(root, weak.issue(), weak)


def test_certificates_that_certify_each_other_end_in_a_refusal() -> None:
    """There are 15! paths among fifteen of one name, and none leads to the root."""
    circle = [Party.root("middle") for _ in range(DEFAULT.certificates - 1)]
    assert refused(Party.root("root"), circle[0].issue(), *circle)


def test_only_what_an_anchor_has_signed_is_proposed_to_openssl() -> None:
    """A chain may claim the anchor's name as often as it likes."""
    root = Party.root("root")
    forged = [Party.root("root").issue("middle", CA) for _ in range(DEFAULT.certificates - 2)]
    middle = root.issue("middle", CA)
    leaf = middle.issue().certificate
    others = [one.certificate for one in (*forged, middle)]
    assert list(path._paths(leaf, others, [root.certificate])) == [
        ((middle.certificate,), root.certificate)
    ]
    assert not list(path._paths(leaf, others[:-1], [root.certificate]))


@pytest.mark.parametrize(
    ("purposes", "accepted"),
    [
        ((ExtendedKeyUsageOID.CODE_SIGNING,), True),
        ((ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,), True),
        ((ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CODE_SIGNING), True),
        ((ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH), False),
        ((ExtendedKeyUsageOID.TIME_STAMPING,), False),
    ],
)
@pytest.mark.parametrize("place", ["root", "middle"])
def test_an_authority_for_other_purposes_cannot_make_signers(
    purposes: tuple[x509.ObjectIdentifier, ...],
    accepted: bool,  # noqa: FBT001 — a parameter of the test
    place: str,
) -> None:
    """An authority that is kept to web servers may not issue for signing code."""
    bound = replace(CA, purposes=purposes)
    root = Party.root("root", bound if place == "root" else CA)
    middle = root.issue("middle", bound if place == "middle" else CA)
    leaf = middle.issue()
    if accepted:
        judge(root, leaf, middle)
    else:
        said = refused(root, leaf, middle)
        assert f"'CN={place}' may not issue for signing code: its extended key usage lacks" in said


def test_an_unknown_critical_extension_is_not_supported() -> None:
    """Whether in the leaf or above it; the sentence does not call it invalid."""
    root = Party.root()
    said = "a critical extension that is not supported"
    critical = ((UNKNOWN, True),)
    assert said in refused(root, root.issue("signer", replace(LEAF, extensions=critical)))
    middle = root.issue("middle", replace(CA, extensions=critical))
    assert said in refused(root, middle.issue(), middle)
    judge(root, root.issue("signer", replace(LEAF, extensions=((UNKNOWN, False),))))


def test_a_demanded_policy_is_not_supported() -> None:
    """An authority may demand that each certificate below it states a policy."""
    root = Party.root()
    demand = x509.PolicyConstraints(require_explicit_policy=0, inhibit_policy_mapping=None)
    middle = root.issue("middle", replace(CA, extensions=((demand, True), (POLICY, False))))
    said = "demands a certificate policy, which is not supported"
    assert said in refused(root, middle.issue(), middle)


@pytest.mark.parametrize(
    "profile",
    [
        LEAF,
        replace(LEAF, ca=None),
        replace(LEAF, ca=True),
        replace(LEAF, ca=None, usage=None, purposes=None),
    ],
)
def test_a_certificate_that_may_not_issue_is_no_anchor(profile: Profile) -> None:
    """Anchors are authorities (OMS 8.2); the signer is named by its identity instead."""
    root = Party.root()
    leaf = root.issue("signer", profile)
    for pem in (leaf.pem, root.pem + leaf.pem):
        with pytest.raises(PolicyError, match=r"ca\.pem: 'CN=signer' is not a certificate auth"):
            CertificateVerifier.from_pem(pem, source="ca.pem")


def test_an_authority_that_signs_by_itself_is_accepted() -> None:
    """`openssl req -x509` makes such a certificate: an authority and a signer at once."""
    alone = Party.root("alone", replace(CA, usage=None))
    judge(alone, alone)


NAMES: dict[str, x509.GeneralName] = {
    "signer@acme.example": x509.RFC822Name("signer@acme.example"),
    "https://acme.example/signers/1": x509.UniformResourceIdentifier(
        "https://acme.example/signers/1"
    ),
    "signer.acme.example": x509.DNSName("signer.acme.example"),
    "192.0.2.7": x509.IPAddress(ipaddress.ip_address("192.0.2.7")),
    "CN=team": x509.DirectoryName(named("team")),
    "1.2.3.4": x509.RegisteredID(x509.ObjectIdentifier("1.2.3.4")),
    "robot": x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x05robot"),
}
ALL = replace(LEAF, names=tuple(NAMES.values()))


def judge_as(root: Party, leaf: Party, **accepted: str) -> None:
    """Verify what a leaf signed, by who may have signed below the root."""
    verifier = CertificateVerifier.from_pem(root.pem, source="root", **accepted)
    parsed = parse_bundle(leaf.bundle(b"payload"), limits=DEFAULT)
    verifier.verify(parsed, now=NOW, allow_legacy=False)


@pytest.mark.parametrize("identity", ["CN=signer", *NAMES])
def test_a_signer_is_accepted_by_any_of_its_names(identity: str) -> None:
    """Subject, or an alternative name of any kind; exactly, and in full by an expression."""
    root = Party.root()
    leaf, other = root.issue("signer", ALL), root.issue("mallory")
    judge_as(root, leaf, identity=identity)
    judge_as(root, leaf, identity_regexp=f"({identity}|nobody)")
    for wrong in (
        {"identity": identity[:-1]},
        {"identity": identity.swapcase()} if not identity[0].isdigit() else {"identity": ""},
        {"identity_regexp": identity[:-1]},
        {"identity_regexp": "x" + identity},
        {"identity": identity, "identity_regexp": "nobody"},
    ):
        with pytest.raises(SignatureError, match="signed by somebody else"):
            judge_as(root, leaf, **wrong)
    with pytest.raises(SignatureError, match="signed by somebody else: 'CN=mallory', and '"):
        judge_as(root, other, identity=identity)


def test_a_signer_without_a_name_is_not_accepted_by_one() -> None:
    """No name is not every name."""
    root = Party.root()
    leaf = root.issue("")
    judge_as(root, leaf)
    with pytest.raises(SignatureError, match="signed by somebody else: '', and 'CN=signer'"):
        judge_as(root, leaf, identity="CN=signer")


def test_an_expression_that_cannot_be_used_is_the_policys_mistake() -> None:
    """Said before any bundle is read."""
    with pytest.raises(PolicyError, match="the signer's identity, '\\(', cannot be used"):
        CertificateVerifier.from_pem(Party.root().pem, source="root", identity_regexp="(")


def test_openssl_may_refuse_to_read_what_another_parser_has_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is the stricter one; its own words stay inside."""

    def unreadable(_: object) -> None:
        raise crypto.Error([("asn1", "", "wrong tag")])

    root = Party.root("root")
    monkeypatch.setattr(crypto.X509, "from_cryptography", unreadable)
    said = refused(root, root.issue("signer"))
    assert said.endswith("a certificate in it cannot be read")


def test_an_issuer_is_an_authority_whatever_the_library_says() -> None:
    """OpenSSL takes some old certificates for authorities that do not say that they are."""
    root = Party.root("root")
    leaf = root.issue("signer")
    said = str(path._flaw(leaf.certificate, leaf.certificate))
    assert "may not issue" in said
    assert path._flaw(leaf.certificate, root.certificate) is None


def test_an_issuers_key_of_an_unknown_kind_is_named() -> None:
    """Cryptography reads such a certificate, and not its key."""

    class Unknown:
        subject = Party.root("root").certificate.subject

        def public_key(self) -> None:
            raise UnsupportedAlgorithm("unknown")

    leaf = Party.root("root").issue("signer")
    said = str(path._flaw(leaf.certificate, cast("Any", Unknown())))
    assert said.endswith("is of a kind that is not supported")
    assert "too weak" not in said
