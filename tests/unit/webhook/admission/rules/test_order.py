"""The gate's place among the init containers, and writers after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.pods import claim, container, mount, mutated, names, pod, run, vllm
from validator.contract import GATE_CONTAINER
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from tests.support.pods import Document

ALWAYS = {"restartPolicy": "Always"}


@pytest.mark.parametrize(
    ("init", "expected"),
    [
        ([], [GATE_CONTAINER]),
        ([container("a"), container("b")], [GATE_CONTAINER, "a", "b"]),
        (
            [container("a"), container("fetch", mount()), container("b")],
            ["a", "fetch", GATE_CONTAINER, "b"],
        ),
        ([container("a", mount(readOnly=True))], [GATE_CONTAINER, "a"]),
        (
            [container("fetch", mount(at="/out")), container("proxy", **ALWAYS)],
            ["fetch", "proxy", GATE_CONTAINER],
        ),
        (
            [container("proxy", **ALWAYS), container("fetch", mount())],
            ["proxy", "fetch", GATE_CONTAINER],
        ),
        ([container("proxy", mount(), **ALWAYS)], [GATE_CONTAINER, "proxy"]),
        ([container("fetch", mount("same", "/x"))], ["fetch", GATE_CONTAINER]),
        ([container("other", mount("else", "/x"))], [GATE_CONTAINER, "other"]),
        (
            [container(GATE_CONTAINER, image="evil"), container("fetch", mount())],
            ["fetch", GATE_CONTAINER],
        ),
    ],
)
def test_stands_directly_after_the_last_one_that_writes_the_model_and_ends(
    init: list[Document], expected: list[str]
) -> None:
    """Writers come first; a native sidecar never counts as one."""
    volumes = [claim(), claim("same"), {"name": "else", "emptyDir": {}}]
    result = mutated(pod(initContainers=init, volumes=volumes))
    assert names(result["spec"]["initContainers"]) == expected


def test_moves_after_a_writer_that_another_webhook_adds() -> None:
    """On reinvocation the gate is placed anew."""
    result = mutated(pod())
    result["spec"]["initContainers"].append(container("late", mount()))
    assert names(mutated(result)["spec"]["initContainers"]) == ["late", GATE_CONTAINER]


def test_everything_after_or_beside_the_verdict_only_reads() -> None:
    """Workload, native sidecars and later init containers; writers keep writing."""
    given = pod(
        vllm(),
        container("logs", mount(at="/models")),
        initContainers=[
            container("fetch", mount()),
            container("after", mount(readOnly=True)),
            container("proxy", mount(), **ALWAYS),
        ],
    )
    spec = mutated(given)["spec"]
    frozen = mount() | {"readOnly": True, "recursiveReadOnly": "IfPossible"}
    init = {each["name"]: each["volumeMounts"][0] for each in spec["initContainers"]}
    assert init.pop("fetch") == mount()
    init.pop(GATE_CONTAINER)
    assert all(entry == frozen for entry in init.values())
    assert all(each["volumeMounts"] == [frozen] for each in spec["containers"])


@pytest.mark.parametrize(
    "early",
    [
        container("early", mount(readOnly=True), **ALWAYS),
        container("early", mount("same", "/x"), **ALWAYS),
        vllm() | {"name": "early"},
    ],
    ids=["sidecar", "sidecar by another entry", "vLLM that never ends"],
)
def test_nothing_serves_the_model_before_the_verdict(early: Document) -> None:
    """A writer may come first; what runs on and sees the model is to wait for the gate."""
    volumes = [claim(), claim("same")]
    writer = container("fetch", mount())
    with pytest.raises(PodRefused, match=r"\[0\] 'early' would serve .* before it is verified"):
        run(pod(initContainers=[early, writer], volumes=volumes))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (claim(), claim("x"), True),
        (claim(), claim("x", of="other"), False),
        (
            {"name": "model", "hostPath": {"path": "/srv/models/"}},
            {"name": "x", "hostPath": {"path": "/srv"}},
            True,
        ),
        (
            {"name": "model", "hostPath": {"path": "/srv/models"}},
            {"name": "x", "hostPath": {"path": "/srv/modelsx"}},
            False,
        ),
        (
            {"name": "model", "nfs": {"server": "NFS.example.", "path": "/a/b"}},
            {"name": "x", "nfs": {"server": "nfs.example", "path": "/a"}},
            True,
        ),
        (
            {"name": "model", "nfs": {"server": "one", "path": "/a"}},
            {"name": "x", "nfs": {"server": "two", "path": "/a"}},
            False,
        ),
        (
            {"name": "model", "csi": {"driver": "d", "volumeAttributes": {"a": "1"}}},
            {"name": "x", "csi": {"driver": "d", "volumeAttributes": {"a": "1", "b": "2"}}},
            True,
        ),
        (
            {"name": "model", "iscsi": {"iqn": "a"}},
            {"name": "x", "iscsi": {"iqn": "b"}},
            True,
        ),
        ({"name": "model", "emptyDir": {}}, {"name": "x", "emptyDir": {}}, False),
        ({"name": "model", "ephemeral": {}}, claim("x", of="llm-model"), True),
        (claim(), {"name": "x", "hostPath": {"path": "/var/lib"}}, True),
        (claim(), {"name": "x", "hostPath": {"path": "/proc/1/root/var/lib/kubelet"}}, True),
        ({"name": "model", "emptyDir": {}}, {"name": "x", "hostPath": {"path": "/"}}, True),
    ],
)
def test_a_second_entry_with_the_same_source_is_read_only_too(
    one: Document, other: Document, *, same: bool
) -> None:
    """Wherever it is mounted; and the person who wrote it is told."""
    given = pod(vllm(mount(), mount("x", "/x")), volumes=[one, other])
    result = run(given)
    second = result.pod["spec"]["containers"][0]["volumeMounts"][1]
    assert second.get("readOnly", False) is same
    assert ("recursiveReadOnly" in second) is same
    assert any("'/x' has become read-only" in warning for warning in result.warnings) is same


def test_a_stricter_mount_stays_as_it_is() -> None:
    """`recursiveReadOnly: Enabled` is not weakened."""
    strict = mount(readOnly=True, recursiveReadOnly="Enabled")
    result = mutated(pod(vllm(strict)))
    assert result["spec"]["containers"][0]["volumeMounts"] == [strict]


def test_the_gate_waits_for_sidecars_that_may_serve_the_volume() -> None:
    """GCS FUSE and JuiceFS bring native sidecars that do not have the volume themselves."""
    fuse = container("gke-gcsfuse-sidecar", mount("buffer", "/buffer"), restartPolicy="Always")
    given = pod(
        initContainers=[container("first"), fuse, container("last")],
        volumes=[claim(), {"name": "buffer", "emptyDir": {}}],
    )
    made = names(mutated(given)["spec"]["initContainers"])
    assert made == ["first", "gke-gcsfuse-sidecar", GATE_CONTAINER, "last"]


@pytest.mark.parametrize(
    "between",
    [
        container("reads", mount(readOnly=True)),
        container("proxy", mount(readOnly=True), restartPolicy="Always"),
    ],
)
def test_what_has_the_model_or_serves_waits_for_the_gate_all_the_same(between: Document) -> None:
    """A sidecar further down does not draw the gate past it."""
    given = pod(initContainers=[between, container("mesh", restartPolicy="Always")])
    made = names(mutated(given)["spec"]["initContainers"])
    assert made == [GATE_CONTAINER, between["name"], "mesh"]


def test_a_sidecar_does_not_draw_the_gate_past_a_vllm() -> None:
    """It would be an early one, of which there is but a warning."""
    evil = vllm(name="evil", volumeMounts=[], command=["vllm", "serve", "/evil"])
    given = pod(initContainers=[evil, container("mesh", **ALWAYS)])
    with pytest.raises(PodRefused, match="lies outside of what is verified"):
        run(given)
