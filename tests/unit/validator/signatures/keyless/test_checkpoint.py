"""The log's checkpoint: a signed note that others may have signed, too, which only the log proves.

Rekor v2's tiles are cosigned by witnesses. Their lines may stand anywhere, and none of them counts.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.sigstore.attacks import CHECKPOINT, at, changed
from tests.sigstore.log import b64
from tests.sigstore.private import ALICE
from validator.bundle import parse_bundle
from validator.errors import SignatureError
from validator.limits import DEFAULT
from validator.signatures.keyless import Expected, SigstoreVerifier
from validator.signatures.trusted_root import TrustedRoot

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sigstore import PrivateSigstore
    from validator.signatures import ProvenSigner

WITNESS: Final = f"— witness.example/w1 {b64(b'id-1' + bytes(72))}\n"
ANOTHER: Final = f"— witness.example/w2 {b64(b'id-2' + bytes(72))}\n"


def judged(
    sigstore: PrivateSigstore, rekor: Any, change: Callable[[str, str], tuple[str, str]]
) -> ProvenSigner:
    """Return the signer of a bundle whose checkpoint was changed, by its text and signatures."""

    def edit(note: str) -> str:
        text, _, signatures = note.partition("\n\n")
        return "\n\n".join(change(text, signatures))

    bundle = sigstore.sign_statement(
        b"payload", rekor=rekor, edit=changed(f"{CHECKPOINT}.envelope", edit)
    )
    root = TrustedRoot.from_json(sigstore.trusted_root_json.encode(), source="private")
    expected = Expected(identity=ALICE.name, issuer=ALICE.issuer)
    parsed = parse_bundle(bundle.encode(), limits=DEFAULT)
    signer = SigstoreVerifier(expected, trusted_root=root).verify(
        parsed, now=datetime.now(UTC), allow_legacy=False
    )
    proof = at(json.loads(bundle), CHECKPOINT.removesuffix(".checkpoint"))
    assert signer.signer.log_index == int(proof["logIndex"])
    return signer.signer


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize(
    "change",
    [
        lambda text, logs: (text, WITNESS + logs),
        lambda text, logs: (text, logs + WITNESS),
        lambda text, logs: (text, WITNESS + logs + ANOTHER),
        lambda text, logs: (text, logs + logs),
        lambda text, logs: (text, logs + WITNESS + WITNESS + logs),
    ],
)
def test_others_may_have_signed_it_too(
    private_sigstore: PrivateSigstore,
    rekor: Any,
    change: Callable[[str, str], tuple[str, str]],
) -> None:
    """Witnesses' lines before or after the log's own, and its own twice."""
    assert judged(private_sigstore, rekor, change)


def _without(line: int) -> Callable[[str, str], tuple[str, str]]:
    """Return a change that takes a line of the text away: origin, size or root hash."""

    def change(text: str, signatures: str) -> tuple[str, str]:
        lines = text.split("\n")
        return "\n".join(lines[:line] + lines[line + 1 :]), signatures

    return change


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text, _: (text, WITNESS + ANOTHER), "was not signed by the log"),
        (lambda text, _: (text, ""), "cannot be read"),
        (lambda text, logs: (f"{text}x", logs), ""),
        (lambda text, logs: (f"{text}\nmore", logs), "was not signed by the log"),
        (lambda text, logs: (text, f"{logs}— witness.example/w1 a\n"), "cannot be read"),
        (lambda text, logs: (text, f"{logs}— witness.example/w1 AAAA\n"), "cannot be read"),
        (lambda text, logs: (text, logs[:-1]), "cannot be read"),
        (lambda text, logs: (f"{text}\n\n", logs), "cannot be read"),
        (_without(0), ""),
        (_without(1), ""),
        (_without(2), ""),
    ],
)
def test_without_the_logs_own_word_it_proves_nothing(
    private_sigstore: PrivateSigstore,
    rekor: Any,
    change: Callable[[str, str], tuple[str, str]],
    said: str,
) -> None:
    """However many others have signed it, and whatever is missing."""
    with pytest.raises(SignatureError, match=f"the log's checkpoint .*{said}") as caught:
        judged(private_sigstore, rekor, change)
    assert "the keyless signature does not hold" in str(caught.value)
