"""JSON from outside takes memory and time in proportion to its bytes, whatever it holds."""

from __future__ import annotations

import gzip
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from validator.errors import BundleError
from validator.files import load_json
from validator.limits import DEFAULT

if TYPE_CHECKING:
    from pathlib import Path

GATE_MIB = 256
"""Memory of a gate, by default."""

READ = """
import sys
from pathlib import Path
from validator.bundle import read_bundle
from validator.errors import BundleError
from validator.limits import DEFAULT
try:
    read_bundle(Path(sys.argv[1]), limits=DEFAULT)
except BundleError as error:
    print(error)
# Not ru_maxrss, which a process inherits from the one that started it.
(peak,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM:")]
print(int(peak.split()[1]) // 1024)
"""


@pytest.mark.parametrize(("value", "weight"), [(b"[]", 2), (b"{}", 2), (b'{"a":0}', 2), (b"0", 1)])
def test_values_are_counted_before_they_are_made(value: bytes, weight: int) -> None:
    """As many as are allowed are read, one more is refused."""
    text = b"[" + b",".join([value] * 1000) + b"]"
    assert len(load_json(text, what="file", depth=9, values=weight * 1000)) == 1000
    with pytest.raises(BundleError, match=f"the file has more than {weight * 1000 - 1:,} values"):
        load_json(text, what="file", depth=9, values=weight * 1000 - 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (gzip.compress(b"{}"), "it is compressed by gzip: unpack it"),
        (b"\xef\xbb\xbf{}", "it begins with a byte order mark: save it without one"),
        (b"version https://git-lfs.github.com/spec/v1\n", "run `git lfs pull`"),
        (b"<!DOCTYPE html>", "it looks like a web page: fetch it again"),
    ],
    ids=["gzip", "byte order mark", "pointer", "web page"],
)
def test_what_stands_in_the_place_of_json_is_named(text: bytes, said: str) -> None:
    """What people have there by mistake, with what to do about it."""
    with pytest.raises(BundleError, match=f"the file is not JSON: .*{said}"):
        load_json(text, what="file", depth=9, values=9)


@pytest.mark.parametrize("value", [b"[]", b"{}", b'{"a":{"b":0}}'])
def test_the_worst_signature_file_fits_a_gate(tmp_path: Path, value: bytes) -> None:
    """In a field that nobody reads."""
    start, end = b'{"x":[', b"0]}"
    count = (DEFAULT.bundle_bytes - len(start) - len(end)) // (len(value) + 1)
    path = tmp_path / "model.sig"
    path.write_bytes(start + (value + b",") * count + end)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    said, peak = done.stdout.splitlines()
    assert said == "the signature file has more than 10,000 values"
    assert int(peak) < GATE_MIB
