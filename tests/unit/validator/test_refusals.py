"""All refusals: each has a documented code, and none repeats a library's words."""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.sigstore.attacks import ATTACKS, CRASHING, Attack
from tests.sigstore.private import ALICE
from tests.support.schema import flaws
from tests.support.signed_model import Signer, Site, statement
from validator import errors
from validator.bundle import Method, parse_bundle
from validator.cli import options, progress
from validator.errors import Refused, ValidatorError
from validator.limits import DEFAULT
from validator.report import Report, Verdict
from validator.signatures import ProvenSigner
from validator.signatures.keyless import Expected, SigstoreVerifier
from validator.signatures.trusted_root import TrustedRoot
from validator.verification import verify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sigstore import PrivateSigstore

ROOT = Path(__file__).resolve().parents[3]
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs/report.schema.json").read_text())

FOREIGN = re.compile(
    r"https?://(errors\.)?pydantic|pydantic|Traceback|\bsigstore\.(?!bundle)|\w+Error\b|\w+Exception\b|"
    r"object has no attribute|<class|0x[0-9a-f]{6}|validation error"
)
"""Words that only a library or the interpreter says."""


def kinds() -> list[type[ValidatorError]]:
    """Return every class of error that leaves the library."""
    found = [item for _, item in inspect.getmembers(errors, inspect.isclass)]
    return [
        kind for kind in found if issubclass(kind, ValidatorError) and kind is not ValidatorError
    ]


def test_each_kind_has_a_code_of_its_own_that_is_documented() -> None:
    """The codes are those of the schema and of the page, one row each."""
    codes = [kind.code for kind in kinds()]
    assert len(set(codes)) == len(codes)
    assert set(codes) == set(SCHEMA["properties"]["code"]["enum"])
    rows = re.findall(r"(?m)^\| `(\w+)` \|", (ROOT / "docs/codes.md").read_text())
    assert sorted(rows) == sorted(codes)


def test_reports_are_as_the_schema_says(site: Site) -> None:
    """A verified one, a refused one, and one with all that can be known."""
    whole = Report(
        verdict=Verdict.VERIFIED,
        model="/m",
        signer=ProvenSigner(
            method=Method.SIGSTORE,
            identity="a",
            issuer="b",
            log_id="00ff",
            log_index=0,
            global_log_index=7,
            signed_at=datetime.now(UTC),
            time_source="SET",
            trusted_root="r",
        ),
        digest="0" * 64,
        statement_digest="f" * 64,
        files=1,
        bytes=2,
        hash="sha256",
        ignored=("x",),
        unsigned=1,
        notes=("n",),
    )
    assert set(whole.as_dict()["signer"]) == set(SCHEMA["properties"]["signer"]["properties"])
    display = progress.choose("none", sys.stderr)
    refused = options.judge(site.request(verifiers=(Signer().verifier,)), display=display)
    assert refused.code == "InvalidSignature"
    for report in (whole, verify(site.request()), refused):
        assert not list(flaws(report.as_dict(), SCHEMA))
    assert list(flaws({"verdict": "maybe", "log_index": "7"}, SCHEMA))


@pytest.mark.parametrize("attack", [*ATTACKS, *CRASHING], ids=str)
def test_no_refusal_of_a_keyless_bundle_speaks_in_a_librarys_words(
    private_sigstore: PrivateSigstore, attack: Attack
) -> None:
    """Whatever the other side lies about."""
    verifier = SigstoreVerifier(
        Expected(identity=ALICE.name, issuer=ALICE.issuer),
        trusted_root=TrustedRoot.from_json(
            private_sigstore.trusted_root_json.encode(), source="private"
        ),
    )
    forged = attack.forge(private_sigstore, json.dumps(statement()).encode())
    with pytest.raises(Refused) as caught:
        verifier.verify(
            parse_bundle(forged.encode(), limits=DEFAULT), now=datetime.now(UTC), allow_legacy=False
        )
    assert not FOREIGN.search(str(caught.value)), caught.value


OURS = {kind.__name__ for kind in kinds()} | {
    "ValidatorError",
    "SomebodyElseError",
    "AmbiguousError",
}


def foreign_handlers() -> Iterator[tuple[str, ast.ExceptHandler]]:
    """Yield each handler of an error that is not ours, in what decides about a model."""
    for path in sorted((ROOT / "validator").rglob("*.py")):
        if "vllm" in path.parts or "cli" in path.parts or "policy" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and node.name and node.type:
                names = {part.id for part in ast.walk(node.type) if isinstance(part, ast.Name)}
                if not names <= OURS:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_no_sentence_repeats_a_foreign_error() -> None:
    """A handler may use what an error says about a place (`strerror`, `lineno`), never its text."""
    found = list(foreign_handlers())
    assert len(found) > 10
    repeats = [
        place
        for place, handler in found
        for raised in ast.walk(handler)
        if isinstance(raised, ast.Raise) and raised.exc
        for part in ast.walk(raised.exc)
        if isinstance(part, ast.FormattedValue)
        and isinstance(part.value, ast.Name)
        and part.value.id == handler.name
    ]
    assert not repeats
