"""`ModelValidation`: the policy, for all of its three carriers.

The same document is the custom resource in the cluster, a file for
`model-validator verify policy FILE`, and the environment variable of the injected container. This
package is its one parser.

Importing it loads neither cryptography nor sigstore: the webhook uses it too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from validator import contract
from validator.errors import PolicyError
from validator.policy.origins import Resolved
from validator.policy.schema.errors import sentence
from validator.policy.schema.fields import Document, Name, Part, Rule, given, one_of
from validator.policy.signers import Config, Trust
from validator.policy.volumes import Model
from validator.policy.workload import Resources, Revalidation, SecurityContext, Workload
from validator.text import quoted

if TYPE_CHECKING:
    from typing import Self

FILE_LIMIT: Final = 1024 * 1024
"""Bytes of a policy file; the API server's own limit for an object is 1.5 MiB."""


NAME_LIMIT: Final = 63
"""Characters of a label's value, by which pods choose a policy."""


MODELS_LIMIT: Final = 8

DIGESTS_LIMIT: Final = 64
"""Pins of one rule of the cluster: the models of several teams."""

_T = TypeVar("_T", bound=Document)

MODELS_APART: Final = Rule(
    "models lie within one another: give each a directory of its own",
    "!has(self.models) || self.models.all(a, self.models.filter(b, "
    "(a.path + '/').startsWith(b.path + '/')).size() == 1)",
    lambda self: all(
        sum(f"{a.path}/".startswith(f"{b.path}/") for b in self.models or ()) == 1
        for a in self.models or ()
    ),
)
"""A rule of each specification with `models`."""


class Spec(Part, frozen=True, kw_only=True):
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
    on_restart: (
        Annotated[
            Literal["Verify", "Keep"],
            Meta(
                description="Verify has the gate run again before a container that sees the model "
                "restarts (Kubernetes 1.36); Keep restarts the container alone. The default "
                "is Keep, and Verify from Kubernetes 1.39 on, where every node has it.",
            ),
        ]
        | None
    ) = None
    revalidation: Revalidation | None = None
    resources: Resources | None = None
    security_context: SecurityContext | None = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "spec names no model or says it twice: set exactly one of model, models",
            one_of("model", "models"),
            lambda self: given(self.model, self.models) == 1,
        ),
        MODELS_APART,
    )

    @property
    def all_models(self) -> tuple[Model, ...]:
        """The models, at least one."""
        return self.models or ((self.model,) if self.model else ())


class Metadata(Document, frozen=True, kw_only=True):
    """The metadata that a verdict names; what else a resource carries is left out."""

    name: Name
    namespace: Name | None = None
    uid: Annotated[str, Meta(max_length=64)] | None = None
    generation: Annotated[int, Meta(ge=0)] | None = None
    deletion_timestamp: Annotated[str, Meta(max_length=64)] | None = None


class ModelValidation(
    Document, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=False, dict=True
):
    """The policy document."""

    api_version: Literal["rhtas.redhat.com/v1alpha1"]
    kind: Literal["ModelValidation"]
    metadata: Metadata
    spec: Spec
    status: dict[str, Any] | None = None
    resolved: Resolved | None = None

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
            PolicyError: It is not a valid ModelValidation, or says itself what only the webhook
                finds out (`resolved`).
        """
        return as_written(document, cls, kind=contract.KIND, source=source)

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
        return converted(document, cls, kind=contract.KIND, source=f"${contract.POLICY_VARIABLE}")

    def to_environment(self) -> str:
        """Return the policy as the gate's environment variable: canonical JSON.

        `$` is written as an escape, since Kubernetes expands `$(NAME)` and `$$`
        in the values of variables.

        Raises:
            PolicyError: It is longer than `contract.ENVIRONMENT_LIMIT` bytes.
        """
        return self._environment

    @cached_property
    def _environment(self) -> str:
        """The same, written once: each gate of the policy has it."""
        document = msgspec.to_builtins(
            msgspec.structs.replace(
                self,
                status=None,
                metadata=msgspec.structs.replace(self.metadata, deletion_timestamp=None),
            )
        )
        del document["status"]
        if document["resolved"] is None:
            del document["resolved"]
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        text = text.replace("$", "\\u0024")
        if len(text) > contract.ENVIRONMENT_LIMIT:
            raise PolicyError(
                f"{self.described} is {len(text):,} bytes as an environment variable, and "
                f"{contract.ENVIRONMENT_LIMIT:,} are allowed: shorten its keys, certificates or "
                "trusted root, its own or those of the TrustRoots that it names"
            )
        return text

    @property
    def described(self) -> str:
        """What is written into a gate's environment, for a sentence."""
        return f"{contract.KIND} {quoted(self.metadata.name)}"

    @property
    def subject(self) -> str:
        """This policy as the subject of a sentence."""
        return f"the policy {quoted(self.metadata.name)}"

    def remedy(self, what: str, *, field: str = "") -> str:  # noqa: ARG002 — rules may settle it
        """Return what to do about this policy, and who can: a part of a sentence.

        Args:
            what: Such as "set allowPrivileged".
            field: The field that it changes, if `validator.policy.cluster_rules.settled` knows it.
        """
        return f"{what} in the policy"

    @property
    def reference(self) -> str:
        """This policy's name in sentences."""
        namespace = f"{self.metadata.namespace}/" if self.metadata.namespace else ""
        return f"ModelValidation {namespace}{self.metadata.name}"


def as_written(document: object, form: type[_T], *, kind: str, source: str) -> _T:
    """Build one of our documents from what a person wrote.

    Args:
        document: What the decoder returned, of any type.
        form: The type of the document.
        kind: Its name in Kubernetes.
        source: Where it comes from, for the sentence.

    Raises:
        PolicyError: It is not valid, or says itself what only the webhook finds out (`resolved`).
    """
    if isinstance(document, Mapping) and "resolved" in document:
        raise PolicyError(f"{source}: object contains unknown field `resolved`")
    return converted(document, form, kind=kind, source=source)


def converted(document: object, form: type[_T], *, kind: str, source: str) -> _T:
    """Build one of our documents from decoded JSON or YAML.

    Args:
        document: What the decoder returned, of any type.
        form: The type of the document.
        kind: Its name in Kubernetes.
        source: Where it comes from, for the sentence.

    Raises:
        PolicyError: It is not valid.
    """
    if not isinstance(document, Mapping):
        raise PolicyError(f"{source}: not a {kind}: expected a mapping")
    try:
        return msgspec.convert(document, form)
    except msgspec.ValidationError as error:
        raise PolicyError(f"{source}: {sentence(error, root=form, kind=kind)}") from error
