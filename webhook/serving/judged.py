"""From a request's body to a response's body, in this process or in the worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from webhook import review as reviews
from webhook.cluster.logs import foreign

if TYPE_CHECKING:
    from webhook.admission.reviewer import Reviewer
    from webhook.review import Review

Line = dict[str, Any]
"""The fields of a log line."""

MUTATE, VALIDATE = "/mutate", "/validate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A review as it arrived.

    Attributes:
        path: Of the request: /mutate or /validate.
        content_type: Of its body.
        body: JSON.
    """

    path: str
    content_type: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The answer to a review.

    Attributes:
        body: JSON.
        verdict: As the metrics count it.
    """

    body: bytes = field(repr=False)
    verdict: str


async def judge(asked: Asked, *, reviewer: Reviewer, line: Line) -> Judged:
    """Return the answer to a review; fill the log's `line` as far as one gets.

    Raises:
        RequestError: It is not a review that this path answers.
        NotReady: No answer can be given now.
    """
    review = reviews.parse(asked.body, content_type=asked.content_type)
    line |= _described(review)
    answer = await (reviewer.mutate if asked.path == MUTATE else reviewer.validate)(review)
    line["policy"] = foreign(answer.policy)
    if applied := answer.audit.get("exemption"):
        line["exemption"] = foreign(applied)
    if answer.refusal is not None:
        line["reason"] = answer.refusal
    verdict = "allowed" if answer.refusal is None else "refused"
    return Judged(body=reviews.encode(answer), verdict=verdict)


def _described(review: Review) -> Line:
    """Return what a log line says of a review: names, nothing of the pod's contents."""
    metadata = (review.object or {}).get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    generated, pod_uid = metadata.get("generateName"), metadata.get("uid")
    described = {
        "uid": foreign(review.uid),
        "namespace": review.namespace,
        "pod": foreign(review.name or (generated if isinstance(generated, str) else "")),
        "dry_run": review.dry_run,
    }
    if isinstance(pod_uid, str):
        described["pod_uid"] = foreign(pod_uid)
    return described
