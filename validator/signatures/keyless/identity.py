"""The accepted signer of keyless signatures, as policies for sigstore-python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.x509 import (
    Certificate,
    ExtensionNotFound,
    OtherName,
    RFC822Name,
    SubjectAlternativeName,
    UniformResourceIdentifier,
)
from sigstore.errors import VerificationError
from sigstore.verify import policy as library

from validator.signatures.matching import compiled, matches_any
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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


class SomebodyElseError(VerificationError):
    """The certificate is valid, but belongs to another signer than the expected one.

    It travels through sigstore-python and does not leave this package.
    """


class ExpectedSigner:
    """A policy for sigstore-python: every expectation holds; failures have their own class."""

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._policies = _policies(expected)

    def verify(self, cert: Certificate) -> None:
        """Raise SomebodyElseError unless they do."""
        differing = [word for word, policy in self._policies if not _holds(policy, cert)]
        if differing:
            signer = _of(map(quoted, identities(cert)), map(quoted, issuers(cert)))
            verb = "differs" if len(differing) == 1 else "differ"
            hints = _hints(self._expected, cert)
            raise SomebodyElseError(
                f"{signer}, and {_described(self._expected)} is accepted: "
                f"{' and '.join(differing)} {verb}{''.join(hints)}"
            )


def _holds(policy: library.VerificationPolicy, certificate: Certificate) -> bool:
    try:
        policy.verify(certificate)
    except VerificationError:
        return False
    return True


class _Matches:
    """A policy for sigstore-python: a text of the certificate matches an expression in full."""

    def __init__(
        self, expression: str, texts: Callable[[Certificate], list[str]], what: str
    ) -> None:
        self._expression = compiled(expression, what=what)
        self._texts = texts

    def verify(self, cert: Certificate) -> None:
        """Raise VerificationError unless it does."""
        if not matches_any(self._expression, self._texts(cert)):
            raise VerificationError


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
    return _of([*identity, *claims], issuer)


def _of(identity: Iterable[str], issuer: Iterable[str]) -> str:
    return f"{', '.join(identity) or 'nobody'} of {', '.join(issuer) or 'no issuer'}"


def _policies(expected: Expected) -> list[tuple[str, library.VerificationPolicy]]:
    """Return a policy for each expectation, with the word for what it is about."""
    policies: list[tuple[str, library.VerificationPolicy]] = []
    if expected.identity is not None:
        policies.append(("the identity", library.Identity(identity=expected.identity)))
    if expected.identity_regexp is not None:
        matches = _Matches(expected.identity_regexp, identities, "identity")
        policies.append(("the identity", matches))
    if expected.issuer is not None:
        policies.append(("the issuer", library.OIDCIssuer(expected.issuer)))
    if expected.issuer_regexp is not None:
        policies.append(("the issuer", _Matches(expected.issuer_regexp, issuers, "issuer")))
    policies.extend(
        (f"the workflow's {claim}", _GITHUB[claim](value)) for claim, value in expected.github
    )
    return policies
