"""The reports of OpenReports (openreports.io/v1alpha1): one for each policy, beside it.

What shows the reports of policy engines and scanners, such as Policy Reporter, shows these too.
A report belongs to its policy: Kubernetes deletes it with the policy.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from validator import contract
from webhook.observe.pod.verdict import UNDECIDED, Verdict
from webhook.observe.pods import under
from webhook.observe.status.policy import reason

if TYPE_CHECKING:
    from collections.abc import Collection

    from webhook.observe.pod.verdict import Observed
    from webhook.observe.pod.wire import Key
    from webhook.observe.pods import Pods
    from webhook.observe.policies import Known, Policies

API_VERSION: Final = "openreports.io/v1alpha1"
SOURCE: Final = "model-validation"

RESULTS_SHOWN: Final = 50
"""Results of one report, the bad ones first: at most 100 KiB of it. The summary counts all."""

MESSAGE_LIMIT: Final = 1024
"""Characters of a message."""

RESULTS: Final = ("fail", "error", "warn", "pass", "skip")
"""The results that there are, the worst ones first."""

_SEVERITIES: Final = {Verdict.REFUSED: "high", Verdict.UNREADY: "critical"}

Object = dict[str, Any]


class Api(Protocol):
    """The part of an API client that is needed; the call raises `ApiError` only."""

    async def apply(self, path: str, body: Object) -> None:
        """Have the object at a path as `body` says, and create it where there is none."""


class Reports:
    """The writer's side: a report for each policy, unless it has been written as it is.

    Args:
        api: The client.
        policies: The policies.
        pods: Their pods.
    """

    def __init__(self, api: Api, *, policies: Policies, pods: Pods) -> None:
        self._api = api
        self._policies = policies
        self._pods = pods
        self._written: dict[Key, bytes] = {}

    async def put(self, policy: Key, /, *, changed_only: bool = True) -> bool:
        """Write the report on a policy; return whether the API server has taken it.

        Args:
            policy: Its key; there may be none by now.
            changed_only: Whether it is left out where it was written as it is.

        Raises:
            ApiError: It cannot be written.
        """
        known = self._policies.get(policy)
        if known is None or known.deleted:
            self._written.pop(policy, None)
            return False
        made = report(known, self._pods.of(policy))
        digest = hashlib.sha256(msgspec.json.encode(made)).digest()
        if changed_only and self._written.get(policy) == digest:
            return False
        named = made["metadata"]
        path = f"/apis/{API_VERSION}/namespaces/{named['namespace']}/reports/{named['name']}"
        await self._api.apply(path, made)
        self._written[policy] = digest
        return True


def report(policy: Known, pods: Collection[Observed]) -> Object:
    """Return the report on a policy and its pods: a result for each pod with a verdict.

    Pure: the same policy and pods give the same report.

    Args:
        policy: The policy.
        pods: Those of its name.
    """
    results = [_result(policy, pod) for pod in pods if _verdict(policy, pod) is not Verdict.WAITING]
    if policy.flaw is not None:
        results.append(_flaw(policy, policy.flaw))
    results.sort(key=_latest_first)
    results.sort(key=lambda each: RESULTS.index(each["result"]))
    subject = _reference(policy)
    return {
        "apiVersion": API_VERSION,
        "kind": "Report",
        "metadata": {
            # By the uid: a name of its own, and no longer than names may be.
            "name": f"{contract.KIND.lower()}-{policy.uid}",
            "namespace": policy.namespace,
            "labels": {"app.kubernetes.io/managed-by": "model-validation-observe"},
            "ownerReferences": [
                {key: subject[key] for key in ("apiVersion", "kind", "name", "uid")}
            ],
        },
        "source": SOURCE,
        "scope": subject,
        "configuration": {"limits": {"maxResults": RESULTS_SHOWN}},
        "summary": {name: sum(each["result"] == name for each in results) for name in RESULTS},
        "results": results[:RESULTS_SHOWN],
    }


def _verdict(policy: Known, pod: Observed) -> Verdict:
    return under(pod, uid=policy.uid)


def _result(policy: Known, pod: Observed) -> Object:
    verdict = _verdict(policy, pod)
    result = _word(verdict, pod)
    message = reason(pod, uid=policy.uid) or _models(pod)
    made: Object = {
        "policy": policy.name,
        "category": "Model signature",
        "result": result,
        "scored": not pod.audit,
        "resources": [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "namespace": pod.namespace,
                "name": pod.name,
                "uid": pod.uid,
            }
        ],
        "message": message[:MESSAGE_LIMIT],
        "properties": {
            name: text
            for name, text in (
                ("verdict", str(verdict)),
                ("code", pod.code),
                ("exemption", pod.exemption),
            )
            if text
        },
    }
    if verdict in _SEVERITIES:
        made["severity"] = _SEVERITIES[verdict]
    if (seconds := _seconds(pod.at)) is not None:
        made["timestamp"] = {"seconds": seconds, "nanos": 0}
    return made


def _word(verdict: Verdict, pod: Observed) -> str:
    if verdict is Verdict.VERIFIED:
        return "pass"
    if verdict is Verdict.UNPROVEN or pod.code == UNDECIDED:
        return "error"
    return "warn" if pod.audit else "fail"


def _models(pod: Observed) -> str:
    """Return what was verified as a text: paths, signers and digests."""
    return "; ".join(
        " ".join(
            filter(
                None,
                (
                    each.path,
                    f"signed by {each.signer}" if each.signer else "",
                    f"({each.issuer})" if each.issuer else "",
                    each.digest or "",
                ),
            )
        )
        for each in pod.models
    )


def _flaw(policy: Known, flaw: str) -> Object:
    return {
        "policy": policy.name,
        "category": "Model signature",
        "result": "error",
        "scored": True,
        "severity": "high",
        "resources": [_reference(policy)],
        "message": flaw[:MESSAGE_LIMIT],
        "properties": {"verdict": "invalid"},
    }


def _reference(policy: Known) -> Object:
    return {
        "apiVersion": contract.API_VERSION,
        "kind": contract.KIND,
        "namespace": policy.namespace,
        "name": policy.name,
        "uid": policy.uid,
    }


def _latest_first(result: Object) -> tuple[int, str]:
    return -result.get("timestamp", {}).get("seconds", 0), result["resources"][0]["name"]


def _seconds(at: str) -> int | None:
    """Return a kubelet's time in Unix seconds; `None` for text that is not a time."""
    try:
        found = dt.datetime.fromisoformat(at)
    except ValueError:
        return None
    return int(found.timestamp()) if found.tzinfo else None
