"""Certificate paths: from a signer's certificate to one of the given authorities.

OpenSSL builds and verifies the path, as it does for the reference implementation: it knows
every extension that RFC 5280 demands (name constraints of all kinds, critical policies) and
every kind of key. On top, `_flaw` is stricter where OpenSSL is lenient for old
certificates: each issuer is an authority by its own constraints and may issue for signing code,
and each key and hash is strong enough.
"""

from __future__ import annotations

from datetime import UTC
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto

from validator.errors import SignatureError
from validator.text import few, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

_E = TypeVar("_E", bound=x509.ExtensionType)

RSA_BITS: Final = 2048
"""The least that the CA/Browser Forum and NIST SP 800-57 accept."""

_STEPS: Final = 100
"""Beginnings of a path that are looked at: a hostile chain of 16 may have 16! paths."""

_CODE_SIGNING: Final = frozenset(
    {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
)
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)

_REASONS: Final = {
    2: "an issuer is missing from the chain, or is another authority",
    7: "a signature in the chain does not hold",
    9: "a certificate in the chain is not valid yet",
    10: "a certificate in the chain has expired",
    18: "the certificate is its own issuer, and no accepted authority",
    19: "the chain ends at another authority",
    20: "an issuer is missing from the chain, or is another authority",
    21: "an issuer is missing from the chain, or is another authority",
    22: "the chain is too long",
    24: "the key of an issuer in the chain cannot be read",
    25: "the chain is longer than an authority in it allows",
    32: "an issuer in the chain may not issue: its key usage lacks keyCertSign",
    34: "a certificate in the chain has a critical extension that is not supported",
    43: "a certificate in the chain demands a certificate policy, which is not supported",
    47: "a name is not among those that an authority in the chain may certify",
    48: "a name is among those that an authority in the chain must not certify",
    51: "a name constraint in the chain is of a kind that is not supported",
    52: "a name constraint in the chain is of a form that is not supported",
    53: "a name in the chain is of a form that is not supported",
    79: "an issuer in the chain may not issue: it is not an authority, or lacks keyCertSign",
}
"""Verification results of OpenSSL (x509_vfy.h) that a chain may end in; others are rare."""


def verify(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    *,
    anchors: Sequence[x509.Certificate],
    now: datetime,
) -> None:
    """Demand a path from `leaf` over some of `others` to one of `anchors`, all valid `now`.

    Raises:
        SignatureError: There is none.
    """
    reason = _refused(leaf, others, anchors=anchors, now=now)
    # OpenSSL follows one issuer of a name and never comes back: without key identifiers it may
    # miss the path where an authority has a new key, or was certified by two others.
    if reason and not any(
        _refused(leaf, path, anchors=[anchor], now=now) is None
        for path, anchor in _paths(leaf, others, anchors)
    ):
        raise _refusal(leaf, others, anchors, reason)


def _refused(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    *,
    anchors: Sequence[x509.Certificate],
    now: datetime,
) -> str | None:
    """Return why the path that OpenSSL finds does not hold; None where it does."""
    store = crypto.X509Store()
    # An intermediate may be the anchor; policies count where a certificate demands them.
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN | crypto.X509StoreFlags.POLICY_CHECK)
    store.set_time(now.astimezone(UTC))
    try:
        for anchor in anchors:
            store.add_cert(crypto.X509.from_cryptography(anchor))
        context = crypto.X509StoreContext(
            store,
            crypto.X509.from_cryptography(leaf),
            [crypto.X509.from_cryptography(one) for one in others],
        )
        chain = [one.to_cryptography() for one in context.get_verified_chain()]
    except crypto.X509StoreContextError as error:
        return _REASONS.get(int(error.errors[0]), "the chain does not hold")
    except crypto.Error:  # OpenSSL is stricter than the parser that has read it
        return "a certificate in it cannot be read"
    return next(filter(None, (_flaw(one, issuer) for one, issuer in pairwise(chain))), None)


def _paths(
    leaf: x509.Certificate, others: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate]
) -> Iterator[tuple[tuple[x509.Certificate, ...], x509.Certificate]]:
    """Yield paths by their names, of which an anchor has signed the last certificate.

    Each is the certificates after `leaf`, and the anchor. Without the anchor's word a hostile
    chain would have OpenSSL verify a hundred paths of its making.
    """
    pending: list[tuple[x509.Certificate, ...]] = [()]
    for _ in range(_STEPS):
        if not pending:
            return
        path = pending.pop()
        last = (path or (leaf,))[-1]
        yield from ((path, anchor) for anchor in anchors if _has_issued(anchor, last))
        pending.extend(
            (*path, one) for one in others if one.subject == last.issuer and one not in path
        )


def _has_issued(anchor: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(anchor)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def is_authority(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate may issue: CA:TRUE, and keyCertSign where usages are given."""
    constraints = extension(certificate, x509.BasicConstraints)
    usage = extension(certificate, x509.KeyUsage)
    return bool(constraints and constraints.ca) and (usage is None or usage.key_cert_sign)


def may_sign_code(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate's extended usages, if given, have codeSigning or any usage."""
    usages = extension(certificate, x509.ExtendedKeyUsage)
    return usages is None or not _CODE_SIGNING.isdisjoint(usages)


def extension(certificate: x509.Certificate, kind: type[_E]) -> _E | None:
    """Return an extension of a certificate, if it has it."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def name(certificate: x509.Certificate) -> str:
    """Return the certificate's subject, quoted."""
    return quoted(_name(certificate))


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "a certificate without a name"


def _refusal(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    reason: str,
) -> SignatureError:
    return SignatureError(
        f"the certificate of {name(leaf)} does not lead to an accepted authority "
        f"({few([*map(_name, anchors)])}): {reason}{order_hint(leaf, others)}"
    )


def order_hint(leaf: x509.Certificate, others: Sequence[x509.Certificate]) -> str:
    """Return a hint on the most common mistake: a chain that starts with the authority."""
    for other in others:
        if other.issuer == leaf.subject and other.subject != leaf.subject:
            return "; the chain is in the wrong order: the signer's certificate comes first"
    return ""


def _flaw(certificate: x509.Certificate, issuer: x509.Certificate) -> str | None:
    """Return why an issuer's word on a certificate does not count, if it does not."""
    try:
        hash_ = certificate.signature_hash_algorithm  # None where the key says it all: Ed25519
        key = issuer.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return f"the key of {name(issuer)} is of a kind that is not supported"
    if not is_authority(issuer):
        return f"{name(issuer)} may not issue: it is not an authority, or lacks keyCertSign"
    # RFC 5280 leaves open what extended usages of an authority mean; to OpenSSL's commands, Go and
    # Windows they bound those of all below it.
    if not may_sign_code(issuer):
        lacks = "its extended key usage lacks codeSigning"
        return f"{name(issuer)} may not issue for signing code: {lacks}"
    if hash_ is not None and not isinstance(hash_, _HASHES):
        return f"{name(issuer)} signed by {hash_.name}, which is not supported: SHA-256 is"
    if not _is_strong(key):
        return f"the key of {name(issuer)} is too weak, or of a kind that is not supported"
    return None


def _is_strong(key: object) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= RSA_BITS
    if isinstance(key, ec.EllipticCurvePublicKey):
        return isinstance(key.curve, _CURVES)
    return isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)
