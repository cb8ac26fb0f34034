"""The signers that a policy accepts, and the roots of trust that vouch for them."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Final

from msgspec import Meta

from validator.policy.schema import expressions
from validator.policy.schema.fields import Name, Part, Path, Regexp, Rule, Text, given, one_of

SIGNERS_LIMIT: Final = 16

KeyText = Annotated[str, Meta(min_length=1, max_length=4096)]
AuthoritiesText = Annotated[str, Meta(min_length=1, max_length=32768)]
TrustedRootText = Annotated[str, Meta(min_length=1, max_length=49152)]
"""Characters of trust anchors that a policy, or a TrustRoot, holds itself."""

_RESERVED: Final = re.compile(r"\.invalid(?=[:/]|$)")
"""The domain that nobody can have (RFC 2606), in an address or a URL: our examples name it."""


class GithubWorkflow(Part, frozen=True, kw_only=True):
    """Claims that Fulcio wrote into the certificate of a GitHub Actions workflow."""

    repository: Annotated[Text, Meta(description="owner/name.")]
    ref: Annotated[Text, Meta(description="Git reference, such as refs/heads/main.")] | None = None
    name: Annotated[Text, Meta(description="The workflow's name.")] | None = None
    trigger: Annotated[Text, Meta(description="Event, such as push.")] | None = None
    sha: Annotated[Text, Meta(description="Commit that ran.")] | None = None


class SigstoreConfig(Part, frozen=True, kw_only=True):
    """Keyless signing: who signed, and who vouches for that identity."""

    certificate_identity: (
        Annotated[Text, Meta(description="The signer: a mail address or a URI, matched exactly.")]
        | None
    ) = None
    certificate_identity_regexp: (
        Annotated[Regexp, Meta(description="The same as a regular expression, matched in full.")]
        | None
    ) = None
    certificate_oidc_issuer: (
        Annotated[Text, Meta(description="The identity's issuer, matched exactly.")] | None
    ) = None
    certificate_oidc_issuer_regexp: (
        Annotated[Regexp, Meta(description="The same as a regular expression, matched in full.")]
        | None
    ) = None
    github_workflow: GithubWorkflow | None = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "sigstoreConfig accepts nobody or says it twice: set exactly one of "
            "certificateIdentity, certificateIdentityRegexp (githubWorkflow may stand for them)",
            "!(has(self.certificateIdentity) && has(self.certificateIdentityRegexp)) && "
            "(has(self.certificateIdentity) || has(self.certificateIdentityRegexp) || "
            "has(self.githubWorkflow))",
            lambda self: (
                given(self.certificate_identity, self.certificate_identity_regexp)
                in ((0, 1) if self.github_workflow else (1,))
            ),
        ),
        Rule(
            "certificateIdentity begins with 'email:': write the address alone, as certificates "
            "have it",
            "!has(self.certificateIdentity) || !self.certificateIdentity.startsWith('email:')",
            lambda self: not (self.certificate_identity or "").startswith("email:"),
        ),
        Rule(
            "sigstoreConfig names no issuer or two: set exactly one of certificateOidcIssuer, "
            "certificateOidcIssuerRegexp",
            one_of("certificateOidcIssuer", "certificateOidcIssuerRegexp"),
            lambda self: (
                given(self.certificate_oidc_issuer, self.certificate_oidc_issuer_regexp) == 1
            ),
        ),
        Rule(
            "certificateIdentityRegexp is not a regular expression or matches the empty text",
            expressions.usable_cel("certificateIdentityRegexp"),
            lambda self: expressions.usable(self.certificate_identity_regexp),
        ),
        Rule(
            "certificateOidcIssuerRegexp is not a regular expression or matches the empty text",
            expressions.usable_cel("certificateOidcIssuerRegexp"),
            lambda self: expressions.usable(self.certificate_oidc_issuer_regexp),
        ),
    )


class TrustRootRef(Part, frozen=True, kw_only=True):
    """A TrustRoot, which holds what is needed here."""

    name: Annotated[Name, Meta(description="Its name.")]


class PrivateKeyConfig(Part, frozen=True, kw_only=True):
    """Signing by a key pair; the public half is the trust anchor."""

    key_path: Annotated[Path, Meta(description="File with the public key, PEM.")] | None = None
    public_key: (
        Annotated[
            KeyText,
            Meta(description="The public key itself, PEM."),
        ]
        | None
    ) = None
    trust_root_ref: (
        Annotated[TrustRootRef, Meta(description="A TrustRoot that holds a publicKey.")] | None
    ) = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "privateKeyConfig names no key or several: set exactly one of publicKey, keyPath, "
            "trustRootRef",
            one_of("keyPath", "publicKey", "trustRootRef"),
            lambda self: given(self.key_path, self.public_key, self.trust_root_ref) == 1,
        ),
    )


class PkiConfig(Part, frozen=True, kw_only=True):
    """Signing by a certificate; certificate authorities are the trust anchors."""

    certificate_authority: (
        Annotated[Path, Meta(description="File with the authorities' certificates, PEM.")] | None
    ) = None
    certificate_authorities: (
        Annotated[
            AuthoritiesText,
            Meta(description="The certificates themselves, PEM."),
        ]
        | None
    ) = None
    trust_root_ref: (
        Annotated[TrustRootRef, Meta(description="A TrustRoot that holds certificateAuthorities.")]
        | None
    ) = None
    certificate_identity: (
        Annotated[
            Text,
            Meta(
                description="The signer below them: the certificate's subject (RFC 4514) or any "
                "subject alternative name, matched exactly; without it every signer is accepted.",
            ),
        ]
        | None
    ) = None
    certificate_identity_regexp: (
        Annotated[Regexp, Meta(description="The same as a regular expression, matched in full.")]
        | None
    ) = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "pkiConfig names no authority or several: set exactly one of certificateAuthorities, "
            "certificateAuthority, trustRootRef",
            one_of("certificateAuthority", "certificateAuthorities", "trustRootRef"),
            lambda self: (
                given(self.certificate_authority, self.certificate_authorities, self.trust_root_ref)
                == 1
            ),
        ),
        Rule(
            "pkiConfig says twice who signs: set at most one of certificateIdentity, "
            "certificateIdentityRegexp",
            "!(has(self.certificateIdentity) && has(self.certificateIdentityRegexp))",
            lambda self: given(self.certificate_identity, self.certificate_identity_regexp) < 2,  # noqa: PLR2004 — both
        ),
        Rule(
            "certificateIdentityRegexp is not a regular expression or matches the empty text",
            expressions.usable_cel("certificateIdentityRegexp"),
            lambda self: expressions.usable(self.certificate_identity_regexp),
        ),
    )


class _Methods(Part, frozen=True, kw_only=True):
    """The signing methods, of which a policy sets one."""

    sigstore_config: SigstoreConfig | None = None
    private_key_config: PrivateKeyConfig | None = None
    public_key_config: (
        Annotated[PrivateKeyConfig, Meta(description="Another name of privateKeyConfig.")] | None
    ) = None
    pki_config: PkiConfig | None = None

    @property
    def methods(self) -> tuple[SigstoreConfig | PrivateKeyConfig | PkiConfig | None, ...]:
        """All methods, those that are not set as None."""
        return (
            self.sigstore_config,
            self.private_key_config,
            self.public_key_config,
            self.pki_config,
        )


class AcceptedSigner(_Methods, frozen=True, kw_only=True):
    """One acceptable signer: exactly one signing method."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "config names no signing method or several: set exactly one of sigstoreConfig, "
            "privateKeyConfig, pkiConfig",
            one_of("sigstoreConfig", "privateKeyConfig", "publicKeyConfig", "pkiConfig"),
            lambda self: given(*self.methods) == 1,
        ),
    )

    @property
    def method(self) -> SigstoreConfig | PrivateKeyConfig | PkiConfig:
        """The one method that is set."""
        chosen = next((each for each in self.methods if each is not None), None)
        if chosen is None:  # the rule above has refused it
            raise AssertionError
        return chosen

    @property
    def anchor_path(self) -> str | None:
        """The path of a trust anchor that is not inline."""
        match self.method:
            case PrivateKeyConfig(key_path=path) | PkiConfig(certificate_authority=path):
                return path
        return None

    @property
    def is_placeholder(self) -> bool:
        """Whether it is the signer of our examples, as whom nobody can sign."""
        match self.method:
            case SigstoreConfig(certificate_identity=identity, certificate_oidc_issuer=issuer):
                return any(_RESERVED.search(each) for each in (identity, issuer) if each)
        return False


class Config(_Methods, frozen=True, kw_only=True):
    """The accepted signers: one method, or several signers of which one suffices."""

    any_of: (
        Annotated[
            tuple[AcceptedSigner, ...],
            Meta(
                min_length=1,
                max_length=SIGNERS_LIMIT,
                description="Several acceptable signers; one suffices.",
            ),
        ]
        | None
    ) = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "config names no signing method or several: set exactly one of sigstoreConfig, "
            "privateKeyConfig, pkiConfig, or list alternatives in anyOf",
            one_of("sigstoreConfig", "privateKeyConfig", "publicKeyConfig", "pkiConfig", "anyOf"),
            lambda self: given(*self.methods, self.any_of) == 1,
        ),
    )

    @property
    def signers(self) -> tuple[AcceptedSigner, ...]:
        """All acceptable signers, at least one."""
        return self.any_of or (
            AcceptedSigner(
                sigstore_config=self.sigstore_config,
                private_key_config=self.private_key_config or self.public_key_config,
                pki_config=self.pki_config,
            ),
        )


class TufMirror(Part, frozen=True, kw_only=True):
    """A TUF repository that serves the Sigstore trusted root; needs network in the gate."""

    url: Annotated[
        str, Meta(max_length=1024, pattern="^https://", description="The repository's address.")
    ]
    root: Annotated[
        TrustedRootText,
        Meta(description="Its initial root.json, the text itself."),
    ]


class Trust(Part, frozen=True, kw_only=True):
    """Another root of trust than Sigstore's public one, for keyless signatures."""

    trusted_root: (
        Annotated[
            TrustedRootText,
            Meta(description="trusted_root.json of a private Sigstore, the text itself."),
        ]
        | None
    ) = None
    tuf: TufMirror | None = None
    trust_root_ref: (
        Annotated[TrustRootRef, Meta(description="A TrustRoot that holds a trustedRoot.")] | None
    ) = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "trust names no root or several: set exactly one of trustedRoot, tuf, trustRootRef",
            one_of("trustedRoot", "tuf", "trustRootRef"),
            lambda self: given(self.trusted_root, self.tuf, self.trust_root_ref) == 1,
        ),
    )
