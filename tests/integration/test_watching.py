from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import pytest
from prometheus_client import CollectorRegistry

from tests.support.cluster_source import TIMING, running_source
from tests.support.fakes.fake_api_server import (
    NAMESPACES,
    POLICIES,
    RULES,
    FakeApiServer,
    body,
    bookmark,
    breaks_off,
    cut_off,
    error,
    freezes,
    line,
    namespace,
    policy,
    says,
    says_version,
    status,
)
from tests.support.fakes.loopback import TOKEN
from tests.support.waiting import until
from validator.policy.document import ModelValidation
from webhook.cluster.watch import Timing, pauses
from webhook.errors import NotReady
from webhook.metrics import Metrics
from webhook.policies.choice import BrokenPolicy, LeftOut
from webhook.settings import NamespaceOptions
from webhook.sources.holdings import Bounds
from webhook.sources.store import identity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from pathlib import Path

    from aiohttp import web

    from tests.support.fakes.fake_api_server import Script
    from webhook.policies.choice import Policy
    from webhook.sources.cluster import ClusterSource

    class Start(Protocol):
        """Starts a source."""

        def __call__(
            self, timing: Timing = ..., bounds: Bounds | None = ...
        ) -> Awaitable[ClusterSource]:
            """Return it."""


STALE = replace(TIMING, read=0.3, stale=1.5)
OURS = "model-validation"
GATE, PREVIOUS = (f"validation.rhtas.redhat.com/{name}gate-image" for name in ("", "previous-"))
SIZE = "model_validation_webhook_policies_bytes"
RESTARTS = "model_validation_webhook_watch_restarts_total"


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    """A fake API server with one namespace and one policy."""
    async with FakeApiServer().running() as running:
        await running.put(NAMESPACES, namespace("models"))
        await running.put(POLICIES, policy("granite"))
        yield running


@pytest.fixture
def metrics() -> Metrics:
    """Collectors of a registry of their own."""
    return Metrics(CollectorRegistry())


@pytest.fixture
async def start(server: FakeApiServer, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Start]:
    """Start a source on the fake API server; it runs until the test ends."""
    async with AsyncExitStack() as stack:

        async def make(timing: Timing = TIMING, bounds: Bounds | None = None) -> ClusterSource:
            options = {"timing": timing, "bounds": bounds, "gate_namespace": OURS}
            running = running_source(server, tmp_path, metrics=metrics, **options)
            return await stack.enter_async_context(running)

        yield make


def known(source: ClusterSource, where: str = "models") -> dict[str, int | None]:
    """Return the policies of a namespace as names and generations."""
    found = [identity(held(each)) for each in source.policies(where)]
    return {name: generation for _, name, _, generation in found}


def held(policy: Policy | LeftOut) -> Policy:
    """Return a policy, which must not have been left out."""
    assert not isinstance(policy, LeftOut)
    return policy


async def test_it_is_ready_when_both_collections_are_known(
    server: FakeApiServer, start: Start
) -> None:
    """A list that fails at first delays readiness; then all is known, and the token was sent."""
    server.lists[NAMESPACES].extend(status(500) for _ in range(3))
    source = await start()
    await until(lambda: known(source) == {"granite": 1})
    assert not source.ready
    await until(lambda: source.ready)
    assert source.namespace("models") == NamespaceOptions(name="models")
    assert source.namespace("other") is None
    assert server.tokens == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([cut_off(), cut_off(), says_version("1", "31")], id="not there yet"),
        pytest.param([status(403)], id="no right to read it"),
        pytest.param([says_version("1", "next")], id="no number"),
        pytest.param([body(b"{}")], id="no version"),
    ],
)
async def test_a_version_that_cannot_be_read_refuses_nothing(
    server: FakeApiServer, start: Start, answers: list[Script]
) -> None:
    """A server that does not answer is asked again; one that will not say is taken as it is."""
    server.versions.extend(answers)
    source = await start()
    await until(lambda: source.ready)
    assert not server.versions


async def test_the_servers_version_is_asked_for_again(server: FakeApiServer, start: Start) -> None:
    """A control plane is upgraded while the webhook runs; one that emulates another has its own."""
    server.versions.append(says_version("1", "36+"))
    server.versions.append(status(403))
    server.versions.append(says_version("1", "37", emulationMajor="1", emulationMinor="35"))
    source = await start()
    await until(lambda: source.ready)
    assert source.server == (1, 36)
    await until(lambda: source.server == (1, 35))
    assert not server.versions


@pytest.mark.parametrize("answer", [status(503), says_version("1", "next")])
async def test_a_version_that_was_not_told_is_asked_for_again(
    server: FakeApiServer, start: Start, capsys: pytest.CaptureFixture[str], answer: Script
) -> None:
    """A server that is starting answers with errors at first; the log has that once."""
    server.versions.extend([answer, answer, says_version("1", "36")])
    source = await start()
    await until(lambda: source.ready)
    assert source.server is None
    await until(lambda: source.server == (1, 36))
    assert capsys.readouterr().out.count("the API server does not tell its version") == 1


async def test_a_restored_state_is_listed_anew(server: FakeApiServer, start: Start) -> None:
    """A watch from a version that is not there yet would say nothing, and not fail either."""
    await server.put(POLICIES, policy("granite", generation=2))
    source = await start()
    await until(lambda: known(source) == {"granite": 2})
    await server.put(POLICIES, policy("granite", generation=1))
    server.move_to(1)
    await until(lambda: known(source) == {"granite": 1})
    assert server.lists_of(POLICIES) > 1


async def test_long_lists_come_in_pages(server: FakeApiServer, start: Start) -> None:
    """No page is lost."""
    for number in range(250):
        await server.put(POLICIES, policy(f"p{number}"))
    source = await start()
    await until(lambda: source.ready)
    assert len(known(source)) == 251


async def test_a_namespace_with_too_many_policies_is_left_out(
    server: FakeApiServer, start: Start, metrics: Metrics, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log and a metric say so; a live read brings it back once it fits."""
    for number in range(50):
        await server.put(POLICIES, policy(f"p{number}", namespace="crowd"))
    source = await start(bounds=Bounds(namespace=30_000, total=100_000))
    await until(lambda: source.ready)
    await source.refresh("crowd")
    (left_out,) = source.policies("crowd")
    assert isinstance(left_out, LeftOut)
    assert known(source) == {"granite": 1}
    name = "model_validation_webhook_namespaces_left_out"
    assert metrics.registry.get_sample_value(name) == 1
    assert capsys.readouterr().out.count("policies left out") == 1
    for number in range(40):
        await server.delete(POLICIES, f"p{number}", namespace="crowd")
    await source.refresh("crowd")
    assert len(known(source, "crowd")) == 10
    assert metrics.registry.get_sample_value(name) == 0
    assert 2_000 < (metrics.registry.get_sample_value(SIZE) or 0) < 30_000


async def test_changes_are_followed(server: FakeApiServer, start: Start) -> None:
    """Added, changed and deleted policies and namespaces are seen without a new list."""
    source = await start()
    await until(lambda: source.ready)
    await server.put(POLICIES, policy("mistral"))
    await until(lambda: known(source) == {"granite": 1, "mistral": 1})
    await server.put(POLICIES, policy("granite", generation=2))
    await until(lambda: known(source) == {"granite": 2, "mistral": 1})
    await server.delete(POLICIES, "mistral", namespace="models")
    await until(lambda: known(source) == {"granite": 2})
    await server.put(NAMESPACES, namespace("models", pinned="yes"))
    await until(
        lambda: (
            source.namespace("models") == NamespaceOptions(name="models", labels={"pinned": "yes"})
        )
    )
    await server.delete(NAMESPACES, "models")
    await until(lambda: source.namespace("models") is None)
    assert (server.lists_of(POLICIES), server.lists_of(NAMESPACES)) == (1, 1)


async def test_what_a_policy_said_before_is_remembered(server: FakeApiServer, start: Start) -> None:
    """The previous generation is at hand after a change."""
    source = await start()
    await until(lambda: source.ready)
    await server.put(POLICIES, policy("granite", generation=2))
    await until(lambda: known(source) == {"granite": 2})
    (now,) = source.policies("models")
    assert isinstance(now, ModelValidation)
    assert [old.metadata.generation for old in source.previous(now)] == [1]


async def test_a_watch_goes_on_where_its_time_ended(server: FakeApiServer, start: Start) -> None:
    """After a bookmark and a clean end no list is needed, and nothing is lost."""

    async def first(request: web.Request) -> web.StreamResponse:
        server.move_to(150)
        return await says(line("ADDED", policy_at(110)), bookmark(150))(request)

    server.watches[POLICIES].append(first)
    source = await start()
    await until(lambda: len(server.watched_versions(POLICIES)) >= 2)
    assert server.watched_versions(POLICIES)[1] == "150"
    assert server.lists_of(POLICIES) == 1
    assert "mistral" in known(source)


def policy_at(version: int) -> dict[str, object]:
    """Return the policy `mistral` of a version."""
    made = policy("mistral")
    made["metadata"]["resourceVersion"] = str(version)
    return made


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(status(410), id="410"),
        pytest.param(says(error(410)), id="410 as an event"),
        pytest.param(says(bookmark(150), error(410)), id="410 after a bookmark"),
        pytest.param(says(error(500)), id="500 as an event"),
        pytest.param(status(500), id="500"),
        pytest.param(status(429), id="429"),
        pytest.param(status(403), id="403"),
        pytest.param(says(), id="nothing"),
        pytest.param(says(b"garbage\n"), id="garbage"),
        pytest.param(says(b"\n"), id="an empty line"),
        pytest.param(says(b'{"type": "ADDED", "object": {"kind": "Mo'), id="half an event"),
        pytest.param(says(b'{"type": "ADDED", "object": []}\n'), id="a list for an object"),
        pytest.param(says(b'{"type": "ADDED", "object": {}}\n'), id="no version"),
        pytest.param(says(line("ADDED", {"metadata": {}})), id="an empty version"),
        pytest.param(says(b'{"type": "ERROR", "object": {}}\n'), id="an error without a code"),
        pytest.param(says(b"[" * 100_000 + b"\n"), id="deep"),
        pytest.param(says(b"\xff\xfe\n"), id="not UTF-8"),
        pytest.param(says(b"x" * 5_000_000 + b"\n"), id="a line of 5 MB"),
        pytest.param(breaks_off(), id="a broken connection"),
        pytest.param(breaks_off(bookmark(150), b'{"type": "ADD'), id="broken within an event"),
        pytest.param(freezes(), id="frozen"),
        pytest.param(freezes(b'{"type": "ADDED", '), id="frozen within an event"),
    ],
)
async def test_a_lost_thread_is_taken_up_by_a_new_list(
    server: FakeApiServer, start: Start, metrics: Metrics, trouble: Script
) -> None:
    """After any failure of a watch, later changes are seen, and nothing known is forgotten."""
    server.watches[POLICIES].extend([trouble, trouble])
    source = await start()
    await until(lambda: source.ready and not server.watches[POLICIES])
    assert "granite" in known(source)
    await server.put(POLICIES, policy("mistral"))
    await until(lambda: "mistral" in known(source))
    await server.delete(POLICIES, "granite", namespace="models")
    await until(lambda: known(source) == {"mistral": 1})
    assert server.lists_of(POLICIES) == 3
    restarts = metrics.registry.get_sample_value(RESTARTS, {"resource": "modelvalidations"})
    assert restarts == 2


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(status(401), id="401"),
        pytest.param(status(404), id="404"),
        pytest.param(body(b""), id="nothing"),
        pytest.param(body(b"[]"), id="a list"),
        pytest.param(body(b"{}"), id="an empty object"),
        pytest.param(body(b'{"metadata": {}, "items": [7]}'), id="a number for an object"),
        pytest.param(body(b'{"a":' * 100_000), id="deep"),
        pytest.param(breaks_off(b'{"metadata": '), id="broken"),
    ],
)
async def test_a_bad_list_is_asked_for_again(
    server: FakeApiServer, start: Start, trouble: Script
) -> None:
    """A list that cannot be read is never taken for an empty one."""
    server.lists[POLICIES].extend([trouble, trouble])
    source = await start()
    await until(lambda: source.ready)
    assert known(source) == {"granite": 1}
    assert server.lists_of(POLICIES) == 3


async def test_what_is_known_outlives_an_outage(server: FakeApiServer, start: Start) -> None:
    """While the API server fails, the last state holds; a deletion is noticed afterwards."""
    source = await start()
    await until(lambda: source.ready)
    server.lists[POLICIES].extend(status(503) for _ in range(20))
    server.watches[POLICIES].extend(status(503) for _ in range(3))
    await until(lambda: len(server.lists[POLICIES]) < 10)
    assert source.ready
    assert known(source) == {"granite": 1}
    await server.delete(POLICIES, "granite", namespace="models")
    await until(lambda: known(source) == {})


@pytest.mark.parametrize(
    "trouble",
    [status(403), status(503), freezes(), breaks_off()],
    ids=["403", "503", "cut", "broken"],
)
@pytest.mark.parametrize("path", [POLICIES, NAMESPACES, RULES])
async def test_a_long_silence_is_noticed_and_ends(
    server: FakeApiServer, start: Start, path: str, trouble: Script
) -> None:
    """Rights that are taken away, and a network that is cut, for one collection of them."""
    source = await start(STALE)
    await until(lambda: source.ready)
    assert not source.stale
    server.lists[path].extend([trouble] * 10_000)
    server.watches[path].extend([trouble] * 10_000)
    await until(lambda: source.stale)
    assert source.ready
    assert known(source) == {"granite": 1}
    server.lists[path].clear()
    server.watches[path].clear()
    await until(lambda: not source.stale)


async def test_a_cluster_in_which_nothing_happens_is_not_stale(
    server: FakeApiServer, start: Start
) -> None:
    """The end of a watch by its time is a word, too, and so is a bookmark."""
    server.watches[POLICIES].append(says(bookmark(150)))
    source = await start(STALE)
    await until(lambda: source.ready)
    for _ in range(300):
        assert not source.stale
        await asyncio.sleep(0.01)
    assert server.lists_of(NAMESPACES) == 1


async def test_a_watch_that_ends_at_once_is_no_tight_loop(
    server: FakeApiServer, start: Start
) -> None:
    """A server that hangs up each time is asked some twenty times a second, not thousands."""
    server.watches[POLICIES].extend(says() for _ in range(10_000))
    source = await start()
    await until(lambda: source.ready)
    before = len(server.requests)
    await asyncio.sleep(1)
    assert len(server.requests) - before < 150


async def test_a_policy_that_breaks_the_schema_is_known_as_broken(
    server: FakeApiServer, start: Start
) -> None:
    """With a loosened resource definition, an invalid policy is listed with its reason."""
    await server.put(POLICIES, policy("loose", config={}))
    source = await start()
    await until(lambda: source.ready)
    found = {identity(held(each))[1]: each for each in source.policies("models")}
    assert isinstance(found["granite"], ModelValidation)
    assert isinstance(found["loose"], BrokenPolicy)
    assert "names no signing method" in found["loose"].reason
    await server.put(POLICIES, policy("loose", generation=2))
    await until(lambda: all(isinstance(p, ModelValidation) for p in source.policies("models")))


async def test_a_live_read_sees_what_the_watch_does_not(
    server: FakeApiServer, start: Start
) -> None:
    """Namespace and policy of the same `kubectl apply` are found past frozen watches."""
    for path in (POLICIES, NAMESPACES):
        server.watches[path].append(freezes())
    source = await start()
    await until(lambda: source.ready)
    await server.put(NAMESPACES, namespace("fresh", a="b"))
    await server.put(POLICIES, policy("granite", namespace="fresh", generation=3))
    await server.delete(POLICIES, "granite", namespace="models")

    await source.refresh("fresh")
    assert known(source, "fresh") == {"granite": 3}
    assert source.namespace("fresh") == NamespaceOptions(name="fresh", labels={"a": "b"})
    assert known(source) == {"granite": 1}
    await source.refresh("models")
    assert known(source) == {}
    await source.refresh("unheard-of")
    assert source.namespace("unheard-of") is None


@pytest.mark.parametrize(
    ("metadata", "images"),
    [
        ({"annotations": {GATE: "v:2", PREVIOUS: "v:1", "a": "b"}}, ("v:2", "v:1")),
        ({"annotations": {GATE: "v:2", PREVIOUS: ""}}, ("v:2",)),
        ({}, ()),
        (None, ()),
    ],
)
async def test_a_live_read_sees_the_gates_images(
    server: FakeApiServer,
    start: Start,
    metadata: dict[str, object] | None,
    images: tuple[str, ...],
) -> None:
    """They are the admin's to name; a namespace that is gone names none."""
    source = await start()
    ours = {"kind": "Namespace", "metadata": {"name": OURS, "annotations": {GATE: "v:0"}}}
    await server.put(NAMESPACES, ours)
    await source.refresh("models")
    assert source.gate_images == ("v:0",)
    await server.delete(NAMESPACES, OURS)
    if metadata is not None:
        await server.put(NAMESPACES, {"kind": "Namespace", "metadata": metadata | {"name": OURS}})
    await source.refresh("models")
    assert source.gate_images == images


async def test_only_our_own_namespace_names_images(server: FakeApiServer, start: Start) -> None:
    """Annotations of another namespace do not count."""
    theirs = {"kind": "Namespace", "metadata": {"name": "models", "annotations": {GATE: "evil"}}}
    await server.put(NAMESPACES, theirs)
    source = await start()
    await source.refresh("models")
    assert source.gate_images == ()


@pytest.mark.parametrize("annotations", [[], {GATE: 7}, "v:1"])
async def test_annotations_that_are_none_are_no_verdict(
    server: FakeApiServer, start: Start, annotations: object
) -> None:
    """The images stay as they were, and the review gets 503."""
    source = await start()
    metadata = {"name": OURS, "annotations": annotations}
    await server.put(NAMESPACES, {"kind": "Namespace", "metadata": metadata})
    with pytest.raises(NotReady, match="try again"):
        await source.refresh("models")
    assert source.gate_images == ()


@pytest.mark.parametrize("trouble", [status(500), status(403), body(b"7"), freezes()])
async def test_a_failed_live_read_is_no_verdict(
    server: FakeApiServer, start: Start, trouble: Script
) -> None:
    """A failed read does not mean that the policy is missing: the review gets 503, in time."""
    source = await start()
    await until(lambda: source.ready)
    server.reads.append(trouble)
    async with asyncio.timeout(4):
        with pytest.raises(NotReady, match="try again"):
            await source.refresh("models")
    assert known(source) == {"granite": 1}


async def test_missing_rights_are_named(
    server: FakeApiServer, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log says what to repair: the role, or the resource definition."""
    server.lists[POLICIES].extend([status(403), status(404)])
    source = await start()
    await until(lambda: source.ready)
    log = capsys.readouterr().out
    assert "give our ServiceAccount get, list and watch" in log
    assert "install its resource definition" in log


def test_pauses_grow_to_a_bound_and_differ() -> None:
    """Replicas neither hammer a server that is down, nor all come back in step."""
    one, other = (
        [pause for pause, _ in zip(pauses(0.2, longest=30), range(20), strict=False)]
        for _ in range(2)
    )
    assert 0.1 <= one[0] <= 0.2
    assert all(15 <= pause <= 30 for pause in one[10:])
    assert one != other


async def test_the_servers_reason_for_ending_a_watch_is_logged(
    server: FakeApiServer, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error as an event is the server's sentence, and not an event that cannot be read."""
    server.watches[POLICIES].append(says(error(500)))
    source = await start()
    await until(lambda: source.ready and not server.watches[POLICIES])
    await until(lambda: server.lists_of(POLICIES) == 2)
    log = capsys.readouterr().out
    assert "the watch ended: 'too old resource version'" in log
    assert "not an event" not in log
