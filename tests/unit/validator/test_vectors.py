"""Bundles that other people signed, with the verdict that their README implies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.certificates import Party
from tests.support.signed_model import Signer
from validator.bundle import Method, read_bundle
from validator.errors import (
    BundleError,
    MethodError,
    ModelError,
    SignatureError,
    StatementError,
    ValidatorError,
)
from validator.limits import DEFAULT
from validator.signatures.certificate import CertificateVerifier
from validator.signatures.key import KeyVerifier
from validator.signatures.keyless import Expected, SigstoreVerifier
from validator.signatures.trusted_root import STAGING_URL, TrustedRoot
from validator.statement import parse_statement
from validator.verification import Request, verify

if TYPE_CHECKING:
    from validator.report import Report
    from validator.signatures import Verifier

VECTORS: Final = Path(__file__).resolve().parents[4] / "shared" / "vectors"
RELEASES: Final = VECTORS / "model-transparency"
SPECIFICATION: Final = VECTORS / "model-signing-spec" / "test-vectors" / "v1.0"

IDENTITY: Final = "stefanb@us.ibm.com"
ISSUER: Final = "https://sigstore.verify.ibm.com/oauth2"

CERTIFICATE: Final = (
    *("v0.3.1-certificate", "v1.0.0-certificate", "v1.0.1-certificate", "v1.1.0-certificate"),
)
KEY: Final = (
    *("v0.3.1-elliptic-key", "v1.0.0-elliptic-key", "v1.0.1-elliptic-key", "v1.1.0-elliptic-key"),
)
SIGSTORE: Final = ("v0.3.1-sigstore", "v1.0.0-sigstore", "v1.0.1-sigstore", "v1.1.0-sigstore")
RELEASED: Final = (*CERTIFICATE, *KEY, *SIGSTORE)
LEGACY: Final = "v0.2.0-certificate"

pytestmark = [
    pytest.mark.vectors,
    pytest.mark.skipif(
        not VECTORS.is_dir(),
        reason="the vectors are absent: they belong in shared/vectors beside the repository",
    ),
]


def anchor(name: str) -> bytes:
    """Return a trust anchor of the releases."""
    return (RELEASES / "keys" / name).read_bytes()


def verifier_for(release: str) -> Verifier:
    """Return the verifier that the README names for a release."""
    if release.endswith("-certificate"):
        return CertificateVerifier.from_pem(anchor("ca-cert.pem"), source="ca-cert.pem")
    if release.endswith("-elliptic-key"):
        return KeyVerifier.from_pem(anchor("signing-key-pub.pem"), source="signing-key-pub.pem")
    expected = Expected(identity=IDENTITY, issuer=ISSUER)
    return SigstoreVerifier(expected, trusted_root=TrustedRoot.packaged())


@pytest.fixture
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of the release's model that a test may change."""
    copy: Path = shutil.copytree(RELEASES / request.param, tmp_path / request.param)
    return copy


SINGLE_FILES: Final = ("v0.3.1-elliptic-key", "v1.0.0-elliptic-key")
"""These releases signed a file; its name is `.` in the statement."""


def judged(model: Path, *verifiers: Verifier, allow_legacy: bool = False) -> Report:
    """Verify a copy of a model; `ignore-me` is to be ignored where there is one."""
    return verify(
        Request(
            model=model / "signme-1" if model.name in SINGLE_FILES else model,
            signature=model / "model.sig",
            verifiers=verifiers,
            ignore_paths=("ignore-me",),
            allow_legacy=allow_legacy,
            jobs=1,
        )
    )


each_release = pytest.mark.parametrize(
    ("model", "release"), [(name, name) for name in RELEASED], indirect=["model"], ids=RELEASED
)


@each_release
def test_what_each_release_signed_verifies(model: Path, release: str) -> None:
    """By the anchors of its README, offline."""
    report = judged(model, verifier_for(release))
    assert report.files >= 1
    assert report.signer
    if release in SIGSTORE:
        assert (report.signer.identity, report.signer.issuer) == (IDENTITY, ISSUER)
        assert report.signer.log_index
        assert report.signer.signed_at


@each_release
def test_the_pinned_digest_is_that_of_the_statement(model: Path, release: str) -> None:
    """A policy can pin the digest that the report prints."""
    digest = judged(model, verifier_for(release)).digest
    bundle = read_bundle(model / "model.sig", limits=DEFAULT)
    assert json.loads(bundle.payload)["subject"][0]["digest"] == {"sha256": digest}


@each_release
def test_another_anchor_is_refused(model: Path, release: str) -> None:
    """Of the right method, but somebody else's."""
    wrong: dict[str, Verifier] = {
        "certificate": Party.root("some other authority").verifier,
        "elliptic-key": Signer().verifier,
        "sigstore": SigstoreVerifier(
            Expected(identity="mallory@us.ibm.com", issuer=ISSUER),
            trusted_root=TrustedRoot.packaged(),
        ),
    }
    with pytest.raises(SignatureError):
        judged(model, wrong[release.partition("-")[2]])


@each_release
def test_another_method_is_refused(model: Path, release: str) -> None:
    """Each release under the anchors of the other two methods."""
    own = verifier_for(release).method
    others = [verifier_for(name) for name in (CERTIFICATE[0], KEY[0], SIGSTORE[0])]
    with pytest.raises(MethodError):
        judged(model, *(other for other in others if other.method is not own))


@each_release
def test_a_changed_file_is_refused(model: Path, release: str) -> None:
    """One byte more, one byte other, one file more, one file less."""
    verifier = verifier_for(release)
    path = model / "signme-1"
    content = path.read_bytes()
    for changed in (content + b"\n", bytes([content[0] ^ 1]) + content[1:]):
        path.write_bytes(changed)
        with pytest.raises(ModelError, match="is not the signed file"):
            judged(model, verifier)
    path.unlink()
    with pytest.raises(ModelError, match=r"'signme-1' is signed and missing|there is no model"):
        judged(model, verifier)
    if release in SINGLE_FILES:  # what lies beside a file is no part of it
        return
    path.write_bytes(content)
    (model / "added").touch()
    with pytest.raises(ModelError, match="'added' is not signed"):
        judged(model, verifier)


@each_release
def test_a_changed_signature_is_refused(model: Path, release: str) -> None:
    """Payload, type and signature of the real bundles, each bent a little."""
    verifier = verifier_for(release)
    signature = model / "model.sig"
    text = signature.read_text()
    envelope = json.loads(text)["dsseEnvelope"]
    payload, sig = envelope["payload"], envelope["signatures"][0]["sig"]
    middle = len(payload) // 2
    other = "A" if payload[middle] != "A" else "B"
    edits = {
        payload: payload[:middle] + other + payload[middle + 1 :],
        sig: sig[:-8] + ("AAAA" if sig[-8:-4] != "AAAA" else "BBBB") + sig[-4:],
    }
    for old, new in edits.items():
        signature.write_text(text.replace(old, new))
        with pytest.raises((SignatureError, BundleError)):
            judged(model, verifier)
    document = json.loads(text)
    document["dsseEnvelope"]["payloadType"] = "text/plain"
    signature.write_text(json.dumps(document))
    with pytest.raises(SignatureError):
        judged(model, verifier)


@pytest.mark.parametrize("model", ["v1.1.0-sigstore"], indirect=True)
def test_staging_does_not_know_production(model: Path) -> None:
    """The two public instances do not stand for one another."""
    expected = Expected(identity=IDENTITY, issuer=ISSUER)
    root = TrustedRoot.packaged(STAGING_URL)
    with pytest.raises(SignatureError, match="does not know"):
        judged(model, SigstoreVerifier(expected, trusted_root=root))


@pytest.mark.parametrize(
    ("model", "release"),
    [(name, name) for name in RELEASED if name.startswith(("v1.0.1", "v1.1.0"))],
    indirect=["model"],
)
def test_the_file_to_ignore_is_not_signed(model: Path, release: str) -> None:
    """Since v1.1.0 the statement says so; a file of another name is not signed, either."""
    plain = Request(
        model=model, signature=model / "model.sig", verifiers=(verifier_for(release),), jobs=1
    )
    if release.startswith("v1.1.0"):
        assert "ignore-me" in verify(plain).ignored
    else:
        with pytest.raises(ModelError, match="'ignore-me' is not signed"):
            verify(plain)
    asked = plain._replace(ignore_paths=("ignore-me",))
    assert "ignore-me" in verify(asked).ignored
    (model / "ignore-me").rename(model / "ignore-me-not")
    with pytest.raises(ModelError, match="'ignore-me-not' is not signed"):
        verify(asked)


@pytest.mark.parametrize("model", [LEGACY], indirect=True)
def test_the_older_release_needs_to_be_asked_for(model: Path) -> None:
    """v0.2.0 signed another encoding and another predicate."""
    verifier = verifier_for(LEGACY)
    with pytest.raises((SignatureError, StatementError)):
        judged(model, verifier)
    report = judged(model, verifier, allow_legacy=True)
    assert "signed in the form of v0.2" in report.notes
    (model / "signme-1").write_bytes(b"other")
    with pytest.raises(ModelError, match="'signme-1' is not the signed file"):
        judged(model, verifier, allow_legacy=True)


VALID: Final = {
    "certificate": Method.CERTIFICATE,
    "key": Method.KEY,
    "sigstore": Method.SIGSTORE,
}


@pytest.mark.parametrize("name", VALID)
def test_the_specifications_valid_bundles_are_read(name: str) -> None:
    """Their shape, and the statement in them."""
    bundle = read_bundle(SPECIFICATION / "valid" / f"{name}.bundle.json", limits=DEFAULT)
    assert bundle.method is VALID[name]
    statement = parse_statement(
        bundle.payload, payload_type=bundle.payload_type, limits=DEFAULT, allow_legacy=False
    )
    assert statement.resources


def names(folder: str) -> list[str]:
    """Return the specification's bundles of a kind."""
    return sorted(path.name for path in (SPECIFICATION / folder).glob("*.json"))


@pytest.mark.parametrize("name", names("invalid"))
def test_the_specifications_invalid_bundles_are_refused(name: str, tmp_path: Path) -> None:
    """At the first step, or by the verifier of the method that they claim."""
    (tmp_path / "model").mkdir()
    shutil.copy(SPECIFICATION / "invalid" / name, tmp_path / "model" / "model.sig")
    expected: type[ValidatorError] | tuple[type[ValidatorError], ...] = BundleError
    if "tlog" in name:  # keyless by its material, and sigstore-python misses the log's entry
        expected = (BundleError, SignatureError)
    with pytest.raises(expected):
        judged(
            tmp_path / "model", *(verifier_for(n) for n in (CERTIFICATE[0], KEY[0], SIGSTORE[0]))
        )


@pytest.mark.parametrize("name", names("invalid-payload"))
def test_the_specifications_invalid_payloads_are_refused(name: str) -> None:
    """The bundle is one, and what it carries is no OMS statement."""
    bundle = read_bundle(SPECIFICATION / "invalid-payload" / name, limits=DEFAULT)
    for legacy in (True, False):
        with pytest.raises(StatementError):
            parse_statement(
                bundle.payload,
                payload_type=bundle.payload_type,
                limits=DEFAULT,
                allow_legacy=legacy,
            )
