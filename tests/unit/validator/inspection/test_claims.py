"""The claims of a bundle, under their published schema."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.sigstore.authority import Identity
from tests.support.certificates import DAY, LEAF, NOW, Party, Profile, material
from tests.support.schema import flaws
from tests.support.signed_model import Signer, sharded, statement, statement_of
from validator.bundle import Bundle, parse_bundle
from validator.inspection.claims import claims
from validator.limits import DEFAULT

if TYPE_CHECKING:
    from tests.sigstore import PrivateSigstore

ROOT = Path(__file__).resolve().parents[4]
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs/inspect.schema.json").read_text())

WORKFLOW = "https://github.com/team/granite/.github/workflows/sign.yaml@refs/heads/main"
ACTION = Identity(
    WORKFLOW,
    claims={
        2: "push",
        5: "team/granite",
        12: "https://github.com/team/granite",
        21: "https://github.com/team/granite/actions/runs/1",
    },
)


def parsed(raw: bytes | str) -> Bundle:
    """Return a bundle from its text."""
    return parse_bundle(raw.encode() if isinstance(raw, str) else raw, limits=DEFAULT)


def keyless(sigstore: PrivateSigstore, identity: Identity) -> Bundle:
    """Return a bundle that somebody signed keylessly."""
    return parsed(sigstore.sign_statement(statement(), identity=identity))


def test_all_claims_are_as_the_schema_says(private_sigstore: PrivateSigstore) -> None:
    """Of each method, with and without the files, and of statements that are none."""
    shards = statement_of(sharded("a", b"a" * 5, 2), method="shards", shard_size=2)
    bundles = [
        parsed(Signer().bundle(shards)),
        parsed(Signer().bundle(b"junk")),
        parsed(Party.root().issue().bundle(statement(ignore_paths=["x"]), Party.root())),
        keyless(private_sigstore, ACTION),
    ]
    for bundle in bundles:
        for files in (False, True):
            assert not list(flaws(claims(bundle, files=files), SCHEMA))


def test_a_keyless_bundle_says_who_when_and_where(private_sigstore: PrivateSigstore) -> None:
    """Identity, issuer, workflow, time with its source, log and certificate."""
    found = claims(keyless(private_sigstore, ACTION), files=False)
    assert found["verified"] is False
    assert found["identity"] == [WORKFLOW]
    assert found["workflow"] == {
        "trigger": "push",
        "repository": "team/granite",
        "sourceRepositoryUri": "https://github.com/team/granite",
        "runInvocationUri": "https://github.com/team/granite/actions/runs/1",
    }
    assert found["timeSource"] == "SET"
    (certificate,) = found["certificates"]
    assert certificate["key"] == "ECDSA secp256r1"
    assert certificate["names"] == [WORKFLOW]


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (LEAF, ""),
        (replace(LEAF, ends=-DAY / 2), "expired on"),
        (replace(LEAF, usage=("content_commitment",)), "lacks digitalSignature"),
        (replace(LEAF, purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)), "lacks codeSigning"),
    ],
)
def test_a_certificate_that_no_policy_can_accept_is_said(profile: Profile, words: str) -> None:
    """Beside what it says, since the sentence alone would not tell whose it is."""
    bundle = parsed(Party.root().issue(profile=profile).bundle(statement()))
    found = claims(bundle, files=False, now=NOW)
    assert found["certificates"]
    assert [words in said for said in found.get("refused", ())] == ([True] if words else [])


def test_a_certificates_key_of_another_kind_is_said() -> None:
    """No policy accepts it either."""
    root = Party.root()
    rsa_signer = root.issue(key=rsa.generate_private_key(65537, 2048))
    bundle = parsed(
        root.issue().bundle(
            statement(), edit=lambda made: made.update(verificationMaterial=material(rsa_signer))
        )
    )
    (said,) = claims(bundle, files=False, now=NOW)["refused"]
    assert said.startswith("the signer is not acceptable: a key of type RSA cannot verify a model")


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"junk", "the statement is not acceptable: the signed statement is not JSON"),
        (b"{}", "the statement is not acceptable: the signed payload is not an in-toto"),
    ],
)
def test_what_no_policy_can_accept_is_said(payload: bytes, words: str) -> None:
    """Beside what can be read."""
    found = claims(parsed(Signer().bundle(payload)), files=True)
    assert found["keyHint"]
    (refused,) = found["refused"]
    assert refused.startswith(words)
