"""Manifests as people write them: vLLM on a model volume, as every kind of workload.

Everything passes Pod Security "restricted". No controller runs, so `pod_of` makes the pod that the
workload's controller would.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from tests.e2e.api_server.webhook_registration import LABEL_KEYS
from tests.support.policies import policy_document

if TYPE_CHECKING:
    from tests.e2e.api_server.control_plane import Document

MODEL = "/models/granite"
KINDS = ("Pod", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")
OWNERS = {"Deployment": ("apps/v1", "ReplicaSet"), "CronJob": ("batch/v1", "Job")}
"""The object between a workload and its pods, for the kinds that have one."""


def vllm(**changes: Any) -> Document:
    """Return a container that serves the model, with fields replaced by `changes`."""
    container = {
        "name": "vllm",
        "image": "docker.io/vllm/vllm-openai:v0.32.0",
        "command": ["vllm", "serve", MODEL],
        "args": ["--served-model-name=granite", "--max-model-len=4096"],
        "ports": [{"name": "http", "containerPort": 8000}],
        "env": [{"name": "HF_HUB_OFFLINE", "value": "1"}],
        "resources": {
            "requests": {"cpu": "2", "memory": "8Gi"},
            "limits": {"cpu": "4", "memory": "16Gi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "model", "mountPath": "/models"}],
    }
    return container | changes


def vllm_spec(**changes: Any) -> Document:
    """Return a pod's spec: one vLLM and its claim, with fields replaced by `changes`."""
    spec = {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1001,
            "fsGroup": 1001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [vllm()],
        "volumes": [{"name": "model", "persistentVolumeClaim": {"claimName": "granite"}}],
    }
    return spec | changes


def policy(namespace: str, **changes: Any) -> Document:
    """Return a ModelValidation: who signs the model, by a key that is inline."""
    return policy_document(namespace=namespace, **changes)


def workload(
    kind: str,
    namespace: str,
    *,
    label: str | None = "true",
    spec: Document | None = None,
    annotations: dict[str, str] | None = None,
) -> Document:
    """Return one of `KINDS`, its pods labelled (`None`: not), with `spec` as the pod's."""
    labels = {"app": "vllm"} | ({LABEL_KEYS[0]: label} if label is not None else {})
    template: Document = {
        "metadata": {"labels": labels, "annotations": annotations or {}},
        "spec": deepcopy(spec or vllm_spec()),
    }
    metadata = {"name": "vllm", "namespace": namespace}
    if kind == "Pod":
        whole = template["metadata"] | metadata
        return {"apiVersion": "v1", "kind": kind, "metadata": whole, "spec": template["spec"]}
    if kind in {"Job", "CronJob"}:
        template["spec"].setdefault("restartPolicy", "Never")
        body: Document = {"template": template}
        if kind == "CronJob":
            body = {"schedule": "0 3 * * *", "jobTemplate": {"spec": body}}
        return {"apiVersion": "batch/v1", "kind": kind, "metadata": metadata, "spec": body}
    body = {"selector": {"matchLabels": {"app": "vllm"}}, "template": template}
    if kind == "StatefulSet":
        body["serviceName"] = "vllm"
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": body}


def pod_of(made: Document) -> Document:
    """Return the pod that the controller of a created workload creates (a Pod: itself).

    Args:
        made: as the API server returned it, with defaults and uid.
    """
    kind, name, uid = made["kind"], made["metadata"]["name"], made["metadata"]["uid"]
    if kind == "Pod":
        return made
    spec = made["spec"].get("jobTemplate", made)["spec"]
    pod: Document = {"apiVersion": "v1", "kind": "Pod", **deepcopy(spec["template"])}
    version, owner = OWNERS.get(kind, (made["apiVersion"], kind))
    owner_name = f"{name}-5d4f8c7b9" if kind in OWNERS else name
    pod["metadata"] |= {
        "namespace": made["metadata"]["namespace"],
        "ownerReferences": [
            {
                "apiVersion": version,
                "kind": owner,
                "name": owner_name,
                "uid": uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    pod["metadata"].pop("creationTimestamp", None)
    _as_its_controller(owner, owner_name, pod)
    return pod


def _as_its_controller(owner: str, name: str, pod: Document) -> None:
    """Add what this controller adds to the template."""
    metadata, labels = pod["metadata"], pod["metadata"]["labels"]
    if owner == "StatefulSet":
        metadata["name"] = f"{name}-0"
        labels |= {"statefulset.kubernetes.io/pod-name": f"{name}-0"}
        labels |= {"apps.kubernetes.io/pod-index": "0", "controller-revision-hash": f"{name}-1"}
        pod["spec"] |= {"hostname": f"{name}-0", "subdomain": "vllm"}
        return
    metadata["generateName"] = f"{name}-"
    if owner == "ReplicaSet":
        labels["pod-template-hash"] = "5d4f8c7b9"
    elif owner == "Job":
        labels |= {"batch.kubernetes.io/job-name": name, "job-name": name}
        metadata["finalizers"] = ["batch.kubernetes.io/job-tracking"]
    elif owner == "DaemonSet":
        labels |= {"controller-revision-hash": "5d4f8c7b9", "pod-template-generation": "1"}
        on_node = {"key": "metadata.name", "operator": "In", "values": ["node-1"]}
        pod["spec"]["affinity"] = {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchFields": [on_node]}]
                }
            }
        }
        pod["spec"]["tolerations"] = [
            {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": "NoExecute"}
            for taint in ("not-ready", "unreachable")
        ]
