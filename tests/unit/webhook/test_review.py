from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from webhook.errors import RequestError
from webhook.review import BODY_LIMIT, Answer, encode, parse

JSON = "application/json"
Make = Callable[..., bytes]


@pytest.fixture
def body() -> Make:
    """Make a review as the API server sends it; `request` replaces fields, None leaves them out."""

    def make(*, version: str = "admission.k8s.io/v1", **request: Any) -> bytes:
        whole = {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "namespace": "models",
            "name": "llm",
            "operation": "CREATE",
            "userInfo": {"username": "admin", "groups": ["system:authenticated"]},
            "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {}},
            "oldObject": None,
            "dryRun": True,
            "options": {"kind": "CreateOptions"},
        } | request
        kept = {key: value for key, value in whole.items() if value is not None}
        return json.dumps(
            {"apiVersion": version, "kind": "AdmissionReview", "request": kept}
        ).encode()

    return make


def answered(answer: Answer) -> dict[str, Any]:
    """Return the `response` of an encoded answer."""
    document: dict[str, Any] = json.loads(encode(answer))
    assert document["apiVersion"] == "admission.k8s.io/v1"
    assert document["kind"] == "AdmissionReview"
    return dict(document["response"])


def test_a_review_is_read(body: Make) -> None:
    """All that the webhook decides by is there, and what else the server sends is no hindrance."""
    review = parse(body(subResource="ephemeralcontainers", oldObject={"a": 1}), content_type=JSON)

    assert review.uid == "705ab4f5-6393-11e8-b7cc-42010a800002"
    assert review.resource == ("", "v1", "pods")
    assert review.subresource == "ephemeralcontainers"
    assert (review.operation, review.namespace, review.name) == ("CREATE", "models", "llm")
    assert review.dry_run
    assert review.object == {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {}}
    assert review.old_object == {"a": 1}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "the body is empty"),
        (b"pod", "not JSON"),
        (b'{"apiVersion": "admission', "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": "\xff"}', "not"),
        (b'{"apiVersion": "\xff"}', "the body is not JSON: it is not UTF-8"),
        (b"[]", "not an AdmissionReview"),
        (b"null", "not an AdmissionReview"),
        (b'{"kind": "Pod", "apiVersion": "v1"}', "the body is 'Pod' of 'v1'"),
        (b'{"kind": 7, "apiVersion": "v1"}', "not an AdmissionReview"),
        (b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}', "no request"),
        (
            b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": []}',
            "not an AdmissionReview",
        ),
        (b"[" * 100_000, "not an AdmissionReview"),
        (b'{"kind":' * 100_000, "not an AdmissionReview"),
        (b'{"other":' + b"[" * 1_000_000, "nested too deep"),
        (b'{"request":' + b"[" * 1_000_000, "nested too deep"),
    ],
)
def test_what_is_no_review_is_a_bad_request(text: bytes, sentence: str) -> None:
    """Each kind of rubbish gets status 400 and a sentence of its own."""
    with pytest.raises(RequestError, match=sentence) as caught:
        parse(text, content_type=JSON)
    assert caught.value.status == 400


def test_nested_objects_are_refused_when_they_are_too_deep(body: Make) -> None:
    """Depth inside of the object is a bad request too, not a crash."""
    deep = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    text = body(object={"here": 0}).replace(b'{"here": 0}', deep)
    with pytest.raises(RequestError, match="nested too deep"):
        parse(text, content_type=JSON)


def test_another_version_is_named(body: Make) -> None:
    """The answer to v1beta1 names the version to register."""
    with pytest.raises(RequestError, match=r"v1beta1.*admissionReviewVersions: \[v1\]"):
        parse(body(version="admission.k8s.io/v1beta1"), content_type=JSON)


@pytest.mark.parametrize(
    "request_fields",
    [
        {"uid": None},
        {"uid": ""},
        {"uid": "x" * 200},
        {"uid": 7},
        {"operation": "PATCH"},
        {"operation": None},
        {"resource": None},
        {"resource": {"group": "", "resource": "pods"}},
        {"object": []},
        {"object": "pod"},
        {"namespace": ["models"]},
        {"namespace": "../kube-system"},
        {"namespace": "models\n"},
        {"dryRun": "yes"},
    ],
)
def test_a_request_with_a_bad_field_is_a_bad_request(
    body: Make, request_fields: dict[str, Any]
) -> None:
    """Missing, empty, mistyped and dangerous fields get status 400 with their place."""
    with pytest.raises(RequestError, match="not an AdmissionReview") as caught:
        parse(body(**request_fields), content_type=JSON)
    assert caught.value.status == 400


@pytest.mark.parametrize("content_type", ["text/plain", "application/yaml", "", "a\nb"])
def test_another_content_type_is_refused(body: Make, content_type: str) -> None:
    """Only JSON is read: status 415."""
    with pytest.raises(RequestError) as caught:
        parse(body(), content_type=content_type)
    assert caught.value.status == 415


def test_a_body_over_the_limit_is_refused() -> None:
    """One byte more than the limit is status 413."""
    with pytest.raises(RequestError) as caught:
        parse(b" " * (BODY_LIMIT + 1), content_type=JSON)
    assert caught.value.status == 413


def test_a_sentence_repeats_little_of_the_body() -> None:
    """A kind of a million characters, with controls in it, does not end up in the log."""
    text = json.dumps({"kind": "\n" + "x" * 1_000_000, "apiVersion": "v1"}).encode()
    with pytest.raises(RequestError) as caught:
        parse(text, content_type=JSON)
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)


def test_an_allowed_pod_comes_with_its_patch() -> None:
    """The patch travels as base64 of JSON, the uid as it came."""
    patch = [{"op": "add", "path": "/spec/initContainers", "value": [{"name": "é"}]}]
    written = json.dumps(patch).encode()
    response = answered(Answer(uid="1", patch=written, warnings=("mind the shell",)))

    assert (response["uid"], response["allowed"]) == ("1", True)
    assert response["patchType"] == "JSONPatch"
    assert json.loads(base64.b64decode(response["patch"])) == patch
    assert response["warnings"] == ["mind the shell"]
    assert "status" not in response


def test_nothing_to_change_is_no_patch() -> None:
    """An empty patch is left out with its type, as the API demands."""
    assert answered(Answer(uid="1")) == {"uid": "1", "allowed": True}


def test_a_refusal_says_why() -> None:
    """A refused pod gets 403, the sentence, and no patch."""
    response = answered(Answer(uid="1", refusal="no volume for it", patch=b'[{"op":"remove"}]'))
    assert response == {
        "uid": "1",
        "allowed": False,
        "status": {"code": 403, "reason": "Forbidden", "message": "no volume for it"},
    }


def test_audit_annotations_are_passed_on() -> None:
    """The API server's audit log has the name of the policy that decided."""
    assert answered(Answer(uid="1", audit={"policy": "p"}))["auditAnnotations"] == {"policy": "p"}


def test_sentences_are_cut_to_what_the_api_server_passes_on() -> None:
    """Warnings are single lines of 256 characters, 4096 in all, each once; refusals 4096."""
    warnings = ("w" * 300, "two\nlines", "two\nlines", *(f"{n}" + "x" * 300 for n in range(50)))
    shown = answered(Answer(uid="1", warnings=warnings))["warnings"]
    assert shown[0] == "w" * 255 + "…"
    assert shown.count("two lines") == 1
    assert max(map(len, shown)) == 256
    assert sum(map(len, shown)) <= 4096

    message = answered(Answer(uid="1", refusal="r" * 10_000))["status"]["message"]
    assert len(message) == 4096
