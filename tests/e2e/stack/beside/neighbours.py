"""Other pods in a cluster with the stack: a collector, a Prometheus, and a stranger.

Each stands in for a program of its own: of the collector the receiving is real, of Prometheus the
namespace and the labels from which it asks.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.e2e.stack.images import PROGRAMS_IMAGE

if TYPE_CHECKING:
    from tests.e2e.api_server.client import Document
    from tests.e2e.stack.environments import Installed

RECEIVER: Final = Path(__file__).with_name("otlp_receiver.py")
OBSERVABILITY: Final = "observability"
MONITORING: Final = "monitoring"
ELSEWHERE: Final = "elsewhere"
OPENSHIFT_DNS: Final = "openshift-dns"
DNS_PORT: Final = 5353
"""Where the pods of OpenShift's DNS listen."""
COLLECTOR: Final = "signoz-otel-collector"
OTLP: Final = {"otlp": 4317, "otlp-http": 4318}


def neighbours(speaks_otlp: Installed) -> list[Document]:
    """Return the objects of all, in an order in which they can be created."""
    return [
        *(
            _object("v1", "Namespace", name)
            for name in (OBSERVABILITY, MONITORING, ELSEWHERE, OPENSHIFT_DNS)
        ),
        *_collector(speaks_otlp),
        pod(MONITORING, "prometheus", {"app.kubernetes.io/name": "prometheus"}),
        pod(ELSEWHERE, "stranger", {"app.kubernetes.io/name": "open-webui"}),
        *_dns(OPENSHIFT_DNS),
        *_dns(ELSEWHERE),
    ]


def pod(namespace: str, name: str, labels: dict[str, str]) -> Document:
    """Return a pod in which one can ask for things."""
    spec = {
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": name,
                "image": PROGRAMS_IMAGE,
                "command": ["sleep", "infinity"],
                "resources": {"limits": {"cpu": "1", "memory": "256Mi"}, "requests": {"cpu": "1m"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    }
    return _object("v1", "Pod", name, namespace, labels=labels) | {"spec": spec}


def _dns(namespace: str) -> list[Document]:
    """Return a pod that listens where OpenShift's DNS does, and a Service that leads to it."""
    labels = {"dns.operator.openshift.io/daemonset-dns": "default"}
    listening = pod(namespace, "dns-default", labels)
    command = ["/usr/bin/python3", "-m", "http.server", str(DNS_PORT)]
    listening["spec"]["containers"][0]["command"] = command
    listening["spec"]["containers"][0]["workingDir"] = "/tmp"  # noqa: S108 — the pod's own
    service = _object("v1", "Service", "dns-default", namespace)
    service["spec"] = {"selector": labels, "ports": [{"port": DNS_PORT}]}
    return [listening, service]


def _collector(speaks_otlp: Installed) -> list[Document]:
    labels = {"app.kubernetes.io/name": COLLECTOR}
    paths = {f"program-{number}": str(path) for number, path in enumerate(speaks_otlp.mounts)}
    script = _object("v1", "ConfigMap", COLLECTOR, OBSERVABILITY)
    script["data"] = {RECEIVER.name: RECEIVER.read_text()}
    receiver = pod(OBSERVABILITY, COLLECTOR, labels)
    # The programs lie below /root of this machine, where only root may go.
    receiver["spec"]["securityContext"] = {}
    receiver["spec"]["volumes"] = [
        {"name": "script", "configMap": {"name": COLLECTOR}},
        *({"name": volume, "hostPath": {"path": path}} for volume, path in paths.items()),
    ]
    receiver["spec"]["containers"][0] |= {
        "command": [str(speaks_otlp.python), f"/etc/receiver/{RECEIVER.name}"],
        "ports": [{"name": name, "containerPort": port} for name, port in OTLP.items()],
        "readinessProbe": {"tcpSocket": {"port": "otlp"}, "periodSeconds": 1},
        "securityContext": {},
        "volumeMounts": [
            {"name": "script", "mountPath": "/etc/receiver"},
            *(
                {"name": volume, "mountPath": path, "readOnly": True}
                for volume, path in paths.items()
            ),
        ],
    }
    service = _object("v1", "Service", COLLECTOR, OBSERVABILITY)
    service["spec"] = {
        "selector": labels,
        "ports": [{"name": name, "port": port} for name, port in OTLP.items()],
    }
    return [script, receiver, service]


def _object(
    version: str,
    kind: str,
    name: str,
    namespace: str = "",
    *,
    labels: dict[str, str] | None = None,
) -> Document:
    metadata = {"name": name, "labels": labels or {}}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": version, "kind": kind, "metadata": metadata}
