"""From a policy's accepted signers to verifiers that hold their trust anchors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from validator.files import read_anchor
from validator.policy.signers import PkiConfig, PrivateKeyConfig, SigstoreConfig

if TYPE_CHECKING:
    from validator.policy.document import ModelValidation
    from validator.policy.signers import Signer, Trust
    from validator.signatures import Verifier
    from validator.signatures.trusted_root import TrustedRoot


def verifiers(policy: ModelValidation) -> tuple[Verifier, ...]:
    """Return a verifier for each signer that the policy accepts.

    Raises:
        PolicyError: A trust anchor is none.
        Undecided: A trust anchor cannot be read or fetched.
    """
    signers = policy.spec.config.signers
    keyless = any(isinstance(signer.method, SigstoreConfig) for signer in signers)
    root = _trusted_root(policy.spec.trust) if keyless else None
    return tuple(
        _verifier(signer, f"{policy.reference}: config{place}", root)
        for signer, place in zip(signers, _places(policy), strict=True)
    )


def _places(policy: ModelValidation) -> list[str]:
    """Return where in `config` each signer stands, for sentences."""
    count = len(policy.spec.config.any_of or ())
    return [f".anyOf[{n}]" for n in range(count)] or [""]


def _verifier(signer: Signer, source: str, root: TrustedRoot | None) -> Verifier:
    # Each method's libraries are loaded only where a signer uses it.
    match signer.method:
        case PrivateKeyConfig(key_path=path, public_key=text):
            from validator.signatures.key import KeyVerifier

            return KeyVerifier.from_pem(_anchor(path, text, "public key"), source=path or source)
        case PkiConfig(certificate_authority=path, certificate_authorities=text):
            from validator.signatures.certificate import CertificateVerifier

            pem = _anchor(path, text, "certificate authority")
            return CertificateVerifier.from_pem(pem, source=path or source)
        case SigstoreConfig() as config:
            from validator.signatures.keyless import (
                Expected,
                SigstoreVerifier,
            )

            claims = config.github_workflow
            expected = Expected(
                identity=config.certificate_identity,
                identity_regexp=config.certificate_identity_regexp,
                issuer=config.certificate_oidc_issuer,
                issuer_regexp=config.certificate_oidc_issuer_regexp,
                github=tuple(
                    (name, value)
                    for name in ("repository", "ref", "name", "trigger", "sha")
                    if claims and (value := getattr(claims, name)) is not None
                ),
            )
            if root is None:
                raise AssertionError
            return SigstoreVerifier(expected, trusted_root=root)


def _anchor(path: str | None, text: str | None, what: str) -> bytes:
    if path is None:
        return (text or "").encode()
    return read_anchor(Path(path), what=what)


def _trusted_root(trust: Trust | None) -> TrustedRoot:
    from validator.signatures.trusted_root import TrustedRoot

    if trust is None:
        return TrustedRoot.packaged()
    if trust.trusted_root is not None:
        return TrustedRoot.from_json(trust.trusted_root.encode(), source="the policy's root")
    if trust.tuf is None:
        raise AssertionError
    return TrustedRoot.fetched(trust.tuf.url, root=trust.tuf.root.encode())
