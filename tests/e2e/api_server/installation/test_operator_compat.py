"""Pods that carry the label of the Go operator, with `--operator-compat`.

Without it, see `test_admission_ways_around`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.api_server.admission.serving import in_force, running_webhook
from tests.e2e.api_server.workloads import KINDS, pod_of, workload
from validator.contract import GATE_CONTAINER, LABEL, OPERATOR_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.api_server.control_plane import ControlPlane, Document
    from tests.e2e.api_server.fixtures import TeamFactory

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("compatible")]


@pytest.fixture(scope="module")
def compatible(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """A webhook that honours both labels, in force while the module's tests run."""
    folder = tmp_path_factory.mktemp("compatible")
    with (
        running_webhook(control_plane, folder, overlay="operator-compat") as webhook,
        in_force(control_plane, webhook),
    ):
        yield


def labelled(kind: str, namespace: str, **labels: str) -> Document:
    """Return a workload whose pods carry the operator's label, and others."""
    made = workload(kind, namespace, label=None)
    template = made.get("spec", {}).get("jobTemplate", made).get("spec", {}).get("template", made)
    template["metadata"]["labels"] |= {OPERATOR_LABEL: "true", **labels}
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_its_users_change_nothing_but_the_group(
    kind: str, control_plane: ControlPlane, team: TeamFactory
) -> None:
    """Every kind of workload gets its gate by the operator's label."""
    made = control_plane.created(labelled(kind, team()))
    pod = made if kind == "Pod" else control_plane.created(pod_of(made))
    assert [each["name"] for each in pod["spec"]["initContainers"]] == [GATE_CONTAINER]


def test_labels_that_contradict_each_other(control_plane: ControlPlane, team: TeamFactory) -> None:
    """Both may be there, if they say the same."""
    name = team()
    answer = control_plane.create(labelled("Pod", name, **{LABEL: "other"}))
    assert (answer.status, "contradict each other" in answer.message) == (403, True)
    assert control_plane.create(labelled("Pod", name, **{LABEL: "true"})).status == 201
