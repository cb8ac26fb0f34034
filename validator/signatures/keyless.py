"""Keyless signatures, which sigstore-python verifies.

Its `Verifier.verify_dsse` checks the chain to Fulcio, the SCT, the transparency log (Rekor
v1 and v2), timestamps and identity, offline, on a root that is passed in. This module says
who is accepted, and turns its errors into sentences.
"""

from __future__ import annotations

import base64
import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cryptography.x509 import (
    Certificate,
    ExtensionNotFound,
    OtherName,
    RFC822Name,
    SubjectAlternativeName,
    UniformResourceIdentifier,
)
from sigstore import models
from sigstore.errors import CertValidationError, Error, VerificationError
from sigstore.verify import Verifier as LibraryVerifier
from sigstore.verify import policy as library
from sigstore_models.trustroot.v1 import TrustedRoot as LibraryRoot

from validator.bundle import Method
from validator.errors import PolicyError, SignatureError, Undecided
from validator.signatures import ProvenSigner, Signed
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from validator.bundle import Bundle
    from validator.signatures.trusted_root import TrustedRoot

# Its warnings go to standard error where nobody configured logging; verdicts are ours.
logging.getLogger("sigstore").addHandler(logging.NullHandler())

_OTHER_NAME: Final = "1.3.6.1.4.1.57264.1.7"
"""Fulcio's "other name" for user names (fulcio, page oid-info)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The accepted signer; every field that is given must match.

    Attributes:
        identity: Subject alternative name, exactly.
        identity_regexp: The same, by a regular expression matched in full.
        issuer: OIDC issuer, exactly.
        issuer_regexp: The same, by a regular expression matched in full.
        github: Claims of a GitHub workflow: repository, ref, name, trigger, sha.
    """

    identity: str | None = None
    identity_regexp: str | None = None
    issuer: str | None = None
    issuer_regexp: str | None = None
    github: tuple[tuple[str, str], ...] = ()


_GITHUB: Final[dict[str, Callable[[str], library.VerificationPolicy]]] = {
    "repository": library.GitHubWorkflowRepository,
    "ref": library.GitHubWorkflowRef,
    "name": library.GitHubWorkflowName,
    "trigger": library.GitHubWorkflowTrigger,
    "sha": library.GitHubWorkflowSHA,
}


class _SomebodyElseError(VerificationError):
    """The certificate is valid, but belongs to another signer than the expected one.

    It travels through sigstore-python and does not leave this module.
    """


class _ExpectedSigner:
    """A policy for sigstore-python: every expectation holds; failures have their own class."""

    def __init__(self, expected: Expected) -> None:
        self._all = library.AllOf(_policies(expected))
        self._accepted = _described(expected)

    def verify(self, cert: Certificate) -> None:
        """Raise _SomebodyElseError unless they do."""
        try:
            self._all.verify(cert)
        except VerificationError as error:
            signer = _of(map(quoted, identities(cert)), map(quoted, issuers(cert)))
            raise _SomebodyElseError(f"{signer}, and {self._accepted} is accepted") from error


class _Matches:
    """A policy for sigstore-python: a text of the certificate matches an expression in full."""

    def __init__(
        self, expression: str, texts: Callable[[Certificate], list[str]], what: str
    ) -> None:
        self._expression = _compiled(expression, what)
        self._texts = texts
        self._what = what

    def verify(self, cert: Certificate) -> None:
        """Raise VerificationError unless it does."""
        texts = self._texts(cert)
        if not any(self._expression.fullmatch(text) for text in texts):
            raise VerificationError(
                f"{self._what} {texts} does not match {self._expression.pattern!r}"
            )


def _compiled(expression: str, what: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except (re.error, OverflowError, RecursionError) as error:
        raise PolicyError(
            f"the regular expression for the signer's {what}, {quoted(expression)}, cannot be "
            f"used: {error}"
        ) from error


def identities(certificate: Certificate) -> list[str]:
    """Return the certificate's subject alternative names of the kinds that Fulcio issues."""
    try:
        names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except ExtensionNotFound:
        return []
    return [
        *names.get_values_for_type(RFC822Name),
        *names.get_values_for_type(UniformResourceIdentifier),
        *(
            # A DER UTF8String of less than 128 bytes: tag, length, text.
            other.value[2:].decode(errors="replace")
            for other in names.get_values_for_type(OtherName)
            if other.type_id.dotted_string == _OTHER_NAME
        ),
    ]


def issuers(certificate: Certificate) -> list[str]:
    """Return the OIDC issuer in the certificate, as sigstore's own policy reads it."""
    try:
        extension = certificate.extensions.get_extension_for_oid(library.OIDCIssuer.oid)
    except ExtensionNotFound:
        return []
    return [extension.value.value.decode(errors="replace")]  # type: ignore[attr-defined]  # unrecognized to cryptography: raw bytes


class SigstoreVerifier:
    """Verify by Sigstore, against one trusted root and one set of expectations."""

    def __init__(self, expected: Expected, *, trusted_root: TrustedRoot) -> None:
        self._root = trusted_root
        self._policy = _ExpectedSigner(expected)

    @property
    def method(self) -> Method:
        """Signed keylessly."""
        return Method.SIGSTORE

    def verify(self, bundle: Bundle, *, now: datetime, allow_legacy: bool) -> Signed:  # noqa: ARG002 — v0.2 signed keylessly as today
        """Return the bundle's payload, if an expected signer signed it.

        Raises:
            SignatureError: None did, or the proof of it does not hold.
            Undecided: The trusted root cannot be used.
        """
        root, verifier = self._library(now)
        try:
            parsed = models.Bundle.from_json(bundle.raw)
            payload_type, payload = verifier.verify_dsse(parsed, self._policy)
        except MemoryError:
            raise
        # Hostile bundles make its dependencies raise errors of any class. Whatever is
        # raised while a bundle is verified, the bundle did not pass.
        except Exception as error:
            raise SignatureError(self._explanation(error, bundle, root, now)) from error
        certificate = parsed.signing_certificate
        return Signed(
            payload=payload,
            payload_type=payload_type,
            signer=ProvenSigner(
                method=Method.SIGSTORE,
                identity=", ".join(identities(certificate)),
                issuer=", ".join(issuers(certificate)),
                log_index=parsed.log_entry._inner.log_index,  # noqa: SLF001 — not public otherwise
                signed_at=signed_at(parsed),
                trusted_root=self._root.describe(now=now),
            ),
        )

    def _library(self, now: datetime) -> tuple[LibraryRoot, LibraryVerifier]:
        try:
            root = LibraryRoot.from_json(self._root.raw)
            return root, LibraryVerifier(trusted_root=models.TrustedRoot(root))
        except (Error, ValueError, TypeError) as error:
            raise Undecided(
                f"the trusted root {self._root.describe(now=now)} cannot be used: "
                f"{_first_line(error)}"
            ) from error

    def _explanation(
        self, error: Exception, bundle: Bundle, root: LibraryRoot, now: datetime
    ) -> str:
        """Return the sentence for a refusal; an outdated root is told apart from a forged entry."""
        known = {log.log_id.key_id for log in root.tlogs if log.log_id}
        claimed = {_log_id(entry) for entry in bundle.log_entries}
        age = self._root.describe(now=now)
        if isinstance(error, _SomebodyElseError):
            return f"the model was signed by somebody else: {error}"
        if claimed - known:
            return (
                f"the signature is recorded in a transparency log that the trusted root {age} "
                "does not know: update the validator, or name the right root"
            )
        if isinstance(error, CertValidationError):
            return (
                "the signer's certificate does not lead to an authority of the trusted root "
                f"{age}, or was not valid when it signed: {_first_line(error)}"
            )
        if isinstance(error, models.InvalidBundle):
            return f"the keyless signature is not a complete bundle: {_first_line(error)}"
        return f"the keyless signature does not hold: {_first_line(error)}"


def _described(expected: Expected) -> str:
    """Return who is accepted, in the words of a sentence."""
    identity = [quoted(text) for text in (expected.identity, expected.identity_regexp) if text]
    issuer = [quoted(text) for text in (expected.issuer, expected.issuer_regexp) if text]
    claims = [f"workflow {name} {quoted(value)}" for name, value in expected.github]
    return _of([*identity, *claims], issuer)


def _of(identity: Iterable[str], issuer: Iterable[str]) -> str:
    return f"{', '.join(identity) or 'nobody'} of {', '.join(issuer) or 'no issuer'}"


def _policies(expected: Expected) -> list[library.VerificationPolicy]:
    policies: list[library.VerificationPolicy] = []
    if expected.identity is not None:
        policies.append(library.Identity(identity=expected.identity))
    if expected.identity_regexp is not None:
        policies.append(_Matches(expected.identity_regexp, identities, "identity"))
    if expected.issuer is not None:
        policies.append(library.OIDCIssuer(expected.issuer))
    if expected.issuer_regexp is not None:
        policies.append(_Matches(expected.issuer_regexp, issuers, "issuer"))
    policies.extend(_GITHUB[claim](value) for claim, value in expected.github)
    return policies


def signed_at(bundle: models.Bundle) -> datetime:
    """Return the log's time where it is signed (Rekor v1), else the certificate's start.

    The library has checked that either lies within the certificate's ten minutes.
    """
    entry = bundle.log_entry._inner  # noqa: SLF001 — not public otherwise
    if entry.inclusion_promise and entry.integrated_time:
        return datetime.fromtimestamp(entry.integrated_time, tz=UTC)
    return bundle.signing_certificate.not_valid_before_utc


def _log_id(entry: object) -> object:
    try:
        return base64.b64decode(entry["logId"]["keyId"])  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        return None


def _first_line(error: Exception) -> str:
    first, *others = str(error).split("\n")
    if "validation error" in first:  # pydantic's; the next two lines say where and what
        first = ": ".join([first, *(line.partition(" [type=")[0].strip() for line in others[:2])])
    return quoted(first or type(error).__name__, limit=400)[1:-1]
