"""Each field of the Go operator's resource in our parser: accepted, or named with our equivalent.

The fields are those of its definition `modelvalidations.ml.sigstore.dev` v1alpha1, and those of the
earlier `rhtas.redhat.com/v1alpha1`.
"""

from __future__ import annotations

from typing import Any

import pytest

from validator import contract
from validator.errors import PolicyError
from validator.policy.document import ModelValidation

KEY: dict[str, Any] = {"publicKeyConfig": {"keyPath": "/keys/signer.pub"}}
KEYLESS: dict[str, Any] = {
    "sigstoreConfig": {
        "certificateIdentity": "a@example.com",
        "certificateOidcIssuer": "https://accounts.example.com",
    }
}


def document(*, model: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return a resource of the operator in our group."""
    paths = {"path": "/data", "signaturePath": "/data/model.sig"}
    return {
        "apiVersion": contract.API_VERSION,
        "kind": contract.KIND,
        "metadata": {"name": "demo"},
        "spec": {"model": paths | (model or {}), "config": KEYLESS} | changes,
    }


@pytest.mark.parametrize(
    "resource",
    [
        document(),
        document(model={"ignorePaths": ["cache", "tmp/a"]}),
        document(model={"ignoreGitPaths": True}),
        document(model={"ignoreUnsignedFiles": False}),
        document(config=KEY),
        document(config={"pkiConfig": {"certificateAuthority": "/keys/root.pem"}}),
        document(config={"privateKeyConfig": {"keyPath": "/keys/signer.pub"}}),
        document() | {"status": {"conditions": [], "injectedPodCount": 1, "authMethod": "key"}},
    ],
)
def test_fields_that_mean_the_same_are_accepted(resource: dict[str, Any]) -> None:
    """Its status too, which nobody reads."""
    ModelValidation.from_object(resource, source="p.yaml")


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        (
            document() | {"apiVersion": "ml.sigstore.dev/v1alpha1"},
            "write rhtas.redhat.com/v1alpha1",
        ),
        (document() | {"apiVersion": "ml.sigstore.dev/v1alpha1"}, "`python -m webhook convert`"),
        (document(model={"path": "s3://models/a"}), "spec.model.path: the path must be absolute"),
        (
            document(model={"signaturePath": "gs://m/a.sig"}),
            "spec.model.signaturePath: the path must be absolute",
        ),
        (
            document(model={"ignorePaths": ["/data/cache"]}),
            "spec.model.ignorePaths[0]: the path must be relative",
        ),
        (document(model={"allowSymlinks": True}), "leave it out: the signer has decided it"),
        (
            document(
                config={
                    "sigstoreConfig": KEYLESS["sigstoreConfig"]
                    | {"certificateIdentity": "email:a@example.com"}
                }
            ),
            "begins with 'email:': write the address alone",
        ),
        (
            document(config=KEYLESS | {"clientTrustConfig": {"trustConfigPath": "/t"}}),
            "spec.trust.trustedRoot, with the text of trusted_root.json (the file's field trusted",
        ),
        (document(imagePullPolicy="Always"), "leave it out: the webhook decides it"),
        (
            document(continuousValidation={"enabled": True, "interval": "5m"}),
            "here it is spec.revalidation, with the interval in it",
        ),
    ],
)
def test_fields_of_another_form_are_named_with_ours(resource: dict[str, Any], said: str) -> None:
    """In the sentence that refuses them."""
    with pytest.raises(PolicyError) as caught:
        ModelValidation.from_object(resource, source="p.yaml")
    assert said in str(caught.value)
