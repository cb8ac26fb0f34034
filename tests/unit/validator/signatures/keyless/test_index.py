"""The place in the log: only what is proven is reported, and a claim that is not is refused."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.sigstore.attacks import ENTRY, PROMISE, PROOF, at, changed, without
from tests.sigstore.log import promise
from tests.sigstore.private import ALICE
from validator.bundle import parse_bundle
from validator.errors import SignatureError
from validator.limits import DEFAULT
from validator.signatures.keyless import Expected, SigstoreVerifier
from validator.signatures.trusted_root import TrustedRoot

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sigstore import PrivateSigstore
    from tests.support.signed_model import Document
    from validator.signatures import ProvenSigner

    Judge = Callable[[str], ProvenSigner]


@pytest.fixture
def judge(private_sigstore: PrivateSigstore) -> Judge:
    """Return the signer that a verifier reports of Alice's bundle."""
    raw = private_sigstore.trusted_root_json.encode()
    verifier = SigstoreVerifier(
        Expected(identity=ALICE.name, issuer=ALICE.issuer),
        trusted_root=TrustedRoot.from_json(raw, source="private"),
    )

    def signer(bundle: str) -> ProvenSigner:
        parsed = parse_bundle(bundle.encode(), limits=DEFAULT)
        return verifier.verify(parsed, now=datetime.now(UTC), allow_legacy=False).signer

    return signer


def add(count: int) -> Callable[[Any], Any]:
    """Return a function that adds to a number in text."""
    return lambda number: str(int(number) + count)


@pytest.mark.parametrize("rekor", [1, 2])
def test_index_and_log_of_the_proof_are_reported(
    private_sigstore: PrivateSigstore, judge: Judge, rekor: Any
) -> None:
    """With the time, and what proves it."""
    bundle = private_sigstore.sign_statement(b"payload", rekor=rekor)
    entry = at(json.loads(bundle), ENTRY)
    signer = judge(bundle)
    assert signer.log_index == int(entry["inclusionProof"]["logIndex"])
    log = (
        private_sigstore.log.key.key_id if rekor == 1 else private_sigstore.services.tile_log.log_id
    )
    assert signer.log_id == log.hex()
    assert signer.time_source == ("SET" if rekor == 1 else "RFC 3161")
    assert signer.signed_at
    assert (datetime.now(UTC) - signer.signed_at).total_seconds() < 600


def test_the_index_over_all_trees_is_reported_where_the_promise_proves_it(
    private_sigstore: PrivateSigstore, judge: Judge
) -> None:
    """Rekor v1 counts over several trees: outside of the proof stands another index."""

    def renumbered(entry: Document) -> Document:
        index = int(entry["logIndex"]) + 1_000_000
        set_ = promise(
            private_sigstore.log.key,
            body=base64.b64decode(entry["canonicalizedBody"]),
            when=int(entry["integratedTime"]),
            index=index,
        )
        encoded = base64.b64encode(set_).decode()
        return entry | {
            "logIndex": str(index),
            "inclusionPromise": {"signedEntryTimestamp": encoded},
        }

    bundle = private_sigstore.sign_statement(b"payload", edit=changed(ENTRY, renumbered))
    signer = judge(bundle)
    assert signer.log_index is not None
    assert signer.global_log_index == signer.log_index + 1_000_000


FORGERIES: dict[str, tuple[int, tuple[Callable[[Document], object], ...]]] = {
    "promise dropped, index changed": (
        1,
        (without(PROMISE), changed(f"{ENTRY}.logIndex", add(7))),
    ),
    "promise kept, its time dropped, index changed": (
        1,
        (without(f"{ENTRY}.integratedTime"), changed(f"{ENTRY}.logIndex", add(7))),
    ),
    "Rekor v2, index changed": (2, (changed(f"{ENTRY}.logIndex", add(7)),)),
    "Rekor v2, both indexes changed": (
        2,
        (changed(f"{ENTRY}.logIndex", add(1)), changed(f"{PROOF}.logIndex", add(1))),
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_an_index_that_is_not_proven_is_refused(
    private_sigstore: PrivateSigstore, judge: Judge, forgery: str
) -> None:
    """A report must not have an unsigned number."""
    rekor, edits = FORGERIES[forgery]
    version: Any = rekor
    bundle = private_sigstore.sign_statement(
        b"payload", rekor=version, edit=lambda made: [edit(made) for edit in edits]
    )
    with pytest.raises(SignatureError):
        judge(bundle)


def test_a_proof_in_a_tree_of_another_size_is_refused(
    private_sigstore: PrivateSigstore, judge: Judge
) -> None:
    """The last of six leaves and the last of seven may have proofs of one shape."""

    def shifted(entry: Document) -> Document:
        proof = entry["inclusionProof"]
        size = int(proof["treeSize"])
        ones = (size - 1).bit_count()
        other = next(n for n in range(size + 1, 4 * size) if (n - 1).bit_count() == ones)
        moved = proof | {"treeSize": str(other), "logIndex": str(other - 1)}
        return entry | {"inclusionProof": moved, "logIndex": str(other - 1)}

    honest = private_sigstore.sign_statement(b"payload", rekor=2)
    assert judge(honest).log_index is not None
    bundle = private_sigstore.sign_statement(b"payload", rekor=2, edit=changed(ENTRY, shifted))
    with pytest.raises(SignatureError, match="and the log signed another size"):
        judge(bundle)
