"""`python -m webhook doctor` on a whole installation, on one with a fault, and with few rights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.e2e.api_server.admission.serving import kubeconfig
from tests.e2e.api_server.doctor.faults import FAULTS
from tests.e2e.api_server.doctor.whole import NAMESPACE, Whole, whole_installation
from tests.e2e.api_server.processes import until
from tests.support.schema import flaws
from webhook.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.api_server.client import Document

ROOT = Path(__file__).parents[4]
SCHEMA = json.loads((ROOT / "docs" / "doctor.schema.json").read_text())
DOCTOR = [*yaml.safe_load_all((ROOT / "manifests" / "examples" / "doctor.yaml").read_text())]
RULES = [
    (each["kind"], each["metadata"].get("namespace"), number)
    for each in DOCTOR
    for number in range(len(each.get("rules", ())))
]

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def whole(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """A whole installation; each test leaves it whole."""
    with whole_installation(programs, tmp_path_factory.mktemp("whole")) as installation:
        yield installation


@pytest.fixture
def examine(whole: Whole, capsys: pytest.CaptureFixture[str]) -> Callable[[], Any]:
    """Return the command as a function, which returns its exit code and its findings."""

    def command(*options: str) -> tuple[int, list[dict[str, str]]]:
        given = options or ("--kubeconfig", str(whole.cluster.kubeconfig))
        code = main(["doctor", *given, "--format=json"])
        document = json.loads(capsys.readouterr().out)
        assert list(flaws(document, SCHEMA)) == []
        assert document["errors"] + document["warnings"] == len(document["findings"])
        return code, document["findings"]

    # The API server takes over a moment later what the test before has put back.
    until(lambda: command() == (0, []), what="nothing is wrong")
    return command


def test_a_whole_installation_has_no_findings(examine: Callable[[], Any]) -> None:
    """Also twice: the dry run leaves nothing."""
    assert examine() == (0, [])


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_by_its_finding_alone(
    name: str, whole: Whole, examine: Callable[[], Any]
) -> None:
    """One sentence that names the object; the exit code is that of the worst finding."""
    fault, named, part = FAULTS[name]
    with fault(whole):
        code, found = examine()
    assert [f"{each['level']} {each['code']}" for each in found] == [named]
    assert part in f"{found[0]['subject']}: {found[0]['sentence']}"
    assert code == (1 if named.startswith("error") else 0)


@pytest.fixture(scope="module")
def account(whole: Whole, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """The options of a doctor with the rights of its Job, and with these rights alone."""
    for document in DOCTOR:
        if document["kind"] != "Job":
            whole.cluster.created(document)
    probe = "model-validation-doctor"
    default = {"name": "default", "namespace": probe}
    whole.cluster.created({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": default})
    path = tmp_path_factory.mktemp("doctor") / "kubeconfig"
    path.write_text(json.dumps(kubeconfig(whole.cluster, "model-validation-doctor")))
    yield "--kubeconfig", str(path), "--probe-namespace", probe
    whole.cluster.remove_namespace(probe)


def test_the_rights_of_its_job_suffice(
    account: tuple[str, ...], examine: Callable[..., Any]
) -> None:
    """Nothing is found, and nothing could not be looked at."""
    until(lambda: bool(examine(*account) == (0, [])), what="the roles are known")


def test_its_pod_passes_our_namespace(account: tuple[str, ...], whole: Whole) -> None:
    """Pod Security restricted lets it in, without a warning."""
    del account  # its ServiceAccount is there
    (job,) = [each for each in DOCTOR if each["kind"] == "Job"]
    metadata = {"name": "probe", "namespace": NAMESPACE}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, **job["spec"]["template"]}
    answer = whole.cluster.create(pod, dry_run=True)
    assert (answer.status, answer.message, answer.warnings) == (201, "", ())


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_missing_right_is_a_finding(
    rule: tuple[str, str | None, int],
    whole: Whole,
    account: tuple[str, ...],
    examine: Callable[..., Any],
) -> None:
    """It names the resource and the verb; the other checks are made all the same."""
    kind, namespace, number = rule
    where = f"/namespaces/{namespace}" if namespace else ""
    path = f"/apis/rbac.authorization.k8s.io/v1{where}/{kind.lower()}s/model-validation-doctor"
    taken: list[Document] = []
    with whole.changed(path, lambda role: taken.append(role["rules"].pop(number))):
        until(lambda: bool(examine(*account)[0] == 1), what="the right is gone")
        code, found = examine(*account)
    assert code == 1
    assert {each["code"] for each in found} == {"not-readable"}
    said = " ".join(each["sentence"] for each in found)
    assert any(resource in said for resource in taken[0]["resources"])
    assert any(f"cannot {verb} resource" in said for verb in taken[0]["verbs"])
    until(lambda: bool(examine(*account) == (0, [])), what="the right is back")
