"""Register webhooks on loopback with an API server, and know when the server obeys.

Ours are those of the manifests, by `url` instead of by Service.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tests.e2e.api_server.installation import manifests
from tests.e2e.api_server.processes import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.e2e.api_server.client import ApiServer, Document

LABEL_KEYS = ("validation.rhtas.redhat.com/ml", "validation.ml.sigstore.dev/ml")
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


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A webhook's address (`127.0.0.1:PORT`), and the PEM of its authority."""

    address: str
    ca_bundle: bytes

    def client_config(self, path: str) -> Document:
        """Return what tells the API server how to reach `path`."""
        bundle = b64encode(self.ca_bundle).decode()
        return {"url": f"https://{self.address}{path}", "caBundle": bundle}


def mutating(endpoint: Endpoint, **changes: str) -> Document:
    """Return our configuration that sends new pods to `/mutate`, with fields replaced."""
    return _ours("MutatingWebhookConfiguration", endpoint, changes)


def validating(endpoint: Endpoint, **changes: str) -> Document:
    """Return ours that sends pods and ephemeral containers to `/validate`, with fields replaced."""
    return _ours("ValidatingWebhookConfiguration", endpoint, changes)


def mutating_all(endpoint: Endpoint, *, name: str, namespace: str | None = None) -> Document:
    """Return a third party's configuration, which is sent every new pod (of a namespace).

    The server calls configurations in the order of their names.
    """
    entry: Document = {
        "name": f"entry.{name}.test",
        "clientConfig": endpoint.client_config("/mutate"),
        "rules": [POD_CREATE],
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "sideEffects": "None",
        "timeoutSeconds": TIMEOUT_SECONDS,
        "admissionReviewVersions": ["v1"],
    }
    if namespace is not None:
        entry["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    kind = "MutatingWebhookConfiguration"
    return {"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, "webhooks": [entry]}


@contextmanager
def registered(api: ApiServer, *configurations: Document) -> Iterator[None]:
    """Have the API server obey the configurations inside the block, and not after it."""
    marks = [(configuration, secrets.token_hex(8)) for configuration in configurations]
    try:
        for configuration, mark in marks:
            marked = [*configuration["webhooks"], _marker(mark)]
            api.created(configuration | {"webhooks": marked})
        for _, mark in marks:
            until(partial(_obeyed, api, mark), what="the webhooks are called")
        yield
    finally:
        for configuration, _ in marks:
            plural, name = KINDS[configuration["kind"]], configuration["metadata"]["name"]
            api.call("DELETE", f"/apis/{GROUP}/{plural}/{name}")
        for _, mark in marks:
            until(partial(_forgotten, api, mark), what="the webhooks are forgotten")


def _ours(kind: str, endpoint: Endpoint, changes: Mapping[str, str]) -> Document:
    """Return the manifests' configuration, for both label keys, with another address."""
    (configuration,) = manifests.overlay("operator-compat", kind)
    for entry in configuration["webhooks"]:
        path = entry["clientConfig"]["service"]["path"]
        entry.update(changes, clientConfig=endpoint.client_config(path))
    return configuration


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


def _obeyed(api: ApiServer, mark: str) -> bool:
    labels = {"registration.test/mark": mark}
    metadata = {"name": "mark", "namespace": "default", "labels": labels}
    probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    return "marker.registration.test" in api.create(probe, dry_run=True).message


def _forgotten(api: ApiServer, mark: str) -> bool:
    return not _obeyed(api, mark)
