"""The report on one policy, in the form of OpenReports."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.support import observed as made
from tests.support.observed import (
    ended,
    exempted,
    gated,
    refused,
    seen,
    stored_policy,
    verified,
    with_monitor,
)
from webhook.observe.openreports import MESSAGE_LIMIT, RESULTS_SHOWN, report
from webhook.observe.policies import known

Document = dict[str, Any]
AT = 1795896000
"""`made.AT` in Unix seconds."""


def results(*pods: Document, policy: Document | None = None) -> list[Document]:
    """Return the results of a report on some pods."""
    found: list[Document] = report(known(policy or stored_policy()), [*map(seen, pods)])["results"]
    return found


def test_a_verified_pod_passes() -> None:
    """With the model, its signer and digest, and when."""
    (found,) = results(ended(gated("a"), [verified()]))
    assert (found["result"], found["policy"], found["scored"]) == ("pass", "granite", True)
    assert found["timestamp"] == {"seconds": AT, "nanos": 0}
    assert found["message"] == (
        f"/models/granite signed by alice@models.corp (https://issuer.corp) sha256:{made.DIGEST}"
    )
    (pod,) = found["resources"]
    assert (pod["kind"], pod["namespace"], pod["name"]) == ("Pod", "team", "a")


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (ended(gated(), [refused()], code=1), ("fail", "high", {"code": "OtherSigner"})),
        (
            ended(gated(policy=stored_policy(mode="Audit")), [refused()], code=1),
            ("warn", "high", {"code": "OtherSigner"}),
        ),
        (ended(gated(), text="", code=137), ("error", "high", {"code": "Undecided"})),
        (ended(gated(), text="forged"), ("error", None, {})),
        (
            with_monitor(
                ended(gated(policy=stored_policy(revalidation={})), [verified()]), ready=False
            ),
            ("fail", "critical", {}),
        ),
    ],
    ids=["refused", "refused under Audit", "killed", "unproven", "changed"],
)
def test_a_pod_that_does_not_pass(
    pod: Document, expected: tuple[str, str | None, Document]
) -> None:
    """Whether it was refused, or could not be judged, how bad that is, and why."""
    (found,) = results(pod)
    result, severity, properties = expected
    assert found["result"] == result
    assert found.get("severity") == severity
    assert properties.items() <= found["properties"].items()
    assert found["message"]


def test_an_exempt_pod_is_a_warning() -> None:
    """With the exemption's name and end."""
    pod = ended(gated(policy=exempted(stored_policy())), [refused()], code=1)
    (found,) = results(pod)
    assert found["result"] == "warn"
    assert found["properties"]["exemption"] == f"until-signed until {made.EXPIRES}"


def test_a_pod_without_a_verdict_has_no_result() -> None:
    """Nor does it count."""
    found = report(known(stored_policy()), [seen(gated())])
    assert found["results"] == []
    assert set(found["summary"].values()) == {0}


def test_a_policy_that_cannot_be_used_is_an_error() -> None:
    """About itself, with the sentence that its pods are refused with."""
    broken = stored_policy() | {"spec": {"config": {}}}
    (found,) = results(policy=broken)
    assert (found["result"], found["message"]) == ("error", known(broken).flaw)
    assert found["resources"][0]["kind"] == "ModelValidation"


def test_it_is_bounded_and_the_bad_ones_come_first() -> None:
    """The summary counts all of them."""
    good = [ended(gated(f"g{n:03}"), [verified()]) for n in range(RESULTS_SHOWN)]
    bad = ended(gated("bad"), [refused(reason="x" * 4000)], code=1, at="2026-01-01T00:00:00Z")
    found = report(known(stored_policy()), [seen(pod) for pod in [*good, bad]])
    assert found["results"][0]["resources"][0]["name"] == "bad"
    assert len(found["results"]) == RESULTS_SHOWN
    assert found["summary"] == {
        "fail": 1,
        "error": 0,
        "warn": 0,
        "pass": RESULTS_SHOWN,
        "skip": 0,
    }
    assert all(len(each["message"]) <= MESSAGE_LIMIT for each in found["results"])
    assert len(msgspec.json.encode(found)) < 100 * 1024


def test_it_belongs_to_its_policy() -> None:
    """Kubernetes deletes it with the policy, and a policy made anew has another one."""
    first, anew = (report(known(stored_policy(uid=uid)), []) for uid in ("1", "2"))
    assert first["metadata"]["name"] != anew["metadata"]["name"]
    assert first["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "rhtas.redhat.com/v1alpha1",
            "kind": "ModelValidation",
            "name": "granite",
            "uid": "1",
        }
    ]
    assert first["scope"]["uid"] == "1"


@pytest.mark.parametrize("at", ["never", "2026-01-01T00:00:00", ""])
def test_a_time_that_is_none_is_left_out(at: str) -> None:
    """A kubelet writes it, or whoever may write the pod's status."""
    (found,) = results(ended(gated(), [verified()], at=at))
    assert "timestamp" not in found
