"""`TrustRoot`: a root of trust as an object of its own, which policies name.

It holds one of what a policy can also hold itself: a Sigstore trusted root, certificate
authorities, or a public key. Whoever renews it does so in one place. A policy that names one is
resolved before it reaches a gate: `resolve` writes the text into the policy. So it does with the
cluster's rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from validator.errors import PolicyError
from validator.policy.document import Metadata, converted
from validator.policy.origins import Origin, Resolved
from validator.policy.schema.fields import Document, Part, Rule, given, one_of
from validator.policy.signers import (
    AuthoritiesText,
    KeyText,
    PkiConfig,
    PrivateKeyConfig,
    SigstoreConfig,
    TrustedRootText,
)
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from validator.policy.cluster_rules.rule import ClusterModelValidation
    from validator.policy.document import ModelValidation
    from validator.policy.signers import AcceptedSigner, Config, Trust

_Naming = TypeVar("_Naming", "ModelValidation", "ClusterModelValidation")
"""A document that names roots."""

KIND: Final = "TrustRoot"
PLURAL: Final = "trustroots"

_HELD: Final = {
    "trusted_root": "a Sigstore trusted root (trustedRoot)",
    "certificate_authorities": "certificate authorities (certificateAuthorities)",
    "public_key": "a public key (publicKey)",
}
"""The fields of a root, of which it has one, and how a sentence calls what they hold."""

_KEY: Final = "public_key", "privateKeyConfig.trustRootRef"
_PKI: Final = "certificate_authorities", "pkiConfig.trustRootRef"
_TRUST: Final = "trusted_root", "trust.trustRootRef"
"""By where a policy names a root: the field that is needed of it, and the place in a sentence."""


class TrustRootSpec(Part, frozen=True, kw_only=True):
    """The root proper: exactly one kind of it."""

    trusted_root: (
        Annotated[
            TrustedRootText,
            Meta(description="trusted_root.json of a Sigstore, the text itself."),
        ]
        | None
    ) = None
    certificate_authorities: (
        Annotated[
            AuthoritiesText,
            Meta(description="Certificates of the authorities, PEM."),
        ]
        | None
    ) = None
    public_key: Annotated[KeyText, Meta(description="A signer's public key, PEM.")] | None = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "spec holds no root or several: set exactly one of trustedRoot, "
            "certificateAuthorities, publicKey",
            one_of("trustedRoot", "certificateAuthorities", "publicKey"),
            lambda self: (
                given(self.trusted_root, self.certificate_authorities, self.public_key) == 1
            ),
        ),
    )


class TrustRoot(
    Document, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=False
):
    """A root of trust of the whole cluster."""

    api_version: Literal["rhtas.redhat.com/v1alpha1"]
    kind: Literal["TrustRoot"]
    metadata: Metadata
    spec: TrustRootSpec

    @classmethod
    def from_object(cls, document: object, *, source: str) -> Self:
        """Build a root from decoded JSON or YAML.

        Args:
            document: What the decoder returned, of any type.
            source: Where it comes from, for the sentence.

        Raises:
            PolicyError: It is not a valid TrustRoot.
        """
        return converted(document, cls, kind=KIND, source=source)


class Reference(NamedTuple):
    """A root that a policy names.

    Attributes:
        name: Of the root.
        field: That is needed of it.
        place: Of the reference in the policy, for a sentence.
    """

    name: str
    field: str
    place: str


def references(config: Config, trust: Trust | None) -> tuple[Reference, ...]:
    """Return what accepted signers and their root need of which roots, each once."""
    signers: tuple[Config | AcceptedSigner, ...] = (config, *(config.any_of or ()))
    needs = dict.fromkeys(
        Reference(method.trust_root_ref.name, *needed)
        for signer in signers
        for method, needed in _methods(signer)
        if method is not None and method.trust_root_ref is not None
    )
    if trust is not None and trust.trust_root_ref is not None:
        needs[Reference(trust.trust_root_ref.name, *_TRUST)] = None
    return tuple(needs)


def _methods(
    signer: Config | AcceptedSigner,
) -> tuple[tuple[PrivateKeyConfig | PkiConfig | None, tuple[str, str]], ...]:
    """Return the methods that may name a root, in the order in which they are resolved."""
    return (
        (signer.private_key_config, _KEY),
        (signer.public_key_config, _KEY),
        (signer.pki_config, _PKI),
    )


def names(config: Config, trust: Trust | None) -> tuple[str, ...]:
    """Return the names of the roots that accepted signers and their root name, each once."""
    return tuple(dict.fromkeys(each.name for each in references(config, trust)))


def names_one(config: Config, trust: Trust | None) -> bool:
    """Tell whether there are such names; each review asks it of each policy of a namespace."""
    if trust is not None and trust.trust_root_ref is not None:
        return True
    return any(
        method is not None and method.trust_root_ref is not None
        for signer in (config, *(config.any_of or ()))
        for method in (signer.private_key_config, signer.public_key_config, signer.pki_config)
    )


def resolve(document: _Naming, find: Callable[[str], TrustRoot]) -> _Naming:
    """Return a policy or rule with the texts of the roots that it names, and which ones they are.

    Args:
        document: As it was written; returned as it is, where it names none.
        find: Returns the root of a name, and raises `PolicyError` where there is none.

    Raises:
        PolicyError: A root is missing, cannot be used, or is of another kind than is needed; the
            sentence begins with the field.
    """
    spec = document.spec
    if not names_one(spec.config, spec.trust):
        return document
    held = _Held(find)
    config, trust = _config(spec.config, held), _trust(spec.trust, held)
    origins = tuple(held.used[name] for name in sorted(held.used))
    return msgspec.structs.replace(
        document,
        spec=msgspec.structs.replace(spec, config=config, trust=trust),
        resolved=_resolved(spec.config, spec.trust, origins),
    )


def _resolved(config: Config, trust: Trust | None, origins: tuple[Origin, ...]) -> Resolved:
    """Return what a document was made of, and whether a root vouches for each of its signers."""
    named = trust is not None and trust.trust_root_ref is not None
    signers = [each.method for each in config.signers]
    return Resolved(
        trust_roots=origins,
        trusts_nothing_else=all(
            named if isinstance(each, SigstoreConfig) else each.trust_root_ref is not None
            for each in signers
        ),
    )


def found(reference: Reference, find: Callable[[str], TrustRoot]) -> TrustRoot:
    """Return the root that is named.

    Args:
        reference: To it.
        find: Returns the root of a name, and raises `PolicyError` where there is none.

    Raises:
        PolicyError: See `resolve`; the sentence begins with the field.
    """
    try:
        root = find(reference.name)
    except PolicyError as error:
        raise PolicyError(f"{reference.place}: {error}") from error
    if getattr(root.spec, reference.field) is None:
        (other,) = (each for each in _HELD if getattr(root.spec, each) is not None)
        raise PolicyError(
            f"{reference.place}: the {KIND} {quoted(reference.name)} holds {_HELD[other]}, and "
            f"here it takes {_HELD[reference.field]}: name another {KIND}"
        )
    return root


class _Held:
    """The roots that a policy names, looked up as they are met."""

    def __init__(self, find: Callable[[str], TrustRoot]) -> None:
        self._find = find
        self.used: dict[str, Origin] = {}

    def text(self, reference: Reference) -> str:
        """Return the text that is needed.

        Raises:
            PolicyError: There is none.
        """
        root = found(reference, self._find)
        text: str = getattr(root.spec, reference.field)
        self.used[reference.name] = Origin(
            name=root.metadata.name, uid=root.metadata.uid, generation=root.metadata.generation
        )
        return text


def _config(config: Config, held: _Held) -> Config:
    return msgspec.structs.replace(
        config,
        private_key_config=_key(config.private_key_config, held),
        public_key_config=_key(config.public_key_config, held),
        pki_config=_pki(config.pki_config, held),
        any_of=config.any_of
        and tuple(
            msgspec.structs.replace(
                signer,
                private_key_config=_key(signer.private_key_config, held),
                public_key_config=_key(signer.public_key_config, held),
                pki_config=_pki(signer.pki_config, held),
            )
            for signer in config.any_of
        ),
    )


def _key(key: PrivateKeyConfig | None, held: _Held) -> PrivateKeyConfig | None:
    if key is None or key.trust_root_ref is None:
        return key
    text = held.text(Reference(key.trust_root_ref.name, *_KEY))
    return PrivateKeyConfig(public_key=text)


def _pki(pki: PkiConfig | None, held: _Held) -> PkiConfig | None:
    if pki is None or pki.trust_root_ref is None:
        return pki
    text = held.text(Reference(pki.trust_root_ref.name, *_PKI))
    return msgspec.structs.replace(pki, trust_root_ref=None, certificate_authorities=text)


def _trust(trust: Trust | None, held: _Held) -> Trust | None:
    if trust is None or trust.trust_root_ref is None:
        return trust
    text = held.text(Reference(trust.trust_root_ref.name, *_TRUST))
    return msgspec.structs.replace(trust, trust_root_ref=None, trusted_root=text)
