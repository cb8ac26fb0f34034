from __future__ import annotations

import errno
import json
import os
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validator.bundle import Method
from validator.contract import TERMINATION_MESSAGE_LIMIT
from validator.report import Report, Verdict, short_message, termination_message
from validator.signatures import ProvenSigner
from validator.text import QUOTE_LIMIT, printable, quoted, size, unreadable

SIGNER = ProvenSigner(
    method=Method.SIGSTORE,
    identity="alice@example.com",
    issuer="https://issuer",
    log_index=7,
    signed_at=datetime(2026, 11, 23, 12, 30, tzinfo=UTC),
    trusted_root="sha256:abc (shipped, 3 months old)",
)
VERIFIED = Report(
    verdict=Verdict.VERIFIED,
    model="/models/granite",
    signer=SIGNER,
    digest="0" * 64,
    statement_digest="1" * 64,
    files=3,
    bytes=5 * 1024**3,
    hash="sha256",
    ignored=(".git",),
    unsigned=2,
    notes=("a note",),
    advice="sign in shards",
    seconds=2.0,
)
REFUSED = Report(
    verdict=Verdict.REFUSED,
    model="/models/granite",
    reason="the model is not the signed one: 'a' is signed and missing (and 1 more)",
    mismatches=("'a' is signed and missing", "'b' is not signed"),
)


def test_the_text_says_who_what_and_how_fast() -> None:
    """People find the words they know, and everything that a verdict rests on."""
    assert VERIFIED.as_text().splitlines() == [
        "Verification succeeded: /models/granite",
        "  3 files, 5.0 GiB, sha256",
        "  verified in 2.00 s (2.5 GiB/s)",
        "  signer: alice@example.com (sigstore)",
        "  issuer: https://issuer",
        "  signed at: 2026-11-23 12:30 UTC",
        "  log index: 7",
        "  trusted root: sha256:abc (shipped, 3 months old)",
        f"  digest: sha256:{'0' * 64}",
        f"  statement digest: statement:sha256:{'1' * 64}",
        "  not covered: .git",
        "  unsigned files let pass: 2",
        "  note: a note",
        "  advice: sign in shards",
    ]


def test_a_refusal_says_why_and_lists_every_file() -> None:
    """The reason first, then one line for each file."""
    assert REFUSED.as_text().splitlines() == [
        f"Verification failed: {REFUSED.reason}",
        "  'a' is signed and missing",
        "  'b' is not signed",
    ]


def test_json_says_the_same_to_programs() -> None:
    """Unknown values are left out; the verdict is always there."""
    document = VERIFIED.as_dict()
    assert document["verdict"] == "verified"
    assert document["digest"] == f"sha256:{'0' * 64}"
    assert document["signer"]["signedAt"] == "2026-11-23T12:30:00+00:00"
    assert document["signer"]["logIndex"] == 7
    assert "reason" not in document
    assert json.loads(json.dumps(document)) == document
    assert Report(verdict=Verdict.UNDECIDED, model="").as_dict() == {"verdict": "undecided"}


def test_the_first_entry_of_a_log_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Index 0 is an index."""
    report = Report(
        verdict=Verdict.VERIFIED,
        model="m",
        signer=ProvenSigner(method=Method.SIGSTORE, identity="a", log_index=0),
    )
    assert report.as_dict()["signer"]["logIndex"] == 0
    assert "log index: 0" in report.as_text()
    assert not capsys.readouterr().out


def test_nothing_foreign_writes_a_line_or_moves_the_cursor() -> None:
    """Names from the model and the certificate are escaped, wherever they stand."""
    hostile = "x\nVerification succeeded\x1b[2J\u202e\u2028"
    report = Report(
        verdict=Verdict.REFUSED,
        model=hostile,
        reason=hostile,
        mismatches=(hostile,),
        signer=ProvenSigner(method=Method.KEY, identity=hostile, issuer=hostile),
        ignored=(hostile,),
        notes=(hostile,),
    )
    lines = report.as_text().split("\n")
    assert not any(line.startswith("Verification succeeded") for line in lines)
    assert "".join(lines).isprintable()


SENTENCES = st.text(max_size=2000)


@given(
    reasons=st.lists(SENTENCES, min_size=1, max_size=8),
    names=st.lists(SENTENCES, max_size=40),
    policy=st.text(max_size=500),
)
@settings(max_examples=60, deadline=None)
def test_a_termination_message_always_fits(
    reasons: list[str], names: list[str], policy: str
) -> None:
    """Whatever the model's files are called, the kubelet keeps the whole JSON."""
    reports = tuple(
        Report(
            verdict=Verdict.REFUSED,
            model="\U0001f600" * 200,
            reason=reason,
            mismatches=tuple(names),
            ignored=tuple(names),
            notes=tuple(names),
        )
        for reason in reasons
    )
    message = termination_message(reports, context={"policy": policy})
    assert len(message) <= TERMINATION_MESSAGE_LIMIT
    assert "refused" in json.dumps(json.loads(message))


@pytest.mark.parametrize(
    "character", ["x", '"', "\\", "\x00", "ü", "\u2028", "\U0001f600", "\ud800"]
)
def test_the_longest_reason_fits(character: str) -> None:
    """Twelve bytes for a character are the most that JSON takes."""
    message = short_message(Verdict.REFUSED, character * 10_000)
    assert len(message) <= TERMINATION_MESSAGE_LIMIT
    assert json.loads(message)["reason"].startswith(character)


def many(count: int) -> Report:
    """Return a refusal with many mismatches."""
    return Report(
        verdict=Verdict.REFUSED,
        model="/m",
        reason="why",
        mismatches=tuple(f"'file-{n}' is not signed" for n in range(count)),
    )


def test_lists_are_shortened_before_the_reason() -> None:
    """As much as fits is said; verdict, policy and reason stay longest."""

    def shown(*reports: Report) -> Any:
        return json.loads(termination_message(reports, context={"policy": "p"}))

    assert len(shown(many(50))["models"][0]["mismatches"]) == 50
    assert len(shown(many(500))["models"][0]["mismatches"]) == 20
    assert len(shown(*[many(500)] * 8)["models"][0]["mismatches"]) == 5
    assert shown(many(500))["policy"] == "p"


def test_the_worst_verdict_is_what_remains() -> None:
    """If the message is too short for all, it keeps the refusal and drops models that verified."""
    long = "x" * 3000
    good = Report(verdict=Verdict.VERIFIED, model=long)
    bad = Report(verdict=Verdict.REFUSED, model=long, reason="not signed")
    message = json.loads(termination_message((good, bad, good), context={}))
    assert message == {"verdict": "refused", "reason": "not signed"}


def test_the_sentence_comes_first() -> None:
    """`kubectl describe` shows the message as one line: what decides is at its beginning."""
    undecided = Report(verdict=Verdict.UNDECIDED, model="/m", reason="unreadable")
    message = termination_message((VERIFIED, undecided, REFUSED), context={"policy": "p"})
    start = json.dumps({"verdict": "refused", "reason": REFUSED.reason}, separators=(",", ":"))
    assert message.decode().startswith(start.removesuffix("}"))
    message = termination_message((VERIFIED, undecided), context={"policy": "p"})
    assert message.startswith(b'{"verdict":"undecided","reason":"unreadable","policy":"p"')
    assert termination_message((VERIFIED,), context={}).startswith(
        b'{"verdict":"verified","models"'
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain name.txt", "plain name.txt"),
        ("ü日本", "ü日本"),
        ("a\nb", r"a\nb"),
        ("\x1b[0m", r"\x1b[0m"),
        ("\x7f\x85\xa0\xad", r"\x7f\x85\xa0\xad"),
        ("\u200b\u200e\u061c\ufeff", r"\u200b\u200e\u061c\ufeff"),
        (
            "\u2028\u2029\u202a\u202e\u2060\u2066\u2069",
            r"\u2028\u2029\u202a\u202e\u2060\u2066\u2069",
        ),
        ("\udcff\ue000", r"\udcff\ue000"),
        ("\U0001f600\U000e0001", r"\U0001f600\U000e0001"),
    ],
)
def test_what_a_reader_cannot_see_is_escaped(text: str, shown: str) -> None:
    """Once; twice changes nothing."""
    assert printable(text) == shown
    assert printable(shown) == shown
    assert quoted(text) == f"'{shown}'"


def test_foreign_text_is_bounded() -> None:
    """A name of megabytes does not fill a log."""
    assert quoted("x" * 10_000) == f"'{'x' * QUOTE_LIMIT}…'"
    assert quoted(5) == "'5'"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1024**4, "1.0 TiB"),
        (3 * 2**50, "3072.0 TiB"),
    ],
)
def test_sizes_are_written_in_powers_of_1024(count: int, text: str) -> None:
    """The unit says which."""
    assert size(count) == text


@pytest.mark.parametrize(
    ("number", "user", "sentence"),
    [
        (errno.EACCES, 1001, "'a' cannot be read: Permission denied: let user 1001 read it"),
        (errno.EIO, 1001, "'a' cannot be read: Input/output error"),
        (
            errno.EACCES,
            0,
            "'a' cannot be read: Permission denied: let user 0, also without capabilities, read it",
        ),
    ],
)
def test_where_permission_is_missing_it_is_said_to_whom(
    monkeypatch: pytest.MonkeyPatch, number: int, user: int, sentence: str
) -> None:
    """A gate has the workload's user, and root in a gate has none of root's privileges."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert unreadable("'a'", OSError(number, os.strerror(number))) == sentence
