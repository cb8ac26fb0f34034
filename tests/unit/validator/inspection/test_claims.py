"""The claims of a bundle, under their published schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.sigstore.authority import Identity
from tests.support.certificates import Party
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
