"""Which pods an exemption names, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import pods
from tests.support.policies import policy_document
from validator import contract
from validator.cli import injected
from validator.errors import PolicyError
from validator.policy.document import ModelValidation
from validator.policy.exemption import LONGEST, ModelValidationExemption
from webhook.policies.exempted import Found, find

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
DIGEST = "sha256:" + "1" * 64
IMAGE = f"registry.example/triton@{DIGEST}"
OTHER = "registry.example/proxy@sha256:" + "2" * 64

Document = dict[str, Any]


def exemption_document(name: str = "incident-7", *, metadata: Any = None, **spec: Any) -> Document:
    """Return an exemption as people write it, which ends in an hour."""
    whole = {
        "namespace": "team",
        "workload": {"kind": "Deployment", "name": "triton"},
        "images": [IMAGE],
        "expires": f"{NOW + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
        "requestedBy": "jane@models.corp",
        "reason": "the signer is down",
    }
    return {
        "apiVersion": contract.API_VERSION,
        "kind": "ModelValidationExemption",
        "metadata": {"name": name} | (metadata or {}),
        "spec": whole | spec,
    }


def exemption(name: str = "incident-7", **changes: Any) -> ModelValidationExemption:
    """Return an exemption."""
    return ModelValidationExemption.from_object(exemption_document(name, **changes), source="e")


def pod(*images: Any, owner: Document | None = None, **metadata: Any) -> Document:
    """Return a pod of the Deployment, with these images."""
    controller = {"kind": "ReplicaSet", "name": "triton-6b9", "controller": True}
    return {
        "metadata": {
            "name": "triton-6b9-x7",
            "labels": {"pod-template-hash": "6b9"},
            "ownerReferences": [controller if owner is None else owner],
            **metadata,
        },
        "spec": {"containers": [{"name": f"c{n}", "image": i} for n, i in enumerate(images)]},
    }


def found(given: Document, *known: ModelValidationExemption, namespace: str = "team") -> Found:
    """Return what is found for a pod now."""
    return find(known or (exemption(),), given, namespace=namespace, now=NOW)


def controlled(kind: str, name: str) -> Document:
    """Return a reference to a controller."""
    return {"kind": kind, "name": name, "controller": True}


def test_a_pod_of_the_workload_with_its_images_is_exempt() -> None:
    """And the pod of another namespace is not."""
    assert found(pod(IMAGE)).valid == exemption()
    assert found(pod(IMAGE)).note is None
    assert found(pod(IMAGE), namespace="other") == Found()


@pytest.mark.parametrize(
    ("given", "workload"),
    [
        (pod(IMAGE, owner=controlled("StatefulSet", "llm")), ("StatefulSet", "llm")),
        (pod(IMAGE, owner=controlled("RayCluster", "llm.0")), ("RayCluster", "llm.0")),
        (pod(IMAGE, owner=controlled("ReplicaSet", "triton-6b9")), ("ReplicaSet", "triton-6b9")),
        (pod(IMAGE, name="debug"), ("Pod", "debug")),
    ],
)
def test_other_workloads_are_named_by_their_kind(
    given: Document, workload: tuple[str, str]
) -> None:
    """Whatever controls the pod; a pod alone by its own name."""
    kind, name = workload
    assert found(given, exemption(workload={"kind": kind, "name": name})).valid is not None
    assert found(given, exemption(workload={"kind": kind, "name": "other"})) == Found()
    assert found(given, exemption(workload={"kind": "Job", "name": name})) == Found()


@pytest.mark.parametrize(
    "given",
    [
        pod(IMAGE, owner=controlled("ReplicaSet", "triton-6b8")),
        pod(IMAGE, owner=controlled("ReplicaSet", "triton")),
        pod(IMAGE, owner=controlled("ReplicaSet", "other-triton-6b9")),
        pod(IMAGE, owner=controlled("StatefulSet", "triton-6b9")),
        pod(IMAGE, owner={"kind": "ReplicaSet", "name": "triton-6b9"}),
        pod(IMAGE, owner={"kind": "ReplicaSet", "name": "triton-6b9", "controller": "true"}),
        pod(IMAGE, labels={}),
        pod(IMAGE, labels=None),
        pod(IMAGE, labels={"pod-template-hash": 6}),
        pod(IMAGE, ownerReferences=None),
        pod(IMAGE, ownerReferences={"controller": True}),
        pod(IMAGE, ownerReferences=["triton"]),
        pod(IMAGE, name="triton", ownerReferences=[]),
        {"metadata": None, "spec": {"containers": [{"image": IMAGE}]}},
        {"metadata": "triton"},
        {},
    ],
)
def test_a_pod_that_is_not_the_deployments_is_not_exempt(given: Document) -> None:
    """Whatever a pod's author writes there."""
    assert found(given) == Found()


@pytest.mark.parametrize(
    "images",
    [
        ["registry.example/triton:26.01"],
        ["registry.example/triton"],
        [f"registry.example/other@{DIGEST}"],
        ["registry.example/triton@sha256:" + "3" * 64],
        [IMAGE, OTHER],
        [OTHER, IMAGE],
        [None],
        [7],
        [DIGEST],
        [IMAGE, ""],
    ],
)
def test_a_pod_with_any_other_image_is_not_exempt(images: list[Any]) -> None:
    """Also where only one of its containers has it."""
    assert found(pod(*images)) == Found()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["ReplicaSet", "triton-6b9", IMAGE]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "kind", "controller", "image", "pod-template-hash", "labels"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@settings(max_examples=50)
@given(
    metadata=st.fixed_dictionaries({"ownerReferences": JSON, "labels": JSON, "name": JSON}) | JSON,
    spec=st.fixed_dictionaries({"containers": JSON, "initContainers": JSON}) | JSON,
)
def test_whatever_a_pods_author_writes_there_is_an_answer(metadata: Any, spec: Any) -> None:
    """Nothing that is written in the place of owners, labels or images is an error."""
    assert isinstance(found({"metadata": metadata, "spec": spec}), Found)


@pytest.mark.parametrize("containers", [[], None, {"image": IMAGE}])
def test_a_pod_without_images_is_not_exempt(containers: Any) -> None:
    """It is no pod; but what is not seen is not taken for what was named."""
    assert found(pod() | {"spec": {"containers": containers}}) == Found()


def test_images_are_named_by_digest() -> None:
    """With a repository or for any, a tag beside it or not; a tag alone is refused when written."""
    tagged = f"registry.example/triton:26.01@{DIGEST}"
    assert found(pod(tagged)).valid is not None
    assert found(pod(f"mirror.example/t@{DIGEST}"), exemption(images=[DIGEST])).valid is not None
    assert found(pod(IMAGE, OTHER), exemption(images=[OTHER, IMAGE])).valid is not None
    for image in ("registry.example/triton:26.01", tagged):
        with pytest.raises(PolicyError, match="not an image by its digest"):
            exemption(images=[image])


@pytest.mark.parametrize("field", ["initContainers", "ephemeralContainers"])
def test_every_container_counts(field: str) -> None:
    """The names of ours are free among the init containers only, where ours replaces them."""
    for name, free in ((contract.GATE_CONTAINER, field == "initContainers"), ("init", False)):
        given = pod(IMAGE)
        given["spec"][field] = [{"name": name, "image": OTHER}]
        assert (found(given).valid is not None) is free
    given = pod(IMAGE)
    given["spec"]["containers"].append({"name": contract.GATE_CONTAINER, "image": OTHER})
    assert found(given) == Found()


def test_it_ends() -> None:
    """At that moment; then its name and its end are in a sentence, until another one counts."""
    ends = exemption(expires="2026-12-01T12:00:00Z")
    later = exemption("later", expires="2026-12-01T13:00:01+01:00")
    assert found(pod(IMAGE), ends).valid is None
    assert found(pod(IMAGE), ends).note == (
        "the ModelValidationExemption 'incident-7' of this workload ended at 2026-12-01 12:00 UTC: "
        "have the cluster's admin make a new one, or have the model signed"
    )
    assert found(pod(IMAGE), ends, later).valid == later
    assert found(pod(IMAGE), later, ends).note is None
    assert found(pod(OTHER), ends) == Found()


def test_it_lasts_no_longer_than_it_may() -> None:
    """The time of its creation is the API server's; where there is none, its own end counts."""
    old = (NOW - LONGEST).isoformat()
    young = (NOW - LONGEST + timedelta(seconds=1)).isoformat()
    far = {"expires": "2099-01-01T00:00:00Z"}
    assert found(pod(IMAGE), exemption(metadata={"creationTimestamp": old}, **far)).ended
    assert found(pod(IMAGE), exemption(metadata={"creationTimestamp": young}, **far)).valid
    assert found(pod(IMAGE), exemption(**far)).valid


@pytest.mark.parametrize(
    ("expires", "created", "end"),
    [
        ("2026-12-01T13:00:00+05:00", None, "2026-12-01T08:00:00Z"),
        ("2026-12-01T13:00:00-05:00", "2026-11-01T00:00:00+01:00", "2026-12-01T18:00:00Z"),
        ("9999-12-31T23:59:59-05:00", None, "9999-12-31T23:59:59Z"),
        ("9999-12-31T23:59:59Z", "9999-12-01T00:00:00Z", "9999-12-31T23:59:59Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59-05:00", "9999-12-31T23:59:59Z"),
    ],
)
def test_its_end_is_said_in_utc(expires: str, created: str | None, end: str) -> None:
    """Whatever the zone in which somebody wrote it, and however far away it is."""
    made = exemption(expires=expires, metadata=created and {"creationTimestamp": created})
    policy = ModelValidation.from_object(policy_document(), source="p")
    resolved = made.applied_to(policy).resolved
    assert resolved is not None
    assert resolved.exemption is not None
    assert resolved.exemption.expires == end
    assert f"ended at {end[:16].replace('T', ' ')} UTC" in str(Found(ended=made).note)


def test_one_that_is_being_deleted_does_not_count() -> None:
    """An admin who revokes it need not wait for anything."""
    assert found(pod(IMAGE), exemption(metadata={"deletionTimestamp": "now"})) == Found()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"expires": "2026-12-01"}, "spec.expires"),
        ({"expires": "2026-12-01T12:00:00"}, "spec.expires"),
        ({"expires": None}, "spec.expires"),
        ({"requestedBy": ""}, "spec.requestedBy"),
        ({"reason": None}, "spec.reason"),
        ({"images": []}, "spec.images"),
        ({"namespace": "Team"}, "spec.namespace"),
        ({"workload": {"kind": "deployment", "name": "x"}}, "spec.workload.kind"),
        ({"workload": {"kind": "Deployment"}}, "spec.workload: object missing required field"),
        ({"until": "tomorrow"}, "unknown field `until`"),
    ],
)
def test_one_that_is_not_whole_is_refused(changes: Document, said: str) -> None:
    """With the place."""
    with pytest.raises(PolicyError) as caught:
        exemption(**changes)
    assert said in str(caught.value)


def test_an_exempt_policy_stops_nothing_and_says_why() -> None:
    """The gate's document names the exemption and its end; the rest of the policy stays."""
    policy = ModelValidation.from_object(policy_document(), source="p")
    made = exemption(metadata={"uid": "u1"}).applied_to(policy)
    assert made.spec.mode == "Audit"
    assert (made.spec.model, made.spec.config) == (policy.spec.model, policy.spec.config)
    assert ModelValidation.from_environment(made.to_environment()) == made
    assert '"exemption":{"expires":"2026-12-01T13:00:00Z","name":"incident-7","uid":"u1"}' in (
        made.to_environment()
    )
    assert injected.context(made)["exemption"] == "incident-7"
    assert "exemption" not in injected.context(policy)
    assert pods.mutated(pods.pod(), made) != pods.mutated(pods.pod(), policy)
