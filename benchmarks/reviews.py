"""Reviews of vLLM pods as an API server sends them: of one workload, or all different."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import random
import uuid
from typing import TYPE_CHECKING, Any, Final

from validator import contract

if TYPE_CHECKING:
    from collections.abc import Iterator

Object = dict[str, Any]

NAMESPACE: Final = "models"
POLICY: Final = """
apiVersion: rhtas.redhat.com/v1alpha1
kind: ModelValidation
metadata: {name: granite}
spec:
  model: {path: /models/granite, volume: {persistentVolumeClaim: {claimName: models}}}
  config:
    sigstoreConfig:
      certificateIdentity: https://github.com/example/models/.github/workflows/sign.yaml@main
      certificateOidcIssuer: https://token.actions.githubusercontent.com
"""

_SUFFIX: Final = "bcdfghjklmnpqrstvwxz2456789"
"""The letters of invented names."""


def pod(number: int | None = None) -> Object:
    """Return a pod as a cluster has them: defaults, a token, probes, variables.

    Args:
        number: Of the workload, whose name, labels, arguments, variables and amounts differ from
            those of all others; `None` for the one that all have in common.
    """
    own = "" if number is None else f"-{number}"
    token = f"kube-api-access-{''.join(random.choices(_SUFFIX, k=5))}"  # noqa: S311 — no secret
    length = 8192 + (number or 0)
    written = dt.datetime.fromtimestamp(random.randrange(1 << 31), dt.UTC)  # noqa: S311 — as above
    container = {
        "name": f"vllm{own}",
        "image": "vllm/vllm-openai:v0.32.0",
        "args": ["--model", "/models/granite", "--port", "8000", "--max-model-len", str(length)],
        "env": [{"name": f"VARIABLE_{index}", "value": f"x{own}" * 5} for index in range(10)],
        "ports": [{"containerPort": 8000, "protocol": "TCP"}],
        "resources": {"limits": {"cpu": "8", "memory": f"{64 + length}Mi"}, "requests": {"cpu": 4}},
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8000, "scheme": "HTTP"}},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        "volumeMounts": [
            {"name": "cache", "mountPath": f"/cache{own}"},
            {
                "name": token,
                "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                "readOnly": True,
            },
        ],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"vllm{own}-7d9c-",
            "namespace": NAMESPACE,
            "labels": {
                "app": f"vllm{own}",
                contract.LABEL: "true",
                contract.OPERATOR_LABEL: "granite",  # for a peer that goes by it
            },
            "annotations": {"note": "n" * 500},
            "managedFields": [{"manager": "kube-controller-manager", "time": f"{written:%FT%TZ}"}],
        },
        "spec": {
            "containers": [container],
            "volumes": [
                {"name": "cache", "emptyDir": {}},
                {"name": token, "projected": {"sources": [], "defaultMode": 420}},
            ],
            "restartPolicy": "Always",
            "serviceAccountName": "default",
        },
    }


def review(document: Object) -> bytes:
    """Return the review of a pod's creation."""
    request = {
        "uid": str(uuid.uuid4()),
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": NAMESPACE,
        "operation": "CREATE",
        "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
        "object": document,
    }
    whole = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return json.dumps(whole).encode()


def of_one_workload() -> Iterator[bytes]:
    """Yield reviews of the pods of one workload, without end."""
    while True:
        yield review(pod())


def all_different() -> Iterator[bytes]:
    """Yield reviews of pods of which no two are alike, without end."""
    for number in itertools.count():
        yield review(pod(number))
