"""Measure the memory of gate and monitor against the number of files.

    python -m benchmarks.memory [--files N...] [--folder DIR]

Models of many files of a byte each. The gate verifies one as in a pod; the monitor verifies it,
looks, and verifies it again by the statement that it remembers. The figure is the peak of what a
container needs beside the page cache: the resident set, and what forked processes have besides.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from benchmarks import processes
from validator import contract
from validator.signatures import pae

FILES: Final = (30_000, 90_000, 300_000)
PER_FOLDER: Final = 1000
CONTENT: Final = b"x"
TYPE: Final = "application/vnd.in-toto+json"


def make(folder: Path, count: int, *, links: bool = False) -> str:
    """Write `model` with its signature, and return the public key.

    With `links`, all files but the first are symbolic links to it.
    """
    digest = hashlib.sha256(CONTENT)
    names = [f"{number // PER_FOLDER:04}/{number:07}.safetensors" for number in range(count)]
    for number, name in enumerate(names):
        path = folder / "model" / name
        if number % PER_FOLDER == 0:
            path.parent.mkdir(parents=True)
        if links and number:
            path.symlink_to(Path("..", names[0]))
        else:
            path.write_bytes(CONTENT)
    algorithm = {"algorithm": "sha256", "digest": digest.hexdigest()}
    root = hashlib.sha256(digest.digest() * count).hexdigest()
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": root}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": links},
            "resources": [{"name": name, **algorithm} for name in names],
        },
    }
    key = ec.generate_private_key(ec.SECP256R1())
    payload = json.dumps(statement).encode()
    signature = key.sign(b"".join(pae(TYPE, payload)), ec.ECDSA(hashes.SHA256()))
    bundle = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": ""}},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode()}],
        },
    }
    (folder / "model" / "model.sig").write_text(json.dumps(bundle))
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def policy(model: Path, key: str) -> str:
    """Return the resolved policy, as the webhook puts it into the environment."""
    return json.dumps(
        {
            "apiVersion": contract.API_VERSION,
            "kind": contract.KIND,
            "metadata": {"name": "memory", "namespace": "benchmarks"},
            "spec": {
                "model": {"path": str(model)},
                "config": {"privateKeyConfig": {"publicKey": key}},
                "revalidation": {"interval": "10s", "bytesPerSecond": "1Gi"},
            },
        }
    )


def gate(policy: str) -> int:
    """Return the peak of a gate in MiB, with the processes that it forks."""
    command = [sys.executable, "-I", "-m", "validator", "verify", "policy", "--progress=none"]
    with tempfile.NamedTemporaryFile() as file:
        log = Path(file.name)
        found = processes.peak_of_all(command, log, **{contract.POLICY_VARIABLE: policy})
        if "succeeded" not in (text := log.read_text()):
            sys.exit(f"the gate failed: {text}")
    return round(found)


def monitor(folder: Path, policy: str) -> int:
    """Return the peak of a monitor in MiB, after three verdicts."""
    command = [sys.executable, "-I", "-m", "validator", "monitor", f"--state={folder}"]
    with subprocess.Popen(  # noqa: S603 — our own program
        command,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {contract.POLICY_VARIABLE: policy},
    ) as process:
        for line in islice(process.stdout or (), 3):
            if "succeeded" not in line:
                sys.exit(f"the monitor failed: {line}")
        found = processes.peak(Path(f"/proc/{process.pid}/status").read_text())
        process.kill()
    return round(found)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, nargs="*", default=FILES)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    asked = parser.parse_args()
    sys.stdout.write("| files | gate, MiB | monitor, MiB |\n|---|---|---|\n")
    for count in asked.files:
        with tempfile.TemporaryDirectory(prefix="benchmark-", dir=asked.folder) as name:
            folder = Path(name)
            given = policy(folder / "model", make(folder, count))
            cells = [f"{count:,}", gate(given), monitor(folder, given)]
        sys.stdout.write(f"| {' | '.join(map(str, cells))} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
