"""The controller on a fake API server: what it asks, writes and leaves, and how it recovers."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import subprocess
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from prometheus_client import CollectorRegistry

from tests.support import observed as made
from tests.support.cluster_rules import rule
from tests.support.fakes.fake_api_server import (
    NAMESPACES,
    PODS,
    POLICIES,
    ROOTS,
    FakeApiServer,
    cut_off,
    namespace,
    says_version,
    status,
)
from tests.support.observed import ended, gated, refused, stored_policy, verified, with_monitor
from tests.support.pods import MODEL
from tests.support.policies import KEY
from tests.support.waiting import ended_task, until
from validator import contract
from validator.policy.cluster_rules.resolution import stand_in
from webhook.cluster.api import ClusterApi
from webhook.cluster.watch import Timing
from webhook.observe.controller import Observer
from webhook.observe.events import Events
from webhook.observe.metrics import Held, Metrics
from webhook.observe.settings import ObserveSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from aiohttp import web

    class Start(Protocol):
        """Starts a controller."""

        def __call__(
            self,
            *,
            operator_compat: bool = False,
            reports: bool = False,
            timing: Timing = ...,
            now: Callable[[], dt.datetime] = ...,
        ) -> Awaitable[Observer]:
            """Return it."""


Document = dict[str, Any]
NOW = dt.datetime(2026, 11, 28, 20, 30, tzinfo=dt.UTC)
"""Half an hour after the gates of the tests' pods have ended."""
TIMING = Timing(watch=1, silence=0.2, pause=0.01, longest_pause=0.05)
NOT_LISTED = "policies, pods, namespaces and objects of the cluster are not listed yet"
STATUS = f"{POLICIES.rpartition('/')[0]}/namespaces/team/modelvalidations/granite/status"


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    """A fake API server with one policy and one verified pod."""
    async with FakeApiServer().running() as running:
        await running.put(NAMESPACES, namespace("team"))
        await running.put(POLICIES, stored_policy())
        await running.put(PODS, ended(gated(), [verified()]))
        yield running


@pytest.fixture
def metrics() -> Metrics:
    """Collectors of a registry of their own."""
    return Metrics(CollectorRegistry())


@pytest.fixture
async def start(server: FakeApiServer, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Start]:
    """Start a controller on the fake API server; it runs until the test ends."""
    async with AsyncExitStack() as stack:

        async def make(
            *,
            operator_compat: bool = False,
            reports: bool = False,
            timing: Timing = TIMING,
            now: Callable[[], dt.datetime] = lambda: NOW,
        ) -> Observer:
            api = await ClusterApi.connect(server.kubeconfig(tmp_path), name="test")
            stack.push_async_callback(api.close)
            events = Events(api, metrics=metrics, instance="test", now=lambda: NOW, pace=0)
            observer = Observer(
                api,
                ObserveSettings(
                    images=(made.IMAGE,), operator_compat=operator_compat, reports=reports
                ),
                metrics=metrics,
                announcer=events,
                timing=timing,
            )
            observer.now = now
            for each in (observer.run(), events.run()):
                stack.push_async_callback(ended_task, asyncio.create_task(each))
            return observer

        yield make


def counts(server: FakeApiServer) -> Document:
    """Return the numbers in the status that was written last, those above zero."""
    if not server.patches:
        return {}
    pods = server.patches[-1][1]["status"]["pods"]
    return {name: number for name, number in pods.items() if number}


async def test_the_status_follows_the_pods(server: FakeApiServer, start: Start) -> None:
    """One that comes, one that is judged, and one that goes."""
    observer = await start()
    await until(lambda: counts(server) == {"verified": 1})
    path, body = server.patches[0]
    assert path == STATUS
    assert body["metadata"] == {"uid": "uid-of-granite"}
    assert body["status"]["observedGeneration"] == 3
    assert observer.complaint is None
    await server.put(PODS, gated("b"))
    await until(lambda: counts(server) == {"verified": 1, "waiting": 1})
    await server.put(PODS, ended(gated("b"), [refused()], code=1))
    await until(lambda: counts(server) == {"verified": 1, "refused": 1})
    await server.delete(PODS, "llm", namespace="team")
    await until(lambda: counts(server) == {"refused": 1})


async def test_nothing_is_written_that_has_not_changed(server: FakeApiServer, start: Start) -> None:
    """After a restart, and where a kubelet says the same again."""
    await start()
    await until(lambda: len(server.patches) == 1)
    second = await start()
    await until(lambda: second.complaint is None)
    await server.put(PODS, ended(gated(), [verified()]) | {"other": "news"})
    await server.put(POLICIES, stored_policy("another"))
    await until(lambda: server.patches[-1][0] != STATUS)
    assert {path for path, _ in server.patches[1:]} == {STATUS.replace("granite", "another")}


async def test_a_change_of_the_policy_is_a_new_status(server: FakeApiServer, start: Start) -> None:
    """Its generation and conditions are written again."""
    await start()
    await until(lambda: len(server.patches) == 1)
    changed = stored_policy(mode="Audit")
    changed["metadata"]["generation"] = 4
    await server.put(POLICIES, changed | {"status": server.patches[0][1]["status"]})
    await until(lambda: len(server.patches) == 2)
    found = server.patches[1][1]["status"]
    assert found["observedGeneration"] == 4
    assert [c["reason"] for c in found["conditions"] if c["type"] == "Ready"] == ["Audit"]


async def test_only_labelled_pods_are_asked_for(server: FakeApiServer, start: Start) -> None:
    """By the label, with those left out that have done their work; the others are never sent."""
    other = gated("other")
    other["metadata"]["labels"] = {}
    await server.put(PODS, other)
    observer = await start()
    await until(lambda: observer.complaint is None)
    asked = [query for path, query in server.requests if path == PODS and query.get("limit") != "1"]
    assert {query["labelSelector"] for query in asked} == {contract.LABEL}
    assert {query["fieldSelector"] for query in asked} == {"status.phase!=Succeeded"}
    assert [pod.name for pod in observer.pods] == ["llm"]


async def test_the_operators_label(server: FakeApiServer, start: Start) -> None:
    """Its pods are followed beside ours, and none of them twice."""
    theirs, both = ended(gated("theirs"), [verified()]), ended(gated("both"), [verified()])
    theirs["metadata"]["labels"] = {contract.OPERATOR_LABEL: "true"}
    both["metadata"]["labels"] = dict.fromkeys((contract.LABEL, contract.OPERATOR_LABEL), "true")
    await server.put(PODS, theirs)
    await server.put(PODS, both)
    await start(operator_compat=True)
    await until(lambda: counts(server) == {"verified": 3})


async def test_a_failed_pod_counts_only_if_it_was_refused(
    server: FakeApiServer, start: Start
) -> None:
    """An evicted pod, or one whose workload has failed, says nothing of its model."""
    failed = ended(gated("failed"), [verified()])
    failed["status"]["phase"] = "Failed"
    await server.put(PODS, failed)
    job = ended(gated("job"), [refused()], code=1)
    job["status"]["phase"] = "Failed"
    await server.put(PODS, job)
    await start()
    await until(lambda: counts(server) == {"verified": 1, "refused": 1})
    evicted = ended(gated(), [verified()])
    evicted["status"]["phase"] = "Failed"
    await server.put(PODS, evicted)
    await until(lambda: counts(server) == {"refused": 1})


async def test_what_was_missed_is_found_by_the_next_list(
    server: FakeApiServer, start: Start
) -> None:
    """A pod that went while nobody watched does not stay."""
    await server.put(PODS, ended(gated("b"), [verified()]))
    await start()
    await until(lambda: counts(server) == {"verified": 2})
    server.watches[PODS].extend([status(410), status(410)])
    server._objects[PODS].pop(("team", "b"))
    await until(lambda: counts(server) == {"verified": 1})


async def test_a_list_that_breaks_off_leaves_nothing_behind(
    server: FakeApiServer, start: Start
) -> None:
    """A pod of its first page that is gone before the next list does not stay."""
    for number in range(25):
        await server.put(PODS, gated(f"p{number:02}"))

    async def first_page(request: web.Request) -> web.StreamResponse:
        answer = await server._list(request)
        server._objects[PODS].pop(("team", "llm"))
        return answer

    server.lists[PODS].extend([first_page, status(500)])
    observer = await start()
    await until(lambda: counts(server) == {"waiting": 25})
    assert len(observer.pods) == 25


async def test_nothing_is_written_before_all_is_listed(server: FakeApiServer, start: Start) -> None:
    """The counts of half a list would be wrong."""
    server.lists[PODS].extend([status(403)] * 20)
    observer = await start()
    await until(lambda: len(server.lists[PODS]) < 15)
    assert server.patches == []
    assert observer.complaint == NOT_LISTED
    server.lists[PODS].clear()
    await until(lambda: counts(server) == {"verified": 1})


async def test_a_silent_api_server_is_said(start: Start) -> None:
    """What was written may be outdated where nothing was heard for too long."""
    observer = await start(timing=replace(TIMING, stale=0))
    await until(lambda: observer.complaint == "no word from the API server")


@pytest.mark.parametrize("fault", ["no access", "a port that is taken", "an old API server"])
async def test_a_bad_start_is_one_sentence(
    server: FakeApiServer, tmp_path: Path, fault: str
) -> None:
    """Exit code 2 and what is wrong, no traceback."""
    kubeconfig, said = server.kubeconfig(tmp_path), "cannot listen: "
    if fault == "no access":
        kubeconfig.write_text("{}")
        said = "there is no access to the API server"
    if fault == "an old API server":
        server.versions.append(says_version("1", "30"))
        said = "the API server is Kubernetes 1.30, which drops"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = "0" if fault == "an old API server" else str(taken.getsockname()[1])
        options = (
            *("--kubeconfig", str(kubeconfig), "--host", "127.0.0.1"),
            *("--probe-port", port, "--page-port", "0"),
        )
        command = [sys.executable, "-m", "webhook", "observe", "--gate-image", "a", *options]
        ran = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=False
        )
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-1].startswith(f"python -m webhook: {said}")
    assert "Traceback" not in ran.stderr


async def test_a_write_that_fails_is_tried_again(
    server: FakeApiServer, start: Start, metrics: Metrics
) -> None:
    """And said, until it is done."""
    server.writes.extend([status(500), cut_off()])
    observer = await start()
    await until(lambda: observer.complaint is not None and "500" in observer.complaint)
    await until(lambda: counts(server) == {"verified": 1})
    await until(lambda: observer.complaint is None)
    name = "model_validation_observe_status_writes_total"
    assert metrics.registry.get_sample_value(name, {"outcome": "failed"}) == 2
    assert metrics.registry.get_sample_value(name, {"outcome": "done"}) == 1


async def test_one_status_that_cannot_be_written_is_its_policys(
    server: FakeApiServer, start: Start
) -> None:
    """It is tried again and again; all others are written meanwhile, and we are ready."""
    await server.put(POLICIES, stored_policy("other"))
    server.unwritable.add(STATUS)
    observer = await start()
    await until(lambda: server.refused_writes > 1)
    assert observer.complaint is None
    await server.put(PODS, gated("b", policy=stored_policy("other")))
    await until(lambda: counts(server) == {"waiting": 1})
    assert observer.complaint is None
    server.unwritable.clear()
    await until(lambda: server.patches[-1][0] == STATUS)
    assert observer.complaint is None


async def test_where_no_status_can_be_written_it_is_not_ready(
    server: FakeApiServer, start: Start
) -> None:
    """Whoever reads a status must learn that it is outdated; a deleted policy is not waited for."""
    await server.put(POLICIES, stored_policy("other"))
    observer = await start()
    await until(lambda: len(server.patches) == 2 and observer.complaint is None)
    server.unwritable |= {STATUS, STATUS.replace("granite", "other")}
    await server.put(PODS, gated("b"))
    await until(lambda: observer.complaint is not None and "422" in observer.complaint)
    await server.delete(POLICIES, "granite", namespace="team")
    await until(lambda: observer.complaint is None)


async def test_the_api_servers_version_is_followed(server: FakeApiServer, start: Start) -> None:
    """It decides whether a restart verifies: a control plane is upgraded while we run."""
    await server.put(POLICIES, stored_policy(onRestart="Verify"))
    server.versions.extend([says_version("1", "35"), *[says_version("1", "36")] * 100])

    def said() -> str | None:
        found = server.patches[-1][1]["status"]["conditions"] if server.patches else ()
        return next((c["reason"] for c in found if c["type"] == "RestartVerifies"), None)

    await start()
    await until(lambda: said() == "ServerOlder")
    await until(lambda: said() == "Verify")


NAMED = {"privateKeyConfig": {"trustRootRef": {"name": "corp"}}}


def root(*, deleted: bool = False, **spec: str) -> Document:
    """Return the root that the policy names; without `spec`, with the key that it needs."""
    metadata: Document = {"name": "corp", "uid": "uid-of-corp"}
    if deleted:
        metadata["deletionTimestamp"] = "2026-11-28T20:00:00Z"
    return {"metadata": metadata, "spec": spec or {"publicKey": KEY}}


def accepted(server: FakeApiServer) -> tuple[str, str, str] | None:
    """Return what the status that was written last says: whether the policy is accepted, and why.

    `Ready` says the same.
    """
    if not server.patches:
        return None
    said = {each["type"]: each for each in server.patches[-1][1]["status"]["conditions"]}
    assert said["Ready"]["status"] == said["Accepted"]["status"]
    assert "Stalled" not in said
    return said["Accepted"]["status"], said["Accepted"]["reason"], said["Accepted"]["message"]


async def test_a_root_that_a_policy_names_is_followed(server: FakeApiServer, start: Start) -> None:
    """The webhook refuses the policy's pods for as long as it cannot be used: the status says so.

    With the webhook's own sentence; once the root is there again, the policy is in force again.
    """
    await server.put(POLICIES, stored_policy(config=NAMED))
    observer = await start()

    async def says(reason: str) -> None:
        named = f"privateKeyConfig.trustRootRef: the TrustRoot 'corp' {reason}"
        await until(lambda: accepted(server) == ("False", "TrustRootNotUsable", named))

    async def holds() -> None:
        await until(lambda: accepted(server) == ("True", "Valid", "the policy can be used"))

    await says("does not exist: create it, or name another")
    await server.put(ROOTS, root())
    await holds()
    await server.put(ROOTS, root(deleted=True))
    await says("is being deleted: create it anew, or name another")
    await server.delete(ROOTS, "corp")
    await says("does not exist: create it, or name another")
    await server.put(ROOTS, root())
    await holds()
    await server.put(ROOTS, root(trustedRoot="{}"))
    await says(
        "holds a Sigstore trusted root (trustedRoot), and here it takes a public key (publicKey): "
        "name another TrustRoot"
    )
    await server.put(ROOTS, root(publicKey=KEY, trustedRoot="{}"))
    await until(lambda: "'corp' cannot be used: as the API server" in str(accepted(server)))
    await server.put(POLICIES, stored_policy())
    await holds()
    assert observer.complaint is None


async def test_nothing_is_written_before_the_roots_are_listed(
    server: FakeApiServer, start: Start
) -> None:
    """A policy would be called broken that is not."""
    await server.put(POLICIES, stored_policy(config=NAMED))
    await server.put(ROOTS, root())
    server.lists[ROOTS].extend([status(403)] * 20)
    observer = await start()
    await until(lambda: len(server.lists[ROOTS]) < 15)
    assert server.patches == []
    assert observer.complaint == NOT_LISTED
    server.lists[ROOTS].clear()
    await until(lambda: accepted(server) == ("True", "Valid", "the policy can be used"))
    assert len(server.patches) == 1


async def test_a_cluster_without_the_kind_has_no_roots(server: FakeApiServer, start: Start) -> None:
    """An older installation's; the webhook takes it so, too. A 404 alone does not mean it."""
    await server.put(POLICIES, stored_policy(config=NAMED))
    await server.put(ROOTS, root())
    server.lists[ROOTS].extend([status(404)] * 5)
    observer = await start()
    await until(lambda: accepted(server) == ("True", "Valid", "the policy can be used"))
    assert len(server.patches) == 1
    server.absent.add(ROOTS)
    server.watches[ROOTS].append(status(410))
    await until(lambda: "does not exist" in str(accepted(server)))
    assert observer.complaint is None


async def test_a_policy_that_was_made_anew_meanwhile(server: FakeApiServer, start: Start) -> None:
    """The status of the one that is gone is not written into it; that is no failure."""
    server.writes.extend([status(409), status(404)])
    observer = await start()
    await until(lambda: not server.writes or len(server.writes) == 1)
    anew = stored_policy(uid="anew")
    await server.put(POLICIES, anew)
    await until(lambda: not server.writes)
    await server.put(POLICIES, anew | {"news": 1})
    await until(lambda: counts(server) == {"unproven": 1})
    assert server.patches[-1][1]["metadata"] == {"uid": "anew"}
    assert observer.complaint is None


async def test_a_pod_that_cannot_be_read_is_left_out(server: FakeApiServer, start: Start) -> None:
    """The others are not kept waiting for it."""
    strange = gated("strange")
    strange["spec"] = {"initContainers": 7}
    await server.put(PODS, strange)
    await start()
    await until(lambda: counts(server) == {"verified": 1})


def report_of(uid: str) -> str:
    """Return the path of a policy's report."""
    return f"/apis/openreports.io/v1alpha1/namespaces/team/reports/modelvalidation-{uid}"


async def test_reports_are_written_where_they_are_asked_for(
    server: FakeApiServer, start: Start, metrics: Metrics
) -> None:
    """One for each policy, again only where it has changed, and none for one that is gone."""
    await start()
    await until(lambda: len(server.patches) == 1)
    assert not server.applied
    await start(reports=True)
    written = server.applied[report_of("uid-of-granite")]
    await until(lambda: len(written) == 1)
    assert written[0]["summary"] == {"fail": 0, "error": 0, "warn": 0, "pass": 1, "skip": 0}
    await server.put(PODS, ended(gated(), [verified()]) | {"other": "news"})
    await server.put(PODS, ended(gated("b"), [refused()], code=1))
    await until(lambda: len(written) == 2)
    assert written[1]["summary"]["fail"] == 1
    await server.delete(POLICIES, "granite", namespace="team")
    await server.put(POLICIES, stored_policy("other"))
    await until(lambda: len(server.applied[report_of("uid-of-other")]) == 1)
    assert len(written) == 2
    name = "model_validation_observe_report_writes_total"
    # A write is counted when its answer is there, which is after the server has it.
    await until(lambda: metrics.registry.get_sample_value(name, {"outcome": "done"}) == 3)


async def test_a_cluster_without_openreports(
    server: FakeApiServer, start: Start, metrics: Metrics
) -> None:
    """The statuses are written all the same, and we are ready; each report is tried again."""
    server.unwritable.add(report_of("uid-of-granite"))
    observer = await start(reports=True)
    await until(lambda: server.refused_writes > 1 and counts(server) == {"verified": 1})
    assert observer.complaint is None
    name = "model_validation_observe_report_writes_total"
    assert metrics.registry.get_sample_value(name, {"outcome": "done"}) == 0
    server.unwritable.clear()
    await until(lambda: bool(server.applied[report_of("uid-of-granite")]))


async def test_metrics_by_policy(server: FakeApiServer, start: Start, metrics: Metrics) -> None:
    """A bounded number of policies has series of its own; the rest is counted together."""
    await server.put(POLICIES, stored_policy("zz"))
    await server.put(PODS, ended(gated("b", policy=stored_policy("zz")), [verified()]))
    no_gate = gated("none")
    no_gate["spec"] = {"containers": []}
    await server.put(PODS, no_gate)
    observer = await start()
    metrics.registry.register(Held(observer.pods, observer.policies, shown=1))
    await until(lambda: observer.complaint is None)

    def number(namespace: str, policy: str, verdict: str) -> float | None:
        labels = {"namespace": namespace, "policy": policy, "verdict": verdict}
        return metrics.registry.get_sample_value("model_validation_observe_pods", labels)

    assert number("team", "granite", "verified") == 1
    assert number("team", "granite", "refused") == 0
    assert number("team", "zz", "verified") is None
    assert number("", "", "verified") == 1
    assert number("", "", "unproven") == 1


def said(server: FakeApiServer) -> list[tuple[str, str, str]]:
    """Return the events so far: reason, kind and name of what they are about."""
    return [
        (event["reason"], event["regarding"]["kind"], event["regarding"]["name"])
        for event in server.created.values()
    ]


OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "2", "controller": True}


async def test_a_verdict_is_said_once(
    server: FakeApiServer, start: Start, metrics: Metrics
) -> None:
    """On the pods' owner and on the policy, however many pods there are, also after a restart."""
    for name in "ab":
        pod = gated(name, ownerReferences=[OWNER])
        await server.put(PODS, ended(pod, [refused(reason="by mallory")], code=1))
    await start()
    await until(lambda: len(said(server)) == 4)
    assert sorted(said(server)) == [
        ("ModelRefused", "ModelValidation", "granite"),
        ("ModelRefused", "ReplicaSet", "r"),
        ("ModelVerified", "ModelValidation", "granite"),
        ("ModelVerified", "Pod", "llm"),
    ]
    notes = {event["note"] for event in server.created.values() if event["type"] == "Warning"}
    assert notes == {"pod a: by mallory (OtherSigner)"}
    await start()
    name = "model_validation_observe_events_total"
    await until(lambda: metrics.registry.get_sample_value(name, {"outcome": "known"}) == 4)
    assert len(said(server)) == 4


async def test_a_rule_of_the_cluster_is_said_on_the_owner_alone(
    server: FakeApiServer, start: Start, metrics: Metrics
) -> None:
    """There is no policy in the namespace that an event could be about; the pod counts as such."""
    metadata = {"uid": "uid-of-base", "generation": 1}
    chosen = rule("base", metadata=metadata, model={"path": MODEL}, default=True)
    pod = gated("a", policy=stand_in(chosen, [chosen]), ownerReferences=[OWNER])
    await server.put(PODS, ended(pod, [refused()], code=1))
    observer = await start()
    await until(lambda: len(said(server)) == 3)
    assert ("ModelRefused", "ReplicaSet", "r") in said(server)
    metrics.registry.register(Held(observer.pods, observer.policies))
    name, labels = "model_validation_observe_pods", {"namespace": "", "policy": ""}
    assert metrics.registry.get_sample_value(name, {**labels, "verdict": "refused"}) == 1


async def test_what_is_long_past_is_not_said_again(server: FakeApiServer, start: Start) -> None:
    """The API server has forgotten that event, and the pod has run since."""
    await server.put(PODS, ended(gated(), [verified()], at="2026-11-28T19:00:00Z"))
    await server.put(PODS, ended(gated("b"), [verified()], at="no time"))
    await server.put(PODS, ended(gated("c"), [verified(digest="cd" * 32)]))
    await start()
    await until(lambda: len(said(server)) == 2)
    assert {name for _, _, name in said(server)} == {"c", "granite"}


async def test_a_change_under_a_running_pod_is_said(server: FakeApiServer, start: Start) -> None:
    """When it is seen to happen."""
    pod = ended(gated(policy=stored_policy(revalidation={})), [verified()])
    await server.put(PODS, with_monitor(pod, ready=True))
    await start()
    await until(lambda: len(said(server)) == 2)
    await server.put(PODS, with_monitor(pod, ready=False))
    await until(lambda: len(said(server)) == 4)
    assert {reason for reason, _, _ in said(server)} == {"ModelVerified", "ModelChanged"}


async def test_an_owner_that_cannot_be_one_is_not_named(
    server: FakeApiServer, start: Start
) -> None:
    """The pod's author writes it; the event is then about the pod."""
    strange = OWNER | {"kind": "Replica Set\n"}
    await server.put(PODS, ended(gated("a", ownerReferences=[strange]), [refused()], code=1))
    await start()
    await until(lambda: ("ModelRefused", "Pod", "a") in said(server))


async def test_an_event_that_is_refused_is_lost(
    server: FakeApiServer, start: Start, metrics: Metrics
) -> None:
    """And counted; statuses are written all the same."""
    observer = await start()
    await until(lambda: len(said(server)) == 2 and observer.complaint is None)
    await until(lambda: counts(server) == {"verified": 1})
    server.creations.append(status(403))
    await server.put(PODS, ended(gated("b"), [refused()], code=1))
    name = "model_validation_observe_events_total"
    await until(lambda: counts(server) == {"verified": 1, "refused": 1})
    await until(lambda: (metrics.registry.get_sample_value(name, {"outcome": "failed"}) or 0) >= 1)
