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
"""Of each of Kubernetes' own kinds, where it keeps its pod."""


_INHERITING: Final = frozenset({"InferenceService"})
"""Kinds whose pods get the labels of the object itself: KServe's `buildObjectMeta`."""

_LABELS_INSIDE: Final = frozenset({"InferenceService", "ServingRuntime", "ClusterServingRuntime"})
"""Kinds that keep a pod's labels within its specification; others have them beside it."""

DEPTH_LIMIT: Final = 16
"""Levels of a manifest that are searched; known kinds keep their pods within nine."""

Place = tuple[str | int, ...]
"""A path in a manifest: keys, and indices of lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A pod that comes of a manifest.

    Attributes:
        place: Where in the manifest it stands.
        pod: The pod, as the API server would see it, but for its defaults.
        claims: Volumes that the pod gets from claim templates.
        inline: Whether the place holds the pod's specification itself, as in KServe's kinds.
        labels_at: Where the pod's labels belong.
    """

    place: Place
    pod: Document
    labels_at: Place
    claims: frozenset[str] = frozenset()
    inline: bool = False

    @property
    def shown(self) -> str:
        """The place as a sentence names it, empty where the manifest is the pod."""
        return shown(self.place)

    def put(self, pod: Document, document: Document) -> Document:
        """Return the manifest with another pod in this place."""
        spec = dict(pod["spec"])
        if self.claims:
            spec["volumes"] = [v for v in spec["volumes"] if v["name"] not in self.claims]
        changed = spec
        if not self.inline:
            changed = {key: pod[key] for key in ("metadata",) if key in pod} | {"spec": spec}
        whole: Document = _replaced(document, self.place, changed)
        return whole


def shown(place: Place) -> str:
    """Return a place in a manifest, for a sentence."""
    keys = (
        f"[{key}]" if isinstance(key, int) else f".{key}" if "." not in key else f"[{quoted(key)}]"
        for key in place
    )
    return "".join(keys).removeprefix(".")


def namespace_of(document: Document) -> str | None:
    """Return the namespace that a manifest names."""
    namespace = _mapping(document, "metadata").get("namespace")
    return namespace if isinstance(namespace, str) else None


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
        items = document.get("items")
        if document["kind"] == "List" and not isinstance(items, list):
            raise PolicyError(f"{source}: the List has no items")
        if document["kind"].endswith("List") and isinstance(items, list):
            yield from flattened([_item(each, document) for each in items], source=source)
        else:
            yield document


def _item(item: Any, listed: Document) -> Any:
    """Return an item of a list; those of a PodList, as the API server writes one, have no kind."""
    kind = listed["kind"].removesuffix("List")
    if not kind or not isinstance(item, dict):
        return item
    return {"apiVersion": listed.get("apiVersion"), "kind": kind} | item


def templates(document: Document, *, source: str) -> list[Template]:
    """Return the pods of a manifest, none where it has no pod template.

    Kubernetes' own kinds keep theirs in a known place. In any other, each mapping with a list of
    containers is one: below `spec` in a template, else a specification of its own.

    Raises:
        PolicyError: The manifest lacks what its kind must have.
    """
    place = PLACES.get(document["kind"])
    if place is None:
        return list(_searched(document, document, ()))
    found: Any = document
    for key in place:
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get("spec"), dict):
        raise PolicyError(f"{source}: {name_of(document)} has no {'.'.join((*place, 'spec'))}")
    claims = _claims(document)
    pod = _pod(found)
    if claims:
        volumes = [
            {"name": name, "persistentVolumeClaim": {"claimName": f"{name}-0"}} for name in claims
        ]
        pod["spec"] = found["spec"] | {"volumes": [*(found["spec"].get("volumes") or []), *volumes]}
    at = (*place, "metadata", "labels")
    return [Template(place=place, pod=pod, labels_at=at, claims=frozenset(claims))]


def _searched(document: Document, found: Any, place: Place) -> Iterator[Template]:
    """Yield the pods below a place of a manifest whose kind is not one of Kubernetes' own."""
    if len(place) > DEPTH_LIMIT:
        return
    if isinstance(found, list):
        for index, each in enumerate(found):
            yield from _searched(document, each, (*place, index))
    elif isinstance(found, dict):
        spec = found.get("spec")
        if place and _has_containers(spec):
            yield Template(place=place, pod=_pod(found), labels_at=(*place, "metadata", "labels"))
        elif _has_containers(found):
            yield _inline(document, found, place)
        else:
            for key, each in found.items():
                yield from _searched(document, each, (*place, key))


def _inline(document: Document, found: Document, place: Place) -> Template:
    """Return the pod whose specification stands in a place of its own, with its labels."""
    inside = document["kind"] in _LABELS_INSIDE
    at = place if inside else place[:-1]
    holder: Any = document
    for key in at:
        holder = holder[key]
    own = labels({"metadata": holder})
    shared = labels(document) | own if document["kind"] in _INHERITING else own
    pod = _pod({"metadata": {"labels": shared}, "spec": found})
    return Template(place=place, pod=pod, labels_at=(*at, "labels"), inline=True)


def _has_containers(spec: Any) -> bool:
    """Tell whether a value is a pod's specification."""
    containers = spec.get("containers") if isinstance(spec, dict) else None
    return (
        isinstance(containers, list)
        and bool(containers)
        and all(isinstance(each, dict) and "name" in each for each in containers)
    )


def _pod(found: Document) -> Document:
    return {"apiVersion": "v1", "kind": "Pod", **found}


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


def pod_annotations(pod: Document) -> Mapping[str, Any]:
    """Return the annotations of a pod, whatever their values are."""
    return _mapping(_mapping(pod, "metadata"), "annotations")


def _claims(document: Document) -> list[str]:
    """Return the names of a StatefulSet's claim templates."""
    if document["kind"] != "StatefulSet":
        return []
    claims = _mapping(document, "spec").get("volumeClaimTemplates") or []
    return [labelled["name"] for claim in claims if (labelled := _mapping(claim, "metadata"))]


def _mapping(document: Any, key: str) -> Mapping[str, Any]:
    found = document.get(key) if isinstance(document, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _replaced(document: Any, place: Place, changed: Document) -> Any:
    """Return a value with the fields at a place changed; the rest is shared, not copied."""
    if not place:
        return document | changed
    key, *rest = place
    inner = _replaced(document[key], tuple(rest), changed)
    if isinstance(key, int):
        return [*document[:key], inner, *document[key + 1 :]]
    return document | {key: inner}
