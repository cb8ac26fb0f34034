from __future__ import annotations

from typing import Any

import pytest

from validator.errors import PolicyError
from webhook.cli.templates import PLACES, flattened, template

POD: dict[str, Any] = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {"containers": [{"name": "c"}], "volumes": [{"name": "v", "emptyDir": {}}]},
}


def manifest(kind: str) -> dict[str, Any]:
    """Return a manifest of a kind with that pod in its place."""
    document: dict[str, Any] = {"kind": kind, "metadata": {"name": "llm", "namespace": "models"}}
    place = PLACES[kind]
    if not place:
        return document | {"spec": POD["spec"]} | {"metadata": document["metadata"]}
    inner: dict[str, Any] = POD
    for key in reversed(place):
        inner = {key: inner, "replicas": 1} if key == "template" else {key: inner}
    return document | inner


@pytest.mark.parametrize("kind", sorted(PLACES))
def test_each_kind_gives_its_pod_and_takes_it_back(kind: str) -> None:
    """The pod is found where its kind keeps it, and put back there, the rest as it was."""
    document = manifest(kind)
    found = template(document, source="test")
    assert found is not None
    assert found.pod["kind"] == "Pod"
    assert found.pod["spec"]["containers"] == [{"name": "c"}]
    assert found.namespace == "models"
    assert found.with_pod(found.pod) == document

    changed = found.with_pod(found.pod | {"spec": {"containers": []}})
    again = template(changed, source="test")
    assert again is not None
    assert again.pod["spec"] == {"containers": []}
    assert document == manifest(kind)


def test_a_stateful_set_gives_its_pods_their_claims() -> None:
    """The webhook sees the volumes that the controller will add; the manifest stays without."""
    document = manifest("StatefulSet")
    document["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "models"}, "spec": {}}]
    found = template(document, source="test")
    assert found is not None
    names = [volume["name"] for volume in found.pod["spec"]["volumes"]]
    assert names == ["v", "models"]
    assert found.with_pod(found.pod) == document


def test_other_kinds_have_no_pod() -> None:
    """A Service is left alone."""
    assert template({"kind": "Service", "metadata": {"name": "x"}}, source="test") is None


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "Pod"},
        {"kind": "Deployment", "spec": {}},
        {"kind": "Deployment", "spec": {"template": []}},
        {"kind": "CronJob", "spec": {"jobTemplate": 7}},
    ],
)
def test_a_manifest_without_its_pod_is_named(document: dict[str, Any]) -> None:
    """The sentence says what is missing, and where."""
    with pytest.raises(PolicyError, match=r"a\.yaml: .* has no .*spec"):
        template(document, source="a.yaml")


def test_lists_are_taken_apart() -> None:
    """The list that `kubectl get -o yaml` writes is read item by item."""
    inner = {"kind": "List", "items": [{"kind": "Pod"}]}
    assert list(flattened([inner, {"kind": "Service"}], source="test")) == [
        {"kind": "Pod"},
        {"kind": "Service"},
    ]


@pytest.mark.parametrize("document", [7, [], {}, {"kind": 7}, {"kind": "List"}])
def test_what_is_no_manifest_is_refused(document: Any) -> None:
    """Anything without a kind is a mistake."""
    with pytest.raises(PolicyError):
        list(flattened([document], source="test"))
