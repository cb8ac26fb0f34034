"""Reports on a real API server, by the resource definition that OpenReports publishes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.api_server.fixtures import REQUIRE
from tests.e2e.api_server.observe.running import REPORTS, USER, rights, running_observer
from tests.e2e.api_server.observe.test_observing import made, say
from tests.e2e.api_server.processes import until
from tests.e2e.stack.static.definitions import DefinitionsMissingError, Module, definitions
from tests.support.observed import ended, gated, refused, seen, stored_policy, verified
from webhook.observe.openreports import report
from webhook.observe.policies import known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.api_server.control_plane import ControlPlane, Document
    from tests.e2e.api_server.fixtures import TeamFactory
    from tests.e2e.api_server.probed import ProbedProgram

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("webhook_in_force")]

OPENREPORTS: Final = Module(
    path="github.com/openreports/reports-api@v0.2.1",
    sum="h1:g9KS3yle9Y1elmww4TK9EkD1rl6inIaiIJPX6e+u680=",
    files=("config/crd/openreports.io_reports.yaml",),
)


@pytest.fixture(scope="module")
def observer(
    control_plane: ControlPlane, webhook_in_force: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProbedProgram]:
    """The controller, which writes reports, too."""
    assert webhook_in_force  # it has installed the resource definition
    try:
        control_plane.apply(definitions([OPENREPORTS]))
    except DefinitionsMissingError as error:
        if os.environ.get(REQUIRE) == "1":
            raise
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("observe")
    with (
        rights(control_plane, REPORTS),
        running_observer(control_plane, folder, "--reports") as running,
    ):
        yield running


def reports_of(control_plane: ControlPlane, namespace: str) -> list[Document]:
    """Return a namespace's reports."""
    path = f"/apis/openreports.io/v1alpha1/namespaces/{namespace}/reports"
    found: list[Document] = control_plane.call("GET", path).document["items"]
    return found


def test_each_policy_has_a_report(
    control_plane: ControlPlane, observer: ProbedProgram, team: TeamFactory
) -> None:
    """With both verdicts, and the policy as its owner."""
    name = team()
    pods = [made(control_plane, name, each) for each in ("good", "bad", "new")]
    say(control_plane, ended(pods[0], [verified()]))
    say(control_plane, ended(pods[1], [refused(reason="signed by mallory")], code=1))

    def summary() -> Document:
        found = reports_of(control_plane, name)
        return found[0]["summary"] if found else {}

    expected = {"pass": 1, "fail": 1, "warn": 0, "error": 0, "skip": 0}
    until(lambda: summary() == expected, what="the report has both verdicts")
    (report,) = reports_of(control_plane, name)
    bad, good = report["results"]
    assert (bad["result"], bad["severity"], bad["message"]) == ("fail", "high", "signed by mallory")
    assert bad["properties"] == {"verdict": "refused", "code": "OtherSigner"}
    assert (good["result"], good["resources"][0]["name"]) == ("pass", "good")
    assert "alice@models.corp" in good["message"]
    policy = f"/apis/rhtas.redhat.com/v1alpha1/namespaces/{name}/modelvalidations/granite"
    uid = control_plane.call("GET", policy).document["metadata"]["uid"]
    (owner,) = report["metadata"]["ownerReferences"]
    assert (owner["uid"], report["scope"]["uid"]) == (uid, uid)
    # In a namespace that is going, such as another test's, no report can be created.
    assert not [line for line in observer.lines() if name in line.get("policy", "")]


@pytest.mark.usefixtures("observer")
def test_openreports_knows_all_of_a_report(control_plane: ControlPlane, team: TeamFactory) -> None:
    """No field of it is pruned: the API server refuses what the definition does not have."""
    policy = stored_policy(namespace=team())
    pods = [
        ended(gated(policy=policy), [verified()]),
        ended(gated("b", policy=policy), [refused()], code=1),
    ]
    body = report(known(policy), [*map(seen, pods)])
    path = f"/apis/openreports.io/v1alpha1/namespaces/{policy['metadata']['namespace']}/reports"
    strict = f"{path}?dryRun=All&fieldValidation=Strict"
    answer = control_plane.call("POST", strict, body)
    assert answer.status == 201, answer.message
    body["results"][0]["unknown"] = 1
    assert control_plane.call("POST", strict, body).status == 400


@pytest.mark.usefixtures("observer")
def test_its_rights(control_plane: ControlPlane, team: TeamFactory) -> None:
    """It writes reports and reads none: what is in others' is none of its business."""
    path = f"/apis/openreports.io/v1alpha1/namespaces/{team()}/reports"
    for method in ("GET", "DELETE"):
        assert control_plane.call(method, path, user=USER).status == 403
