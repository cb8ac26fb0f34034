"""Pods as charts, operators and other people's webhooks make them: the gate has its place in each.

Made after the sources of the projects, cut down to what a gate could meet: names, order, mounts,
variables, users. Each is admitted, and done twice it is done once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.pods import (
    MODEL,
    Document,
    claim,
    container,
    gate_of,
    mount,
    names,
    pod,
    policy,
    run,
    vllm,
)

GATE = "model-validation"
IMAGE = "docker.io/vllm/vllm-openai:v0.32.0"


def empty(name: str, **source: Any) -> Document:
    """Return an emptyDir."""
    return {"name": name, "emptyDir": source}


def host(name: str, path: str) -> Document:
    """Return a directory of the node."""
    return {"name": name, "hostPath": {"path": path, "type": "DirectoryOrCreate"}}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A pod, and what is to be made of it.

    Attributes:
        given: The pod.
        init: Its init containers afterwards, in their order.
        path: The model's.
        warned: What the warnings speak of, one after the other.
    """

    given: Document
    init: tuple[str, ...]
    path: str = MODEL
    warned: tuple[str, ...] = field(default=())


NET_ADMIN = {"capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}, "runAsUser": 0}
ISTIO_VOLUMES = [
    *(empty(name) for name in ("workload-socket", "credential-socket", "istio-data")),
    empty("istio-envoy", medium="Memory"),
    {"name": "istio-podinfo", "downwardAPI": {"items": []}},
    {"name": "istio-token", "projected": {"sources": []}},
    {"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}},
]
ISTIO_INIT = container("istio-init", image="docker.io/istio/proxyv2:1.24.0") | {
    "securityContext": NET_ADMIN
}
ISTIO_PROXY = container(
    "istio-proxy",
    mount("workload-socket", "/var/run/secrets/workload-spiffe-uds"),
    mount("credential-socket", "/var/run/secrets/credential-uds"),
    mount("istiod-ca-cert", "/var/run/secrets/istio"),
    mount("istio-data", "/var/lib/istio/data"),
    mount("istio-envoy", "/etc/istio/proxy"),
    mount("istio-token", "/var/run/secrets/tokens"),
    mount("istio-podinfo", "/etc/istio/pod"),
)
VAULT = mount("vault-secrets", "/vault/secrets")
OTEL = mount("otel-auto-instrumentation-python", "/otel-auto-instrumentation-python")
DATADOG = [
    mount("dd", "/opt/datadog-packages/datadog-apm-inject", subPath="inject"),
    mount("dd-etc", "/etc/ld.so.preload", subPath="ld.so.preload", readOnly=True),
    mount("datadog", "/var/run/datadog"),
]
SHAPES = {
    "Istio, native sidecar": Shape(
        given=pod(
            initContainers=[ISTIO_INIT, ISTIO_PROXY | {"restartPolicy": "Always"}],
            volumes=[claim(), *ISTIO_VOLUMES],
        ),
        init=("istio-init", "istio-proxy", GATE),
    ),
    "Istio, classic": Shape(
        given=pod(
            vllm(), ISTIO_PROXY, initContainers=[ISTIO_INIT], volumes=[claim(), *ISTIO_VOLUMES]
        ),
        init=(GATE, "istio-init"),
    ),
    "Linkerd": Shape(
        given=pod(
            initContainers=[
                container("linkerd-init", mount("xtables", "/run"))
                | {"securityContext": NET_ADMIN},
                container(
                    "linkerd-proxy",
                    mount("identity", "/var/run/linkerd/identity/end-entity"),
                    mount("token", "/var/run/secrets/tokens"),
                    restartPolicy="Always",
                ),
            ],
            volumes=[
                claim(),
                empty("xtables"),
                empty("identity", medium="Memory"),
                {"name": "token", "projected": {"sources": []}},
            ],
        ),
        init=("linkerd-init", "linkerd-proxy", GATE),
    ),
    "Vault's agent": Shape(
        given=pod(
            vllm(mount(), VAULT),
            container("vault-agent", VAULT, mount("home-sidecar", "/home/vault")),
            initContainers=[container("vault-agent-init", VAULT, mount("home", "/home/vault"))],
            volumes=[claim(), *map(empty, ("vault-secrets", "home", "home-sidecar"))],
        ),
        init=(GATE, "vault-agent-init"),
    ),
    "OpenTelemetry's operator": Shape(
        given=pod(
            vllm(
                mount(),
                OTEL,
                env=[{"name": "PYTHONPATH", "value": "/otel-auto-instrumentation-python"}],
            ),
            initContainers=[container("opentelemetry-auto-instrumentation-python", OTEL)],
            volumes=[claim(), empty("otel-auto-instrumentation-python")],
        ),
        init=(GATE, "opentelemetry-auto-instrumentation-python"),
        warned=("PYTHONPATH decides which code runs",),
    ),
    "Datadog's single-step instrumentation": Shape(
        given=pod(
            vllm(mount(), *DATADOG, env=[{"name": "LD_PRELOAD", "value": "/opt/x.so"}]),
            initContainers=[container("datadog-init-apm-inject", mount("dd", "/datadog-inject"))],
            volumes=[claim(), empty("dd"), empty("dd-etc"), host("datadog", "/var/run/datadog")],
        ),
        init=(GATE, "datadog-init-apm-inject"),
        warned=("'/etc/ld.so.preload' may bring programs", "LD_PRELOAD decides which code runs"),
    ),
    "vLLM's own chart": Shape(
        given=pod(
            vllm(mount("storage", "/data"), command=["vllm", "serve", "/data/"], args=[]),
            initContainers=[container("wait-download-model", mount("storage", "/data"))],
            volumes=[claim("storage", of="vllm-storage-claim")],
        ),
        init=("wait-download-model", GATE),
        path="/data",
    ),
    "KubeAI": Shape(
        given=pod(
            {
                "name": "server",
                "image": IMAGE,
                "command": ["python3", "-m", "vllm.entrypoints.openai.api_server"],
                "args": [f"--model={MODEL}", "--served-model-name=granite"],
                "volumeMounts": [
                    mount("models", MODEL, subPath="granite"),
                    mount("dshm", "/dev/shm"),  # noqa: S108 — a mount point
                ],
            },
            volumes=[claim("models"), empty("dshm", medium="Memory")],
        ),
        init=(GATE,),
    ),
    "AIBrix": Shape(
        given=pod(
            vllm(mount("models", "/models")),
            container("aibrix-runtime", mount("models", "/models"), command=["aibrix_runtime"]),
            initContainers=[container("init-model", mount("models", "/models"))],
            volumes=[host("models", "/root/models")],
        ),
        init=("init-model", GATE),
        warned=("'aibrix_runtime') is not seen to be vLLM",),
    ),
    "NVIDIA Dynamo": Shape(
        given=pod(vllm(command=["python3", "-m", "dynamo.vllm"], args=["--model", MODEL])),
        init=(GATE,),
        warned=("'python3') is not seen to be vLLM",),
    ),
    "NVIDIA NIM": Shape(
        given=pod(
            container("nim", mount(), mount("cache", "/model-store"), command=[])
            | {"image": "nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8.3"},
            volumes=[claim(), claim("cache", of="nim")],
        ),
        init=(GATE,),
        warned=("what it runs is not seen to be vLLM",),
    ),
    "Seldon Core": Shape(
        given=pod(
            vllm(
                mount("provision", "/mnt/models"),
                mount("podinfo", "/etc/podinfo"),
                command=["vllm", "serve", "/mnt/models"],
            ),
            container("seldon-container-engine", mount("podinfo", "/etc/podinfo")),
            initContainers=[container("model-initializer", mount("provision", "/mnt/models"))],
            volumes=[empty("provision"), {"name": "podinfo", "downwardAPI": {}}],
        ),
        init=("model-initializer", GATE),
        path="/mnt/models",
    ),
    "a GPU's driver from the node": Shape(
        given=pod(
            vllm(mount(), mount("nvidia", "/usr/local/nvidia")),
            volumes=[claim(), host("nvidia", "/home/kubernetes/bin/nvidia")],
        ),
        init=(GATE,),
        warned=("'/usr/local/nvidia' may bring programs",),
    ),
    "huge pages and RDMA": Shape(
        given=pod(
            vllm(
                mount(),
                mount("pages", "/dev/hugepages"),
                securityContext={"capabilities": {"add": ["IPC_LOCK", "NET_RAW"]}},
            ),
            volumes=[claim(), empty("pages", medium="HugePages-2Mi")],
        ),
        init=(GATE,),
    ),
    "a Secret by a CSI driver within the model's volume": Shape(
        given=pod(
            vllm(
                mount(at="/mnt"),
                mount("secrets", "/mnt/secrets-store", readOnly=True),
                command=["vllm", "serve", "/mnt/models"],
            ),
            volumes=[
                claim(),
                {"name": "secrets", "csi": {"driver": "secrets-store.csi.k8s.io"}},
            ],
        ),
        init=(GATE,),
        path="/mnt/models",
        warned=("that path must exist on the volume",),
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_public_shape_is_admitted(name: str) -> None:
    """With the gate after the writers and the mesh, on the model's volume alone."""
    shape = SHAPES[name]
    chosen = policy(model={"path": shape.path})
    result = run(shape.given, chosen)
    assert tuple(names(result.pod["spec"]["initContainers"])) == shape.init
    model, _ = gate_of(result.pod)["volumeMounts"]
    assert shape.path.startswith(model["mountPath"])
    assert len(result.warnings) == len(shape.warned), result.warnings
    for said, words in zip(result.warnings, shape.warned, strict=True):
        assert words in said
    assert run(result.pod, chosen).pod == result.pod
