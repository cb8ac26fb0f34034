"""Whatever a manifest holds: converted without a traceback, and twice is as once."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from validator import contract
from validator.errors import PolicyError
from validator.policy.document import ModelValidation
from webhook.cli import operator_label, operator_policy
from webhook.cli.convert import converted

DOMAIN = operator_label.DOMAIN
WORDS = [
    *("model", "config", "spec", "metadata", "labels", "annotations", "finalizers", "selector"),
    *("path", "signaturePath", "ignorePaths", "ignoreGitPaths", "allowSymlinks", "imagePullPolicy"),
    *("sigstoreConfig", "certificateIdentity", "publicKeyConfig", "privateKeyConfig", "keyPath"),
    *("pkiConfig", "certificateAuthority", "clientTrustConfig", "trustConfigPath", "status"),
    *("continuousValidation", "enabled", "interval", "trust", "revalidation", "name"),
    *(contract.LABEL, contract.OPERATOR_LABEL, f"{DOMAIN}/ignore", f"{DOMAIN}/ignore-paths"),
    *(f"{DOMAIN}/injected-at", f"{DOMAIN}/finalizer", operator_label.LAST_APPLIED),
]
TEXTS = st.sampled_from(
    [
        *(*WORDS, "", "true", "granite", operator_policy.API_VERSION, "email:a@b.c", "Always"),
        *("/data", "/data/", "/data/../x", "a/./b", "..", "s3://a", "5m", "1h30m", "36h", "0m"),
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner),
    max_leaves=12,
)
PATHS = st.sampled_from(["/data", "/data/", "/data//model", "/data/../x", "s3://b/m"])
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "model": st.fixed_dictionaries(
            {"path": PATHS},
            optional={
                "signaturePath": PATHS,
                "ignorePaths": st.lists(TEXTS, max_size=3),
                "allowSymlinks": st.booleans(),
            },
        )
        | VALUES,
        "config": st.fixed_dictionaries(
            {},
            optional={
                "publicKeyConfig": st.fixed_dictionaries({"keyPath": PATHS}),
                "pkiConfig": st.fixed_dictionaries({"certificateAuthority": PATHS}),
                "sigstoreConfig": VALUES,
                "clientTrustConfig": VALUES,
            },
        )
        | VALUES,
        "continuousValidation": VALUES
        | st.fixed_dictionaries({"enabled": st.booleans(), "interval": TEXTS}),
        "imagePullPolicy": TEXTS,
    },
)


@settings(max_examples=60)
@given(
    spec=SPECS | VALUES, group=st.sampled_from([operator_policy.API_VERSION, contract.API_VERSION])
)
def test_any_policy(spec: Any, group: str) -> None:
    """One that leaves nothing to do is accepted by our parser, and is left alone the next time."""
    document = {
        "apiVersion": group,
        "kind": contract.KIND,
        "metadata": {"name": "granite"},
        "spec": spec,
    }
    made, notes = converted(document)
    assert made["apiVersion"] == contract.API_VERSION
    if group == operator_policy.API_VERSION and not notes.by_hand:
        ModelValidation.from_object(made, source="test")
        again, more = converted(made)
        assert (again, more.changed, more.by_hand) == (made, [], [])
    if notes.by_hand and not made.get("spec"):
        refused(made)


def refused(document: dict[str, Any]) -> None:
    """Find that our parser refuses a document."""
    try:
        ModelValidation.from_object(document, source="test")
    except PolicyError:
        return
    raise AssertionError(document)


@settings(max_examples=60)
@given(
    metadata=VALUES, spec=VALUES, kind=st.sampled_from(["Pod", "Deployment", "NetworkPolicy", "X"])
)
def test_any_other_manifest(metadata: Any, spec: Any, kind: str) -> None:
    """The names that replace the operator's are left alone the next time."""
    document = {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}
    made, notes = converted(document)
    assert made["kind"] == kind
    if not notes.changed and not notes.by_hand:
        assert made == document
    again, more = converted(made)
    assert again == made
    assert more.changed == []
