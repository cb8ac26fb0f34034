"""A field that the schema does not know: the sentence names the one that was meant."""

from __future__ import annotations

from typing import Any

import pytest

from validator import contract
from validator.errors import PolicyError
from validator.policy.document import ModelValidation

KNOWN: dict[str, Any] = {
    "model": {"path": "/models/granite"},
    "config": {"privateKeyConfig": {"publicKey": "pem"}},
}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"modle": {}}, "spec: object contains unknown field `modle`: mode or model was probably"),
        ({"model": {"ignorepaths": []}}, "`ignorepaths`: ignorePaths was probably meant"),
        (
            {"config": {"sigstoreConfig": {"certificateOIDCIssuer": "https://issuer"}}},
            "`certificateOIDCIssuer`: certificateOidcIssuer was probably meant",
        ),
        ({"config": {"privateKeyConfig": {"path": "/k"}}}, "`path`: keyPath was probably meant"),
        ({"config": {"anyOf": [{"sigstore": {}}]}}, "`sigstore`: sigstoreConfig was probably"),
        (
            {"models": [{"digest": "x"}]},
            "spec.models[0]: object contains unknown field `digest`: ",
        ),
        ({"ignorePaths": ["a"]}, "`ignorePaths`: it belongs at spec.model.ignorePaths"),
        ({"model": {"mode": "Audit"}}, "`mode`: it belongs at spec.mode"),
        ({"continuousValidation": {"enabled": True}}, "here it is spec.revalidation"),
        ({"imagePullPolicy": "Always"}, "leave it out: the webhook decides it for all gates"),
        ({"model": {"allowSymlinks": True}}, "leave it out: the signer has decided it"),
        ({"models": [{"allowSymlinks": True}]}, "leave it out: the signer has decided it"),
        (
            {"config": {"clientTrustConfig": {"trustConfigPath": "/t"}}},
            "here it is spec.trust.trustedRoot, with the text of trusted_root.json",
        ),
    ],
)
def test_the_field_that_was_meant_is_named(spec: dict[str, Any], said: str) -> None:
    """Misspelt, in the wrong place, or the operator's."""
    with pytest.raises(PolicyError) as caught:
        ModelValidation.from_object(document(spec), source="p.yaml")
    assert said in str(caught.value)


def test_what_is_like_nothing_is_only_named() -> None:
    """No guess is better than a wild one."""
    with pytest.raises(PolicyError) as caught:
        ModelValidation.from_object(document({"xyz": 1}), source="p.yaml")
    assert str(caught.value) == "p.yaml: spec: object contains unknown field `xyz`"


def document(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a policy with fields added to its specification, or put into its model."""
    merged: dict[str, Any] = {name: dict(value) for name, value in KNOWN.items()}
    for name, value in spec.items():
        if name in KNOWN and isinstance(value, dict):
            merged[name] |= value
        else:
            merged[name] = value
    return {
        "apiVersion": contract.API_VERSION,
        "kind": contract.KIND,
        "metadata": {"name": "granite"},
        "spec": merged,
    }
