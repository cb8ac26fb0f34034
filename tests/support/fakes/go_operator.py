"""The Go operator's admission of a pod, by its source: internal/webhooks/pod_webhook.go."""

from __future__ import annotations

import copy
from typing import Any, Final

DOMAIN: Final = "validation.ml.sigstore.dev"
LABEL: Final = f"{DOMAIN}/ml"
CONTAINER: Final = "model-validation"
IMAGE: Final = "registry.example/operators-agent:1"

Document = dict[str, Any]


def mutated(given: Document) -> Document:
    """Return a pod as the operator's webhook leaves it, which is asked about all pods."""
    made = copy.deepcopy(given)
    metadata, spec = made["metadata"], made["spec"]
    init = spec.get("initContainers") or []
    labels = metadata.get("labels") or {}
    if not labels.get(LABEL) or any(each["name"] == CONTAINER for each in init):
        return made
    metadata["finalizers"] = [*(metadata.get("finalizers") or []), f"{DOMAIN}/finalizer"]
    written = {f"{DOMAIN}/injected-at": "2026-01-01T00:00:00Z", f"{DOMAIN}/auth-method": "sigstore"}
    metadata["annotations"] = (metadata.get("annotations") or {}) | written
    mounts = [mount for each in spec["containers"] for mount in each.get("volumeMounts") or []]
    agent = {
        "name": CONTAINER,
        "image": IMAGE,
        "imagePullPolicy": "Always",
        "command": ["/usr/local/bin/model_signing"],
        "args": ["verify", "sigstore", "--signature=/models/granite/model.sig"],
        "volumeMounts": mounts,
    }
    spec["initContainers"] = [*init, agent]
    return made


def patch(given: Document) -> list[Document]:
    """Return that as RFC 6902 operations."""
    made = mutated(given)
    return [
        {"op": "replace", "path": f"/{part}", "value": made[part]}
        for part in ("metadata", "spec")
        if made[part] != given[part]
    ]
