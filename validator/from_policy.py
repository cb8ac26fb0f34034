"""The verifications that a policy asks for, with verifiers that hold its trust anchors."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from validator.errors import PolicyError, Refused, RuleError
from validator.files import read_anchor
from validator.policy import trust_root
from validator.policy.cluster_rules.resolved import ResolvedPolicy
from validator.policy.signers import PkiConfig, PrivateKeyConfig, SigstoreConfig
from validator.text import quoted
from validator.verification import Demand, Request

if TYPE_CHECKING:
    from validator.policy.document import ModelValidation
    from validator.policy.signers import AcceptedSigner, Config, Trust
    from validator.policy.volumes import Model
    from validator.signatures import Verifier
    from validator.signatures.trusted_root import TrustedRoot


def requests(
    policy: ModelValidation, *, cover: tuple[str, ...], jobs: int | None = None
) -> list[Request]:
    """Return the verification that a policy asks for, of each model.

    Args:
        policy: What is demanded.
        cover: Absolute and canonical paths that the workload opens.
        jobs: Threads for hashing; the cores that its container is granted, if absent.

    Raises:
        PolicyError: A trust anchor cannot be used.
        Refused: The workload opens something outside of every model, or the cluster's rules do not
            allow such a policy.
        Undecided: A trust anchor cannot be read or fetched.
    """
    models = policy.spec.all_models
    also = _demands(policy) if isinstance(policy, ResolvedPolicy) else ()
    covered = _by_model(models, cover)
    accepted = verifiers(policy)
    return [
        Request(
            model=model.path,
            signature=model.signature,
            verifiers=accepted,
            ignore_paths=model.ignore_paths,
            ignore_git_paths=model.ignore_git_paths,
            ignore_unsigned_files=model.ignore_unsigned_files,
            digests=model.digests,
            also=also,
            must_cover=covered[model.path],
            jobs=jobs,
        )
        for model in models
    ]


def _by_model(models: tuple[Model, ...], cover: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return, for each model's path, what the workload opens in it.

    Raises:
        Refused: The workload opens something outside of every model.
    """
    covered: dict[str, tuple[str, ...]] = {model.path: () for model in models}
    for path in cover:
        for root in covered:
            if path == root or path.startswith(f"{root}/"):
                covered[root] += (posixpath.relpath(path, root),)
                break
        else:
            raise Refused(f"the workload opens {quoted(path)}, which lies in no verified model")
    return covered


def _demands(policy: ResolvedPolicy) -> tuple[Demand, ...]:
    """Return what the rules of the cluster demand beside the policy.

    Raises:
        RuleError: They do not allow such a policy.
        PolicyError, Undecided: See `verifiers`.
    """
    if policy.conflicts:
        raise RuleError("; ".join(policy.conflicts))
    return tuple(
        Demand(
            name=each.reference,
            verifiers=_accepting(each.config, each.trust, reference=each.reference),
            digests=each.digests,
        )
        for each in policy.also_required
    )


def verifiers(policy: ModelValidation) -> tuple[Verifier, ...]:
    """Return a verifier for each signer that the policy accepts.

    Raises:
        PolicyError: A trust anchor cannot be used.
        Undecided: A trust anchor cannot be read or fetched.
    """
    return _accepting(policy.spec.config, policy.spec.trust, reference=policy.reference)


def _accepting(config: Config, trust: Trust | None, *, reference: str) -> tuple[Verifier, ...]:
    """Return a verifier for each accepted signer; `reference` names the document for sentences."""
    if missing := trust_root.names(config, trust):
        raise PolicyError(
            f"{reference} names the {trust_root.KIND} {quoted(missing[0])}, which is not "
            "here: the webhook puts it into the policy of a gate, and a file has it beside the "
            "policy"
        )
    signers = config.signers
    keyless = any(isinstance(signer.method, SigstoreConfig) for signer in signers)
    root = _trusted_root(trust, f"{reference}: trust") if keyless else None
    return tuple(
        _verifier(signer, f"{reference}: config{place}", root)
        for signer, place in zip(signers, _places(config), strict=True)
    )


def _places(config: Config) -> list[str]:
    """Return where in `config` each signer stands, for sentences."""
    count = len(config.any_of or ())
    return [f".anyOf[{n}]" for n in range(count)] or [""]


def _verifier(signer: AcceptedSigner, source: str, root: TrustedRoot | None) -> Verifier:
    # Each method's libraries are loaded only where a signer uses it.
    match signer.method:
        case PrivateKeyConfig(key_path=path, public_key=text):
            from validator.signatures.key import KeyVerifier

            return KeyVerifier.from_pem(_anchor(path, text, "public key"), source=path or source)
        case PkiConfig(certificate_authority=path, certificate_authorities=text) as pki:
            from validator.signatures.certificate import CertificateVerifier

            return CertificateVerifier.from_pem(
                _anchor(path, text, "certificate authority"),
                source=path or source,
                identity=pki.certificate_identity,
                identity_regexp=pki.certificate_identity_regexp,
            )
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
    return read_anchor(path, what=what)


def _trusted_root(trust: Trust | None, source: str) -> TrustedRoot:
    from validator.signatures.trusted_root import TrustedRoot

    if trust is None:
        return TrustedRoot.packaged()
    if trust.trusted_root is not None:
        return TrustedRoot.from_json(trust.trusted_root.encode(), source=source)
    if trust.tuf is None:
        raise AssertionError
    return TrustedRoot.fetched(trust.tuf.url, root=trust.tuf.root.encode())
