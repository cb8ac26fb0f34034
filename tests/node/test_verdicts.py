"""A labelled pod starts on the model that its owner signed, and on no other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.node.cluster import statuses
from tests.node.models import serving

if TYPE_CHECKING:
    from tests.node.cluster import Cluster
    from tests.node.fixtures import SpaceFactory, StoreFactory


def test_a_signed_model_is_served(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """The pod runs, and the gate's log says what was verified."""
    namespace = space(store())
    cluster.api.created(serving("Pod", namespace))
    pod = cluster.wait_until_running(namespace, "vllm")
    assert [each["name"] for each in pod["spec"]["initContainers"]] == ["model-validation"]
    assert "Verification succeeded" in cluster.logs(namespace, "vllm", "model-validation")
    message = statuses(pod)["model-validation"]["state"]["terminated"]["message"]
    assert [each["verdict"] for each in json.loads(message)["models"]] == ["verified"]
