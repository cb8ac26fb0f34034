from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from tests.support.waiting import ended_task, until
from validator.policy.document import ModelValidation
from webhook.errors import SetupError
from webhook.metrics import Metrics
from webhook.policies.choice import LeftOut
from webhook.settings import NamespaceOptions
from webhook.sources.directory import FILES_LIMIT, DirectorySource, load_directory
from webhook.sources.documents import stored
from webhook.sources.store import identity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FAILURES = "model_validation_webhook_policy_reload_failures_total"


def text(name: str, *, namespace: str | None = None, path: str = "/models/granite") -> str:
    """Return the YAML of a policy."""
    where = f", namespace: {namespace}" if namespace else ""
    return f"""
apiVersion: rhtas.redhat.com/v1alpha1
kind: ModelValidation
metadata: {{name: {name}{where}}}
spec:
  model: {{path: {path}}}
  config: {{privateKeyConfig: {{keyPath: /keys/pub.pem}}}}
"""


NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata: {name: models, labels: {validation.rhtas.redhat.com/policy: granite}}
"""


@pytest.fixture
def metrics() -> Metrics:
    """Collectors of a registry of their own."""
    return Metrics(CollectorRegistry())


@pytest.fixture
def source(tmp_path: Path, metrics: Metrics) -> Callable[[], DirectorySource]:
    """Make a loaded source of the test's directory, which looks at it all the time."""

    def make() -> DirectorySource:
        made = DirectorySource(tmp_path, metrics=metrics, reload_seconds=0.01)
        made.load()
        return made

    return make


def names(source: DirectorySource, namespace: str) -> set[str]:
    """Return the names of the policies that a namespace sees."""
    return {
        identity(policy)[1]
        for policy in source.policies(namespace)
        if not isinstance(policy, LeftOut)
    }


async def run_until(condition: Callable[[], bool], *, source: DirectorySource) -> None:
    """Run the source until the condition holds."""
    running = asyncio.create_task(source.run())
    try:
        await until(condition)
    finally:
        await ended_task(running)


def test_policies_and_namespaces_are_read(
    tmp_path: Path, source: Callable[[], DirectorySource]
) -> None:
    """Several documents in several files, with and without a namespace."""
    (tmp_path / "a.yaml").write_text(f"{text('granite')}---{NAMESPACE}---\n")
    (tmp_path / "b.yml").write_text(text("other", namespace="elsewhere"))
    (tmp_path / "notes.txt").write_text("not a policy")
    found = source()
    assert found.ready
    assert names(found, "models") == {"granite"}
    assert names(found, "elsewhere") == {"granite", "other"}
    assert found.namespace("models").labels == {"validation.rhtas.redhat.com/policy": "granite"}
    assert found.namespace("elsewhere") == NamespaceOptions(name="elsewhere", labels_known=False)


def test_one_name_may_live_in_several_namespaces(tmp_path: Path) -> None:
    """Only twins that one namespace would see both of are refused."""
    (tmp_path / "a.yaml").write_text(
        "---".join([text("granite", namespace="one"), text("granite", namespace="two")])
    )
    assert len(stored(load_directory(tmp_path)).policies("one")) == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "not YAML"),
        ("- a", "expected a mapping"),
        ("kind: ConfigMap", "a.yaml"),
        (text("granite", path="models"), "absolute and canonical"),
        (text("granite") + "---" + text("granite"), "twice"),
        (text("granite") + "---" + text("granite", namespace="models"), "twice"),
        ("kind: Namespace", "no metadata.name"),
        ("{kind: Namespace, metadata: {name: a, labels: {b: 7}}}", "put them in quotes"),
        ("x" * 1024 * 1024 * 2, "larger than"),
    ],
)
def test_a_bad_file_stops_the_start(tmp_path: Path, content: str, sentence: str) -> None:
    """The sentence names what is wrong, and where."""
    (tmp_path / "a.yaml").write_text(content)
    with pytest.raises(SetupError, match=sentence):
        load_directory(tmp_path)


def test_a_root_that_is_not_there_stops_the_start(
    tmp_path: Path, source: Callable[[], DirectorySource]
) -> None:
    """A policy that names it could accept nobody."""
    named = text("granite").replace("keyPath: /keys/pub.pem", "trustRootRef: {name: corp}")
    (tmp_path / "a.yaml").write_text(named)
    with pytest.raises(SetupError, match="the TrustRoot 'corp' does not exist"):
        source()


def test_a_missing_directory_stops_the_start(tmp_path: Path) -> None:
    """Serving from nowhere is a mistake; serving from an empty directory is not."""
    with pytest.raises(SetupError, match="cannot be read: No such file"):
        load_directory(tmp_path / "missing")
    assert stored(load_directory(tmp_path)).policies("models") == ()


async def test_changes_are_noticed_by_content(
    tmp_path: Path, source: Callable[[], DirectorySource]
) -> None:
    """A file that is added, changed or removed shows after a moment, without file events."""
    found = source()
    (tmp_path / "a.yaml").write_text(text("granite"))
    await run_until(lambda: names(found, "models") == {"granite"}, source=found)
    (tmp_path / "a.yaml").write_text(text("mistral"))
    await run_until(lambda: names(found, "models") == {"mistral"}, source=found)
    (tmp_path / "a.yaml").unlink()
    await run_until(lambda: names(found, "models") == set(), source=found)


async def test_a_change_can_be_waited_for(
    tmp_path: Path, source: Callable[[], DirectorySource]
) -> None:
    """A live read sees a file that was written just before it."""
    found = source()
    (tmp_path / "a.yaml").write_text(text("granite"))
    await found.refresh("models")
    assert names(found, "models") == {"granite"}


async def test_what_a_policy_said_before_is_remembered(
    tmp_path: Path, source: Callable[[], DirectorySource]
) -> None:
    """A changed file is a new generation, and the old one is known for a while."""
    (tmp_path / "a.yaml").write_text(text("granite", path="/models/old"))
    found = source()
    (tmp_path / "a.yaml").write_text(text("granite", path="/models/new"))
    await found.refresh("models")
    (now,) = found.policies("models")
    assert isinstance(now, ModelValidation)
    (before,) = found.previous(now)
    assert before.spec.all_models[0].path == "/models/old"


async def test_a_bad_change_keeps_the_last_good_state(
    tmp_path: Path, source: Callable[[], DirectorySource], metrics: Metrics
) -> None:
    """A typo does not take the policies away; the metric shows it until it is mended."""
    (tmp_path / "a.yaml").write_text(text("granite"))
    found = source()
    (tmp_path / "a.yaml").write_text("{")
    await run_until(
        lambda: (metrics.registry.get_sample_value(FAILURES) or 0) >= 2,
        source=found,
    )
    assert found.ready
    assert names(found, "models") == {"granite"}
    (tmp_path / "a.yaml").write_text(text("mistral"))
    await run_until(lambda: names(found, "models") == {"mistral"}, source=found)


def test_the_number_of_files_has_a_limit(tmp_path: Path) -> None:
    """A directory of another kind is not read whole."""
    for index in range(FILES_LIMIT + 1):
        (tmp_path / f"{index}.yaml").touch()
    with pytest.raises(SetupError, match=r"has 1001 files, and 1000 are allowed"):
        load_directory(tmp_path)
    (tmp_path / "0.yaml").unlink()
    assert stored(load_directory(tmp_path)).policies("models") == ()
