from __future__ import annotations

import hashlib
import json
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes.tuf_repository import tuf_repository
from validator.errors import PolicyError, Undecided
from validator.signatures import trusted_root
from validator.signatures.trusted_root import PRODUCTION_URL, STAGING_URL, TrustedRoot

if TYPE_CHECKING:
    from tests.sigstore import PrivateSigstore

NOW = datetime(2026, 11, 23, tzinfo=UTC)
MEDIA_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"


def root_of(*starts: object) -> TrustedRoot:
    """Return a root whose keys are valid from these dates on."""
    document = {
        "mediaType": MEDIA_TYPE,
        "tlogs": [{"publicKey": {"validFor": {"start": start}}} for start in starts],
    }
    return TrustedRoot.from_json(json.dumps(document).encode(), source="test")


@pytest.mark.parametrize("url", [PRODUCTION_URL, STAGING_URL])
def test_the_public_roots_come_with_the_installation(url: str) -> None:
    """Both are read as package data, without a network or a home directory."""
    root = TrustedRoot.packaged(url)
    assert root.newest
    assert root.newest.year >= 2021
    assert root.digest == hashlib.sha256(root.raw).hexdigest()


def test_production_and_staging_are_two() -> None:
    """The staging root never stands for production's."""
    assert TrustedRoot.packaged().raw == TrustedRoot.packaged(PRODUCTION_URL).raw
    assert TrustedRoot.packaged().raw != TrustedRoot.packaged(STAGING_URL).raw


def test_an_unknown_instance_has_no_packaged_root() -> None:
    """Without a packaged root for the instance, there is no verdict."""
    with pytest.raises(Undecided, match=r"carries no trusted_root\.json for https://other"):
        TrustedRoot.packaged("https://other.example")


def test_a_client_configuration_carries_its_root(private_sigstore: PrivateSigstore) -> None:
    """The file for `model_signing --trust_config` is accepted here, too."""
    config = TrustedRoot.from_json(private_sigstore.trust_config_path.read_bytes(), source="x")
    root = TrustedRoot.from_json(private_sigstore.trusted_root_json.encode(), source="x")
    assert json.loads(config.raw) == json.loads(root.raw)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"[]", "mediaType is 'null'"),
        (b"{}", "mediaType is 'null'"),
        (b'{"mediaType": 5}', "mediaType is '5'"),
        (b'{"mediaType": "a", "mediaType": "b"}', "stands twice"),
        (b'{"trustedRoot": {}}', "mediaType is 'null'"),
        (b'{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}', "bundle.v0.3"),
        (b"[" * 9_000 + b"]" * 9_000, "nested deeper than 32 levels"),
    ],
)
def test_what_is_no_root_is_the_policys_mistake(raw: bytes, said: str) -> None:
    """The sentence says which file, and what it is instead."""
    with pytest.raises(PolicyError, match=rf"root\.json: .*{said}"):
        TrustedRoot.from_json(raw, source="root.json")


def test_the_age_is_that_of_the_newest_entry() -> None:
    """The root cannot know keys that are younger than its newest one."""
    root = root_of("2024-01-01T00:00:00Z", "2026-08-23T00:00:00Z", "2025-01-01T00:00:00")
    assert root.describe(now=NOW) == (
        f"sha256:{root.digest[:16]} (test, newest entry of 2026-08-23, 3 months old)"
    )


@pytest.mark.parametrize("start", ["yesterday", 5, None, "", "99999-01-01"])
def test_dates_that_are_none_are_left_out(start: object) -> None:
    """A root without a readable date has no age, and says nothing of it."""
    assert root_of(start).newest is None
    assert "months" not in root_of(start).describe(now=NOW)


def test_a_root_of_tomorrow_is_not_younger_than_new() -> None:
    """No sentence speaks of minus one month."""
    assert "0 months old" in root_of("2027-01-01T00:00:00Z").describe(now=NOW)


def test_a_root_that_cannot_be_fetched_is_no_verdict(tmp_path: Path) -> None:
    """If the repository does not answer, the sentence has the way without the network."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        initial = trusted_root._packaged_file(PRODUCTION_URL, "root.json")
        with pytest.raises(
            Undecided,
            match=f"fetched from {url}: connection refused: is there a network, .*without --online",
        ):
            TrustedRoot.fetched(url, root=initial)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("initial", [b"", b"{}", b'{"signed": {}, "signatures": []}'])
def test_an_initial_root_that_is_none_is_no_verdict(initial: bytes) -> None:
    """Without a root to begin with, nothing that a repository serves can be believed."""
    with pytest.raises(Undecided, match="cannot be fetched"):
        TrustedRoot.fetched("http://127.0.0.1:9", root=initial)


def test_nothing_below_home_is_read_or_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edited cache in the home directory changes nothing: it is not read."""
    monkeypatch.setenv("HOME", str(tmp_path))
    TrustedRoot.packaged()
    assert not list(Path(tmp_path).iterdir())


def test_a_root_is_fetched_from_a_repository(tmp_path: Path) -> None:
    """It is verified from the initial root.json on."""
    raw = root_of("2026-08-23T00:00:00Z").raw
    with tuf_repository(tmp_path, targets={"trusted_root.json": raw}) as (url, initial):
        assert TrustedRoot.fetched(url, root=initial).raw == raw


@pytest.mark.parametrize(
    "targets",
    [{}, {"other.json": b"{}"}, {"trusted_root.json": b" " * (trusted_root._FETCH_LIMIT + 1)}],
    ids=["none", "another", "too large"],
)
def test_a_repository_without_a_usable_root_is_no_verdict(
    tmp_path: Path, targets: dict[str, bytes]
) -> None:
    """Its metadata verify, and what was looked for is not there, or larger than is read."""
    with (
        tuf_repository(tmp_path, targets=targets) as (url, initial),
        pytest.raises(Undecided, match=f"{url} offers no usable trusted_root.json"),
    ):
        TrustedRoot.fetched(url, root=initial)
