"""Rekor's own client takes the checkpoints and proofs: of the real log, and of the tests' logs."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from tests.e2e.sigstore.services import VERIFIER
from tests.sigstore import log, rekor2
from tests.sigstore.attacks import ENTRY, at

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.sigstore.services import RealSigstore
    from tests.sigstore import PrivateSigstore

Check = Callable[[dict[str, Any], str, bytes], subprocess.CompletedProcess[str]]


@pytest.fixture
def check(sigstore_programs: dict[str, Path], tmp_path: Path) -> Check:
    """Ask Rekor's client about an entry, by the log's origin and its key in DER."""

    def run(entry: dict[str, Any], origin: str, key: bytes) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "key.pem"
        public = load_der_public_key(key)
        path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return subprocess.run(
            [sigstore_programs[VERIFIER], origin, path],
            input=json.dumps(entry),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def refuses_a_flipped_checkpoint(
    check: Check, entry: dict[str, Any], origin: str, key: bytes
) -> None:
    """Check that the client looks: another root hash is not the signed one."""
    checkpoint = at(entry, "inclusionProof.checkpoint")
    name, size, root, *rest = checkpoint["envelope"].split("\n")
    damaged = bytearray(base64.b64decode(root))
    damaged[0] ^= 1
    checkpoint["envelope"] = "\n".join([name, size, log.b64(bytes(damaged)), *rest])
    ended = check(entry, origin, key)
    assert ended.returncode == 1
    assert "signature" in ended.stderr


@pytest.mark.parametrize("version", [1, 2])
def test_the_tests_logs_satisfy_rekors_client(
    private_sigstore: PrivateSigstore, check: Check, version: Any
) -> None:
    """Signed notes and proofs of both versions of the log, as anybody verifies them."""
    bundle = json.loads(private_sigstore.sign_statement(b"payload", rekor=version))
    entry = at(bundle, ENTRY)
    origin, key = (
        (log.ORIGIN, private_sigstore.log.key.public)
        if version == 1
        else (rekor2.ORIGIN, private_sigstore.services.tile_log.public)
    )
    ended = check(entry, origin, key)
    assert ended.returncode == 0, ended.stderr
    refuses_a_flipped_checkpoint(check, entry, origin, key)


def test_the_real_log_satisfies_it(
    real_sigstore: RealSigstore, check: Check, tmp_path: Path
) -> None:
    """The same client on the same kind of entry, so that the two logs are compared."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"weights")
    entry = at(real_sigstore.sign(tmp_path / "model", "alice@example.com"), ENTRY)
    ended = check(entry, rekor2.ORIGIN, real_sigstore.tile_log.public)
    assert ended.returncode == 0, ended.stderr
    refuses_a_flipped_checkpoint(check, entry, rekor2.ORIGIN, real_sigstore.tile_log.public)
