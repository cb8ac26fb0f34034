"""The Secrets are encrypted for a key, and can be read with it alone."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.e2e.stack.static.manifests import STACK

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = STACK.parents[1] / ".sops.yaml"
FILES = sorted((STACK / "components" / "sops-secrets").glob("*.sops.yaml"))

pytestmark = pytest.mark.apiserver


@pytest.fixture
def key(tools: dict[str, Path], tmp_path: Path) -> tuple[Path, str]:
    """Return a new age key: its file, and its public half."""
    path = tmp_path / "key.txt"
    subprocess.run([tools["age-keygen"], "-o", path], check=True, capture_output=True)
    shown = subprocess.run([tools["age-keygen"], "-y", path], check=True, capture_output=True)
    return path, shown.stdout.decode().strip()


def sops(tools: dict[str, Path], key: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run sops with a private key, and no other from this machine."""
    return subprocess.run(
        [tools["sops"], *map(str, arguments)],
        env={"SOPS_AGE_KEY_FILE": str(key), "HOME": str(key.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_of_a_secret_is_readable(file: Path) -> None:
    """Each value is encrypted, for the one key of .sops.yaml, and the rest can be reviewed."""
    secret = yaml.safe_load(file.read_text())
    assert secret["kind"] == "Secret"
    values = secret["stringData"].values()
    assert values
    assert all(each.startswith("ENC[AES256_GCM,") for each in values)
    (rule,) = yaml.safe_load(SETTINGS.read_text())["creation_rules"]
    assert [each["recipient"] for each in secret["sops"]["age"]] == [rule["age"]]
    assert secret["sops"]["encrypted_regex"] == rule["encrypted_regex"]


def test_no_private_key_is_in_the_tree() -> None:
    """Also none that would only be an example: somebody would keep it."""
    marker = "AGE-SECRET-" + "KEY-1"
    tracked = subprocess.run(
        ["git", "grep", "-l", marker],
        cwd=SETTINGS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (tracked.returncode, tracked.stdout) == (1, "")  # 1: searched, and found nothing


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_secrets_of_your_own_come_back_as_they_were(
    file: Path, tools: dict[str, Path], key: tuple[Path, str], tmp_path: Path
) -> None:
    """The guide's way: your public key in .sops.yaml, your values, encrypted and decrypted."""
    private, public = key
    (rule,) = yaml.safe_load(SETTINGS.read_text())["creation_rules"]
    settings = SETTINGS.read_text().replace(rule["age"], public)
    (tmp_path / SETTINGS.name).write_text(settings)
    secret = yaml.safe_load(file.read_text())
    secret.pop("sops")
    secret["stringData"] = dict.fromkeys(secret["stringData"], "mine: ü$\n")
    mine = tmp_path / file.name
    mine.write_text(yaml.safe_dump(secret))
    config = ("--config", tmp_path / SETTINGS.name)
    encrypted = sops(tools, private, *config, "encrypt", "--in-place", mine)
    assert encrypted.returncode == 0, encrypted.stderr
    # With the colon, which base64 cannot write by chance.
    assert "mine:" not in mine.read_text()
    assert yaml.safe_load(sops(tools, private, "decrypt", mine).stdout) == secret


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nobody_decrypts_the_example_with_another_key(
    file: Path, tools: dict[str, Path], key: tuple[Path, str]
) -> None:
    """Applying the example unchanged fails at once."""
    private, _ = key
    ran = sops(tools, private, "decrypt", file)
    assert ran.returncode != 0
    assert "Failed to get the data key" in ran.stderr
