"""Write a model of a given shape, and have the reference sign it.

    python -m benchmarks.models FOLDER FILES FILE_BYTES SHARD_BYTES

A process of its own: what it takes of memory must not count as its parent's,
since a child starts with its parent's peak.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from model_signing import hashing, signing

BLOCK_BYTES: Final = 8 * 1024 * 1024


def make(folder: Path, files: int, file_bytes: int, shard_bytes: int) -> None:
    """Write `model`, `model.sig` and `key.pub` into a folder."""
    private = _key(folder)
    model = folder / "model"
    for number in range(files):
        path = model / f"{number // 1000:03}" / f"{number:06}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        _fill(path, file_bytes, seed=number)
    config = hashing.Config()
    if shard_bytes:
        config.use_shard_serialization(shard_size=shard_bytes)
    signer = signing.Config().use_elliptic_key_signer(private_key=private)
    signer.set_hashing_config(config).sign(model, folder / "model.sig")


def _key(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    private = folder / "key"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "key.pub").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return private


def _fill(path: Path, size: int, *, seed: int) -> None:
    """Write bytes that differ from file to file; a disk that compresses must not win."""
    block = hashlib.shake_256(b"%d" % seed).digest(min(size, 64 * 1024))
    block *= -(-min(size, BLOCK_BYTES) // len(block))
    with path.open("wb") as file:
        for start in range(0, size, len(block)):
            file.write(block[: size - start])


if __name__ == "__main__":
    make(Path(sys.argv[1]), *(int(text) for text in sys.argv[2:]))
