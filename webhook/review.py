"""The AdmissionReview: parsed from the API server's request, written as its answer.

Pure. The wire format is `admission.k8s.io/v1`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from validator.text import quoted
from webhook.errors import RequestError

API_VERSION: Final = "admission.k8s.io/v1"
KIND: Final = "AdmissionReview"

BODY_LIMIT: Final = 32 * 1024 * 1024
"""Bytes of a review: a request to the API server is at most 3 MiB, but it escapes
what it passes on, and a 2.9 MB pod came as 17.4 MB (measured on 1.36)."""

WARNING_LIMIT: Final = 256
WARNINGS_LIMIT: Final = 4096
"""Characters of one warning and of all of an answer; the API server cuts what is longer
(https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/)."""

MESSAGE_LIMIT: Final = 4096
"""Characters of a refusal; an Event shows 1024 of them."""

_Text = Annotated[str, Meta(max_length=1024)]
# It becomes part of a path at the API server; `$` would let a line feed pass.
_Namespace = Annotated[str, Meta(max_length=63, pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?\Z")]


class _Resource(msgspec.Struct, frozen=True):
    group: _Text
    version: _Text
    resource: _Text


class _Request(msgspec.Struct, frozen=True, rename="camel"):
    uid: Annotated[str, Meta(min_length=1, max_length=128)]
    resource: _Resource
    operation: Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]
    sub_resource: _Text = ""
    namespace: _Namespace = ""
    name: _Text = ""
    dry_run: bool | None = None
    object: dict[str, Any] | None = None
    old_object: dict[str, Any] | None = None


class _Review(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str
    kind: str
    request: msgspec.Raw = msgspec.Raw(b"null")


_REVIEW: Final = msgspec.json.Decoder(_Review)
_REQUEST: Final = msgspec.json.Decoder(_Request | None)


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """The API server's question.

    Attributes:
        uid: Of the request; the answer repeats it.
        operation: CREATE, UPDATE, DELETE or CONNECT.
        resource: Group, version, plural.
        subresource: Such as "ephemeralcontainers", else empty.
        namespace: The request's; a new pod's own field may still be empty.
        name: Empty where the server will generate one.
        dry_run: Whether the server asks without storing the object.
        object: The object as it would be stored, decoded JSON.
        old_object: As it was, for an UPDATE.
    """

    uid: str
    operation: str
    resource: tuple[str, str, str]
    subresource: str
    namespace: str
    name: str
    dry_run: bool
    object: dict[str, Any] | None
    old_object: dict[str, Any] | None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Our answer.

    Attributes:
        uid: The request's.
        refusal: The sentence for the pod's author; `None` if the pod is allowed.
        patch: RFC 6902 operations as JSON; empty, if there are none.
        warnings: Sentences that kubectl shows.
        policy: How a log line names the policy, empty where none was chosen.
        audit: Annotations for the API server's audit log, without prefix.
    """

    uid: str
    refusal: str | None = None
    patch: bytes = b""
    warnings: tuple[str, ...] = ()
    policy: str = ""
    audit: Mapping[str, str] = msgspec.field(default_factory=dict)


def parse(body: bytes, *, content_type: str) -> Review:
    """Return the review in the body of a request.

    Raises:
        RequestError: It is not one: 400, 413 or 415.
    """
    if content_type != "application/json":
        raise RequestError(
            f"the Content-Type is {quoted(content_type)}: send application/json", status=415
        )
    if len(body) > BODY_LIMIT:
        raise too_large()
    if not body:
        raise RequestError(f"the body is empty: send an {KIND} of {API_VERSION}")
    try:
        review = _REVIEW.decode(body)
        if (review.api_version, review.kind) != (API_VERSION, KIND):
            raise RequestError(
                f"the body is {quoted(review.kind)} of {quoted(review.api_version)}: this webhook "
                f"answers {KIND} of {API_VERSION} only (admissionReviewVersions: [v1])"
            )
        request = _REQUEST.decode(review.request)
    except msgspec.ValidationError as error:
        raise RequestError(
            f"the body is not an {KIND} of {API_VERSION}: {_inner(error)}"
        ) from error
    except msgspec.DecodeError as error:
        raise RequestError(f"the body is not JSON: {_inner(error)}") from error
    except RecursionError as error:
        raise _too_deep() from error
    except UnicodeDecodeError as error:
        raise RequestError("the body is not JSON: it is not UTF-8") from error
    if request is None:
        raise RequestError(f"the {KIND} has no request: it is an answer, or empty")
    return _review(request)


def too_large() -> RequestError:
    """Return the error of a body over the limit."""
    return RequestError(f"the body is larger than {BODY_LIMIT:,} bytes", status=413)


def _too_deep() -> RequestError:
    """Return the error of JSON that no Kubernetes object is as deep as."""
    return RequestError("the body is nested too deep to be a Kubernetes object")


def encode(answer: Answer) -> bytes:
    """Return the answer's JSON, within the API server's limits."""
    response: dict[str, Any] = {"uid": answer.uid, "allowed": answer.refusal is None}
    if answer.refusal is not None:
        response["status"] = {
            "code": 403,
            "reason": "Forbidden",
            "message": _cut(answer.refusal, MESSAGE_LIMIT),
        }
    elif answer.patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(answer.patch).decode()
    if warnings := _warnings(answer.warnings):
        response["warnings"] = warnings
    if answer.audit:
        response["auditAnnotations"] = dict(answer.audit)
    return msgspec.json.encode({"apiVersion": API_VERSION, "kind": KIND, "response": response})


def _review(request: _Request) -> Review:
    resource = request.resource
    return Review(
        uid=request.uid,
        operation=request.operation,
        resource=(resource.group, resource.version, resource.resource),
        subresource=request.sub_resource,
        namespace=request.namespace,
        name=request.name,
        dry_run=bool(request.dry_run),
        object=request.object,
        old_object=request.old_object,
    )


def _inner(error: msgspec.DecodeError) -> str:
    """Return the library's message within ours; it may repeat a piece of the body."""
    return quoted(str(error))[1:-1]


def _warnings(sentences: tuple[str, ...]) -> list[str]:
    """Return as many warnings as the API server passes on, each on one line."""
    shown: list[str] = []
    left = WARNINGS_LIMIT
    for sentence in dict.fromkeys(sentences):
        text = _cut(" ".join(sentence.split()), WARNING_LIMIT)
        if len(text) > left:
            break
        shown.append(text)
        left -= len(text)
    return shown


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
