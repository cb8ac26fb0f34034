"""Pods in manifests: the pod that a workload's controller would create, and its way back.

Pure. The controllers' part is played only as far as the webhook looks: labels,
specification, and the volumes that a StatefulSet makes of its claim templates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from validator import contract
from validator.errors import PolicyError
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

Document = dict[str, Any]

_IN_TEMPLATE: Final = ("spec", "template")
PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "Pod": (),
    "Deployment": _IN_TEMPLATE,
    "ReplicaSet": _IN_TEMPLATE,
    "StatefulSet": _IN_TEMPLATE,
    "DaemonSet": _IN_TEMPLATE,
    "Job": _IN_TEMPLATE,
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""By kind, the path of its pod template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A manifest with the pod that comes of it.

    Attributes:
        document: The manifest.
        place: Where in it the pod stands.
        pod: The pod, as the API server would see it, but for its defaults.
        claims: Volumes that the pod gets from claim templates.
    """

    document: Document
    place: tuple[str, ...]
    pod: Document
    claims: frozenset[str]

    @property
    def namespace(self) -> str | None:
        """The namespace that the manifest names."""
        namespace = _mapping(self.document, "metadata").get("namespace")
        return namespace if isinstance(namespace, str) else None

    def with_pod(self, pod: Document) -> Document:
        """Return the manifest with another pod in its place."""
        spec = dict(pod["spec"])
        if self.claims:
            spec["volumes"] = [v for v in spec["volumes"] if v["name"] not in self.claims]
        changed = {key: pod[key] for key in ("metadata",) if key in pod} | {"spec": spec}
        return _replaced(self.document, self.place, changed)


def name_of(document: Document) -> str:
    """Return kind and name of a manifest, for a sentence."""
    name = _mapping(document, "metadata").get("name", "")
    return f"{quoted(document.get('kind'))[1:-1]} {quoted(name)}"


def flattened(documents: list[Any], *, source: str) -> Iterator[Document]:
    """Yield the manifests in documents, those of lists one by one.

    Raises:
        PolicyError: One is not a manifest.
    """
    for document in documents:
        if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
            raise PolicyError(f"{source}: expected Kubernetes manifests, each with a kind")
        if document["kind"] == "List":
            items = document.get("items")
            if not isinstance(items, list):
                raise PolicyError(f"{source}: the List has no items")
            yield from flattened(items, source=source)
        else:
            yield document


def template(document: Document, *, source: str) -> Template | None:
    """Return the pod of a manifest, `None` where its kind has none.

    Raises:
        PolicyError: The manifest lacks what its kind must have.
    """
    place = PLACES.get(document["kind"])
    if place is None:
        return None
    found: Any = document
    for key in place:
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get("spec"), dict):
        raise PolicyError(f"{source}: {name_of(document)} has no {'.'.join((*place, 'spec'))}")
    claims = _claims(document)
    pod = {"apiVersion": "v1", "kind": "Pod", **found}
    if claims:
        volumes = [
            {"name": name, "persistentVolumeClaim": {"claimName": f"{name}-0"}} for name in claims
        ]
        pod["spec"] = found["spec"] | {"volumes": [*(found["spec"].get("volumes") or []), *volumes]}
    return Template(document=document, place=place, pod=pod, claims=frozenset(claims))


def labels(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of a manifest or of a pod, without those that are not text.

    Raises:
        PolicyError: One of ours is not; the API server would say it less clearly.
    """
    found = _mapping(document, "metadata").get("labels")
    if not isinstance(found, Mapping):
        return {}
    for key, value in found.items():
        if key in (contract.LABEL, contract.OPERATOR_LABEL) and not isinstance(value, str):
            shown = json.dumps(json.dumps(value))
            raise PolicyError(f"the label {key} must be text: write {quoted(shown)[1:-1]}")
    return {key: value for key, value in found.items() if isinstance(value, str)}


def _claims(document: Document) -> list[str]:
    """Return the names of a StatefulSet's claim templates."""
    if document["kind"] != "StatefulSet":
        return []
    claims = _mapping(document, "spec").get("volumeClaimTemplates") or []
    return [labelled["name"] for claim in claims if (labelled := _mapping(claim, "metadata"))]


def _mapping(document: Any, key: str) -> Mapping[str, Any]:
    found = document.get(key) if isinstance(document, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _replaced(document: Document, place: tuple[str, ...], changed: Document) -> Document:
    """Return the document with the fields at a place changed, sharing the rest."""
    if not place:
        return document | changed
    key, *rest = place
    return document | {key: _replaced(document[key], tuple(rest), changed)}
