"""The least that a verifier in Python can take: load cryptography, read all bytes, hash them.

    python -m benchmarks.floor MODEL [SHARD_BYTES]

Knows nothing of signatures and checks nothing. Files of at most 256 KiB are
opened and read one after the other by one thread, since two only fight for the
interpreter's lock; larger files, or their shards, go to a thread for each core.
"""

from __future__ import annotations

import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

# Any verifier of ECDSA signatures must load these.
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: F401 — see above
from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: F401 — see above

BUFFER_BYTES: Final = 1024 * 1024
SMALL_BYTES: Final = 256 * 1024


def hash_range(path: str, start: int, end: int) -> bytes:
    """Return the SHA-256 of a file's bytes."""
    hasher = hashlib.sha256()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        while start < end:
            content = os.pread(descriptor, min(BUFFER_BYTES, end - start), start)
            hasher.update(content)
            start += len(content)
    finally:
        os.close(descriptor)
    return hasher.digest()


def main(model: str, shard_bytes: int = 0) -> None:
    """Hash all files of a model."""
    small: list[tuple[str, int, int]] = []
    large: list[tuple[str, int, int]] = []
    for folder, _, names in os.walk(model):
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118 — the floor is what is fastest
            size = os.stat(path).st_size  # noqa: PTH116 — the floor is what is fastest
            step = shard_bytes or max(size, 1)
            parts = [(path, start, min(start + step, size)) for start in range(0, size, step)]
            (small if size < SMALL_BYTES else large).extend(parts)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for part in large:
            pool.submit(hash_range, *part)
        for part in small:
            hash_range(*part)


if __name__ == "__main__":
    main(str(Path(sys.argv[1])), *(int(text) for text in sys.argv[2:]))
