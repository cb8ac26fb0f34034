from __future__ import annotations

import base64
import io
import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.support.signed_model import MEDIA_TYPE, Document, Signer, b64, statement
from validator import files
from validator.bundle import Bundle, Method, parse_bundle, read_bundle
from validator.errors import BundleError, Undecided
from validator.files import read_file
from validator.limits import DEFAULT, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    Edit = Callable[[Document], object]

CHAIN = {"x509CertificateChain": {"certificates": [{"rawBytes": b64(b"der")}]}}


@pytest.fixture
def parsed(signer: Signer) -> Callable[[Edit], Bundle]:
    """Return the bundle that is left of an honest one after an edit."""
    return lambda edit: parse_bundle(signer.bundle(statement(), edit=edit), limits=DEFAULT)


def put(path: str, value: Any) -> Edit:
    """Return an edit that sets what is at a dotted path."""
    *holders, last = path.split(".")

    def edit(document: Document) -> None:
        place: Any = document
        for step in holders:
            place = place[int(step) if step.isdigit() else step]
        place[int(last) if last.isdigit() else last] = value

    return edit


def drop(path: str) -> Edit:
    """Return an edit that takes away what is at a dotted path."""
    *holders, last = path.split(".")

    def edit(document: Document) -> None:
        place: Any = document
        for step in holders:
            place = place[int(step) if step.isdigit() else step]
        del place[last]

    return edit


def test_an_honest_bundle_comes_apart(signer: Signer) -> None:
    """The parts of a key bundle are decoded, and nothing is believed."""
    raw = signer.bundle(b"payload", payload_type="text/plain")
    bundle = parse_bundle(raw, limits=DEFAULT)
    assert bundle.method is Method.KEY
    assert (bundle.payload, bundle.payload_type) == (b"payload", "text/plain")
    assert bundle.raw == raw


BYTES = bytes(range(256))


@pytest.mark.parametrize("alphabet", [b"+/", b"-_"])
@pytest.mark.parametrize("padded", [True, False])
def test_base64_may_be_of_either_alphabet(signer: Signer, alphabet: bytes, *, padded: bool) -> None:
    """DSSE: either must be accepted; what sigstore-python reads is in the standard one."""

    def encoded(content: bytes) -> str:
        text = base64.b64encode(content, altchars=alphabet).decode()
        return text if padded else text.rstrip("=")

    def edit(made: Document) -> None:
        envelope = made["dsseEnvelope"]
        envelope["payload"] = encoded(BYTES)
        envelope["signatures"][0]["sig"] = encoded(BYTES[::-1])
        made["verificationMaterial"] = {"certificate": {"rawBytes": b64(b"der")}}

    bundle = parse_bundle(signer.bundle(BYTES, edit=edit), limits=DEFAULT)
    assert (bundle.payload, bundle.signature) == (BYTES, BYTES[::-1])
    envelope = json.loads(bundle.raw)["dsseEnvelope"]
    assert envelope["payload"] == b64(BYTES)
    assert envelope["signatures"][0]["sig"] == b64(BYTES[::-1])


def test_a_chain_is_a_certificates_in_version_0_3_only() -> None:
    """Former keyless bundles carry a chain, too, and a log's entry beside it."""
    entry: Document = {"tlogEntries": [{}]}
    made = {
        "verificationMaterial": CHAIN | entry,
        "dsseEnvelope": json.loads(Signer().bundle(b"x"))["dsseEnvelope"],
    }
    for version, method in (
        ("+json;version=0.2", Method.SIGSTORE),
        ("+json;version=0.3", Method.CERTIFICATE),
        (".v0.3+json", Method.CERTIFICATE),
    ):
        raw = json.dumps(made | {"mediaType": f"application/vnd.dev.sigstore.bundle{version}"})
        assert parse_bundle(raw.encode(), limits=DEFAULT).method is method


@pytest.mark.parametrize(
    "edit",
    [
        drop("dsseEnvelope.signatures.0.keyid"),
        put("dsseEnvelope.signatures.0.keyid", None),
        put("verificationMaterial.tlogEntries", []),
        put("verificationMaterial.tlogEntries", None),
        put("verificationMaterial.publicKey", {"rawBytes": b64(b"PEM")}),
        put("verificationMaterial.publicKey", {}),
        put("verificationMaterial.publicKey.hint", 3),
        put("verificationMaterial.tlogEntries", [{}]),
        put("messageSignature", None),
        put("mediaType", "application/vnd.dev.sigstore.bundle+json;version=0.3"),
        put("mediaType", "application/vnd.dev.sigstore.bundle+json;version=0.2"),
    ],
)
def test_the_specifications_leniencies_are_taken(
    parsed: Callable[[Edit], Bundle], edit: Edit
) -> None:
    """Fields that real signers leave out, or write as null, do no harm."""
    assert parsed(edit).method is Method.KEY


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (drop("mediaType"), "mediaType is missing"),
        (put("mediaType", 3), "mediaType is not text"),
        (put("mediaType", "application/json"), "is of type 'application/json'"),
        (drop("verificationMaterial"), "verificationMaterial is missing"),
        (put("verificationMaterial", []), "verificationMaterial is not an object"),
        (put("verificationMaterial", {}), "exactly one of .* carries none"),
        (put("verificationMaterial.certificate", {}), "carries certificate and publicKey"),
        (
            put("verificationMaterial.x509CertificateChain", {}),
            "carries x509CertificateChain and publicKey",
        ),
        (put("verificationMaterial.publicKey", []), "publicKey is not an object"),
        (put("verificationMaterial.tlogEntries", ["x"]), "not a list of JSON objects"),
        (put("verificationMaterial.tlogEntries", "x"), "not a list of JSON objects"),
        (put("verificationMaterial.tlogEntries", 5), "not a list of JSON objects"),
        (put("verificationMaterial.tlogEntries", 5.5), "not a list of JSON objects"),
        (put("verificationMaterial", {"x509CertificateChain": {}}), "certificates is missing"),
        (
            put("verificationMaterial", {"x509CertificateChain": {"certificates": []}}),
            "has 0 certificates",
        ),
        (
            put("verificationMaterial", {"x509CertificateChain": {"certificates": [{}] * 17}}),
            "has 17 certificates",
        ),
        (
            put("verificationMaterial", {"x509CertificateChain": {"certificates": [3]}}),
            r"certificates\[0\].rawBytes is missing",
        ),
        (drop("dsseEnvelope"), "dsseEnvelope is missing"),
        (drop("dsseEnvelope.payload"), "payload is missing"),
        (put("dsseEnvelope.payload", "%%%"), "payload is not base64"),
        (put("dsseEnvelope.payload", "e30=="), "payload is not base64"),
        (put("dsseEnvelope.payload", "e30=e30="), "payload is not base64"),
        (put("dsseEnvelope.payload", "e"), "payload is not base64"),
        (put("dsseEnvelope.payload", "+_+_"), "payload is not base64"),
        (put("messageSignature", {"signature": "AA=="}), "holds a messageSignature"),
        (put("messageSignature", []), "holds a messageSignature"),
        (put("other", None), "knows no field 'other'"),
        (put("dsseEnvelope.other", 1), "knows no field 'dsseEnvelope.other'"),
        (put("dsseEnvelope.signatures.0.other", 1), r"knows no field 'dsse.*\[0\].other'"),
        (put("dsseEnvelope.payload", ""), "payload is empty"),
        (put("dsseEnvelope.payload", "é"), "payload is not base64"),
        (drop("dsseEnvelope.payloadType"), "payloadType is missing"),
        (put("dsseEnvelope.payloadType", "\ud800"), "payloadType is not UTF-8"),
        (drop("dsseEnvelope.signatures"), "signatures is missing"),
        (put("dsseEnvelope.signatures", {}), "signatures is not a list"),
        (put("dsseEnvelope.signatures", []), "holds 0 signatures"),
        (put("dsseEnvelope.signatures", ["x"]), r"signatures\[0\] is not an object"),
        (put("dsseEnvelope.signatures.0.keyid", 3), r"signatures\[0\].keyid is not text"),
        (put("dsseEnvelope.signatures", [{"sig": "eA=="}] * 2), "holds 2 signatures"),
        (drop("dsseEnvelope.signatures.0.sig"), r"signatures\[0\].sig is missing"),
        (put("dsseEnvelope.signatures.0.sig", ""), "sig is empty"),
    ],
)
def test_what_is_no_bundle_is_refused_by_the_place_that_is_wrong(
    parsed: Callable[[Edit], Bundle], edit: Edit, said: str
) -> None:
    """Each missing or wrong part of a bundle has its sentence."""
    with pytest.raises(BundleError, match=said):
        parsed(edit)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "is not JSON: it ends too early"),
        (b"hello", "is not JSON: it goes wrong at 'hello'"),
        (b"[]", "holds no JSON object"),
        (b"null", "holds no JSON object"),
        (b'{"mediaType": "x"', "is not JSON: it ends too early"),
        (b'{"a": 1, "a": 2}', "the key 'a' stands twice"),
        (b'{"x": [{"b": 1, "b": 1}]}', "the key 'b' stands twice"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"a": ' + b"1" * 5000 + b"}", "is not JSON that is accepted"),
        (b'\xef\xbb\xbf{"a": 1}', "is not JSON"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", "nested deeper than 32 levels"),
        (b"[" * 9_000 + b"]" * 9_000, "nested deeper than 32 levels"),
        (b'{"a":' * 9_000 + b"1" + b"}" * 9_000, "nested deeper than 32 levels"),
        (b"[" * 1_000_000, "more than 10,000 values"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else None,
)
def test_what_two_readers_could_read_differently_is_refused(raw: bytes, said: str) -> None:
    """Only JSON of one reading is accepted, and none that exhausts the reader."""
    with pytest.raises(BundleError, match=said):
        parse_bundle(raw, limits=DEFAULT)


def test_every_truncation_is_refused(signer: Signer) -> None:
    """Wherever a bundle is cut off, it is refused as one."""
    raw = signer.bundle(statement())
    for length in range(0, len(raw), 7):
        with pytest.raises(BundleError):
            parse_bundle(raw[:length], limits=DEFAULT)


def test_a_key_that_stands_twice_is_found_at_once() -> None:
    """Finding a duplicate after many keys takes no longer than reading them."""
    keys = ",".join(f'"k{n}": 0' for n in range(200_000))
    with pytest.raises(BundleError, match="'k9' stands twice"):
        parse_bundle(f'{{{keys}, "k9": 1}}'.encode(), limits=Limits(bundle_values=300_000))


def test_old_keyless_bundles_carry_their_certificate_in_a_chain(
    parsed: Callable[[Edit], Bundle],
) -> None:
    """Before v0.3, a chain beside log entries meant a keyless signature."""

    def edit(bundle: Document) -> None:
        bundle["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.2"
        bundle["verificationMaterial"] = CHAIN | {"tlogEntries": [{}]}

    assert parsed(edit).method is Method.SIGSTORE


def test_a_log_entry_does_not_make_a_certificate_keyless(
    parsed: Callable[[Edit], Bundle],
) -> None:
    """A chain without log entries is the certificate method, whatever the media type was."""
    bundle = parsed(put("verificationMaterial", CHAIN))
    assert bundle.method is Method.CERTIFICATE
    assert bundle.media_type == MEDIA_TYPE
    assert bundle.certificates == (b"der",)


def test_a_missing_signature_file_is_a_refusal(tmp_path: Path) -> None:
    """No signature means that the model is not signed, and the sentence says where."""
    with pytest.raises(BundleError, match=r"there is no signature file at .*model\.sig"):
        read_bundle(tmp_path / "model.sig", limits=DEFAULT)


@pytest.mark.parametrize("kind", ["directory", "FIFO", "socket", "device", "loop", "below a file"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    """Nothing that could block or never end is read as a signature."""
    path = tmp_path / "model.sig"
    match kind:
        case "directory":
            path.mkdir()
        case "FIFO":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
        case "device":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path)
        case _:
            (tmp_path / "file").touch()
            path = tmp_path / "file" / "model.sig"
    with pytest.raises(BundleError, match=r"is not a regular file|there is no signature file"):
        read_bundle(path, limits=DEFAULT)


def test_a_link_to_the_signature_is_followed(tmp_path: Path, signer: Signer) -> None:
    """Kubernetes mounts files as links; the content is what is verified."""
    (tmp_path / "real").write_bytes(signer.bundle(statement()))
    (tmp_path / "model.sig").symlink_to("real")
    assert read_bundle(tmp_path / "model.sig", limits=DEFAULT).method is Method.KEY


def test_a_huge_signature_file_is_not_read(tmp_path: Path, signer: Signer) -> None:
    """One byte over the limit is refused; the limit itself is not."""
    path = tmp_path / "model.sig"
    raw = signer.bundle(statement())
    path.write_bytes(raw)
    assert read_bundle(path, limits=Limits(bundle_bytes=len(raw))).raw == raw
    with pytest.raises(BundleError, match="is larger than"):
        read_bundle(path, limits=Limits(bundle_bytes=len(raw) - 1))
    os.truncate(path, 2**40)  # sparse
    with pytest.raises(BundleError, match="larger than 67,108,864 bytes"):
        read_bundle(path, limits=DEFAULT)


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A payload that counts as long: two chunks, and a byte more."""
    monkeypatch.setattr("validator.bundle.bundle._LONG_BYTES", 128)
    monkeypatch.setattr("validator.bundle.encoding._CHUNK", 64)
    return bytes(range(193))


@pytest.mark.parametrize("pad", ["=", "", "\\u003d"])
@pytest.mark.parametrize("alphabet", [b"+/", b"-_"])
@pytest.mark.parametrize("extra", range(4))
def test_a_long_payload_is_the_same_payload(
    signer: Signer, long: bytes, pad: str, alphabet: bytes, extra: int
) -> None:
    """It is decoded in chunks, before the rest is read."""
    content = long + bytes(extra)
    text = base64.b64encode(content, altchars=alphabet).decode().replace("=", pad)
    raw = signer.bundle(content).replace(b64(content).encode(), text.encode())
    assert parse_bundle(raw, limits=DEFAULT).payload == content


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (put("dsseEnvelope.payload", "A" * 185), "payload is not base64"),
        (put("dsseEnvelope.payload", "A" * 182 + "=A"), "payload is not base64"),
        (put("dsseEnvelope.payload", "A" * 182 + "==="), "payload is not base64"),
        (put("dsseEnvelope.payload", "A" * 182 + "+_"), "payload is not base64"),
        (put("dsseEnvelope.payload", "A" * 63 + "=" + "A" * 120), "payload is not base64"),
        (put("dsseEnvelope.payload", "A" * 126 + "==" + "A" * 56), "payload is not base64"),
        (
            put("dsseEnvelope.payload", "A" * 184 + "!"),
            "a text of 184 bytes that is not its payload",
        ),
        (put("verificationMaterial.publicKey.hint", "A" * 184), "a text of 184 bytes that is not"),
        (put("dsseEnvelope", "A" * 184), "a text of 184 bytes that is not its payload"),
    ],
)
@pytest.mark.usefixtures("long")
def test_a_long_payload_is_judged_like_a_short_one(
    parsed: Callable[[Edit], Bundle], edit: Edit, said: str
) -> None:
    """And nothing else may be as long."""
    with pytest.raises(BundleError, match=said):
        parsed(edit)


def test_what_lies_beside_the_payload_is_bounded(signer: Signer) -> None:
    """As text, it could take four times its size."""
    raw = signer.bundle(b"payload", edit=put("verificationMaterial.other", ["é" * 2_100_000]))
    with pytest.raises(BundleError, match=r"beside its payload, and 4,194,304 are accepted"):
        parse_bundle(raw, limits=DEFAULT)


@pytest.mark.parametrize("written", ["1000000\n", "max\n", None])
def test_a_keyless_signature_that_takes_too_much_memory_is_said(
    tmp_path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch, written: str | None
) -> None:
    """Before sigstore-python reads it: a gate that is killed has no sentence."""
    limit = tmp_path / "memory.max"
    if written:
        limit.write_text(written)
    monkeypatch.setattr("validator.limits.cgroup._MOUNT", tmp_path)
    material = put("verificationMaterial", {"certificate": {"rawBytes": b64(b"der")}})
    (tmp_path / "model.sig").write_bytes(signer.bundle(b"payload", edit=material))
    if written == "1000000\n":
        with pytest.raises(Undecided, match=r"this container has 976.6 KiB: set spec.resources"):
            read_bundle(tmp_path / "model.sig", limits=DEFAULT)
    else:
        assert read_bundle(tmp_path / "model.sig", limits=DEFAULT).method is Method.SIGSTORE


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    """A NUL in a path, as a policy could carry it, is a sentence."""
    with pytest.raises(BundleError, match="is not a file's name"):
        read_file(tmp_path / "a\0b", limit=1, what="signature file")


def test_an_error_while_opening_is_no_verdict(tmp_path: Path) -> None:
    """A file that may be there and cannot be opened leaves the verdict open."""
    with pytest.raises(Undecided, match="cannot be read"):
        read_file(tmp_path / ("a" * 300), limit=1, what="signature file")


class Blocked(io.BytesIO):
    """A regular file that has nothing to read yet: /proc/kmsg, or one of a FUSE file system."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as Python's files do where the kernel says EAGAIN."""
        del size
        return cast("bytes", None)


def test_a_file_that_has_nothing_to_read_yet_is_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was opened so that nothing waits for it."""
    (tmp_path / "model.sig").touch()
    monkeypatch.setattr(files, "open", lambda *_, **__: Blocked(), raising=False)
    with pytest.raises(Undecided, match="cannot be read: Resource temporarily unavailable"):
        read_file(tmp_path / "model.sig", limit=1, what="signature file")


def test_an_error_while_reading_is_no_verdict() -> None:
    """A file that fails to be read leaves the verdict open."""
    with pytest.raises(Undecided, match="cannot be read"):
        read_file(Path("/proc/self/mem"), limit=1, what="signature file")
