"""Register webhooks on loopback with an API server, and know when the server obeys.

The configurations are the design's: by `url` instead of by Service, one entry per label key.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tests.cluster.processes import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.cluster.control_plane import ControlPlane, Document

LABEL_KEYS = ("validation.rhtas.redhat.com/ml", "validation.ml.sigstore.dev/ml")
EXCLUDED_NAMESPACES = ("kube-system", "model-validation")
TIMEOUT_SECONDS = 5
GROUP = "admissionregistration.k8s.io/v1"
KINDS = {
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
}
POD_CREATE = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "resources": ["pods"],
    "operations": ["CREATE"],
}
# The kubelet's client and `kubectl debug` replace or patch the subresource: an UPDATE.
EPHEMERAL_UPDATE = POD_CREATE | {
    "resources": ["pods/ephemeralcontainers"],
    "operations": ["UPDATE"],
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a webhook listens (`127.0.0.1:PORT`), and the PEM that vouches for it."""

    address: str
    ca_bundle: bytes

    def client_config(self, path: str) -> Document:
        """Return what tells the API server how to reach `path`."""
        bundle = b64encode(self.ca_bundle).decode()
        return {"url": f"https://{self.address}{path}", "caBundle": bundle}


def mutating(
    endpoint: Endpoint,
    *,
    name: str = "model-validation",
    label_keys: Sequence[str] = LABEL_KEYS,
    failure_policy: str = "Fail",
) -> Document:
    """Return the configuration that sends new pods to `/mutate`.

    Without `label_keys` it is a third party's, which sees all pods; the server calls
    configurations in the order of their names.
    """
    fields = {
        "clientConfig": endpoint.client_config("/mutate"),
        "rules": [POD_CREATE],
        "failurePolicy": failure_policy,
        "reinvocationPolicy": "IfNeeded",
    }
    return _configuration("MutatingWebhookConfiguration", name, label_keys, fields)


def validating(
    endpoint: Endpoint,
    *,
    name: str = "model-validation",
    label_keys: Sequence[str] = LABEL_KEYS,
    failure_policy: str = "Fail",
) -> Document:
    """Return the configuration that sends pods and ephemeral containers to `/validate`."""
    fields = {
        "clientConfig": endpoint.client_config("/validate"),
        "rules": [POD_CREATE, EPHEMERAL_UPDATE],
        "failurePolicy": failure_policy,
    }
    return _configuration("ValidatingWebhookConfiguration", name, label_keys, fields)


@contextmanager
def registered(control_plane: ControlPlane, *configurations: Document) -> Iterator[None]:
    """Have the API server obey the configurations inside the block, and no longer behind it."""
    marks = [(configuration, secrets.token_hex(8)) for configuration in configurations]
    try:
        for configuration, mark in marks:
            marked = [*configuration["webhooks"], _marker(mark)]
            control_plane.created(configuration | {"webhooks": marked})
        for _, mark in marks:
            until(partial(_obeyed, control_plane, mark), what="the webhooks are called")
        yield
    finally:
        for configuration, _ in marks:
            plural, name = KINDS[configuration["kind"]], configuration["metadata"]["name"]
            control_plane.call("DELETE", f"/apis/{GROUP}/{plural}/{name}")
        for _, mark in marks:
            until(partial(_forgotten, control_plane, mark), what="the webhooks are forgotten")


def _configuration(kind: str, name: str, label_keys: Sequence[str], fields: Document) -> Document:
    """Return one entry per key, since a selector ANDs its terms, or one for all objects."""
    shared = fields | {
        "matchPolicy": "Equivalent",
        "sideEffects": "None",
        "timeoutSeconds": TIMEOUT_SECONDS,
        "admissionReviewVersions": ["v1"],
        "namespaceSelector": _expression(
            "kubernetes.io/metadata.name", "NotIn", *EXCLUDED_NAMESPACES
        ),
    }
    selectors = [_expression(key, "Exists") for key in label_keys] or [{}]
    entries = [
        shared | {"name": f"entry-{number}.{name}.test", "objectSelector": selector}
        for number, selector in enumerate(selectors)
    ]
    return {"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, "webhooks": entries}


def _expression(key: str, operator: str, *values: str) -> Document:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


def _marker(mark: str) -> Document:
    """Return an entry that refuses one labelled ConfigMap, since nobody listens on port 1.

    The server takes a configuration over as a whole, a moment after it was written: when this
    entry is obeyed, so are its neighbours.
    """
    return {
        "name": "marker.registration.test",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [POD_CREATE | {"resources": ["configmaps"]}],
        "objectSelector": {"matchLabels": {"registration.test/mark": mark}},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "timeoutSeconds": 1,
        "admissionReviewVersions": ["v1"],
    }


def _obeyed(control_plane: ControlPlane, mark: str) -> bool:
    labels = {"registration.test/mark": mark}
    metadata = {"name": "mark", "namespace": "default", "labels": labels}
    probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    return "marker.registration.test" in control_plane.create(probe, dry_run=True).message


def _forgotten(control_plane: ControlPlane, mark: str) -> bool:
    return not _obeyed(control_plane, mark)
