"""Generated pods and policies: realistic ones, and anything at all."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

from tests.support.pods import MODEL, container, mount, pod, policy, vllm
from validator.contract import GATE_CONTAINER, MODEL_VOLUME, MONITOR_CONTAINER, SCRATCH_VOLUME

Document = dict[str, Any]

_SOURCES: list[Document] = [
    {"persistentVolumeClaim": {"claimName": "granite"}},
    {"persistentVolumeClaim": {"claimName": "other", "readOnly": True}},
    {"emptyDir": {}},
    {"hostPath": {"path": "/srv/models", "type": ""}},
    {"hostPath": {"path": "/srv"}},
    {"nfs": {"server": "nfs", "path": "/models"}},
    {"csi": {"driver": "models.example", "readOnly": True}},
    {"ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
    {"configMap": {"name": "settings"}},
    {"secret": {"secretName": "token"}},
    {"projected": {"sources": []}},
]
_NAMES = ["model", "again", "cache", "settings"]
_PATHS = ["/models", MODEL, "/data", "/root/.cache", "/root/.cache/vllm", "/models/other"]
_FLAGS: list[Document] = [
    {},
    {"readOnly": True},
    {"readOnly": False},
    {"readOnly": True, "recursiveReadOnly": "Disabled"},
    {"readOnly": True, "recursiveReadOnly": "Enabled"},
    {"subPath": "granite"},
    {"mountPropagation": "None"},
]

_BESIDE: list[list[Document]] = [
    [],
    [mount("again", "/x")],
    [mount("cache", "/models/other")],
    [mount("cache", "/root/.cache"), mount("settings", "/root/.cache/vllm")],
]
"""Mounts of the serving container beside the model's."""

_RULES: list[list[Document]] = [
    [{"action": "Restart", "exitCodes": {"operator": "In", "values": [3]}}],
    [{"action": "RestartAllContainers", "exitCodes": {"operator": "NotIn", "values": [0]}}],
]

mounts = st.lists(
    st.builds(
        lambda name, at, flags: mount(name, at) | flags,
        st.sampled_from(_NAMES),
        st.sampled_from(_PATHS),
        st.sampled_from(_FLAGS),
    ),
    max_size=3,
    unique_by=lambda made: str(made["mountPath"]),
)
"""Mounts of one container, most of them harmless."""


def containers(prefix: str, *, sidecars: bool) -> st.SearchStrategy[list[Document]]:
    """Return a strategy of containers whose names begin with a prefix."""
    extras: list[Document] = [{}, {"resources": {"limits": {"cpu": "500m"}}}]
    extras += [{"securityContext": {"runAsUser": 1000, "runAsGroup": 3000}}]
    extras += [{"restartPolicy": "OnFailure", "restartPolicyRules": rules} for rules in _RULES]
    extras += [{"restartPolicy": "Always"}] * 2 if sidecars else []
    return st.lists(
        st.builds(lambda own, extra: container("x", *own) | extra, mounts, st.sampled_from(extras)),
        max_size=3,
    ).map(lambda made: [each | {"name": f"{prefix}{index}"} for index, each in enumerate(made)])


@st.composite
def pods(draw: st.DrawFn) -> Document:
    """Draw a pod with vLLM among its containers, which may or may not be fit for a gate."""
    own = draw(st.sampled_from([[mount()], [mount(at=MODEL)], [mount(subPath="m")], []]))
    serving = [vllm(volumeMounts=[*own, *draw(st.sampled_from(_BESIDE))])]
    serving += draw(containers("beside-", sidecars=False))
    init = draw(containers("init-", sidecars=True))
    for name in draw(st.sets(st.sampled_from([GATE_CONTAINER, MONITOR_CONTAINER]))):
        at = draw(st.integers(0, len(init)))
        brought = container(name, mount(), image="registry.example/yes:1")
        init.insert(at, brought | draw(st.sampled_from([{}, {"restartPolicy": "Always"}])))
    volumes = [{"name": name} | draw(st.sampled_from(_SOURCES)) for name in _NAMES]
    return pod(
        *draw(st.permutations(serving)),
        initContainers=init,
        volumes=draw(st.permutations(volumes)),
        **draw(st.sampled_from([{}, {"securityContext": {"runAsUser": 0}}])),
        **draw(st.sampled_from([{}, {"restartPolicy": "OnFailure"}, {"restartPolicy": "Never"}])),
    )


_VOLUMES: list[Document] = [
    {},
    {"volume": {"name": "model"}},
    {"volume": {"persistentVolumeClaim": {"claimName": "granite"}}},
    {"volume": {"nfs": {"server": "nfs", "path": "/models"}, "mountPath": "/models"}},
]

policies = st.builds(
    lambda volume, mode, again, restart, more: policy(
        model=volume, mode=mode, **again, **restart, **more
    ),
    st.sampled_from(_VOLUMES),
    st.sampled_from(["Enforce", "Enforce", "Audit"]),
    st.sampled_from([{}, {"revalidation": {}}, {"revalidation": {"action": "Stop"}}]),
    st.sampled_from([{}, {"onRestart": "Verify"}]),
    st.sampled_from([{}, {"allowPrivileged": True}, {"resources": {"limits": {"cpu": "2.0"}}}]),
)
"""Policies for one model, with and without a volume of their own."""

_WORDS = st.sampled_from(
    [
        "spec",
        "metadata",
        "containers",
        "initContainers",
        "ephemeralContainers",
        "volumes",
        "name",
        "volumeMounts",
        "volumeDevices",
        "mountPath",
        "subPath",
        "subPathExpr",
        "readOnly",
        "securityContext",
        "capabilities",
        "add",
        "privileged",
        "resources",
        "requests",
        "limits",
        "cpu",
        "command",
        "args",
        "env",
        "value",
        "valueFrom",
        "envFrom",
        "image",
        "restartPolicy",
        "restartPolicyRules",
        "exitCodes",
        "operator",
        "values",
        "emptyDir",
        "hostPath",
        "path",
        "nfs",
        "status",
        "initContainerStatuses",
        "os",
        "hostPID",
    ]
)
_VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["vllm", "model", MODEL, "/models", "Always", "1Gi", "\ud800", "\x00"])
    | st.sampled_from([GATE_CONTAINER, MONITOR_CONTAINER, SCRATCH_VOLUME, MODEL_VOLUME])
    | st.text(max_size=5)
)

anything = st.recursive(
    _VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=20,
)
"""Any JSON, in a pod's words."""


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """Draw a pod of which one part is something else."""
    whole = copy.deepcopy(draw(pods()))  # what it was drawn from is shared
    place: Any = whole
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return whole
        key = draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or draw(st.integers(0, 3)) == 0:
            place[key] = draw(anything)
            return whole
        place = place[key]
