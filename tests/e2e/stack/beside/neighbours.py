"""Other pods in a cluster with the stack: a collector, a Prometheus, and a stranger.

The collector is OpenTelemetry's own, which writes what it receives to its output; of Prometheus
there are the namespace and the labels from which it asks.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from tests.e2e.stack.images import PROGRAMS_IMAGE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.api_server.client import Document

OBSERVABILITY: Final = "observability"
MONITORING: Final = "monitoring"
ELSEWHERE: Final = "elsewhere"
OPENSHIFT_DNS: Final = "openshift-dns"
DNS_PORT: Final = 5353
"""Where the pods of OpenShift's DNS listen."""
COLLECTOR: Final = "signoz-otel-collector"
OTLP: Final = {"otlp": 4317, "otlp-http": 4318}
COLLECTING: Final = {
    "receivers": {
        "otlp": {
            "protocols": {
                "grpc": {"endpoint": f"0.0.0.0:{OTLP['otlp']}"},
                "http": {"endpoint": f"0.0.0.0:{OTLP['otlp-http']}"},
            }
        }
    },
    "exporters": {"file": {"path": "/dev/stdout"}},
    "service": {
        "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
        "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["file"]}},
    },
}
"""The collector's configuration: one line of JSON for each export that it receives."""


def neighbours(collector: Path) -> list[Document]:
    """Return the objects of all, in an order in which they can be created.

    Args:
        collector: OpenTelemetry's collector, the program.
    """
    return [
        *(
            _object("v1", "Namespace", name)
            for name in (OBSERVABILITY, MONITORING, ELSEWHERE, OPENSHIFT_DNS)
        ),
        *_collector(collector),
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


def _collector(program: Path) -> list[Document]:
    labels = {"app.kubernetes.io/name": COLLECTOR}
    settings = _object("v1", "ConfigMap", COLLECTOR, OBSERVABILITY)
    settings["data"] = {"config.yaml": json.dumps(COLLECTING)}
    collector = pod(OBSERVABILITY, COLLECTOR, labels)
    # The program lies below /root of this machine, where only root may go.
    collector["spec"]["securityContext"] = {}
    collector["spec"]["volumes"] = [
        {"name": "settings", "configMap": {"name": COLLECTOR}},
        {"name": "program", "hostPath": {"path": str(program.parent)}},
    ]
    collector["spec"]["containers"][0] |= {
        "command": [f"/opt/collector/{program.name}", "--config=/etc/collector/config.yaml"],
        "ports": [{"name": name, "containerPort": port} for name, port in OTLP.items()],
        "readinessProbe": {"tcpSocket": {"port": "otlp"}, "periodSeconds": 1},
        "securityContext": {},
        "volumeMounts": [
            {"name": "settings", "mountPath": "/etc/collector"},
            {"name": "program", "mountPath": "/opt/collector", "readOnly": True},
        ],
    }
    service = _object("v1", "Service", COLLECTOR, OBSERVABILITY)
    service["spec"] = {
        "selector": labels,
        "ports": [{"name": name, "port": port} for name, port in OTLP.items()],
    }
    return [settings, collector, service]


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
