"""The statuses of our kinds, by `python -m webhook observe`: what became of a policy's pods.

Nobody decides by it: the webhook and the validator ignore it. The bounds keep one status below
128 KiB, since each one is an event for every replica of the webhook.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta

from validator.policy.schema.fields import Document

MODELS_SHOWN: Final = 16
"""Pairs of a model's path and what was verified there: twice the models that a policy may have, so
that a rollout shows the old and the new one."""

REFUSALS_SHOWN: Final = 10
"""The latest ones; their number is in `pods`."""

SENTENCE_LIMIT: Final = 512
"""Characters of a sentence; the whole one is in the pod's own status."""

NAME_LIMIT: Final = 256
"""Characters of a name, an identity or an issuer, as it is shown."""

PATH_LIMIT: Final = 1024
TIME_LIMIT: Final = 64
CONDITIONS_LIMIT: Final = 8

_Sentence = Annotated[str, Meta(max_length=SENTENCE_LIMIT)]
_Name = Annotated[str, Meta(max_length=NAME_LIMIT)]
_Path = Annotated[str, Meta(max_length=PATH_LIMIT)]
_Time = Annotated[str, Meta(max_length=TIME_LIMIT, description="RFC 3339.")]
_Count = Annotated[int, Meta(ge=0)]


class Condition(Document, frozen=True, kw_only=True, omit_defaults=False):
    """One statement on the policy, in the form of Kubernetes' own conditions."""

    type: Annotated[str, Meta(max_length=316)]
    status: Literal["True", "False", "Unknown"]
    reason: Annotated[str, Meta(max_length=1024)]
    message: Annotated[str, Meta(max_length=32768)]
    last_transition_time: _Time
    observed_generation: _Count = 0


class PodCounts(Document, frozen=True, kw_only=True, omit_defaults=False):
    """The policy's pods, each counted once."""

    verified: Annotated[int, Meta(ge=0, description="The gate found every model as signed.")] = 0
    refused: Annotated[int, Meta(ge=0, description="The gate refused, or reached no verdict.")] = 0
    waiting: Annotated[int, Meta(ge=0, description="There is no verdict yet.")] = 0
    unready: Annotated[
        int, Meta(ge=0, description="Re-validation has taken the pod out of its Services.")
    ] = 0
    unproven: Annotated[
        int, Meta(ge=0, description="There is no gate of ours, or no report of one.")
    ] = 0


class VerifiedModel(Document, frozen=True, kw_only=True):
    """What was verified at a path, and how many pods run with it."""

    path: _Path
    digest: Annotated[str, Meta(max_length=96)] | None = None
    signer: _Name | None = None
    issuer: _Name | None = None
    method: Annotated[str, Meta(max_length=16)] | None = None
    log_index: _Count | None = None
    signed_at: _Time | None = None
    last_verified: _Time | None = None
    pods: _Count = 0


class RefusedPod(Document, frozen=True, kw_only=True):
    """A pod that was refused, found unready, or has no proven gate."""

    pod: _Name
    verdict: Literal["refused", "unready", "unproven"]
    code: Annotated[str, Meta(max_length=64)] | None = None
    sentence: _Sentence = ""
    exemption: (
        Annotated[
            str,
            Meta(
                max_length=NAME_LIMIT, description="By which it runs all the same, and until when."
            ),
        ]
        | None
    ) = None
    time: _Time | None = None


class Status(Document, frozen=True, kw_only=True):
    """What `python -m webhook observe` has seen; nothing decides by it."""

    observed_generation: _Count | None = None
    conditions: Annotated[tuple[Condition, ...], Meta(max_length=CONDITIONS_LIMIT)] | None = None
    pods: PodCounts | None = None
    models: Annotated[tuple[VerifiedModel, ...], Meta(max_length=MODELS_SHOWN)] | None = None
    refusals: Annotated[tuple[RefusedPod, ...], Meta(max_length=REFUSALS_SHOWN)] | None = None


_Conditions = Annotated[tuple[Condition, ...], Meta(max_length=CONDITIONS_LIMIT)]


class RuleStatus(Document, frozen=True, kw_only=True):
    """What `python -m webhook observe` says of a rule; nothing decides by it."""

    observed_generation: _Count | None = None
    conditions: _Conditions | None = None
    namespaces: (
        Annotated[int, Meta(ge=0, description="How many namespaces it holds in.")] | None
    ) = None


class ExemptionStatus(Document, frozen=True, kw_only=True):
    """What `python -m webhook observe` says of an exemption; nothing decides by it."""

    observed_generation: _Count | None = None
    conditions: _Conditions | None = None
    until: (
        Annotated[
            str,
            Meta(
                max_length=TIME_LIMIT,
                description="Its end, RFC 3339: what it says, or 90 days after its creation.",
            ),
        ]
        | None
    ) = None
