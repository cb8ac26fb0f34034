"""The largest statements that the limits allow, read at a tenth of their size."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.signed_model import Signer, statement_of
from validator.limits import DEFAULT

if TYPE_CHECKING:
    from pathlib import Path

GATE_MIB = 256
"""Memory of a gate, by default."""

READ = """
import sys
from pathlib import Path
from validator.bundle import read_bundle
from validator.limits import DEFAULT
import validator.signatures.key
from validator.statement import parse_statement
def peak():
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024
before = peak()
bundle = read_bundle(Path(sys.argv[1]), limits=DEFAULT)
payload, kind = bundle.payload, bundle.payload_type
del bundle  # as a verification does
read = parse_statement(payload, payload_type=kind, limits=DEFAULT, allow_legacy=False)
print(before, peak(), len(read.files))
"""

SCALE = 10
DIGEST = hashlib.sha256(b"").hexdigest()


def resource(name: str) -> dict[str, str]:
    """Return what a statement says of a file."""
    return {"name": name, "algorithm": "sha256", "digest": DIGEST}


WORST: dict[str, tuple[int, list[dict[str, str]], dict[str, Any]]] = {
    "short names": (38_000, [resource(f"{n:x}") for n in range(38_000)], {}),
    "long names of four bytes a character": (
        9_000,
        [resource(f"{n:x}\U0001f600" + "a" * 350) for n in range(9_000)],
        {},
    ),
    "shards of a byte": (
        35_000,
        [resource(f"{n:x}:0:1") for n in reversed(range(35_000))],
        {"method": "shards", "shard_size": 1},
    ),
}


@pytest.mark.parametrize("kind", WORST)
def test_the_worst_statement_fits_a_gate(tmp_path: Path, kind: str) -> None:
    """No statement of an accepted signer may end the gate without a sentence."""
    count, listed, serialization = WORST[kind]
    document = json.dumps(statement_of(listed, **serialization), ensure_ascii=False)
    path = tmp_path / "model.sig"
    path.write_bytes(Signer().bundle(document.encode()))
    size = path.stat().st_size
    assert size > 0.8 * DEFAULT.bundle_bytes / SCALE
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    before, peak, files = map(float, done.stdout.split())
    assert files == count
    whole = before + (peak - before) * DEFAULT.bundle_bytes / size
    assert whole < 0.9 * GATE_MIB, whole
