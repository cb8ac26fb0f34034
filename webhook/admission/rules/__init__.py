"""The rules that a pod is judged by: each a function from a case to sentences.

Belongs here: why a pod must not run, and the order in which it is said. Each rule reads a
pod once: its cost grows with the pod's size, and no rule compares a pod's parts in pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from webhook.admission.rules.arguments import judgements
from webhook.admission.rules.closed_world import closed_world
from webhook.admission.rules.cluster_rules import cluster_rules
from webhook.admission.rules.mounts import differing_mounts
from webhook.admission.rules.nests import late_links, nested_mounts
from webhook.admission.rules.order import early_readers
from webhook.admission.rules.privileges import container_privileges, node_access, pod_settings
from webhook.admission.rules.restarts import restarts_alone, tolerated_restarts
from webhook.admission.rules.volumes import supplied_anchors, unfit_volumes

if TYPE_CHECKING:
    from webhook.admission.rules.case import Case

Rule = Callable[["Case"], Iterator[str]]

RULES: Final[tuple[Rule, ...]] = (
    unfit_volumes,
    supplied_anchors,
    cluster_rules,
    differing_mounts,
    nested_mounts,
    pod_settings,
    container_privileges,
    early_readers,
    restarts_alone,
    closed_world,
)
"""All rules but the one on arguments, in the order of docs/admission.md."""

SENTENCES_LIMIT: Final = 64
"""Refusals of one pod that are named: about three times what an answer has room for."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The rules' answer on a pod.

    Attributes:
        refusals: Why it must not run, a sentence each.
        warnings: What a person should look at, a sentence each.
        cover: Paths that the workload opens, which the signature must cover.
        unread: Arguments of the workload that could not be read.
        vllm: Whether a container is seen to start vLLM.
    """

    refusals: tuple[str, ...]
    warnings: tuple[str, ...]
    cover: frozenset[str]
    unread: tuple[str, ...]
    vllm: bool


def judge(case: Case) -> Verdict:
    """Ask all rules about a pod."""
    judged = tuple(judgements(case))
    refusals = dict.fromkeys(sentence for rule in RULES for sentence in rule(case))
    refusals |= dict.fromkeys(sentence for each in judged for sentence in each.refusals)
    return Verdict(
        refusals=_named(tuple(refusals)),
        warnings=tuple(
            dict.fromkeys(
                (
                    *late_links(case),
                    *node_access(case),
                    *tolerated_restarts(case),
                    *(sentence for each in judged for sentence in each.warnings),
                )
            )
        ),
        cover=frozenset(path for each in judged for path in each.cover),
        unread=tuple(sentence for each in judged for sentence in each.unread),
        vllm=any(each.vllm for each in judged),
    )


def _named(refusals: tuple[str, ...]) -> tuple[str, ...]:
    """Return as many refusals as are named, and how many there are beside them."""
    left = len(refusals) - SENTENCES_LIMIT
    if left <= 0:
        return refusals
    return (*refusals[:SENTENCES_LIMIT], f"and {left:,} more refusals of this kind")
