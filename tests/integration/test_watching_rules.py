"""The cluster-scoped objects of an API server: followed, read live, and not there."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol

import pytest
from prometheus_client import CollectorRegistry

from tests.support.cluster_rules import stored
from tests.support.cluster_source import TIMING, running_source
from tests.support.fakes.fake_api_server import (
    EXEMPTIONS,
    GROUP,
    NAMESPACES,
    RULES,
    FakeApiServer,
    freezes,
    namespace,
    status,
)
from tests.support.waiting import until
from validator.policy.cluster_rules.rule import ClusterModelValidation
from webhook.errors import NotReady
from webhook.metrics import Metrics
from webhook.policies.choice import LeftOut
from webhook.policies.cluster_rules import BrokenRule
from webhook.sources import cluster_objects
from webhook.sources.holdings import Bounds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from pathlib import Path

    from tests.support.fakes.fake_api_server import Script
    from webhook.sources.cluster import ClusterSource
    from webhook.sources.cluster_objects import ClusterObject, ClusterObjects

    class Start(Protocol):
        """Starts a source."""

        def __call__(self, bounds: Bounds | None = ...) -> Awaitable[ClusterSource]:
            """Return it."""


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    """A fake API server with one namespace and one rule."""
    async with FakeApiServer().running() as running:
        await running.put(NAMESPACES, namespace("models"))
        await running.put(RULES, stored("company"))
        yield running


@pytest.fixture
def metrics() -> Metrics:
    """Collectors of a registry of their own."""
    return Metrics(CollectorRegistry())


@pytest.fixture
async def start(server: FakeApiServer, metrics: Metrics, tmp_path: Path) -> AsyncIterator[Start]:
    """Start a source on the fake API server; it runs until the test ends."""
    async with AsyncExitStack() as stack:

        async def make(bounds: Bounds | None = None) -> ClusterSource:
            options = {"timing": TIMING, "bounds": bounds}
            running = running_source(server, tmp_path, metrics=metrics, **options)
            return await stack.enter_async_context(running)

        yield make


def held(objects: ClusterObjects) -> tuple[ClusterObject, ...]:
    """Return the rules, which must not have been left out."""
    rules = objects.of(cluster_objects.RULES)
    assert not isinstance(rules, LeftOut)
    return rules


def known(source: ClusterSource) -> dict[str, int | None]:
    """Return the rules as names and generations."""
    return {each.metadata.name: each.metadata.generation for each in held(source.cluster_wide)}


async def test_it_is_ready_when_the_rules_are_known_too(
    server: FakeApiServer, start: Start
) -> None:
    """A list that fails delays readiness: without the rules, a review would be answered wrongly."""
    server.lists[RULES].extend(status(500) for _ in range(10))
    source = await start()
    await until(lambda: source.namespace("models") is not None)
    assert not source.ready
    await until(lambda: source.ready)
    assert known(source) == {"company": 1}


async def test_changes_are_followed(server: FakeApiServer, start: Start) -> None:
    """Added, changed, broken and deleted rules are seen without a new list."""
    source = await start()
    await until(lambda: source.ready)
    await server.put(RULES, stored("team"))
    await until(lambda: known(source) == {"company": 1, "team": 1})
    await server.put(RULES, stored("company", generation=2, config={}))
    await until(lambda: known(source) == {"company": 2, "team": 1})
    broken, usable = held(source.cluster_wide)
    assert isinstance(broken, BrokenRule)
    assert isinstance(usable, ClusterModelValidation)
    assert source.rules("models") == (broken, usable)
    await server.delete(RULES, "company")
    await until(lambda: known(source) == {"team": 1})
    assert source.rules("models") == (usable,)
    assert server.lists_of(RULES) == 1


async def test_they_are_counted(server: FakeApiServer, start: Start, metrics: Metrics) -> None:
    """By whether they can be used; and where they are left out."""
    source = await start(Bounds(kind=10_000))
    await until(lambda: source.ready)
    await server.put(RULES, stored("bad", config={}))
    await until(lambda: known(source) == {"bad": 1, "company": 1})

    def value(name: str, **labels: str) -> float | None:
        labels["resource"] = "clustermodelvalidations"
        return metrics.registry.get_sample_value(f"model_validation_webhook_{name}", labels)

    states = [value("cluster_objects", state=state) for state in ("usable", "broken")]
    assert states == [1, 1]
    assert value("cluster_kinds_left_out") == 0
    for number in range(20):
        await server.put(RULES, stored(f"r{number}"))
    await until(lambda: value("cluster_kinds_left_out") == 1)


async def test_what_was_known_before_is_remembered(server: FakeApiServer, start: Start) -> None:
    """But not that nothing was known yet: that is no state of the cluster."""
    source = await start()
    await until(lambda: source.ready)
    assert source.previously_cluster_wide() == ()
    await server.put(RULES, stored("company", generation=2))
    await until(lambda: known(source) == {"company": 2})
    (before,) = source.previously_cluster_wide()
    (rule,) = held(before)
    assert rule.metadata.generation == 1


async def test_a_kind_that_is_not_installed_holds_nobody_back(
    server: FakeApiServer, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """An older installation does not have it: the log says so once, and it is found once it is."""
    server.absent.add(RULES)
    source = await start()
    await until(lambda: source.ready)
    assert known(source) == {}
    await until(lambda: server.lists_of(RULES) > 5)
    assert not source.stale
    assert capsys.readouterr().out.count("no ClusterModelValidation holds") == 1
    await source.refresh("models")
    server.absent.clear()
    await until(lambda: known(source) == {"company": 1})


@pytest.mark.parametrize("read", [status(404), status(403), status(500)])
async def test_a_404_alone_does_not_mean_that_there_are_no_rules(
    server: FakeApiServer, start: Start, read: Script
) -> None:
    """An API server that is starting says it of what it has: the discovery decides, or nothing."""
    source = await start()
    await until(lambda: source.ready)
    server.lists[GROUP].extend([read] * 10_000)
    server.absent.add(RULES)
    await until(lambda: len(server.lists[GROUP]) < 9_990, seconds=20)
    assert known(source) == {"company": 1}
    with pytest.raises(NotReady, match="try again"):
        await source.refresh("models")
    assert known(source) == {"company": 1}


async def test_a_404_of_a_server_that_has_the_kind_changes_nothing(
    server: FakeApiServer, start: Start
) -> None:
    """Whatever it answered a moment ago."""
    server.lists[RULES].extend(status(404) for _ in range(5))
    source = await start()
    await until(lambda: len(server.lists[RULES]) < 2)
    assert not source.ready
    await until(lambda: source.ready)
    assert known(source) == {"company": 1}


async def test_a_live_read_sees_what_the_watch_does_not(
    server: FakeApiServer, start: Start
) -> None:
    """Rules that were added, changed and deleted past a frozen watch."""
    server.watches[RULES].append(freezes())
    source = await start()
    await until(lambda: source.ready)
    await server.put(RULES, stored("company", generation=2))
    await server.put(RULES, stored("team"))
    await source.refresh("models")
    assert known(source) == {"company": 2, "team": 1}
    await server.delete(RULES, "team")
    await source.refresh("models")
    assert known(source) == {"company": 2}


async def test_an_exemption_that_cannot_be_read_is_said_once(
    server: FakeApiServer, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """It exempts nobody, and nothing else tells its author; not again with each list or review."""

    def told() -> list[str]:
        text.append(capsys.readouterr().out)
        return [line for line in "".join(text).splitlines() if "cannot be used" in line]

    text: list[str] = []
    await server.put(EXEMPTIONS, {"metadata": {"name": "until-signed"}, "spec": {"expires": 7}})
    server.watches[EXEMPTIONS].extend([status(410), status(410)])
    source = await start()
    await until(lambda: source.ready and server.lists_of(EXEMPTIONS) > 2)
    await source.refresh("models")
    (line,) = told()
    assert "until-signed" in line
    assert "ModelValidationExemption" in line
    assert "it exempts nobody: as the API server has it: " in line
    await server.put(EXEMPTIONS, {"metadata": {"name": "other"}, "spec": {"reason": "x"}})
    await until(lambda: len(told()) > 1)
    assert "other" in told()[1]
    assert source.exemptions("models") == ()


async def test_many_that_cannot_be_used_are_counted(
    server: FakeApiServer, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log has a few of them by name, and how many there are besides."""
    for number in range(25):
        await server.put(EXEMPTIONS, {"metadata": {"name": f"e{number:02}"}, "spec": {}})
    source = await start()
    await until(lambda: source.ready)
    told = [line for line in capsys.readouterr().out.splitlines() if "cannot be used" in line]
    assert len(told) == 11
    assert "more=15" in told[-1] or '"more": 15' in told[-1]


async def test_too_many_rules_are_left_out_whole(
    server: FakeApiServer, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a part of them, a pod could pass that another one refuses."""
    for number in range(20):
        await server.put(RULES, stored(f"r{number}"))
    source = await start(Bounds(kind=10_000))
    await until(lambda: source.ready)
    left_out = source.cluster_wide.of(cluster_objects.RULES)
    assert isinstance(left_out, LeftOut)
    assert "the ClusterModelValidations of the cluster take more than" in left_out.reason
    assert "left out" in capsys.readouterr().out
    for number in range(20):
        await server.delete(RULES, f"r{number}")
    await source.refresh("models")
    assert known(source) == {"company": 1}
    for number in range(20):
        await server.put(RULES, stored(f"r{number}"))
    await until(lambda: isinstance(source.cluster_wide.of(cluster_objects.RULES), LeftOut))
