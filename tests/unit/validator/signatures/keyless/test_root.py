"""Retired and unknown keys: each must be in the root, and in use when the signature was made."""

from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.sigstore.attacks import CERTIFICATE, ENTRY, PROMISE, STAMPS, at, put, without
from tests.sigstore.authority import Authority
from tests.sigstore.keys import LogKey
from tests.sigstore.log import Log
from tests.sigstore.private import ALICE
from tests.sigstore.timestamps import TimestampAuthority
from validator.bundle import parse_bundle
from validator.errors import SignatureError, Undecided
from validator.limits import DEFAULT
from validator.signatures.keyless import (
    Claims,
    Expected,
    SigstoreVerifier,
    identities,
    issuers,
)
from validator.signatures.keyless.root import _retired
from validator.signatures.trusted_root import TrustedRoot

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sigstore import PrivateSigstore
    from tests.support.signed_model import Document
    from validator.signatures import Signed

HOUR = timedelta(hours=1)

PERIODS = {
    "certificateAuthorities.0": "certificate authority 'CN=private.sigstore.test",
    "tlogs.0.publicKey": "transparency log 'http",
    "ctlogs.0.publicKey": "certificate transparency log 'http",
}
"""Places of `validFor` in the trusted root, and how a sentence names the service."""


def judged(sigstore: PrivateSigstore, bundle: str, *edits: Callable[[Document], object]) -> Signed:
    """Return what a verifier says of Alice's bundle on an edited trusted root."""
    root = json.loads(sigstore.trusted_root_json)
    for edit in edits:
        edit(root)
    trusted = TrustedRoot.from_json(json.dumps(root).encode(), source="private")
    verifier = SigstoreVerifier(
        Expected(identity=ALICE.name, issuer=ALICE.issuer), trusted_root=trusted
    )
    return verifier.verify(
        parse_bundle(bundle.encode(), limits=DEFAULT), now=datetime.now(UTC), allow_legacy=False
    )


def refused(sigstore: PrivateSigstore, bundle: str, *edits: Callable[[Document], object]) -> str:
    """Return the sentence of the refusal."""
    with pytest.raises(SignatureError) as caught:
        judged(sigstore, bundle, *edits)
    return str(caught.value)


def valid(place: str, **ages: timedelta) -> Callable[[Document], object]:
    """Set a period of the root; `start` and `end` are before now."""
    period = {name: f"{datetime.now(UTC) - age:%Y-%m-%dT%H:%M:%SZ}" for name, age in ages.items()}

    def edit(root: Document) -> None:
        at(root, place)["validFor"] = period

    return edit


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize("place", PERIODS)
def test_a_retired_key_is_not_believed(
    private_sigstore: PrivateSigstore, place: str, rekor: Any
) -> None:
    """A period that ended before the signature is how a root takes a key away."""
    bundle = private_sigstore.sign_statement(b"payload", rekor=rekor)
    used = place.replace("tlogs.0", f"tlogs.{rekor - 1}") if place.startswith("tlogs") else place
    judged(private_sigstore, bundle, valid(used, start=9 * HOUR))
    judged(private_sigstore, bundle, valid(used, start=9 * HOUR, end=-HOUR))
    for ages in ({"start": 9 * HOUR, "end": HOUR}, {"start": -HOUR}):
        said = refused(private_sigstore, bundle, valid(used, **ages))
        assert said.startswith(f"the {PERIODS[place]}")
        assert "was in use from" in said
        assert said.endswith("sign again, or update the validator, or name the right root")


def test_a_time_that_log_and_timestamp_agree_on_is_said_once() -> None:
    """Two proofs of one minute are one time for a person."""
    times = [datetime(2026, 1, 2, 3, 4, second, tzinfo=UTC) for second in (5, 6)]
    said = str(_retired("log", None, times))
    assert "and the signature is of 2026-01-02 03:04 UTC: sign again" in said
    later = datetime(2026, 1, 2, 4, 4, tzinfo=UTC)
    assert "03:04 UTC, 2026-01-02 04:04 UTC: " in str(_retired("log", None, [*times, later]))


@pytest.mark.parametrize("rekor", [1, 2])
def test_a_retired_timestamp_authority_gives_no_time(
    private_sigstore: PrivateSigstore, rekor: Any
) -> None:
    """Without another proof, the time of the signature is not proven."""
    bundle = private_sigstore.sign_statement(
        b"payload", rekor=rekor, edit=without(PROMISE) if rekor == 1 else None
    )
    judged(private_sigstore, bundle)
    for ages in ({"start": 9 * HOUR, "end": HOUR}, {"start": -HOUR}):
        said = refused(private_sigstore, bundle, valid("timestampAuthorities.0", **ages))
        assert "no timestamp over it is of an authority that was in use at its time" in said


@pytest.mark.parametrize("place", [*PERIODS, "timestampAuthorities.0"])
def test_the_first_and_the_last_moment_of_a_period_belong_to_it(
    private_sigstore: PrivateSigstore, place: str
) -> None:
    """Sigstore's periods are closed: what was signed at the moment of the end counts."""
    bundle = private_sigstore.sign_statement(b"payload", rekor=2)
    claims = Claims.of(parse_bundle(bundle.encode(), limits=DEFAULT))
    (signed,) = claims.stamped_at
    moment = claims.certified_at if place.startswith("ctlogs") else signed
    assert moment
    used = place.replace("tlogs.0", "tlogs.1") if place.startswith("tlogs") else place

    def lasting(start: timedelta, end: timedelta) -> Callable[[Document], object]:
        period = {"start": (moment + start).isoformat(), "end": (moment + end).isoformat()}
        return put(f"{used}.validFor", period)

    second = timedelta(seconds=1)
    assert judged(private_sigstore, bundle, lasting(0 * second, 0 * second))
    for start, end in ((second, HOUR), (-HOUR, -second)):
        assert "in use" in refused(private_sigstore, bundle, lasting(start, end))


@pytest.mark.parametrize("place", [*PERIODS, "timestampAuthorities.0"])
@pytest.mark.parametrize(
    "period",
    [
        {"start": "2020-01-01T00:00:00"},
        {"start": "2020-01-01T00:00:00Z", "end": "2999-01-01T00:00"},
        {},
        {"end": "2999-01-01T00:00:00Z"},
        {"start": None},
        {"start": 1577836800},
    ],
)
def test_a_period_that_cannot_be_read_is_the_roots_fault(
    private_sigstore: PrivateSigstore, place: str, period: Document
) -> None:
    """Without a zone it could be read in two ways; without a start it is none."""
    bundle = private_sigstore.sign_statement(b"payload")
    with pytest.raises(Undecided, match="cannot be used: it is not a trusted root that this"):
        judged(private_sigstore, bundle, put(f"{place}.validFor", period))


def test_a_period_may_end_with_all_calendars(private_sigstore: PrivateSigstore) -> None:
    """The last moment that there is has none after it."""
    bundle = private_sigstore.sign_statement(b"payload", rekor=2)
    period = {"start": "0001-01-01T00:00:00Z", "end": "9999-12-31T23:59:59.999999Z"}
    for place in ("certificateAuthorities.0", "tlogs.1.publicKey", "timestampAuthorities.0"):
        assert judged(private_sigstore, bundle, put(f"{place}.validFor", period))


@pytest.mark.parametrize("version", ["+json;version=0.1", ".v0.2+json"])
def test_a_root_may_be_of_either_version(private_sigstore: PrivateSigstore, version: str) -> None:
    """Sigstore names its form 0.2 today; sigstore-python knows the name of the former only."""
    bundle = private_sigstore.sign_statement(b"payload")
    media_type = f"application/vnd.dev.sigstore.trustedroot{version}"
    assert judged(private_sigstore, bundle, put("mediaType", media_type))


@pytest.mark.parametrize(
    "edit",
    [
        put("mediaType", "application/vnd.dev.sigstore.trustedroot.v9.9+json"),
        put("tlogs.0.publicKey.keyDetails", "PKIX_OF_THE_FUTURE"),
        lambda root: root["tlogs"][0].update(ofTheFuture="x"),
    ],
)
def test_a_root_of_the_future_is_not_called_a_forgery(
    private_sigstore: PrivateSigstore, edit: Callable[[Document], object]
) -> None:
    """Nothing is known of the signature, and a newer validator may know more."""
    bundle = private_sigstore.sign_statement(b"payload")
    with pytest.raises(Undecided, match="or update the validator if the root is newer"):
        judged(private_sigstore, bundle, edit)


def test_an_earlier_period_of_the_same_service_does_not_stand_in_the_way(
    private_sigstore: PrivateSigstore,
) -> None:
    """Roots list a renewed authority twice; the one that was in use counts."""

    def twice(root: Document) -> None:
        for place in ("tlogs", "ctlogs", "certificateAuthorities"):
            root[place].append(json.loads(json.dumps(root[place][0])))

    bundle = private_sigstore.sign_statement(b"payload")
    ended = [valid(place, start=9 * HOUR, end=HOUR) for place in PERIODS]
    assert judged(private_sigstore, bundle, twice, *ended)


def test_a_log_is_not_verified_by_another_logs_key(private_sigstore: PrivateSigstore) -> None:
    """The id in the report is that of the log whose key signed the checkpoint."""

    def renamed(root: Document) -> None:
        root["tlogs"][0]["logId"] = root["tlogs"][1]["logId"]
        root["tlogs"].pop(1)

    bundle = private_sigstore.sign_statement(b"payload", rekor=2)
    assert refused(private_sigstore, bundle, renamed) == (
        "the keyless signature does not hold: the log's checkpoint was not signed by the log"
    )


UNKNOWN: dict[str, tuple[Callable[[PrivateSigstore], str], str]] = {
    "log": (
        lambda private: private.sign_statement(b"payload", log=Log.new()),
        "recorded in a transparency log that",
    ),
    "CT log": (
        lambda private: private.sign_statement(
            b"payload", authority=replace(private.authority, ct_log=LogKey.new())
        ),
        "recorded in a certificate transparency log that",
    ),
    "authority": (
        lambda private: private.sign_statement(
            b"payload",
            authority=replace(
                Authority.new(organization="elsewhere"), ct_log=private.authority.ct_log
            ),
        ),
        "issued by 'CN=elsewhere intermediate,O=elsewhere', an authority that",
    ),
    "timestamp authority": (
        lambda private: private.sign_statement(
            b"payload", timestamps=TimestampAuthority.new(), edit=without(PROMISE)
        ),
        "timestamped by an authority that",
    ),
}


@pytest.mark.parametrize("service", UNKNOWN)
def test_an_unknown_service_is_not_called_a_forgery(
    private_sigstore: PrivateSigstore, service: str
) -> None:
    """An outdated root is another fault than a lie: the sentence says how old it is."""
    forge, said = UNKNOWN[service]
    sentence = refused(private_sigstore, forge(private_sigstore))
    assert said in sentence
    assert "months old) does not know: update the validator, or name the right root" in sentence


def test_without_any_known_timestamp_authority(private_sigstore: PrivateSigstore) -> None:
    """A root that names none does not know the bundle's."""
    bundle = private_sigstore.sign_statement(b"payload", rekor=2)
    sentence = refused(private_sigstore, bundle, lambda root: root.update(timestampAuthorities=[]))
    assert "timestamped by an authority that the trusted root" in sentence


@pytest.mark.parametrize("place", ["tlogs", "ctlogs", "certificateAuthorities"])
def test_a_root_without_a_service_decides_nothing(
    private_sigstore: PrivateSigstore, place: str
) -> None:
    """Whichever is missing, it is the root's fault and not the signature's."""
    bundle = private_sigstore.sign_statement(b"payload")
    with pytest.raises(Undecided, match="cannot be used: it names no"):
        judged(private_sigstore, bundle, lambda root: root.update({place: []}))


@pytest.mark.parametrize("place", ["certificateAuthorities", "timestampAuthorities"])
def test_an_authority_without_certificates_is_the_roots_fault(
    private_sigstore: PrivateSigstore, place: str
) -> None:
    """Nothing can be said of the signature."""
    bundle = private_sigstore.sign_statement(b"payload", rekor=2)
    with pytest.raises(Undecided, match="cannot be used: it is not a trusted root"):
        judged(private_sigstore, bundle, put(f"{place}.0.certChain.certificates", []))


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (without(f"{ENTRY}.logId"), "logId.keyId is not base64"),
        (
            lambda bundle: at(bundle, ENTRY).update(more=1),
            "0.more' is unknown to Sigstore's bundles",
        ),
        (without(f"{ENTRY}.logIndex"), "0.logIndex' is missing"),
        (lambda bundle: at(bundle, ENTRY).update(logIndex="x"), "0.logIndex' is malformed"),
        (lambda bundle: at(bundle, CERTIFICATE).update(rawBytes="\ud800"), "content is malformed"),
        (without(f"{ENTRY}.kindVersion"), "not supported, a nameless one"),
        (lambda bundle: at(bundle, ENTRY)["logId"].update(keyId="%"), "logId.keyId is not base64"),
        (
            lambda bundle: at(bundle, ENTRY)["kindVersion"].update(kind="intoto", version="0.0.2"),
            "not supported, 'intoto/0.0.2': sign again, so that it is one of dsse/0.0.1, hash",
        ),
        (
            lambda bundle: at(bundle, STAMPS)["rfc3161Timestamps"].append(
                {"signedTimestamp": "AAAA"}
            ),
            "its timestamp cannot be read",
        ),
    ],
)
def test_a_malformed_entry_is_named(
    private_sigstore: PrivateSigstore, edit: Callable[[Document], object], said: str
) -> None:
    """The sentence names the field, and no library."""
    assert said in refused(private_sigstore, private_sigstore.sign_statement(b"payload", edit=edit))


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize(
    ("place", "step"),
    [(f"{CERTIFICATE}.rawBytes", 3), (f"{STAMPS}.rfc3161Timestamps.0.signedTimestamp", 7)],
)
def test_a_damaged_certificate_or_timestamp_never_ends_in_another_error(
    private_sigstore: PrivateSigstore, place: str, step: int
) -> None:
    """Whichever byte is damaged, the answer is a refusal, also where nothing is verified."""
    honest = json.loads(private_sigstore.sign_statement(b"payload", rekor=2))
    holder, _, key = place.rpartition(".")
    der = base64.b64decode(at(honest, place))
    for number in range(0, len(der), step):
        damaged = bytearray(der)
        damaged[number] ^= 0xFF
        at(honest, holder)[key] = base64.b64encode(damaged).decode()
        text = json.dumps(honest)
        if place.startswith(CERTIFICATE):
            refused(private_sigstore, text)
        else:  # some parts of a timestamp's response are not signed
            with contextlib.suppress(SignatureError):
                judged(private_sigstore, text)
        with contextlib.suppress(SignatureError):
            claims = Claims.of(parse_bundle(text.encode(), limits=DEFAULT))
            certificate = claims.parsed.signing_certificate
            assert len(identities(certificate)) + len(issuers(certificate)) < 3
            assert claims.times
