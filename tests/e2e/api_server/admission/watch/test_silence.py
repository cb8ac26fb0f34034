"""A real API server that falls silent: then no pod is admitted by what was known before."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry

from tests.e2e.api_server.admission.serving import ACCOUNT, install, kubeconfig
from tests.e2e.api_server.installation import manifests
from tests.e2e.api_server.installation.installing import delete
from tests.e2e.api_server.workloads import policy, workload
from tests.support.waiting import ended_task, until
from webhook.admission.reviewer import Reviewer
from webhook.cluster.api import ClusterApi
from webhook.cluster.watch import Timing
from webhook.errors import NotReady
from webhook.metrics import Metrics
from webhook.review import Review
from webhook.settings import GateSettings
from webhook.sources.cluster import ClusterSource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.e2e.api_server.control_plane import ControlPlane

pytestmark = pytest.mark.apiserver

POLICY = "/apis/rhtas.redhat.com/v1alpha1/namespaces/{}/modelvalidations/granite"
MERGE = "application/merge-patch+json"
ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/model-validation-webhook"
TIMING = Timing(read=1, watch=1, silence=1, pause=0.1, longest_pause=0.5, stale=4)
"""The shipped ones, some thirty times as fast."""
PATIENCE = 30
TLS_END_SECONDS = 0.25
"""For the answer to a `close_notify`; the figure is of aiohttp's documents."""


class Wire:
    """A TCP relay to the API server, which can be cut: then it swallows what either side sends."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: list[asyncio.StreamWriter] = []
        self.whole = asyncio.Event()
        self.whole.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        """Listen on loopback; yield the port."""
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            for end in self._ends:
                end.transport.abort()
            await asyncio.wait(self._tasks)
            await asyncio.sleep(0)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        self._ends += [writer, back]
        for one, other in ((reader, back), (there, writer)):
            self._tasks.add(asyncio.create_task(self._copy(one, other)))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(65536):
                await self.whole.wait()
                writer.write(piece)
                await writer.drain()
            writer.close()


@asynccontextmanager
async def followed(
    cluster: ControlPlane, folder: Path, *, server: str | None = None
) -> AsyncIterator[ClusterSource]:
    """Follow the cluster with the webhook's own rights; yield the source once it is ready."""
    install(cluster)
    configuration = kubeconfig(cluster, ACCOUNT)
    if server is not None:
        configuration["clusters"][0]["cluster"]["server"] = server
    path = folder / "kubeconfig"
    path.write_text(json.dumps(configuration))
    api = await ClusterApi.connect(path, name="test")
    source = ClusterSource(api, metrics=Metrics(CollectorRegistry()), timing=TIMING)
    running = asyncio.create_task(source.run())
    try:
        await until(lambda: source.ready, seconds=PATIENCE)
        yield source
    finally:
        await ended_task(running)
        await api.close()
        # The client does not wait for the ends of its TLS connections, and the loop closes after.
        await asyncio.sleep(TLS_END_SECONDS)


def review(namespace: str) -> Review:
    """Return the review of a labelled pod."""
    return Review(
        uid="1",
        operation="CREATE",
        resource=("", "v1", "pods"),
        subresource="",
        namespace=namespace,
        name="vllm",
        dry_run=False,
        object=workload("Pod", namespace),
        old_object=None,
    )


@pytest.fixture(scope="module")
def own(empty: ControlPlane) -> Iterator[ControlPlane]:
    """The control plane on which rights may be taken away, left as empty as it was."""
    yield empty
    delete(empty, manifests.overlay_folder("operator-compat"))


@pytest.fixture
def models(own: ControlPlane) -> Iterator[str]:
    """A namespace with a policy."""
    install(own)
    name = f"test-{os.urandom(5).hex()}"
    own.make_namespace(name)
    own.created(policy(name))
    yield name
    own.remove_namespace(name)


async def test_without_its_rights_it_admits_nobody(
    own: ControlPlane, models: str, tmp_path: Path
) -> None:
    """The policy is deleted after the rights are gone: the webhook cannot know, and says so."""
    async with followed(own, tmp_path) as source:
        reviewer = Reviewer(source=source, gate=GateSettings(image="validator:1"))
        assert (await reviewer.mutate(review(models))).refusal is None
        role = own.call("GET", ROLE).document
        own.call("PATCH", ROLE, {"rules": []}, content_type=MERGE)
        try:
            own.call("DELETE", POLICY.format(models))
            await until(lambda: source.stale, seconds=PATIENCE)
            with pytest.raises(NotReady, match="cannot be read from the API server"):
                await reviewer.mutate(review(models))
        finally:
            own.call("PATCH", ROLE, {"rules": role["rules"]}, content_type=MERGE)
        await until(lambda: not source.stale, seconds=PATIENCE)
        refusal = (await reviewer.mutate(review(models))).refusal
        assert refusal is not None
        assert "has no ModelValidation" in refusal


async def test_with_its_network_cut_it_admits_nobody(
    own: ControlPlane, models: str, tmp_path: Path
) -> None:
    """No packet arrives, and no connection breaks."""
    address = urlsplit(kubeconfig(own, ACCOUNT)["clusters"][0]["cluster"]["server"])
    wire = Wire(address.hostname or "", address.port or 443)
    async with (
        wire.running() as port,
        followed(own, tmp_path, server=f"https://127.0.0.1:{port}") as source,
    ):
        reviewer = Reviewer(source=source, gate=GateSettings(image="validator:1"))
        assert (await reviewer.mutate(review(models))).refusal is None
        wire.whole.clear()
        await until(lambda: source.stale, seconds=PATIENCE)
        with pytest.raises(NotReady, match="cannot be read from the API server"):
            await reviewer.mutate(review(models))
        wire.whole.set()
        await until(lambda: not source.stale, seconds=PATIENCE)
        assert (await reviewer.mutate(review(models))).refusal is None
