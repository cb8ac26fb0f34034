"""The drafted policy accepts its signature, and says who that accepts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from tests.sigstore.private import ALICE
from tests.support.certificates import LEAF, NOW, Party
from tests.support.signed_model import (
    Document,
    Signer,
    b64,
    legacy_statement,
    resource,
    statement,
    statement_of,
)
from tests.unit.validator.inspection.test_claims import keyless, parsed
from validator.errors import PolicyError, Refused, SignatureError, ValidatorError
from validator.inspection.draft import Anchors, draft
from validator.policy import yaml_documents
from validator.policy.document import ModelValidation
from validator.policy.files import read_policy

if TYPE_CHECKING:
    from tests.sigstore import PrivateSigstore
    from validator.bundle import Bundle

SIGNER = Signer()
BY_KEY = Anchors(public_key=SIGNER.public_pem.decode())


def named(name: str) -> Document:
    """Return a statement over a model of a name."""
    document = statement()
    document["subject"][0]["name"] = name
    return document


def by_key(document: Document) -> Bundle:
    """Return a bundle that the key signed."""
    return parsed(SIGNER.bundle(document))


def test_a_keyless_draft_names_identity_issuer_and_root(private_sigstore: PrivateSigstore) -> None:
    """A private root of trust is in the policy; without it, the signature does not hold."""
    bundle = keyless(private_sigstore, ALICE)
    spec = draft(
        bundle, path=None, anchors=Anchors(trusted_root=private_sigstore.trusted_root_json)
    )["spec"]
    assert spec["config"]["sigstoreConfig"] == {
        "certificateIdentity": ALICE.name,
        "certificateOidcIssuer": ALICE.issuer,
    }
    assert json.loads(spec["trust"]["trustedRoot"])
    with pytest.raises(Refused):
        draft(bundle, path=None, anchors=Anchors())


def test_a_certificate_without_a_name_has_no_draft(private_sigstore: PrivateSigstore) -> None:
    """Nobody could be named in the policy."""
    document = json.loads(private_sigstore.sign_statement(statement()))
    nameless = Party.root().issue("").der
    document["verificationMaterial"]["certificate"]["rawBytes"] = b64(nameless)
    with pytest.raises(SignatureError, match="does not say who signed"):
        draft(parsed(json.dumps(document)), path=None, anchors=Anchors())


def test_a_certificates_draft_names_the_signer_below_the_authority() -> None:
    """Another signer of the authority is not accepted by it."""
    root = Party.root()
    bundle = parsed(root.issue("release").bundle(statement()))
    anchors = Anchors(authorities=root.pem.decode())
    assert draft(bundle, path=None, anchors=anchors, now=NOW)["spec"]["config"]["pkiConfig"] == {
        "certificateAuthorities": root.pem.decode(),
        "certificateIdentity": "CN=release",
    }
    with pytest.raises(PolicyError, match=r"authority's certificate by --certificate-chain"):
        draft(bundle, path=None, anchors=Anchors())
    with pytest.raises(SignatureError):
        draft(bundle, path=None, anchors=Anchors(authorities=Party.root().pem.decode()), now=NOW)


def test_a_name_that_no_policy_can_have_is_passed_over() -> None:
    """Another of the certificate's names stands for it; without one, the signature has no draft."""
    root = Party.root()
    anchors = Anchors(authorities=root.pem.decode())
    long = x509.UniformResourceIdentifier("https://example.com/" + "x" * 1024)

    def drafted(*names: x509.GeneralName) -> Document:
        leaf = root.issue("", replace(LEAF, names=names))
        return draft(parsed(leaf.bundle(statement())), path=None, anchors=anchors, now=NOW)

    config = drafted(long, x509.RFC822Name("a@example.com"))["spec"]["config"]
    assert config["pkiConfig"]["certificateIdentity"] == "a@example.com"
    with pytest.raises(SignatureError, match="no policy can name the signer"):
        drafted(long)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Granite 3.3/2B", "granite-3-3-2b"),
        ("", "model"),
        ("true", "model"),
        ("../../etc", "etc"),
        ("日本", "model"),
        ("x" * 62 + "-y", "x" * 62),
    ],
)
def test_the_name_is_one_that_kubernetes_takes(name: str, expected: str) -> None:
    """Made of the signer's name for the model, which may be anything."""
    document = draft(by_key(named(name)), path=None, anchors=BY_KEY)
    assert document["metadata"] == {"name": expected}
    assert document["spec"]["model"]["path"] == f"/models/{expected}"


def test_a_model_that_is_a_file_has_its_signature_beside_it() -> None:
    """There is no folder that it could lie in."""
    for name in (".", "a.gguf"):
        bundle = by_key(statement_of([resource(name, b"x")]))
        model = draft(bundle, path="/models/a.gguf", anchors=BY_KEY)["spec"]["model"]
        assert (model["path"], model["signaturePath"]) == ("/models/a.gguf", "/models/model.sig")
    model = draft(bundle, path="/models/a", anchors=BY_KEY)["spec"]["model"]
    assert "signaturePath" not in model


def test_a_draft_is_a_policy_when_it_is_read_again() -> None:
    """As YAML, with the key as a block."""
    document = draft(by_key(statement()), path="/m", anchors=BY_KEY)
    text = yaml_documents.dump(document)
    assert "publicKey: |\n" in text
    again = read_policy(text.encode(), source="draft")
    assert again == ModelValidation.from_object(document, source="draft")


@pytest.mark.parametrize(
    ("bundle", "path", "words"),
    [
        (by_key(statement()), "models", "spec.model.path"),
        (by_key(statement()), "/a/../b", "spec.model.path"),
        (by_key(legacy_statement()), None, "before 1.0"),
        (parsed(Signer().bundle(statement())), None, "signed by another key"),
        (parsed(SIGNER.bundle(b"junk")), None, "is not JSON"),
    ],
)
def test_what_no_policy_accepts_has_no_draft(bundle: Bundle, path: str | None, words: str) -> None:
    """The sentence is the one that the verdict would be."""
    with pytest.raises(ValidatorError, match=words):
        draft(bundle, path=path, anchors=BY_KEY)
