"""The other side of docs/platforms: pods as serving platforms make them of what users write.

Each is made after the platform's source of August 2026, in the file that its function names.
What does not concern the webhook (probes, ports, resources) is left out.
"""

from __future__ import annotations

import copy
import posixpath
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Document = dict[str, Any]

MODELS: Final = "/mnt/models"
VLLM: Final = "docker.io/vllm/vllm-openai:v0.32.0"


def pods(document: Document) -> Iterator[Document]:
    """Yield the pods that come of a platform's object, or of the values of a Helm chart."""
    if "servingEngineSpec" in document:
        return _production_stack(document)
    if "modelArtifacts" in document:
        return _llm_d(document)
    return _MAKERS[document["kind"]](document)


def _pod(name: str, namespace: str, labels: Document, spec: Document) -> Document:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": copy.deepcopy(spec)}


def _mounted(spec: Document, container: Document, volume: Document, mount: Document) -> None:
    container.setdefault("volumeMounts", []).append({"name": volume["name"]} | mount)
    if volume not in spec.setdefault("volumes", []):
        spec["volumes"].append(volume)


def _with_storage(spec: Document, container: Document, uri: str) -> None:
    """Attach a model as KServe does: pkg/utils/storage.go and storage_initializer_injector.go."""
    scheme, _, rest = uri.partition("://")
    if scheme == "pvc":
        claim, _, path = rest.partition("/")
        volume = {"name": "kserve-pvc-source", "persistentVolumeClaim": {"claimName": claim}}
        mount = {"mountPath": MODELS, "readOnly": True} | ({"subPath": path} if path else {})
        _mounted(spec, container, volume, mount)
    elif scheme == "oci+native":
        volume = {"name": "mnt-models", "image": {"reference": rest, "pullPolicy": "IfNotPresent"}}
        mount = {"mountPath": MODELS, "subPath": "models", "readOnly": True}
        _mounted(spec, container, volume, mount)
    elif scheme == "oci":
        volume = {"name": "kserve-provision-location", "emptyDir": {}}
        link = f"ln -sf /proc/$$$$/root/models {MODELS} && sleep infinity"
        car = {"name": "modelcar", "image": rest, "args": ["sh", "-c", link]}
        for each in (container, car):
            _mounted(spec, each, volume, {"mountPath": posixpath.dirname(MODELS)})
        spec["containers"].append(car)
        spec["shareProcessNamespace"] = True
    else:
        volume = {"name": "kserve-provision-location", "emptyDir": {}}
        image = "kserve/storage-initializer:v0.16.0"
        init = {"name": "storage-initializer", "image": image, "args": [uri, MODELS]}
        _mounted(spec, init, volume, {"mountPath": MODELS})
        _mounted(spec, container, volume, {"mountPath": MODELS, "readOnly": True})
        spec.setdefault("initContainers", []).append(init)


def _inference_service(document: Document) -> Iterator[Document]:
    """Yield a predictor's pod: predictor.go, and config/runtimes/kserve-huggingfaceserver.yaml."""
    metadata, predictor = document["metadata"], document["spec"]["predictor"]
    container = {
        "name": "kserve-container",
        "image": "kserve/huggingfaceserver:v0.16.0",
        "args": [f"--model_name={metadata['name']}"],
        "env": [{"name": "LMCACHE_USE_EXPERIMENTAL", "value": "True"}],
        "volumeMounts": [{"name": "devshm", "mountPath": "/dev/shm"}],
    }
    memory = {"name": "devshm", "emptyDir": {"medium": "Memory"}}
    spec: Document = {"containers": [container], "volumes": [memory]}
    _with_storage(spec, container, predictor["model"]["storageUri"])
    labels = metadata.get("labels", {}) | predictor.get("labels", {})
    yield _pod(f"{metadata['name']}-predictor", metadata["namespace"], labels, spec)


def _llm_inference_service(document: Document) -> Iterator[Document]:
    """Yield the pods: workload_single_node.go, config-llm-template.yaml (its script shortened)."""
    metadata, service = document["metadata"], document["spec"]
    script = f'eval "exec vllm serve {MODELS} --port 8000 ${{VLLM_ADDITIONAL_ARGS}} $@"'
    places = {"home": "/home", "tmp-dir": "/tmp", "dshm": "/dev/shm", "model-cache": "/models"}
    for suffix, part in (("", service), ("-prefill", service.get("prefill"))):
        if part is None:
            continue
        main = {
            "name": "main",
            "image": "ghcr.io/llm-d/llm-d-cuda:v0.9.0",
            "command": ["/bin/bash", "-c", script, "--"],
            "env": [
                {"name": "HOME", "value": "/home"},
                {"name": "HF_HUB_CACHE", "value": "/models"},
            ],
            "volumeMounts": [{"name": name, "mountPath": at} for name, at in places.items()],
        }
        memory = {"medium": "Memory", "sizeLimit": "1Gi"}
        spec: Document = {
            "containers": [main],
            "volumes": [
                {"name": name, "emptyDir": memory if name == "dshm" else {}} for name in places
            ],
        }
        _with_storage(spec, main, service["model"]["uri"])
        name = f"{metadata['name']}-kserve{suffix}"
        yield _pod(name, metadata["namespace"], part.get("labels", {}), spec)


def _leader_worker_set(document: Document) -> Iterator[Document]:
    """Yield one pod of each template: leaderworkerset_controller.go, and its webhook for pods."""
    metadata, templates = document["metadata"], document["spec"]["leaderWorkerTemplate"]
    address = {"name": "LWS_LEADER_ADDRESS", "value": f"{metadata['name']}-0.{metadata['name']}"}
    size = {"name": "LWS_GROUP_SIZE", "value": str(templates["size"])}
    for name, suffix in (("leaderTemplate", "0"), ("workerTemplate", "0-1")):
        template = copy.deepcopy(templates.get(name, templates["workerTemplate"]))
        for container in template["spec"]["containers"]:
            container.setdefault("env", [])[:0] = [address, size]
        labels = template.get("metadata", {}).get("labels", {})
        yield _pod(f"{metadata['name']}-{suffix}", metadata["namespace"], labels, template["spec"])


def _ray_service(document: Document) -> Iterator[Document]:
    """Yield the cluster's pods."""
    cluster = {"metadata": document["metadata"], "spec": document["spec"]["rayClusterConfig"]}
    return _ray_cluster(cluster)


def _ray_cluster(document: Document) -> Iterator[Document]:
    """Yield the head and one worker of each group: ray-operator/controllers/ray/common/pod.go."""
    metadata, spec = document["metadata"], document["spec"]
    head = f"{metadata['name']}-head-svc"
    groups = [
        ("head", spec["headGroupSpec"]),
        *((g["groupName"], g) for g in spec["workerGroupSpecs"]),
    ]
    for name, group in groups:
        template = copy.deepcopy(group["template"])
        made = template["spec"]
        ray, *_ = made["containers"]
        shell = ["/bin/bash", "-c", "--"]
        if name != "head":
            init = {
                key: copy.deepcopy(ray[key])
                for key in ("image", "env", "volumeMounts")
                if key in ray
            }
            health = f"until ray health-check --address {head}:6379; do sleep 5; done"
            waits = {"name": "wait-gcs-ready", "command": shell, "args": [health]} | init
            made.setdefault("initContainers", []).append(waits)
        start = "--head" if name == "head" else f"--address={head}:6379"
        ray |= {"command": shell, "args": [f"ulimit -n 65536; ray start {start} --block"]}
        shm = {"name": "shared-mem", "emptyDir": {"medium": "Memory"}}
        _mounted(made, ray, shm, {"mountPath": "/dev/shm"})
        labels = template.get("metadata", {}).get("labels", {}) | group.get("labels", {})
        yield _pod(f"{metadata['name']}-{name}", metadata["namespace"], labels, made)


def _production_stack(values: Document) -> Iterator[Document]:
    """Yield the engines' pods: helm/templates/deployment-vllm-multi.yaml, release vllm."""
    for model in values["servingEngineSpec"]["modelSpec"]:
        container = {
            "name": "vllm",
            "image": f"{model['repository']}:{model['tag']}",
            "command": ["vllm", "serve", model["modelURL"], "--host", "0.0.0.0", "--port", "8000"],
            "env": [
                {"name": "PYTHONHASHSEED", "value": "123"},
                {"name": "HF_HOME", "value": "/data" if "pvcStorage" in model else "/tmp"},
                *model.get("env", []),
            ],
            "volumeMounts": list(model.get("extraVolumeMounts", [])),
        }
        spec: Document = {"containers": [container], "volumes": list(model.get("extraVolumes", []))}
        if "pvcStorage" in model:
            claim = model.get("pvcExistingClaimName", f"vllm-{model['name']}-storage-claim")
            volume = {"name": "vllm-storage", "persistentVolumeClaim": {"claimName": claim}}
            _mounted(spec, container, volume, {"mountPath": "/data"})
            if model.get("enableLoRA"):
                image = "lmcache/lmstack-sidecar:latest"
                spec["containers"].append({"name": "sidecar", "image": image})
                _mounted(spec, spec["containers"][-1], volume, {"mountPath": "/data"})
        if "sharedPvcStorage" in values:
            claim = {"claimName": "vllm-shared-pvc-storage-claim"}
            volume = {"name": "vllm-shared-pvc-storage", "persistentVolumeClaim": claim}
            _mounted(spec, container, volume, {"mountPath": "/data/shared-pvc-storage"})
        if model.get("lmcacheConfig", {}).get("enablePD"):
            spec |= {"hostIPC": True, "hostPID": True}
        name = f"vllm-{model['name']}-deployment-vllm"
        yield _pod(name, "llm", {"model": model["name"]} | model.get("podLabels", {}), spec)


def _llm_d(values: Document) -> Iterator[Document]:
    """Yield the pods of the chart llm-d-modelservice: templates/_helpers.tpl, release llm."""
    model = values["modelArtifacts"]
    scheme, _, rest = model["uri"].partition("://")
    claim, _, path = rest.partition("/")
    source: Document = {"emptyDir": {"sizeLimit": "5Mi"}}
    served = rest
    if scheme == "pvc":
        source = {"persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
        served = f"{model['mountPath']}/{path}"
    volume = {"name": "model-storage"} | source
    for role in ("decode", "prefill"):
        part = values.get(role, {})
        if not part.get("create", True):
            continue
        spec: Document = {"containers": []}
        if role == "decode":
            image = "ghcr.io/llm-d/llm-d-routing-sidecar:v0.3.0"
            args = ["--port=8000", "--vllm-port=8200", "--connector=nixlv2"]
            proxy = {"name": "routing-proxy", "image": image, "args": args}
            spec["initContainers"] = [proxy | {"restartPolicy": "Always"}]
        for given in part["containers"]:
            made = {"name": given.get("name", "vllm"), "image": given["image"]}
            port = "8200" if role == "decode" else "8000"
            made |= {
                "command": ["vllm", "serve"],
                "args": [served, "--port", port, "--served-model-name", model["name"]],
            }
            if given.get("mountModelVolume"):
                at = {"mountPath": model["mountPath"]}
                _mounted(spec, made, volume, at | ({"readOnly": True} if scheme == "pvc" else {}))
            spec["containers"].append(made)
        labels = model["labels"] | {"llm-d.ai/role": role}
        yield _pod(f"llm-llm-d-modelservice-{role}", "llm", labels, spec)


_MAKERS: Final[dict[str, Callable[[Document], Iterator[Document]]]] = {
    "InferenceService": _inference_service,
    "LLMInferenceService": _llm_inference_service,
    "LeaderWorkerSet": _leader_worker_set,
    "RayCluster": _ray_cluster,
    "RayService": _ray_service,
}
