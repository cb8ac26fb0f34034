"""A labelled pod starts on the model that its owner signed, and on no other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.e2e.node.cluster import began, condition, ended, started, statuses
from tests.e2e.node.models import WEIGHTS, serving
from tests.support.differential.signers import KeyPair
from validator.contract import GATE_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.node.cluster import Cluster
    from tests.e2e.node.fixtures import SpaceFactory, StoreFactory
    from tests.e2e.node.models import ModelStore

REFUSED: Final = '{"verdict":"refused","reason":"'
"""The beginning of a refusal's termination message, so that the sentence is read first."""


def test_a_signed_model_is_served(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """The pod runs, and the gate's log and message say what was verified."""
    model = store()
    namespace = space(model)
    cluster.api.created(serving("Pod", namespace))
    pod = cluster.wait_until_running(namespace, "vllm")
    assert [each["name"] for each in pod["spec"]["initContainers"]] == [GATE_CONTAINER]
    log = cluster.logs(namespace, "vllm", GATE_CONTAINER)
    assert log.startswith("Verification succeeded: /models/granite\n")
    assert all(said in log for said in ("files, ", "signer: sha256:", f"digest: {model.digest}"))
    message = statuses(pod)[GATE_CONTAINER]["state"]["terminated"]["message"]
    assert [each["verdict"] for each in json.loads(message)["models"]] == ["verified"]


def test_policies_are_listed_with_what_matters(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """`kubectl get modelvalidations` shows the model's path and the mode."""
    namespace = space(store())
    listed = cluster.api.kubectl("-n", namespace, "get", "modelvalidations").stdout
    heading, row = listed.splitlines()
    assert heading.split()[0] == "NAME"
    assert row.split()[0] == "granite"
    assert {"/models/granite", "Enforce"} <= set(row.split())


def _flip(model: ModelStore) -> Callable[[], object]:
    file = model.model / WEIGHTS
    good = file.read_bytes()
    file.write_bytes(b"A" + good[1:])
    return lambda: file.write_bytes(good)


def _add(model: ModelStore) -> Callable[[], object]:
    file = model.model / "modeling_granite.py"
    file.write_text("print('mine now')")
    return file.unlink


def _unsign(model: ModelStore) -> Callable[[], object]:
    (model.model / "model.sig").unlink()
    return model.sign


def _sign_as_another(model: ModelStore) -> Callable[[], object]:
    model.sign(key=KeyPair.new(model.key.public_path.parent, ec.SECP384R1()))
    return model.sign


def _replace(model: ModelStore) -> Callable[[], object]:
    file = model.model / WEIGHTS
    good = file.read_bytes()
    file.write_bytes(b"older" * 100)
    model.sign()

    def repair() -> None:
        file.write_bytes(good)
        model.sign()

    return repair


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        pytest.param(
            _flip, f"'{WEIGHTS}' is not the signed file: its content differs", id="one-byte-changed"
        ),
        pytest.param(_add, "'modeling_granite.py' is not signed", id="one-file-added"),
        pytest.param(
            _unsign,
            "there is no signature file at '/models/granite/model.sig'",
            id="signature-missing",
        ),
        pytest.param(_sign_as_another, "the model was signed by another key", id="other-signer"),
        pytest.param(_replace, "is demanded", id="wrong-digest"),
    ],
)
def test_a_spoilt_model_is_not_served_until_it_is_repaired(
    cluster: Cluster,
    store: StoreFactory,
    space: SpaceFactory,
    spoil: Callable[[ModelStore], Callable[[], object]],
    sentence: str,
) -> None:
    """`kubectl describe` says why the server never starts; repaired, the next try lets it."""
    model = store()
    namespace = space(model, model={"digests": [model.digest]})
    repair = spoil(model)
    cluster.api.created(serving("Pod", namespace))
    cluster.wait_until_refused(namespace, "vllm")
    _, _, shown = cluster.describe(namespace, "vllm").partition(REFUSED)
    assert sentence in shown.partition('","')[0]
    cluster.wait(
        lambda: "Verification failed" in cluster.logs(namespace, "vllm", GATE_CONTAINER),
        what="the log says it too",  # at a new try it is empty for a moment
        namespace=namespace,
    )
    assert not started(cluster.pod(namespace, "vllm"), "server")
    repair()
    pod = cluster.wait_until_running(namespace, "vllm")
    assert statuses(pod)[GATE_CONTAINER]["restartCount"]
    assert not statuses(pod)["server"]["restartCount"]
    assert ended(pod, GATE_CONTAINER) <= began(pod, "server")


def test_a_restart_of_the_rollout_verifies_again(
    cluster: Cluster, store: StoreFactory, space: SpaceFactory
) -> None:
    """The new pod of a model that has changed since never starts; the old one goes on serving."""
    model = store()
    namespace = space(model)
    cluster.api.created(serving("Deployment", namespace))
    cluster.wait(
        lambda: [condition(pod, "Ready") for pod in cluster.pods(namespace)] == ["True"],
        what="the first pod is ready",
        namespace=namespace,
    )
    repair = _flip(model)
    cluster.api.kubectl("-n", namespace, "rollout", "restart", "deployment/vllm")
    cluster.wait(lambda: len(cluster.pods(namespace)) > 1, what="two pods", namespace=namespace)
    old, new = cluster.pods(namespace)
    assert WEIGHTS in cluster.wait_until_refused(namespace, new["metadata"]["name"])
    assert condition(cluster.pod(namespace, old["metadata"]["name"]), "Ready") == "True"
    repair()
    cluster.wait_until_running(namespace, new["metadata"]["name"])
