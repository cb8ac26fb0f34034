"""What the real services signed is verified; each lie about it is refused, with its own code."""

from __future__ import annotations

import base64
import copy
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.sigstore.attacks import (
    CHECKPOINT,
    ENTRY,
    PROOF,
    STAMPS,
    at,
    changed,
    flipped,
    put,
    without,
)
from tests.sigstore.log import b64
from tests.sigstore.rekor2 import TileLog
from tests.sigstore.timestamps import TimestampAuthority
from validator.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.sigstore.services import RealSigstore
    from tests.support.signed_model import Document

ALICE: Final = "alice@example.com"
MALLORY: Final = "mallory@example.com"
STAMP: Final = f"{STAMPS}.rfc3161Timestamps.0.signedTimestamp"
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Signed:
    """A model that Alice has signed, the bundle, and the roots of trust."""

    sigstore: RealSigstore
    model: Path
    bundle: Document
    capture: pytest.CaptureFixture[str] | None = None

    def verdict(
        self,
        bundle: Document | None = None,
        *,
        identity: str = ALICE,
        issuer: str | None = None,
        root: tuple[str, Path] | None = None,
    ) -> dict[str, Any]:
        """Return the verdict of `model-validator` in JSON, on the bundle as it is or another."""
        assert self.capture
        (self.model / "model.sig").write_text(json.dumps(bundle or self.bundle))
        option, path = root or ("--trusted-root", self.sigstore.trusted_root)
        main(
            [
                *("verify", "sigstore", str(self.model), "--format=json", "--progress=none"),
                *(
                    f"--identity={identity}",
                    f"--identity-provider={issuer or self.sigstore.issuer}",
                ),
                *(option, str(path)),
            ]
        )
        verdict: dict[str, Any] = json.loads(self.capture.readouterr().out)
        return verdict

    def edited(self, *edits: Callable[[Document], object]) -> Document:
        """Return the bundle with edits."""
        document = copy.deepcopy(self.bundle)
        for edit in edits:
            edit(document)
        return document


@pytest.fixture(scope="module")
def signed_once(real_sigstore: RealSigstore, tmp_path_factory: pytest.TempPathFactory) -> Signed:
    """Alice's model, signed by the command of `model_signing`."""
    model = tmp_path_factory.mktemp("signed") / "model"
    model.mkdir()
    (model / "weights.bin").write_bytes(b"weights" * 1000)
    (model / "config.json").write_text("{}")
    return Signed(real_sigstore, model, real_sigstore.sign(model, ALICE))


@pytest.fixture
def signed(signed_once: Signed, capsys: pytest.CaptureFixture[str]) -> Signed:
    """The same, with the files as they were signed."""
    (signed_once.model / "config.json").write_text("{}")
    return replace(signed_once, capture=capsys)


@pytest.mark.parametrize("option", ["--trusted-root", "--trust-config"])
def test_a_signature_of_the_real_services_is_verified(signed: Signed, option: str) -> None:
    """By a trusted root and by a client trust configuration, with the proven entry and time."""
    sigstore = signed.sigstore
    path = sigstore.trusted_root if option == "--trusted-root" else sigstore.trust_config
    said = signed.verdict(root=(option, path))
    assert said["verdict"] == "verified", said
    signer = said["signer"]
    assert (signer["identity"], signer["issuer"]) == (ALICE, sigstore.issuer)
    assert signer["logId"] == sigstore.tile_log.log_id.hex()
    assert signer["logIndex"] == int(at(signed.bundle, PROOF)["logIndex"])
    assert signer["timeSource"] == "RFC 3161"


def test_the_entry_is_of_rekor_2(signed: Signed) -> None:
    """Without a promise or a time of the log; the authority's stamp is the only one."""
    entry = at(signed.bundle, ENTRY)
    assert entry["kindVersion"] in (
        {"kind": "hashedrekord", "version": "0.0.2"},
        {"kind": "dsse", "version": "0.0.2"},
    )
    assert "inclusionPromise" not in entry
    assert int(entry.get("integratedTime", 0)) == 0


def test_its_drafted_policy_accepts_it(signed: Signed, tmp_path: Path) -> None:
    """`inspect --policy` writes a policy that accepts this signature and no other."""
    assert signed.verdict()["verdict"] == "verified"
    assert signed.capture
    root, model = f"--trusted-root={signed.sigstore.trusted_root}", str(signed.model)
    assert main(["inspect", model, "--policy", root]) == 0
    policy = tmp_path / "policy.yaml"
    policy.write_text(signed.capture.readouterr().out)
    verification = ["verify", "policy", str(policy), f"--model={model}", "--progress=none"]
    assert main(verification) == 0
    signed.sigstore.sign(signed.model, MALLORY)
    assert main(verification) == 1
    assert "mallory@example.com" in signed.capture.readouterr().out


def test_somebody_else_is_refused(signed: Signed) -> None:
    """Another person, and the same name by another identity provider."""
    other = signed.sigstore.sign(signed.model, MALLORY)
    assert signed.verdict(other)["code"] == "OtherSigner"
    assert signed.verdict(other, identity=MALLORY)["verdict"] == "verified"
    namesake = signed.sigstore.sign(signed.model, ALICE, issuer=signed.sigstore.other_issuer)
    assert signed.verdict(namesake)["code"] == "OtherSigner"
    assert signed.verdict(namesake, issuer=signed.sigstore.other_issuer)["verdict"] == "verified"


def test_a_changed_file_is_refused(signed: Signed) -> None:
    """The signature holds, and the model is not the signed one."""
    (signed.model / "config.json").write_text("[]")
    said = signed.verdict()
    assert (said["code"], "config.json" in said["reason"]) == ("ModelDiffers", True)


def _one_more(number: Any) -> str:
    return str(int(number or 0) + 1)


def _stamped_by_a_stranger(bundle: Document) -> None:
    signature = at(bundle, "dsseEnvelope.signatures.0.sig")
    stamp = TimestampAuthority.new().stamp(base64.b64decode(signature))
    put(STAMP, b64(stamp))(bundle)


LIES: Final[dict[str, tuple[str, tuple[Callable[[Document], object], ...]]]] = {
    "no timestamp": ("InvalidSignature", (without(STAMPS),)),
    "a damaged timestamp": ("InvalidSignature", (flipped(STAMP),)),
    "a stranger's timestamp": ("UnknownToRoot", (_stamped_by_a_stranger,)),
    "no inclusion proof": ("InvalidSignature", (without(PROOF),)),
    "no checkpoint": ("InvalidSignature", (without(CHECKPOINT),)),
    "another index": ("InvalidSignature", (changed(f"{ENTRY}.logIndex", _one_more),)),
    "another index of the proof": (
        "InvalidSignature",
        (changed(f"{PROOF}.logIndex", _one_more), changed(f"{ENTRY}.logIndex", _one_more)),
    ),
    "a damaged signature": ("InvalidSignature", (flipped("dsseEnvelope.signatures.0.sig"),)),
}
"""Edits of an honest bundle, and the code of the refusal."""


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_about_an_honest_signature_is_refused(signed: Signed, lie: str) -> None:
    """Whatever is missing or changed, with a sentence that names no library."""
    code, edits = LIES[lie]
    said = signed.verdict(signed.edited(*edits))
    assert said["code"] == code, said
    assert not any(word in said["reason"].lower() for word in ("traceback", "unexpected", "python"))


def test_a_timestamp_of_another_signature_is_refused(signed: Signed) -> None:
    """It is the real authority's, and proves the time of something else."""
    other = signed.sigstore.sign(signed.model, ALICE)
    said = signed.verdict(signed.edited(put(STAMP, at(other, STAMP))))
    assert said["code"] == "InvalidSignature", said


def _ended(place: str) -> Callable[[Document], object]:
    period = {
        name: f"{datetime.now(UTC) - age:%Y-%m-%dT%H:%M:%SZ}"
        for name, age in {"start": 2 * DAY, "end": DAY}.items()
    }
    return lambda root: at(root, place).update(validFor=period)


def _of_another_log(root: Document) -> None:
    root["tlogs"][1]["publicKey"]["rawBytes"] = b64(TileLog.new().public)


ROOTS: Final[dict[str, tuple[str, Callable[[Document], object]]]] = {
    "retired certificate authority": ("InvalidSignature", _ended("certificateAuthorities.0")),
    "retired log": ("InvalidSignature", _ended("tlogs.1.publicKey")),
    "retired CT log": ("InvalidSignature", _ended("ctlogs.0.publicKey")),
    "retired timestamp authority": ("InvalidSignature", _ended("timestampAuthorities.0")),
    "another log's key": ("InvalidSignature", _of_another_log),
    "unknown log": ("UnknownToRoot", lambda root: root["tlogs"].pop(1)),
}
"""Edits of the root of trust, and the code of the refusal."""


@pytest.mark.parametrize("edit", ROOTS)
def test_a_root_that_does_not_vouch_for_it_refuses(
    signed: Signed, edit: str, tmp_path: Path
) -> None:
    """Each key counts within its period only, and only for its own service."""
    root = json.loads(signed.sigstore.trusted_root.read_text())
    code, change = ROOTS[edit]
    change(root)
    path = tmp_path / "root.json"
    path.write_text(json.dumps(root))
    said = signed.verdict(root=("--trusted-root", path))
    assert said["code"] == code, said
