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


_TOKEN_SOURCES: Final = [
    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
    {
        "configMap": {
            "name": "kube-root-ca.crt",
            "items": [{"key": "ca.crt", "path": "ca.crt"}],
        }
    },
    {
        "downwardAPI": {
            "items": [
                {
                    "path": "namespace",
                    "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                }
            ]
        }
    },
]
_DEFAULTS: Final = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "serviceAccountName": "default",
    "serviceAccount": "default",
    "securityContext": {},
    "schedulerName": "default-scheduler",
    "tolerations": [
        {
            "key": f"node.kubernetes.io/{state}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 300,
        }
        for state in ("not-ready", "unreachable")
    ],
    "priority": 0,
    "enableServiceLinks": True,
    "preemptionPolicy": "PreemptLowerPriority",
}
"""What the API server adds before it asks a webhook; seen on 1.36."""


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
        "resources": {
            "limits": {"cpu": "8", "memory": f"{64 + length}Mi"},
            "requests": {"cpu": "4"},
        },
        "readinessProbe": {
            "httpGet": {"path": "/health", "port": 8000, "scheme": "HTTP"},
            "timeoutSeconds": 1,
            "periodSeconds": 10,
            "successThreshold": 1,
            "failureThreshold": 3,
        },
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
    made: Object = {
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
        },
        "spec": {
            "containers": [container],
            "volumes": [
                {"name": "cache", "emptyDir": {}},
                {"name": token, "projected": {"sources": _TOKEN_SOURCES, "defaultMode": 420}},
            ],
            **_DEFAULTS,
        },
    }
    made["metadata"]["managedFields"] = [
        {
            "manager": "kube-controller-manager",
            "operation": "Update",
            "apiVersion": "v1",
            "time": f"{written:%FT%TZ}",
            "fieldsType": "FieldsV1",
            "fieldsV1": {f"f:{part}": _fields(made[part]) for part in ("metadata", "spec")},
        }
    ]
    return made


def _fields(value: object) -> Object:
    """Return the fields of a value as the API server tells whose they are."""
    if isinstance(value, dict):
        return {".": {}} | {f"f:{name}": _fields(part) for name, part in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {".": {}} | {f"k:{_key(part)}": _fields(part) for part in value}
    return {}


def _key(item: Object) -> str:
    """Return the key of an entry of a list: its first field, or a port's two."""
    return json.dumps(dict(list(item.items())[: 2 if "containerPort" in item else 1]))


def review(document: Object) -> bytes:
    """Return the review of a pod's creation."""
    request = {
        "uid": str(uuid.uuid4()),
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
        "requestResource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": NAMESPACE,
        "operation": "CREATE",
        "userInfo": {
            "username": "system:serviceaccount:kube-system:replicaset-controller",
            "uid": str(uuid.uuid4()),
            "groups": ["system:serviceaccounts", "system:authenticated"],
        },
        "object": document,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }
    whole = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return json.dumps(whole, separators=(",", ":")).encode()


def of_one_workload() -> Iterator[bytes]:
    """Yield reviews of the pods of one workload, without end."""
    while True:
        yield review(pod())


def all_different() -> Iterator[bytes]:
    """Yield reviews of pods of which no two are alike, without end."""
    for number in itertools.count():
        yield review(pod(number))
