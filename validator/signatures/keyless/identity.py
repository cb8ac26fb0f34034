"""The accepted signer of keyless signatures, as policies for sigstore-python."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from cryptography.x509 import (
    Certificate,
    ExtensionNotFound,
    ObjectIdentifier,
    OtherName,
    RFC822Name,
    SubjectAlternativeName,
    UniformResourceIdentifier,
)
from sigstore.errors import VerificationError
from sigstore.verify import policy as library

from validator.signatures.certificate_names import text_of
from validator.signatures.matching import compiled, matches_any
from validator.text import few, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from validator.policy.schema.expressions import Expression

_OTHER_NAME: Final = "1.3.6.1.4.1.57264.1.7"
"""Fulcio's "other name" for user names, a DER string (fulcio, page oid-info)."""

_ISSUER_AS_DER: Final = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_ISSUERS: Final = (_ISSUER_AS_DER, ObjectIdentifier("1.3.6.1.4.1.57264.1.1"))
"""Fulcio's extensions for the OIDC issuer, the current one first (the same page)."""


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


class SomebodyElseError(VerificationError):
    """The certificate is valid, but belongs to another signer than the expected one.

    It travels through sigstore-python and does not leave this package.
    """


class ExpectedSigner:
    """A policy for sigstore-python: every expectation holds; failures have their own class."""

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._checks = list(_checks(expected))

    def verify(self, cert: Certificate) -> None:
        """Raise SomebodyElseError unless they do."""
        differing = [word for word, holds in self._checks if not holds(cert)]
        if differing:
            signer = _of(few(identities(cert)), few(issuers(cert)))
            verb = "differs" if len(differing) == 1 else "differ"
            hints = _hints(self._expected, cert)
            raise SomebodyElseError(
                f"{signer}, and {_described(self._expected)} is accepted: "
                f"{' and '.join(differing)} {verb}{''.join(hints)}"
            )


def _holds(policy: library.VerificationPolicy, certificate: Certificate) -> bool:
    try:
        policy.verify(certificate)
    except (VerificationError, UnicodeDecodeError):
        return False
    return True


def identities(certificate: Certificate) -> list[str]:
    """Return the certificate's subject alternative names of the kinds that Fulcio issues."""
    try:
        names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except ExtensionNotFound:
        return []
    return [
        *names.get_values_for_type(RFC822Name),
        *names.get_values_for_type(UniformResourceIdentifier),
        *filter(
            None,
            (
                text_of(other.value)
                for other in names.get_values_for_type(OtherName)
                if other.type_id.dotted_string == _OTHER_NAME
            ),
        ),
    ]


def issuers(certificate: Certificate) -> list[str]:
    """Return the OIDC issuer in the certificate, if it has one.

    Fulcio writes it twice: as a DER string, and as the bare text that it wrote before.
    """
    for number in _ISSUERS:
        try:
            extension = certificate.extensions.get_extension_for_oid(number)
        except ExtensionNotFound:
            continue
        raw = extension.value.public_bytes()
        text = text_of(raw) if number is _ISSUER_AS_DER else raw.decode(errors="replace")
        return [text] if text else []
    return []


def _hints(expected: Expected, certificate: Certificate) -> Iterator[str]:
    """Yield what is nearly right in the expected signer, each with its semicolon."""
    pairs = (
        ("the identity", expected.identity, identities(certificate)),
        ("the issuer", expected.issuer, issuers(certificate)),
    )
    for what, wanted, found in pairs:
        if wanted is None or wanted in found:
            continue
        if wanted.removeprefix("email:") in found:
            yield f"; write {what} without 'email:'"
        elif wanted.rstrip("/") in {each.rstrip("/") for each in found}:
            yield f"; only the '/' at the end of {what} is different"
        elif wanted.casefold() in {each.casefold() for each in found}:
            yield f"; only capital and small letters of {what} are different"


def _described(expected: Expected) -> str:
    """Return who is accepted, in the words of a sentence."""
    identity = [quoted(text) for text in (expected.identity, expected.identity_regexp) if text]
    issuer = [quoted(text) for text in (expected.issuer, expected.issuer_regexp) if text]
    claims = [f"workflow {name} {quoted(value)}" for name, value in expected.github]
    return _of(", ".join((*identity, *claims)), ", ".join(issuer))


def _of(identity: str, issuer: str) -> str:
    return f"{identity or 'nobody'} of {issuer or 'no issuer'}"


def _checks(expected: Expected) -> Iterator[tuple[str, Callable[[Certificate], bool]]]:
    """Yield a check for each expectation, with the word for what it is about.

    Identity and issuer are compared here: sigstore-python compares a user name with its DER form,
    and knows the former extension of the issuer only.
    """
    texts = (
        ("identity", identities, expected.identity, expected.identity_regexp),
        ("issuer", issuers, expected.issuer, expected.issuer_regexp),
    )
    for what, found, exact, regexp in texts:
        if exact is not None:
            yield f"the {what}", partial(_is_among, exact, found)
        if regexp is not None:
            yield f"the {what}", partial(_matches, compiled(regexp, what=what), found)
    for claim, value in expected.github:
        yield f"the workflow's {claim}", partial(_holds, _GITHUB[claim](value))


def _is_among(
    text: str, found: Callable[[Certificate], list[str]], certificate: Certificate
) -> bool:
    return text in found(certificate)


def _matches(
    expression: Expression, found: Callable[[Certificate], list[str]], certificate: Certificate
) -> bool:
    return matches_any(expression, found(certificate))
