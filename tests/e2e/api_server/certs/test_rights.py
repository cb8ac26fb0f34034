"""The rights of the certificates' account: five objects by name, in two only `caBundle`."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.api_server.certs.installation import (
    AUTHORITY,
    CONFIGURATIONS,
    LEASE,
    MERGE,
    NAMESPACE,
    SERVING,
    USER,
    installed,
    manifest,
)
from tests.e2e.api_server.issuing import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.api_server.control_plane import ControlPlane, Document

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("installation")]

OWN = (AUTHORITY, SERVING, LEASE, *CONFIGURATIONS)


@pytest.fixture(scope="module")
def installation(control_plane: ControlPlane) -> Iterator[None]:
    """The manifests, applied, while the module's tests run."""
    with installed(control_plane):
        yield


def _status(control_plane: ControlPlane, method: str, path: str, body: Document | None) -> int:
    answer = control_plane.call(method, path, body, content_type=MERGE, user=USER)
    return answer.status


@pytest.mark.parametrize("path", OWN)
def test_its_own_objects_are_read_and_patched(path: str, control_plane: ControlPlane) -> None:
    """And neither replaced nor deleted."""
    assert _status(control_plane, "GET", path, None) == 200
    assert _status(control_plane, "PATCH", path, {}) == 200
    found = control_plane.call("GET", path).document
    assert control_plane.call("PUT", path, found, user=USER).status == 403
    assert _status(control_plane, "DELETE", path, None) == 403


@pytest.mark.parametrize("path", [each for each in OWN if each != LEASE])
def test_its_own_objects_are_watched_by_name(path: str, control_plane: ControlPlane) -> None:
    """A watch of one name is a right on that name; a watch or a list of all is none."""
    collection, _, name = path.rpartition("/")
    one = f"{collection}?watch=true&timeoutSeconds=1&fieldSelector=metadata.name%3D{name}"
    assert _status(control_plane, "GET", one, None) == 200
    every = f"{collection}?watch=true&timeoutSeconds=1"
    assert _status(control_plane, "GET", every, None) == 403
    assert _status(control_plane, "GET", collection, None) == 403


@pytest.mark.parametrize("path", OWN)
def test_nothing_else_is_in_reach(path: str, control_plane: ControlPlane) -> None:
    """Neither another object of the kind, nor a new one, nor those of another namespace."""
    collection = path.rpartition("/")[0]
    assert _status(control_plane, "GET", f"{collection}/other", None) == 403
    assert _status(control_plane, "PATCH", f"{collection}/other", {}) == 403
    elsewhere = path.replace(f"/namespaces/{NAMESPACE}/", "/namespaces/kube-system/")
    if elsewhere != path:
        assert _status(control_plane, "GET", elsewhere, None) == 403
    new = control_plane.call("POST", collection, {"metadata": {"name": "new"}}, user=USER)
    assert new.status == 403


def test_the_rules_are_all_there_is(control_plane: ControlPlane) -> None:
    """The API server's own account of its rights names five objects, and no more."""
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview"}
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    body = review | {"spec": {"namespace": NAMESPACE}}
    status = control_plane.call("POST", path, body, user=USER).document["status"]
    # What every account may: ask who it is and what it may, and since Kubernetes 1.37 read whom
    # the cluster trusts (ClusterTrustBundles).
    everybody = {"authorization.k8s.io", "authentication.k8s.io", "certificates.k8s.io"}
    rules = [
        (resource, name, tuple(rule["verbs"]))
        for rule in status["resourceRules"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", ["*"])
        if not everybody & set(rule["apiGroups"])
    ]
    assert sorted(rules) == [
        ("leases", "model-validation-certs", ("get", "patch")),
        ("mutatingwebhookconfigurations", "zz-model-validation", ("get", "watch", "patch")),
        ("secrets", "model-validation-ca", ("get", "watch", "patch")),
        ("secrets", "model-validation-webhook-tls", ("get", "watch", "patch")),
        ("validatingwebhookconfigurations", "zz-model-validation", ("get", "watch", "patch")),
    ]


@pytest.mark.parametrize("path", CONFIGURATIONS)
def test_ca_bundle_may_change(path: str, control_plane: ControlPlane) -> None:
    """It is set, replaced and removed, in every entry."""
    for bundle in (Authority.new().bundle, Authority.new().bundle, None):
        value = b64encode(bundle).decode() if bundle else None
        changed = _changed(control_plane, path, {"clientConfig": {"caBundle": value}})
        assert changed == (200, "")


CHANGES: dict[str, Any] = {
    "service": {"clientConfig": {"service": {"name": "evil"}}},
    "path": {"clientConfig": {"service": {"path": "/evil"}}},
    "url": {"clientConfig": {"service": None, "url": "https://evil.example"}},
    "failurePolicy": {"failurePolicy": "Ignore"},
    "timeoutSeconds": {"timeoutSeconds": 1},
    "matchPolicy": {"matchPolicy": "Exact"},
    "sideEffects": {"sideEffects": "NoneOnDryRun"},
    "rules": {"rules": []},
    "namespaceSelector": {"namespaceSelector": {"matchLabels": {"a": "b"}}},
    "objectSelector": {"objectSelector": {}},
    "matchConditions": {"matchConditions": [{"name": "never", "expression": "false"}]},
    "admissionReviewVersions": {"admissionReviewVersions": ["v1beta1", "v1"]},
    "name": {"name": "evil.example.com"},
}


@pytest.mark.parametrize("field", CHANGES)
@pytest.mark.parametrize("path", CONFIGURATIONS)
def test_no_other_field_of_an_entry_may_change(
    field: str, path: str, control_plane: ControlPlane
) -> None:
    """Each of them could switch the webhook off, or send reviews elsewhere."""
    status, message = _changed(control_plane, path, CHANGES[field])
    assert (status, "may change caBundle alone" in message) == (403, True), message


def test_the_reinvocation_may_not_change(control_plane: ControlPlane) -> None:
    """A later mutating webhook would have the last word."""
    status, message = _changed(control_plane, CONFIGURATIONS[0], {"reinvocationPolicy": "Never"})
    assert (status, "may change caBundle alone" in message) == (403, True), message


@pytest.mark.parametrize("field", CHANGES)
def test_others_are_not_held(field: str, control_plane: ControlPlane) -> None:
    """An administrator changes the configuration as before (each change is a valid one)."""
    assert _changed(control_plane, CONFIGURATIONS[0], CHANGES[field], user=None) == (200, "")


@pytest.mark.parametrize(
    "body",
    [
        {"webhooks": []},
        {"webhooks": None},
        {"metadata": {"labels": {"a": "b"}}},
        {"metadata": {"annotations": {"a": "b"}}},
        {"metadata": {"finalizers": ["evil.example/stays"]}},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", CONFIGURATIONS)
def test_entries_and_metadata_stay(path: str, body: Document, control_plane: ControlPlane) -> None:
    """No entry goes, and no finalizer keeps a configuration from being deleted."""
    answer = control_plane.call("PATCH", f"{path}?dryRun=All", body, content_type=MERGE, user=USER)
    assert (answer.status, "may change caBundle alone" in answer.message) == (403, True)


def test_the_policy_knows_all_fields(control_plane: ControlPlane) -> None:
    """A field that a later Kubernetes adds to an entry fails this test."""
    path = "/openapi/v3/apis/admissionregistration.k8s.io/v1"
    schemas = control_plane.call("GET", path).document["components"]["schemas"]
    prefix = "io.k8s.api.admissionregistration.v1."
    fields = {
        field
        for kind in ("MutatingWebhook", "ValidatingWebhook", "WebhookClientConfig")
        for field in schemas[f"{prefix}{kind}"]["properties"]
    }
    policy = manifest("certs-policy.yaml")[0]["spec"]["variables"][1]["expression"]
    held = set(re.findall(r"\?'(\w+)'", policy))
    assert fields - held == {"caBundle", "clientConfig"}


def _changed(
    control_plane: ControlPlane, path: str, change: Document, *, user: str | None = USER
) -> tuple[int, str]:
    """Try to change the second entry, and nothing in fact; return status and sentence."""
    entries = control_plane.call("GET", path).document["webhooks"]
    merged = _merged(entries[1], change)
    body = {"webhooks": [entries[0], merged]}
    answer = control_plane.call("PATCH", f"{path}?dryRun=All", body, content_type=MERGE, user=user)
    return answer.status, answer.message


def _merged(whole: Document, change: Document) -> Document:
    """Merge as RFC 7396 does, for one level of nested objects; `None` removes."""
    merged = whole | {
        key: _merged(whole.get(key, {}), value)
        if key in {"clientConfig", "service"} and value
        else value
        for key, value in change.items()
    }
    return {key: value for key, value in merged.items() if value is not None}
