"""The verifications that a policy asks for."""

from __future__ import annotations

import pytest

from tests.support.cluster_rules import rule
from tests.support.policies import policy_document
from tests.support.signed_model import Signer
from validator.errors import PolicyError, Refused
from validator.from_policy import requests
from validator.policy.cluster_rules.resolution import resolve
from validator.policy.document import ModelValidation


def test_a_workload_opens_only_what_is_verified() -> None:
    """A path in a model is to be covered there; one beside it is refused."""
    key = {"publicKey": Signer().public_pem.decode()}
    made = policy_document(config={"privateKeyConfig": key})
    policy = ModelValidation.from_object(made, source="policy.yaml")
    (request,) = requests(policy, cover=("/models/granite", "/models/granite/a/b"))
    assert request.must_cover == (".", "a/b")
    with pytest.raises(Refused, match="'/models/granite2', which lies in no verified model"):
        requests(policy, cover=("/models/granite2",))


def test_a_root_that_cannot_be_used_is_said_to_be_its_rules() -> None:
    """The policy's own root may be in order."""
    method = {"certificateIdentity": "a@example.com", "certificateOidcIssuer": "https://issuer"}
    bad = rule(config={"sigstoreConfig": method}, trust={"trustedRoot": "{}"})
    policy = resolve(ModelValidation.from_object(policy_document(), source="policy"), [bad])
    with pytest.raises(PolicyError) as caught:
        requests(policy, cover=())
    assert str(caught.value).startswith(
        "ClusterModelValidation 'company': trust: not a Sigstore trusted root"
    )
