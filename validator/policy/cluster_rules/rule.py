"""`ClusterModelValidation`: a rule of the cluster's admin for the namespaces that it selects.

It holds beside a namespace's policy and never replaces it (`resolution`). What belongs to a
namespace is not in it: paths of keys, the gate's user and resources, and models with their volumes,
but where it serves namespaces that have no policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from validator import contract
from validator.errors import PolicyError
from validator.policy.cluster_rules.namespace_selector import NamespaceSelector
from validator.policy.document import (
    DIGESTS_LIMIT,
    MODELS_APART,
    MODELS_LIMIT,
    NAME_LIMIT,
    Metadata,
    as_written,
)
from validator.policy.origins import Resolved
from validator.policy.schema.fields import Digest, Document, Name, Part, RelativePath, Rule, given
from validator.policy.signers import Config, Trust
from validator.policy.volumes import Model
from validator.policy.workload import IMAGES_LIMIT, Image, Revalidation
from validator.text import quoted

if TYPE_CHECKING:
    from typing import Self

DRIVERS_LIMIT: Final = 32
TRUST_ROOTS_LIMIT: Final = 32

_PATHS: Final = (
    ("privateKeyConfig", "keyPath"),
    ("publicKeyConfig", "keyPath"),
    ("pkiConfig", "certificateAuthority"),
)


def _inline_cel(signer: str) -> str:
    """Return the CEL expression that a signer names no file."""
    return " && ".join(
        f"!(has({signer}.{method}) && has({signer}.{method}.{path}))" for method, path in _PATHS
    )


class ClusterWorkload(Part, frozen=True, kw_only=True):
    """Demands on the containers that serve the model; a list that is absent demands nothing."""

    arguments: Annotated[
        Literal["Check", "Strict"],
        Meta(description="Strict wins over a policy's Check, and a policy's Strict over Check."),
    ] = "Check"
    images: (
        Annotated[
            tuple[Image, ...],
            Meta(
                max_length=IMAGES_LIMIT,
                description="The images that may serve under Strict: of a policy's list, those "
                "that are in this one, too.",
            ),
        ]
        | None
    ) = None
    other_images: (
        Annotated[
            tuple[Image, ...],
            Meta(
                max_length=IMAGES_LIMIT,
                description="The images that may run beside them under Strict, in the same way.",
            ),
        ]
        | None
    ) = None


class ClusterSpec(Part, frozen=True, kw_only=True):
    """The rule proper."""

    namespace_selector: Annotated[
        NamespaceSelector,
        Meta(
            description="The namespaces in which it holds, by their labels; empty or absent, all."
        ),
    ] = NamespaceSelector()
    config: Annotated[
        Config,
        Meta(
            description="The accepted signers, one of whom must have signed each model, besides "
            "those whom the policy accepts; keys and authorities are inline."
        ),
    ]
    trust: (
        Annotated[
            Trust,
            Meta(description="The root of trust for these signers, if not Sigstore's public one."),
        ]
        | None
    ) = None
    digests: Annotated[
        tuple[Digest, ...],
        Meta(
            max_length=DIGESTS_LIMIT,
            description="The accepted models, wherever they lie, by either digest; without them "
            "any model of the signers is accepted.",
        ),
    ] = ()
    ignore_paths: Annotated[
        tuple[RelativePath, ...],
        Meta(
            max_length=64,
            description="Paths that a policy may ignore, too: no others are, nor any without this.",
        ),
    ] = ()
    ignore_git_paths: Annotated[
        bool, Meta(description="Whether a policy may ignore Git's files at the top level.")
    ] = True
    ignore_unsigned_files: Annotated[
        bool, Meta(description="Whether a policy may let unsigned files lie beside signed ones.")
    ] = False
    csi_drivers: (
        Annotated[
            tuple[Name, ...],
            Meta(
                max_length=DRIVERS_LIMIT,
                description="The CSI drivers of which a policy may name a volume; absent, all.",
            ),
        ]
        | None
    ) = None
    trust_roots: (
        Annotated[
            tuple[Name, ...],
            Meta(
                max_length=TRUST_ROOTS_LIMIT,
                description="The TrustRoots that a policy may name, and then nothing else vouches "
                "for its signers: no inline key or root, nor Sigstore's public one; absent, "
                "anything.",
            ),
        ]
        | None
    ) = None
    mode: Annotated[
        Literal["Enforce", "Audit"],
        Meta(description="Enforce wins over Audit, whichever of rules and policy says it."),
    ] = "Enforce"
    allow_pod_trust_anchors: Annotated[
        bool,
        Meta(description="Whether a policy may read its keys and authorities from pods' volumes."),
    ] = False
    allow_privileged: Annotated[
        bool, Meta(description="Whether a policy may admit privileged containers.")
    ] = False
    workload: ClusterWorkload = ClusterWorkload()
    on_restart: (
        Annotated[
            Literal["Verify", "Keep"],
            Meta(description="Verify wins over a policy's Keep; Keep demands nothing."),
        ]
        | None
    ) = None
    revalidation: (
        Annotated[
            Revalidation,
            Meta(
                description="Verify again while the workload runs: the shorter interval, the "
                "stronger action and the higher rate win."
            ),
        ]
        | None
    ) = None
    default: Annotated[
        bool,
        Meta(
            description="Serve pods labelled "
            f'{contract.LABEL}: "true" in namespaces that have no policy; else they are refused.'
        ),
    ] = False
    model: (
        Annotated[Model, Meta(description="The model of those pods, with default: true only.")]
        | None
    ) = None
    models: (
        Annotated[
            tuple[Model, ...],
            Meta(
                min_length=1,
                max_length=MODELS_LIMIT,
                description="Several models of those pods, all of which must hold.",
            ),
        ]
        | None
    ) = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "default: true needs exactly one of model, models, and without it neither is taken: a "
            "namespace's own policy names its models",
            "[has(self.model), has(self.models)].filter(x, x).size() == "
            "(has(self.default) && self.default ? 1 : 0)",
            lambda self: given(self.model, self.models) == int(self.default),
        ),
        MODELS_APART,
        Rule(
            "config reads a key or an authority from a file, which a pod would bring: write it "
            "into publicKey or certificateAuthorities",
            f"{_inline_cel('self.config')} && "
            f"(!has(self.config.anyOf) || self.config.anyOf.all(one, {_inline_cel('one')}))",
            lambda self: all(signer.anchor_path is None for signer in self.config.signers),
        ),
    )

    @property
    def all_models(self) -> tuple[Model, ...]:
        """The models of pods in namespaces without a policy; none, where it does not serve them."""
        return self.models or ((self.model,) if self.model else ())


class ClusterModelValidation(
    Document, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=False
):
    """The rule's document."""

    api_version: Literal["rhtas.redhat.com/v1alpha1"]
    kind: Literal["ClusterModelValidation"]
    metadata: Metadata
    spec: ClusterSpec
    status: dict[str, Any] | None = None
    resolved: Resolved | None = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "metadata.name is longer than 63 characters: shorten it",
            "self.metadata.name.size() <= 63",
            lambda self: len(self.metadata.name) <= NAME_LIMIT,
        ),
    )

    @classmethod
    def from_object(cls, document: object, *, source: str) -> Self:
        """Build a rule from decoded JSON or YAML.

        Args:
            document: What the decoder returned, of any type.
            source: Where it comes from, for the sentence.

        Raises:
            PolicyError: It is not a valid ClusterModelValidation, or says itself what only the
                webhook finds out (`resolved`).
        """
        rule = as_written(document, cls, kind=contract.CLUSTER_KIND, source=source)
        if rule.metadata.namespace is not None:
            raise PolicyError(
                f"{source}: a {contract.CLUSTER_KIND} belongs to no namespace: leave "
                "metadata.namespace out, and select namespaces by spec.namespaceSelector"
            )
        return rule


def selector_of(document: Mapping[str, Any]) -> NamespaceSelector:
    """Return the selector of a rule that cannot be read whole.

    Returns:
        One that selects all namespaces, where the rule's own cannot be read either.
    """
    spec = document.get("spec")
    given_ = spec.get("namespaceSelector") if isinstance(spec, Mapping) else None
    try:
        return msgspec.convert(given_ or {}, NamespaceSelector)
    except msgspec.ValidationError:
        return NamespaceSelector()


def check_fits(rule: ClusterModelValidation) -> None:
    """Refuse a rule that no gate's environment could hold.

    Raises:
        PolicyError: It is longer than `contract.ENVIRONMENT_LIMIT` bytes.
    """
    size = len(msgspec.json.encode(rule))
    if size > contract.ENVIRONMENT_LIMIT:
        raise PolicyError(
            f"{contract.CLUSTER_KIND} {quoted(rule.metadata.name)} is {size:,} bytes, and "
            f"{contract.ENVIRONMENT_LIMIT:,} are allowed: shorten its keys, certificates or "
            "trusted root, its own or those of the TrustRoots that it names"
        )
