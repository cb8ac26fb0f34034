from __future__ import annotations

from typing import Any

import pytest

from validator.errors import PolicyError
from webhook.cli.templates import PLACES, flattened, namespace_of, shown, templates

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
    (found,) = templates(document, source="test")
    assert found.pod["kind"] == "Pod"
    assert found.pod["spec"]["containers"] == [{"name": "c"}]
    assert namespace_of(document) == "models"
    assert found.put(found.pod, document) == document

    changed = found.put(found.pod | {"spec": {"containers": []}}, document)
    (again,) = templates(changed, source="test")
    assert again.pod["spec"] == {"containers": []}
    assert document == manifest(kind)


def test_a_stateful_set_gives_its_pods_their_claims() -> None:
    """The webhook sees the volumes that the controller will add; the manifest stays without."""
    document = manifest("StatefulSet")
    document["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "models"}, "spec": {}}]
    (found,) = templates(document, source="test")
    names = [volume["name"] for volume in found.pod["spec"]["volumes"]]
    assert names == ["v", "models"]
    assert found.put(found.pod, document) == document


OTHERS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "Rollout": ({"template": POD}, ["spec.template"]),
    "LeaderWorkerSet": (
        {"leaderWorkerTemplate": {"leaderTemplate": POD, "workerTemplate": POD, "size": 2}},
        ["spec.leaderWorkerTemplate.leaderTemplate", "spec.leaderWorkerTemplate.workerTemplate"],
    ),
    "JobSet": (
        {"replicatedJobs": [{"name": "a"}, {"template": {"spec": {"template": POD}}}]},
        ["spec.replicatedJobs[1].template.spec.template"],
    ),
    "RayCluster": (
        {"headGroupSpec": {"template": POD}, "workerGroupSpecs": [{"template": POD}]},
        ["spec.headGroupSpec.template", "spec.workerGroupSpecs[0].template"],
    ),
    "InferenceService": (
        {"predictor": POD["spec"] | {"minReplicas": 1, "labels": {"a": "b"}}},
        ["spec.predictor"],
    ),
    "LLMInferenceService": (
        {
            "labels": {"a": "b"},
            "template": POD["spec"],
            "prefill": {"labels": {"a": "b"}, "template": POD["spec"]},
        },
        ["spec.template", "spec.prefill.template"],
    ),
    "ServingRuntime": (POD["spec"] | {"labels": {"a": "b"}}, ["spec"]),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_pod_is_found_in_any_kind(kind: str) -> None:
    """By its containers, in each place that has some; the rest of the manifest stays as it was."""
    spec, places = OTHERS[kind]
    own = {"of": "the object"}
    document = {"kind": kind, "metadata": {"name": "llm", "labels": own}, "spec": spec}
    found = templates(document, source="test")
    assert [each.shown for each in found] == places
    after = document
    for each in found:
        assert each.pod["kind"] == "Pod"
        inherited = own if kind == "InferenceService" else {}
        assert each.pod["metadata"]["labels"] == inherited | {"a": "b"}
        assert shown(each.labels_at) == {
            "InferenceService": "spec.predictor.labels",
            "ServingRuntime": "spec.labels",
            "LLMInferenceService": each.shown.replace("template", "labels"),
        }.get(kind, f"{each.shown}.metadata.labels")
        assert each.put(each.pod, document) == document
        after = each.put(each.pod | {"spec": each.pod["spec"] | {"volumes": []}}, after)
    assert "emptyDir" not in str(after)
    assert "emptyDir" in str(document)


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": {"type": "array"}},
        {"containers": []},
        {"containers": [7]},
        {"containers": ["vllm"]},
        {"containers": [{"image": "no name"}]},
    ],
)
def test_what_only_looks_like_a_pod_is_none(spec: dict[str, Any]) -> None:
    """Such as the schema of a resource definition."""
    document = {"kind": "CustomResourceDefinition", "spec": {"properties": spec, "list": [spec]}}
    assert templates(document, source="test") == []


def test_a_manifest_is_not_searched_without_end() -> None:
    """Nobody keeps a pod a thousand levels down."""
    document: dict[str, Any] = POD
    for _ in range(1000):
        document = {"a": document}
    assert templates(document | {"kind": "Deep"}, source="test") == []


def test_other_kinds_have_no_pod() -> None:
    """A Service is left alone."""
    assert templates({"kind": "Service", "metadata": {"name": "x"}}, source="test") == []


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
        templates(document, source="a.yaml")


def test_lists_are_taken_apart() -> None:
    """The list that `kubectl get -o yaml` writes is read item by item."""
    inner = {"kind": "List", "items": [{"kind": "Pod"}]}
    assert list(flattened([inner, {"kind": "Service"}], source="test")) == [
        {"kind": "Pod"},
        {"kind": "Service"},
    ]


def test_the_items_of_a_podlist_are_pods() -> None:
    """The API server writes them without a kind; a field `items` elsewhere means nothing."""
    listed = {"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {}}, {"kind": "X"}]}
    assert list(flattened([listed], source="x.yaml")) == [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {}},
        {"apiVersion": "v1", "kind": "X"},
    ]
    other = {"kind": "ConfigMap", "items": [1]}
    assert list(flattened([other], source="x.yaml")) == [other]


@pytest.mark.parametrize("document", [7, [], {}, {"kind": 7}, {"kind": "List"}])
def test_what_is_no_manifest_is_refused(document: Any) -> None:
    """Anything without a kind is a mistake."""
    with pytest.raises(PolicyError):
        list(flattened([document], source="test"))
