"""`ModelValidation`: the policy, for all of its three carriers.

The same document is the custom resource in the cluster, a file for
`model-validator verify policy FILE`, and the environment variable of the
injected container. This module is its one parser: the types below are the
schema (`validator.policy.crd` generates the resource's from them), and each rule that
a type cannot say stands beside its type twice, for Python and for the API
server, under one message.

Importing it loads neither cryptography nor sigstore: the webhook uses it too.
"""

from __future__ import annotations

import json
import posixpath
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from re import _parser  # type: ignore[attr-defined]  # not public, and nothing public tells widths
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from validator import contract
from validator.errors import PolicyError
from validator.text import printable, quoted

if TYPE_CHECKING:
    from typing import Self

FILE_LIMIT: Final = 1024 * 1024
"""Bytes of a policy file; the API server's own limit for an object is 1.5 MiB."""

NAME_LIMIT: Final = 63
"""Characters of a label's value, by which pods choose a policy."""

MODELS_LIMIT: Final = 8
SIGNERS_LIMIT: Final = 16


@dataclass(frozen=True, slots=True)
class Rule:
    """One demand on a type: `holds` in Python, `cel` in the API server, one message."""

    message: str
    cel: str
    holds: Callable[[Any], bool]


class _Document(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What all parts of a policy share: camelCase names, rules checked on construction."""

    rules: ClassVar[tuple[Rule, ...]] = ()

    def __post_init__(self) -> None:
        for rule in self.rules:
            if not rule.holds(self):
                raise ValueError(rule.message)


class _Part(_Document, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the specification: a field that it does not know is an error."""


# Canonical: no empty, "." or ".." segment, no trailing slash, never the root itself.
_SEGMENT: Final = r"(?:[^/.\x00][^/\x00]*|\.[^/.\x00][^/\x00]*|\.\.[^/\x00]+)"
_ABSOLUTE: Final = f"^(?:/{_SEGMENT})+$"
_RELATIVE: Final = f"^{_SEGMENT}(?:/{_SEGMENT})*$"

Path = Annotated[str, Meta(max_length=1024, pattern=_ABSOLUTE)]
RelativePath = Annotated[str, Meta(max_length=1024, pattern=_RELATIVE)]
Digest = Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$", max_length=71)]
Text = Annotated[str, Meta(min_length=1, max_length=1024)]
Regexp = Annotated[str, Meta(min_length=1, max_length=512)]
Name = Annotated[
    str, Meta(min_length=1, max_length=253, pattern="^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
]
VolumeName = Annotated[
    str, Meta(min_length=1, max_length=63, pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
]
Quantity = Annotated[
    str, Meta(max_length=32, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")
]
Identifier = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Duration = Annotated[str, Meta(max_length=6, pattern="^[1-9][0-9]{0,4}[smh]$")]
Rate = Annotated[str, Meta(max_length=7, pattern="^[1-9][0-9]{0,4}[MG]i?$")]

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
_BYTES: Final = {"M": 10**6, "Mi": 2**20, "G": 10**9, "Gi": 2**30}

_PATH_FORM: Final = "absolute and canonical (no '..', '//', '/./' or '/' at the end)"


def _one_of(*names: str) -> str:
    """Return the CEL expression that exactly one of `names` (JSON fields) is set."""
    return "[" + ", ".join(f"has(self.{name})" for name in names) + "].filter(x, x).size() == 1"


def _given(*values: object) -> int:
    return sum(value is not None for value in values)


def _usable(pattern: str | None) -> bool:
    r"""Tell whether a regular expression can be read and says something about its subject.

    What only compiling shows, the gate finds: (?i)[!-\uffff][… takes half a second, and a policy
    holds 32 of them. Nor is it matched: (a?|b?){60}\b is busy for ever on no text at all.
    """
    if pattern is None:
        return True
    try:
        with warnings.catch_warnings(action="ignore"):  # of sets that may mean more one day
            shortest, _ = _parser.parse(pattern).getwidth()
    except (re.error, OverflowError, RecursionError):  # a{9…9}, and ((((…
        return False
    return bool(shortest)


def _usable_cel(name: str) -> str:
    return f"!has(self.{name}) || !''.matches('^(?:' + self.{name} + ')$')"


class ClaimVolume(_Part, frozen=True, kw_only=True):
    """A PersistentVolumeClaim of the pod's namespace."""

    claim_name: Annotated[Name, Meta(description="Name of the claim.")]


class ImageVolume(_Part, frozen=True, kw_only=True):
    """An OCI image that holds the model, by digest."""

    reference: Annotated[
        str,
        Meta(
            max_length=1024,
            pattern="^[^@\\s]+@sha256:[0-9a-f]{64}$",
            description="Image reference with its digest; a tag can be moved under a running pod.",
        ),
    ]


class NfsVolume(_Part, frozen=True, kw_only=True):
    """An NFS export."""

    server: Annotated[Text, Meta(description="Host name or address of the server.")]
    path: Annotated[Path, Meta(description="Exported path.")]


class CsiVolume(_Part, frozen=True, kw_only=True):
    """An inline volume of a CSI driver."""

    driver: Annotated[Name, Meta(description="Name of the driver.")]
    volume_attributes: Annotated[
        dict[Annotated[str, Meta(max_length=128)], Annotated[str, Meta(max_length=1024)]],
        Meta(max_length=32, description="Attributes, as the driver defines them."),
    ] = {}


class HostPathVolume(_Part, frozen=True, kw_only=True):
    """A directory of the node."""

    path: Annotated[Path, Meta(description="Directory on the node.")]


class ModelVolume(_Part, frozen=True, kw_only=True):
    """Where the model lies: added to a pod that does not declare it, demanded of one that does."""

    name: (
        Annotated[VolumeName, Meta(description="Name of a volume that the pod itself declares.")]
        | None
    ) = None
    persistent_volume_claim: ClaimVolume | None = None
    image: ImageVolume | None = None
    nfs: NfsVolume | None = None
    csi: CsiVolume | None = None
    host_path: (
        Annotated[
            HostPathVolume,
            Meta(description=f"Only in namespaces labelled {contract.NAMESPACE_HOST_PATH_LABEL}."),
        ]
        | None
    ) = None
    mount_path: (
        Annotated[
            Path,
            Meta(description="Where the volume is mounted; the model's path, if absent."),
        ]
        | None
    ) = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "volume names no source or several: set exactly one of name, persistentVolumeClaim, "
            "image, nfs, csi, hostPath",
            _one_of("name", "persistentVolumeClaim", "image", "nfs", "csi", "hostPath"),
            lambda self: (
                _given(
                    self.name,
                    self.persistent_volume_claim,
                    self.image,
                    self.nfs,
                    self.csi,
                    self.host_path,
                )
                == 1
            ),
        ),
    )


class Model(_Part, frozen=True, kw_only=True):
    """One signed model, as the workload's container sees it."""

    path: Annotated[Path, Meta(description=f"Directory or file of the model, {_PATH_FORM}.")]
    signature_path: (
        Annotated[
            Path,
            Meta(description="The signature's file; <path>/model.sig, if absent."),
        ]
        | None
    ) = None
    ignore_paths: Annotated[
        tuple[RelativePath, ...],
        Meta(
            max_length=64,
            description="Paths below the model that need not be signed, relative to it, no globs.",
        ),
    ] = ()
    ignore_git_paths: Annotated[
        bool,
        Meta(description="Ignore .git, .gitignore, .gitattributes and .github at the top level."),
    ] = True
    ignore_unsigned_files: Annotated[
        bool,
        Meta(
            description="Let unsigned files lie beside signed ones; one may change what is loaded."
        ),
    ] = False
    digests: Annotated[
        tuple[Digest, ...],
        Meta(
            max_length=16,
            description="Accepted root digests; without them any model of the signer is accepted.",
        ),
    ] = ()
    volume: ModelVolume | None = None

    @property
    def signature(self) -> str:
        """The signature's path, given or by default."""
        return self.signature_path or posixpath.join(self.path, "model.sig")


class GithubWorkflow(_Part, frozen=True, kw_only=True):
    """Claims that Fulcio wrote into the certificate of a GitHub Actions workflow."""

    repository: Annotated[Text, Meta(description="owner/name.")]
    ref: Annotated[Text, Meta(description="Git reference, such as refs/heads/main.")] | None = None
    name: Annotated[Text, Meta(description="The workflow's name.")] | None = None
    trigger: Annotated[Text, Meta(description="Event, such as push.")] | None = None
    sha: Annotated[Text, Meta(description="Commit that ran.")] | None = None


class SigstoreConfig(_Part, frozen=True, kw_only=True):
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
                _given(self.certificate_identity, self.certificate_identity_regexp)
                in ((0, 1) if self.github_workflow else (1,))
            ),
        ),
        Rule(
            "sigstoreConfig names no issuer or two: set exactly one of certificateOidcIssuer, "
            "certificateOidcIssuerRegexp",
            _one_of("certificateOidcIssuer", "certificateOidcIssuerRegexp"),
            lambda self: (
                _given(self.certificate_oidc_issuer, self.certificate_oidc_issuer_regexp) == 1
            ),
        ),
        Rule(
            "certificateIdentityRegexp is not a regular expression or matches the empty text",
            _usable_cel("certificateIdentityRegexp"),
            lambda self: _usable(self.certificate_identity_regexp),
        ),
        Rule(
            "certificateOidcIssuerRegexp is not a regular expression or matches the empty text",
            _usable_cel("certificateOidcIssuerRegexp"),
            lambda self: _usable(self.certificate_oidc_issuer_regexp),
        ),
    )


class PrivateKeyConfig(_Part, frozen=True, kw_only=True):
    """Signing by a key pair; the public half is the trust anchor."""

    key_path: Annotated[Path, Meta(description="File with the public key, PEM.")] | None = None
    public_key: (
        Annotated[
            str,
            Meta(min_length=1, max_length=4096, description="The public key itself, PEM."),
        ]
        | None
    ) = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "privateKeyConfig names no key or two: set exactly one of publicKey, keyPath",
            _one_of("keyPath", "publicKey"),
            lambda self: _given(self.key_path, self.public_key) == 1,
        ),
    )


class PkiConfig(_Part, frozen=True, kw_only=True):
    """Signing by a certificate; certificate authorities are the trust anchors."""

    certificate_authority: (
        Annotated[Path, Meta(description="File with the authorities' certificates, PEM.")] | None
    ) = None
    certificate_authorities: (
        Annotated[
            str,
            Meta(min_length=1, max_length=32768, description="The certificates themselves, PEM."),
        ]
        | None
    ) = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "pkiConfig names no authority or two: set exactly one of certificateAuthorities, "
            "certificateAuthority",
            _one_of("certificateAuthority", "certificateAuthorities"),
            lambda self: _given(self.certificate_authority, self.certificate_authorities) == 1,
        ),
    )


class Signer(_Part, frozen=True, kw_only=True):
    """One acceptable signer: exactly one signing method."""

    sigstore_config: SigstoreConfig | None = None
    private_key_config: PrivateKeyConfig | None = None
    pki_config: PkiConfig | None = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "config names no signing method or several: set exactly one of sigstoreConfig, "
            "privateKeyConfig, pkiConfig",
            _one_of("sigstoreConfig", "privateKeyConfig", "pkiConfig"),
            lambda self: (
                _given(self.sigstore_config, self.private_key_config, self.pki_config) == 1
            ),
        ),
    )

    @property
    def method(self) -> SigstoreConfig | PrivateKeyConfig | PkiConfig:
        """The one method that is set."""
        chosen = self.sigstore_config or self.private_key_config or self.pki_config
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


class Config(_Part, frozen=True, kw_only=True):
    """Who may have signed: one method, or several signers of which one suffices."""

    sigstore_config: SigstoreConfig | None = None
    private_key_config: PrivateKeyConfig | None = None
    pki_config: PkiConfig | None = None
    any_of: (
        Annotated[
            tuple[Signer, ...],
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
            _one_of("sigstoreConfig", "privateKeyConfig", "pkiConfig", "anyOf"),
            lambda self: (
                _given(self.sigstore_config, self.private_key_config, self.pki_config, self.any_of)
                == 1
            ),
        ),
    )

    @property
    def signers(self) -> tuple[Signer, ...]:
        """All acceptable signers, at least one."""
        return self.any_of or (
            Signer(
                sigstore_config=self.sigstore_config,
                private_key_config=self.private_key_config,
                pki_config=self.pki_config,
            ),
        )


class TufMirror(_Part, frozen=True, kw_only=True):
    """A TUF repository that serves the Sigstore trusted root; needs network in the gate."""

    url: Annotated[
        str, Meta(max_length=1024, pattern="^https://", description="The repository's address.")
    ]
    root: Annotated[
        str,
        Meta(min_length=1, max_length=49152, description="Its initial root.json, the text itself."),
    ]


class Trust(_Part, frozen=True, kw_only=True):
    """Another root of trust than Sigstore's public one, for keyless signatures."""

    trusted_root: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=49152,
                description="trusted_root.json of a private Sigstore, the text itself.",
            ),
        ]
        | None
    ) = None
    tuf: TufMirror | None = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "trust names no root or two: set exactly one of trustedRoot, tuf",
            _one_of("trustedRoot", "tuf"),
            lambda self: _given(self.trusted_root, self.tuf) == 1,
        ),
    )


class Workload(_Part, frozen=True, kw_only=True):
    """What is demanded of the containers that serve the model."""

    arguments: Annotated[
        Literal["Check", "Strict"],
        Meta(description="Check guards against mistakes; Strict is an allowlist, the boundary."),
    ] = "Check"


class Revalidation(_Part, frozen=True, kw_only=True):
    """Verify again and again while the workload runs, in a sidecar."""

    interval: Annotated[
        Duration,
        Meta(description="How often all is read again, changed or not: 10s to 24h."),
    ] = "1h"
    action: Annotated[
        Literal["Unready", "Report"],
        Meta(description="Unready takes the pod out of its Services; Report says it in the log."),
    ] = "Unready"
    bytes_per_second: Annotated[
        Rate,
        Meta(description="How fast the model is read beside the workload: 1M to 99999Gi."),
    ] = "100Mi"

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "revalidation.interval is too short or too long: choose one from 10s to 24h",
            "duration(self.interval) >= duration('10s') && "
            "duration(self.interval) <= duration('24h')",
            lambda self: 10 <= self.seconds <= _SECONDS["h"] * 24,  # noqa: PLR2004 — as it says
        ),
    )

    @property
    def seconds(self) -> int:
        """The interval in seconds."""
        return int(self.interval[:-1]) * _SECONDS[self.interval[-1]]

    @property
    def rate(self) -> int:
        """The rate in bytes per second."""
        number = self.bytes_per_second.rstrip("MGi")
        return int(number) * _BYTES[self.bytes_per_second.removeprefix(number)]


class Amounts(_Part, frozen=True, kw_only=True):
    """Amounts of the two resources that a gate uses."""

    cpu: Annotated[Quantity, Meta(description="Cores, such as 500m or 2.")] | None = None
    memory: Annotated[Quantity, Meta(description="Bytes, such as 512Mi.")] | None = None


class Resources(_Part, frozen=True, kw_only=True):
    """The gate's resources; mirrored from the workload, if absent."""

    requests: Amounts | None = None
    limits: Amounts | None = None


class SecurityContext(_Part, frozen=True, kw_only=True):
    """The gate's user and groups; the workload's, if absent."""

    run_as_user: Annotated[Identifier, Meta(description="Numeric user.")] | None = None
    run_as_group: Annotated[Identifier, Meta(description="Numeric group.")] | None = None


class Spec(_Part, frozen=True, kw_only=True):
    """The policy proper."""

    model: Model | None = None
    models: (
        Annotated[
            tuple[Model, ...],
            Meta(
                min_length=1,
                max_length=MODELS_LIMIT,
                description="Several models (adapters, draft models), all of which must hold.",
            ),
        ]
        | None
    ) = None
    config: Config
    default: Annotated[
        bool,
        Meta(description=f'The policy of pods labelled {contract.LABEL}: "true".'),
    ] = False
    mode: Annotated[
        Literal["Enforce", "Audit"],
        Meta(description="Audit verifies and reports, but stops nothing."),
    ] = "Enforce"
    trust: Trust | None = None
    allow_pod_trust_anchors: Annotated[
        bool,
        Meta(description="Read keys and authorities from volumes that the pod supplies."),
    ] = False
    allow_privileged: Annotated[
        bool,
        Meta(description="Admit privileged containers beside the model; they can undo the gate."),
    ] = False
    workload: Workload = Workload()
    revalidation: Revalidation | None = None
    resources: Resources | None = None
    security_context: SecurityContext | None = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "spec names no model or says it twice: set exactly one of model, models",
            _one_of("model", "models"),
            lambda self: _given(self.model, self.models) == 1,
        ),
        Rule(
            "models lie within one another: give each a directory of its own",
            "!has(self.models) || self.models.all(a, self.models.filter(b, "
            "(a.path + '/').startsWith(b.path + '/')).size() == 1)",
            lambda self: all(
                sum(f"{a.path}/".startswith(f"{b.path}/") for b in self.models or ()) == 1
                for a in self.models or ()
            ),
        ),
    )

    @property
    def all_models(self) -> tuple[Model, ...]:
        """The models, at least one."""
        return self.models or ((self.model,) if self.model else ())


class Metadata(_Document, frozen=True, kw_only=True):
    """The metadata that a verdict names; what else a resource carries is left out."""

    name: Name
    namespace: Name | None = None
    uid: Annotated[str, Meta(max_length=64)] | None = None
    generation: Annotated[int, Meta(ge=0)] | None = None
    deletion_timestamp: Annotated[str, Meta(max_length=64)] | None = None


class ModelValidation(
    _Document, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=False
):
    """The policy document."""

    api_version: Literal["rhtas.redhat.com/v1alpha1"]
    kind: Literal["ModelValidation"]
    metadata: Metadata
    spec: Spec
    status: dict[str, Any] | None = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "metadata.name must be usable as a label's value, and neither true nor false: "
            "shorten it to 63 characters, or choose another",
            "self.metadata.name.size() <= 63 && !(self.metadata.name in ['true', 'false'])",
            lambda self: (
                len(self.metadata.name) <= NAME_LIMIT
                and self.metadata.name not in {"true", "false"}
            ),
        ),
    )

    @classmethod
    def from_object(cls, document: object, *, source: str) -> Self:
        """Build a policy from decoded JSON or YAML.

        Args:
            document: What the decoder returned, of any type.
            source: Where it comes from, for the sentence.

        Raises:
            PolicyError: It is not a valid ModelValidation.
        """
        if not isinstance(document, Mapping):
            raise PolicyError(f"{source}: not a {contract.KIND}: expected a mapping")
        try:
            return msgspec.convert(document, cls)
        except msgspec.ValidationError as error:
            raise PolicyError(f"{source}: {_sentence(error)}") from error

    @classmethod
    def from_environment(cls, text: str) -> Self:
        """Build a policy from the gate's environment variable.

        Raises:
            PolicyError: The variable does not hold a valid ModelValidation.
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise PolicyError(
                f"${contract.POLICY_VARIABLE} is not JSON: it is written by the webhook, "
                "not by hand"
            ) from error
        return cls.from_object(document, source=f"${contract.POLICY_VARIABLE}")

    @classmethod
    def from_yaml(cls, text: bytes, *, source: str) -> Self:
        """Build a policy from the text of a file, YAML or JSON, one document.

        Raises:
            PolicyError: It is too large, not YAML, or not a valid ModelValidation.
        """
        # Only those who read files pay for the YAML parser's import.
        from validator.policy.yaml_documents import load_all  # noqa: PLC0415

        documents = load_all(text, source=source, limit=FILE_LIMIT)
        if len(documents) != 1:
            raise PolicyError(f"{source}: expected one {contract.KIND}, found {len(documents)}")
        return cls.from_object(documents[0], source=source)

    def to_environment(self) -> str:
        """Return the policy as the gate's environment variable: canonical JSON.

        `$` is written as an escape, since Kubernetes expands `$(NAME)` and `$$`
        in the values of variables.

        Raises:
            PolicyError: It is longer than `contract.ENVIRONMENT_LIMIT` bytes.
        """
        document = msgspec.to_builtins(
            msgspec.structs.replace(
                self,
                status=None,
                metadata=msgspec.structs.replace(self.metadata, deletion_timestamp=None),
            )
        )
        del document["status"]
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        text = text.replace("$", "\\u0024")
        if len(text) > contract.ENVIRONMENT_LIMIT:
            raise PolicyError(
                f"ModelValidation {quoted(self.metadata.name)} is {len(text):,} bytes as an "
                f"environment variable, and {contract.ENVIRONMENT_LIMIT:,} are allowed: "
                "shorten its inline keys, certificates or trusted root"
            )
        return text

    @property
    def reference(self) -> str:
        """How a sentence names this policy."""
        namespace = f"{self.metadata.namespace}/" if self.metadata.namespace else ""
        return f"ModelValidation {namespace}{self.metadata.name}"


_CHOICES: Final = {
    "apiVersion": contract.API_VERSION,
    "kind": contract.KIND,
    "spec.mode": "Enforce or Audit",
    "spec.workload.arguments": "Check or Strict",
    "spec.revalidation.action": "Unready or Report",
    "spec.revalidation.interval": "a number and s, m or h, such as 10m",
    "spec.revalidation.bytesPerSecond": "a number and M, Mi, G or Gi, such as 100Mi",
}
"""What stands where only certain words or forms may stand, for the sentence."""


def _sentence(error: msgspec.ValidationError) -> str:
    """Turn msgspec's message into ours: the place first, as a person writes it in YAML."""
    message, _, place = str(error).partition(" - at `$")
    if "matching regex" in message and r"\x00" in message:
        form = _PATH_FORM if "'^(?:/" in message else "relative, without '..', '.', '//'"
        message = f"the path must be {form}"
    message = message[0].lower() + message[1:]
    where = place.rstrip("`").lstrip(".")
    if where in _CHOICES and ("invalid enum value" in message or "matching regex" in message):
        message = f"{message}: write {_CHOICES[where]}"
    # Names of unknown fields are in there, as they were written.
    return printable(f"{where}: {message}" if where else message)
