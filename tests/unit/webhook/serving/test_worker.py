"""Large reviews in a process of their own: the real one, and what happens when it hangs or dies."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from base64 import b64decode
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import jsonpatch
import msgspec
import pytest

from tests.support.fakes.fake_cluster import FakeCluster
from tests.support.fakes.fake_cluster import stored_policy as policy
from tests.support.waiting import ended_task
from validator.contract import LABEL
from validator.policy.origins import Origin, Resolved
from webhook.admission.reviewer import Reviewer
from webhook.errors import NotReady, RequestError
from webhook.serving.judged import Asked, Line, judge
from webhook.serving.messages import receive
from webhook.serving.worker import Worker
from webhook.settings import GateSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


POD: dict[str, Any] = {
    "metadata": {"name": "llm", "labels": {LABEL: "true"}, "annotations": {"a": "x" * 200_000}},
    "spec": {"containers": [{"name": "vllm", "image": "vllm:1"}]},
}


def asked(pod: dict[str, Any] | None = None, *, path: str = "/mutate") -> Asked:
    """Return the review of a labelled pod, which is as large as its annotation."""
    request = {
        "uid": "1",
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "models",
        "operation": "CREATE",
        "object": pod or POD,
    }
    body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return Asked(path=path, content_type="application/json", body=msgspec.json.encode(body))


@asynccontextmanager
async def running(cluster: FakeCluster) -> AsyncIterator[Worker]:
    """Run a worker beside the block."""
    worker = Worker(reviewer(cluster), seconds=30)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        await ended_task(task)


def reviewer(cluster: FakeCluster) -> Reviewer:
    """Return a reviewer of the cluster."""
    return Reviewer(source=cluster, gate=GateSettings(image="validator:1"))


async def pid_of(worker: Worker) -> int:
    """Return the pid of the worker's process, once there is one."""
    async with asyncio.timeout(30):
        while worker._process is None:  # noqa: ASYNC110 — the other side is a process
            await asyncio.sleep(0.01)
    return worker._process.pid


@pytest.fixture
def cluster() -> FakeCluster:
    """A cluster with one policy, which a TrustRoot went into."""
    made = FakeCluster(gate_images=("validator:0",))
    made.server = (1, 36)
    resolved = Resolved(trust_roots=(Origin(name="corp"),), trusts_nothing_else=True)
    made.known.put(msgspec.structs.replace(policy(onRestart="Verify"), resolved=resolved))
    made.live = [policy()]
    return made


async def test_it_says_what_this_process_would_say(cluster: FakeCluster) -> None:
    """The same answer, verdict and log line, for mutation and validation, done twice."""
    first = await judge(asked(), reviewer=reviewer(cluster), line={})
    patch = msgspec.json.decode(b64decode(msgspec.json.decode(first.body)["response"]["patch"]))
    mutated = jsonpatch.apply_patch(POD, patch)
    cluster.known.put(policy(generation=2))  # which validation need not know
    cluster.live = [policy(generation=2)]
    verdicts = []
    async with running(cluster) as worker:
        for each in (asked(), asked(mutated, path="/validate"), asked(path="/validate"), asked()):
            here: Line = {}
            there: Line = {}
            expected = await judge(each, reviewer=reviewer(cluster), line=here)
            assert await worker.judge(each, line=there) == expected
            assert there == here
            verdicts.append(expected.verdict)
    assert verdicts == ["allowed", "allowed", "refused", "allowed"]


async def test_a_refusal_is_by_a_live_read(cluster: FakeCluster) -> None:
    """The worker asks this process for a live read, since only this one talks to the API server."""
    cluster.known.replace([], namespace="models")
    async with running(cluster) as worker:
        judged = await worker.judge(asked(), line={})
        assert (judged.verdict, cluster.live_reads) == ("allowed", 1)
        cluster.known.replace([], namespace="models")
        cluster.live = []
        judged = await worker.judge(asked(), line={})
        assert (judged.verdict, cluster.live_reads) == ("refused", 2)
        cluster.live = None
        with pytest.raises(NotReady, match="the API server is away"):
            await worker.judge(asked(), line={})
        cluster.live = [policy()]
        assert (await worker.judge(asked(), line={})).verdict == "allowed"


async def test_what_is_stale_is_read_live_first(cluster: FakeCluster) -> None:
    """As in this process: nobody is admitted by what was known."""
    cluster.stale, cluster.live = True, None
    async with running(cluster) as worker:
        with pytest.raises(NotReady, match="the API server is away"):
            await worker.judge(asked(), line={})
        cluster.live = []
        assert (await worker.judge(asked(), line={})).verdict == "refused"


async def test_a_bad_request_keeps_its_status(cluster: FakeCluster) -> None:
    """Errors cross the pipe whole."""
    async with running(cluster) as worker:
        for body, content_type, status in (
            (b"{", "application/json", 400),
            (b"{}", "text/plain", 415),
            (b"[" * 500_000, "application/json", 400),
        ):
            each = Asked(path="/mutate", content_type=content_type, body=body)
            with pytest.raises(RequestError) as caught:
                await worker.judge(each, line={})
            assert caught.value.status == status
        assert (await worker.judge(asked(), line={})).verdict == "allowed"


async def test_what_takes_too_much_memory_is_refused(cluster: FakeCluster) -> None:
    """18 MiB that would be 420 as objects: one sentence, and the process goes on."""
    small = asked({"metadata": {"name": "llm", "labels": {LABEL: "true"}}, "x": 0})
    objects = b"[" + b'{"a":0},' * (18 * 1024 * 1024 // 8) + b"0]"
    large = replace(small, body=small.body.replace(b'"x":0', b'"x":' + objects))
    async with running(cluster) as worker:
        await worker.judge(asked(), line={})
        pid = await pid_of(worker)
        with pytest.raises(RequestError, match=r"more than 384 MiB of memory.*smaller") as caught:
            await worker.judge(large, line={})
        assert caught.value.status == 413
        assert (await worker.judge(asked(), line={})).verdict == "allowed"
        assert await pid_of(worker) == pid


async def test_what_takes_too_long_is_ended(cluster: FakeCluster) -> None:
    """The review gets 503, and the next one a new process."""
    async with running(cluster) as worker:
        await worker.judge(asked(), line={})
        pid = await pid_of(worker)
        os.kill(pid, signal.SIGSTOP)
        patient, worker._seconds = worker._seconds, 1
        with pytest.raises(NotReady, match="could not be judged in time"):
            await worker.judge(asked(), line={})
        worker._seconds = patient
        assert (await worker.judge(asked(), line={})).verdict == "allowed"
        assert await pid_of(worker) != pid


async def test_a_process_that_dies_costs_one_review(cluster: FakeCluster) -> None:
    """As by the kernel, where memory runs out."""
    async with running(cluster) as worker:
        await worker.judge(asked(), line={})
        pid = await pid_of(worker)
        os.kill(pid, signal.SIGSTOP)
        lost = asyncio.create_task(worker.judge(asked(), line={}))
        await asyncio.sleep(0.1)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(NotReady, match="has ended: try again"):
            await lost
        assert (await worker.judge(asked(), line={})).verdict == "allowed"


async def test_at_the_end_no_process_is_left(cluster: FakeCluster) -> None:
    """It ends with its parent's work."""
    async with running(cluster) as worker:
        await worker.judge(asked(), line={})
        pid = await pid_of(worker)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_process_that_has_just_ended_is_no_verdict() -> None:
    """The review is tried again by whoever sent it."""
    reviewer = Reviewer(source=FakeCluster(), gate=GateSettings(image="validator:1"))
    with pytest.raises(NotReady, match="try again"):
        await Worker(reviewer)._asked(cast("Asked", None))


@pytest.mark.parametrize("content", [b"", b"\0"])
def test_a_stream_that_ends_is_an_end(content: bytes) -> None:
    """Also within a message's length."""
    with pytest.raises(EOFError):
        receive(io.BytesIO(content))
