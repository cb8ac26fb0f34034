"""The AdmissionReview that the demo sends is one that a real API server sent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.api_server.other_webhook import other_webhook
from tests.e2e.api_server.webhook_registration import mutating, registered, validating
from tests.e2e.api_server.workloads import workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.api_server.control_plane import ControlPlane

pytestmark = pytest.mark.apiserver

RECORDED = Path(__file__).parents[3] / "demo" / "review.json"


def _shape(value: Any) -> Any:
    """Return the value without what differs from one review to the next."""
    varying = {"uid", "name", "namespace", "time", "username", "groups"}
    left_out = {"extra", "creationTimestamp"}  # Kubernetes 1.33 sends the second one as null
    if isinstance(value, dict):
        return {
            key: "…" if key in varying or key.startswith("kube-api-access") else _shape(item)
            for key, item in value.items()
            if key not in left_out
        }
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return "…" if isinstance(value, str) and value.startswith("kube-api-access") else value


def test_the_recorded_review_is_what_the_server_sends(
    control_plane: ControlPlane, namespace: Callable[..., str], tmp_path: Path
) -> None:
    """With MODEL_VALIDATION_RECORD=1 it is recorded again."""
    with (
        other_webhook(tmp_path) as recorder,
        registered(control_plane, mutating(recorder.endpoint)),
    ):
        recorder.reviews.clear()
        control_plane.created(workload("Pod", namespace()))
        (review,) = [
            review
            for path, review in recorder.reviews
            if path == "/mutate" and review["request"]["kind"]["kind"] == "Pod"
        ][:1]
    if os.environ.get("MODEL_VALIDATION_RECORD"):
        text = json.dumps(review, indent=1).replace(review["request"]["namespace"], "llm")
        RECORDED.write_text(text + "\n")
    assert _shape(json.loads(RECORDED.read_text())) == _shape(review)


def test_a_pod_has_its_uid_when_it_is_validated_and_not_before(
    control_plane: ControlPlane, namespace: Callable[..., str], tmp_path: Path
) -> None:
    """So its trace's id is known to `/validate`, and the gate's report has the same (0016)."""
    with (
        other_webhook(tmp_path) as recorder,
        registered(control_plane, mutating(recorder.endpoint), validating(recorder.endpoint)),
    ):
        recorder.reviews.clear()
        stored = control_plane.created(workload("Pod", namespace()))
        reviewed = {
            path: review["request"]["object"]["metadata"].get("uid")
            for path, review in recorder.reviews
            if review["request"]["kind"]["kind"] == "Pod"
        }
    assert reviewed == {"/mutate": None, "/validate": stored["metadata"]["uid"]}
