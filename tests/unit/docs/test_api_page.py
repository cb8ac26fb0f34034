"""docs/api.md: what the docstrings say, and its example as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.differential.signers import KeyPair, bundle_by_key, resource, statement

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = ROOT / "docs" / "api.md"
BLOCK: Final = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
WEIGHTS: Final = b"weights"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the page's first block of code, in a folder that has what it reads."""
    pair = KeyPair.new(tmp_path, ec.SECP256R1())
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "granite"
    model.mkdir()
    (model / "model.safetensors").write_bytes(WEIGHTS)
    document = statement([resource("model.safetensors", WEIGHTS)])
    (model / "model.sig").write_bytes(bundle_by_key(pair, document))
    pair.public_path.rename("key.pub")
    first, *_ = BLOCK.findall(PAGE.read_text())
    return str(first)


def test_the_page_says_what_the_docstrings_say() -> None:
    """Else `make generate` was forgotten."""
    made = subprocess.run(
        [sys.executable, "scripts/generate_api_docs.py"], cwd=ROOT, capture_output=True, check=True
    )
    assert PAGE.read_bytes() == made.stdout


def test_the_example_prints_the_verdict(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A signed model: its digest and its size."""
    exec(compile(example, str(PAGE), "exec"), {})  # noqa: S102 — the page is ours
    digest, size = capsys.readouterr().out.split()
    assert re.fullmatch("[0-9a-f]{64}", digest)
    assert int(size) == len(WEIGHTS)


def test_the_example_prints_the_refusal(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A changed one: a sentence, and no traceback."""
    Path("granite/model.safetensors").write_bytes(b"changed")
    exec(compile(example, str(PAGE), "exec"), {})  # noqa: S102 — the page is ours
    assert "model.safetensors" in capsys.readouterr().out
