"""Every field of a bundle and of a statement, missing, doubled, huge or of another type.

Each of these gets one sentence of ours; none ends in another error, or names a library. What is
accepted all the same decides nothing: the fields are listed here, and the reason with each.
"""

from __future__ import annotations

import copy
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.sigstore.attacks import at
from tests.sigstore.private import ALICE
from tests.support.certificates import NOW, Party
from tests.support.signed_model import PAYLOAD_TYPE, Signer, statement
from validator.bundle import parse_bundle
from validator.errors import ValidatorError
from validator.limits import DEFAULT
from validator.signatures.keyless import Expected, SigstoreVerifier
from validator.signatures.trusted_root import TrustedRoot
from validator.statement import parse_statement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.sigstore import PrivateSigstore

    Judge = Callable[[str], object]

VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    2**70,
    "",
    "x",
    "\ud800",
    "x" * 100_000,
    [],
    [[1]],
    {"other": 1},
)
FOREIGN: Final = re.compile(
    r"Traceback|pydantic|sigstore_models|protobuf|cryptography|OpenSSL|NoneType|None|object at|0x"
    r"|[Uu]nexpected|report it|https?://(?!in-toto.io|model_signing)"
)
"""Words of libraries in a sentence, or of a fault of ours."""

LONGEST: Final = 700
"""Characters of a sentence; what it repeats is bounded."""

HARMLESS: Final = {
    "bundle": {
        # The policy's key decides, and nothing vouches for what the bundle says of it.
        r"verificationMaterial\.publicKey(\.hint|\.other)?",
        # OMS does not use it; null and any text are as good as none.
        r"dsseEnvelope\.signatures\.0\.keyid",
        # Sigstore's fields that a key or a certificate has no use for.
        r"verificationMaterial\.other",
        r"verificationMaterial\.x509CertificateChain(\.certificates(\.0)?)?(\.other)?",
        # One proof of the time is enough: the log's promise, or the timestamp.
        r"verificationMaterial\.tlogEntries\.0\.(integratedTime|inclusionPromise)",
        r"verificationMaterial\.timestampVerificationData(\.rfc3161Timestamps(\.0)?)?",
    },
    "statement": {
        # in-toto has readers ignore what they do not know; OMS 6.5 has them ignore the name.
        r"(subject\.0\.(digest\.)?|predicate\.resources\.\d\.)?other",
        r"subject\.0\.name",
        # Another name or rule is another statement, and as good a one.
        r"predicate\.resources\.\d\.name",
        r"predicate\.serialization\.(allow_symlinks|ignore_paths(\.\d)?)",
    },
}
"""Places whose change may be accepted."""


def places(document: Any, above: str = "") -> Iterator[str]:
    """Yield the path of each value."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for name, value in items:
        place = f"{above}{name}"
        yield place
        if isinstance(value, dict | list):
            yield from places(value, f"{place}.")


def variants(honest: Any) -> Iterator[tuple[str, str]]:
    """Yield a place, and the document's text with that place changed in one way."""
    yield "other", json.dumps({**honest, "other": 1})
    for place in places(honest):
        holder, _, last = place.rpartition(".")
        key: Any = int(last) if last.isdigit() else last
        for value in VALUES:
            changed = copy.deepcopy(honest)
            (at(changed, holder) if holder else changed)[key] = value
            yield place, json.dumps(changed)
        missing = copy.deepcopy(honest)
        found = at(missing, place)
        del (at(missing, holder) if holder else missing)[key]
        yield place, json.dumps(missing)
        if isinstance(found, dict):
            more = copy.deepcopy(honest)
            at(more, place)["other"] = 1
            yield f"{place}.other", json.dumps(more)
        if isinstance(found, list):
            more = copy.deepcopy(honest)
            at(more, place).extend(found * 2)
            yield place, json.dumps(more)
        if isinstance(key, str):
            twice = copy.deepcopy(honest)
            (at(twice, holder) if holder else twice)["\N{BULLET}"] = found
            yield f"{place} twice", json.dumps(twice).replace('"\\u2022"', json.dumps(key))


def check(honest: str, judge: Judge, *, kind: str) -> None:
    """Judge all variants; check each sentence, and that only harmless ones are accepted."""
    judge(honest)
    said = set()
    for place, text in variants(json.loads(honest)):
        try:
            judge(text)
        except ValidatorError as error:
            said.add(str(error))
            continue
        assert any(re.fullmatch(harmless, place) for harmless in HARMLESS[kind]), place
    assert len(said) > 20
    for sentence in said:
        assert not FOREIGN.search(sentence), sentence
        assert sentence.isprintable(), sentence
        assert len(sentence) < LONGEST, sentence


def bundle_judge(verifier: Any, *, now: datetime) -> Judge:
    """Return a judge that reads a bundle and verifies its signature."""

    def judge(text: str) -> object:
        parsed = parse_bundle(text.encode(errors="surrogatepass"), limits=DEFAULT)
        return verifier.verify(parsed, now=now, allow_legacy=False)

    return judge


def test_of_a_bundle_by_key() -> None:
    """Whose verification material has a hint alone."""
    signer = Signer()
    check(signer.bundle(b"{}").decode(), bundle_judge(signer.verifier, now=NOW), kind="bundle")


def test_of_a_bundle_by_certificate() -> None:
    """Whose verification material is a chain."""
    party = Party.root()
    judge = bundle_judge(party.verifier, now=NOW)
    check(party.issue().bundle(b"{}").decode(), judge, kind="bundle")


@pytest.mark.parametrize("rekor", [1, 2])
def test_of_a_keyless_bundle(private_sigstore: PrivateSigstore, rekor: Any) -> None:
    """Whose log entry and timestamp a library reads."""
    raw = private_sigstore.trusted_root_json.encode()
    verifier = SigstoreVerifier(
        Expected(identity=ALICE.name, issuer=ALICE.issuer),
        trusted_root=TrustedRoot.from_json(raw, source="private"),
    )
    bundle = private_sigstore.sign_statement(b"{}", rekor=rekor)
    check(bundle, bundle_judge(verifier, now=datetime.now(UTC)), kind="bundle")


def test_of_a_statement() -> None:
    """Over files, and with ignored paths."""

    def judge(text: str) -> object:
        payload = text.encode(errors="surrogatepass")
        return parse_statement(
            payload, payload_type=PAYLOAD_TYPE, limits=DEFAULT, allow_legacy=False
        )

    check(json.dumps(statement()), judge, kind="statement")
