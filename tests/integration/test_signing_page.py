"""The commands of docs/signing.md, as they stand there and in their order."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.sigstore.private import ALICE
from validator.policy.signers import SigstoreConfig

if TYPE_CHECKING:
    from tests.sigstore import PrivateSigstore

PAGE: Final = Path(__file__).parents[2] / "docs" / "signing.md"
BLOCK: Final = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS: Final = [(found["language"], found["text"]) for found in BLOCK.finditer(PAGE.read_text())]


@pytest.fixture
def desk(tmp_path: Path, private_sigstore: PrivateSigstore) -> Path:
    """Return a folder with the model, and with what a private Sigstore hands out."""
    (tmp_path / "granite/.cache").mkdir(parents=True)
    (tmp_path / "granite/config.json").write_text("{}")
    (tmp_path / "granite/model.safetensors").write_bytes(b"weights" * 1000)
    (tmp_path / "granite/.cache/download").write_text("left by a download")
    (tmp_path / "trust_config.json").write_bytes(private_sigstore.trust_config_path.read_bytes())
    (tmp_path / "trusted_root.json").write_text(private_sigstore.trusted_root_json)
    (tmp_path / "token").write_text(private_sigstore.identity_token(ALICE.name))
    (tmp_path / "issuer").write_text(private_sigstore.issuer)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, module in (("model_signing", "model_signing"), ("model-validator", "validator")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {module} "$@"\n')
        program.chmod(0o755)
    return tmp_path


def run(command: str, *, at: Path) -> None:
    """Run a command of the page, with the programs of this interpreter."""
    path = f"{at / 'bin'}:{os.environ['PATH']}"
    ended = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", command],
        cwd=at,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"


def test_every_command_of_the_page_runs(desk: Path) -> None:
    """From the key to the verdict by the drafted policy."""
    ran = 0
    for language, text in BLOCKS:
        if language == "python":
            run(f"{shlex.quote(sys.executable)} -c {shlex.quote(text)}", at=desk)
            run("model-validator verify key granite --public-key signer.pub", at=desk)
        for line in text.splitlines() if language == "console" else ():
            assert line.startswith("$ "), line
            run(line.removeprefix("$ "), at=desk)
            ran += 1
    assert ran > 10


def documents() -> list[dict[str, Any]]:
    """Return the YAML of the page."""
    return [yaml.safe_load(text) for language, text in BLOCKS if language == "yaml"]


def test_the_signers_of_ci_systems_are_a_policys() -> None:
    """Each has the fields that a policy reads, and an identity as Fulcio writes it."""
    signers = [each["sigstoreConfig"] for each in documents() if "sigstoreConfig" in each]
    assert len(signers) == 2
    for signer in signers:
        assert {re.sub(r"[A-Z]", lambda m: f"_{m[0].lower()}", name) for name in signer} <= set(
            SigstoreConfig.__struct_fields__
        )
        assert signer["certificateIdentity"].endswith("@refs/heads/main")
        assert signer["certificateIdentity"].startswith("https://")
