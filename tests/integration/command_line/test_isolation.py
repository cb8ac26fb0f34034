"""The modules that the command loads, and the files that it reads and writes beside the model."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.signed_model import (
    statement,
    write,
)
from validator import contract

if TYPE_CHECKING:
    from tests.sigstore import PrivateSigstore

from tests.support.desk import COMMAND, HEAVY, Desk, keyless, loaded, run

SLOW: Final = (
    *("asyncio", "base64", "concurrent.futures", "dataclasses", "importlib.metadata", "inspect"),
    *("logging", "lzma", "msgspec", "pathlib", "secrets", "shutil", "subprocess", "tempfile"),
    *("cryptography.hazmat.primitives.serialization", "cryptography.x509"),
)
"""Modules that each take half a millisecond or more, and that a check by key does without."""


def test_a_check_by_key_loads_no_more_than_it_needs(desk: Desk) -> None:
    """Start-up time counts in a gate. Of other subcommands, only names and a line are known."""
    code = "import sys; from validator.cli import main; assert main(sys.argv[1:]) == 0"
    modules = loaded(code, "verify", "key", desk.site.model, f"--public-key={desk.key}")
    assert "cryptography" in modules
    assert not modules.intersection((*HEAVY, *SLOW))
    ours = {name.removeprefix("validator.cli.") for name in modules if "validator.cli." in name}
    assert ours == {"options", "progress", "verify", "verify_key"}


def test_the_gate_loads_the_method_that_it_needs(desk: Desk) -> None:
    """A policy with a key in the environment needs neither YAML nor Sigstore."""
    code = (
        "import os, sys; from validator.cli import main; "
        f"os.environ['{contract.POLICY_VARIABLE}'] = sys.argv[1]; "
        "assert main(['verify', 'policy']) == 0"
    )
    modules = loaded(code, json.dumps(desk.policy()))
    assert "msgspec" in modules
    assert not modules.intersection(HEAVY)


@pytest.mark.parametrize("module", ["validator.contract", "validator.policy", "validator.errors"])
def test_what_the_webhook_imports_is_light(module: str) -> None:
    """The policy's types come without cryptography and without Sigstore."""
    modules = loaded(f"import {module}")
    assert not modules.intersection((*HEAVY, "cryptography", "asyncio"))


def test_help_needs_nothing() -> None:
    """Asking for help loads the option parser only."""
    ended = run("--help")
    assert ended.code == 0
    assert "Exit codes: 0 verified, 1 refused, 2 usage or policy, 3 could not be decided." in (
        " ".join(ended.out.split())
    )
    for method in ("sigstore", "key", "certificate", "policy"):
        assert run("verify", method, "--help").code == 0


@pytest.mark.parametrize("kind", ["absent", "empty"])
def test_nothing_below_home_is_written_or_believed(
    desk: Desk, private_sigstore: PrivateSigstore, kind: str
) -> None:
    """No cache is made, and none is needed, whatever HOME is."""
    home = desk.folder / "home"
    if kind == "empty":
        home.mkdir()
    environment = {"HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CACHE_HOME": str(home)}
    assert desk.verify(environment=environment).code == 0
    desk.site.signature.write_text(private_sigstore.sign_statement(statement()))
    assert keyless(private_sigstore, desk.site.model, environment=environment).code == 0
    ended = run(
        *("verify", "sigstore", desk.site.model, "--identity=a", "--identity-provider=b"),
        environment=environment,
    )
    assert ended.code == 1
    assert home.exists() == (kind == "empty")
    assert not (home.exists() and list(home.iterdir()))


def test_nothing_in_the_working_directory_is_imported(desk: Desk) -> None:
    """A model that brings a module called json is a model with a file json.py."""
    write(desk.folder, {"json.py": b"raise SystemExit(0)", "validator/__init__.py": b"raise 1"})
    ended = desk.verify(
        cwd=desk.folder, environment={"PYTHONPATH": str(desk.folder), "PYTHONSTARTUP": "x"}
    )
    assert ended.code == 0
    assert ended.out.startswith("Verification succeeded")


def test_nothing_is_asked_of_a_network(desk: Desk, private_sigstore: PrivateSigstore) -> None:
    """All verification works where there is no network at all."""
    namespace = ("unshare", "--net")
    if (
        shutil.which("unshare") is None
        or subprocess.run([*namespace, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("a network namespace needs root and `unshare`")
    prefix = (*namespace, *COMMAND)
    assert desk.verify(prefix=prefix).code == 0
    desk.site.signature.write_text(private_sigstore.sign_statement(statement()))
    ended = keyless(private_sigstore, desk.site.model, prefix=prefix)
    assert ended.code == 0, ended.text
    ended = keyless(private_sigstore, desk.site.model, "--online", prefix=prefix)
    assert ended.code == 3
    said = "cannot be fetched from https://tuf-repo-cdn.sigstore.dev: the name of its host cannot "
    assert f"{said}be resolved: is there a network, and a DNS server?" in ended.err


def test_environment_variables_of_others_change_nothing(
    desk: Desk, private_sigstore: PrivateSigstore
) -> None:
    """Neither the system's TLS roots nor another tool's settings are looked at."""
    junk = write(desk.folder, {"junk.pem": b"junk"}) / "junk.pem"
    environment = {
        "SSL_CERT_FILE": str(junk),
        "REQUESTS_CA_BUNDLE": str(junk),
        "SIGSTORE_TRUSTED_ROOT": str(junk),
        "TUF_ROOT": str(desk.folder),
        "PYTHONWARNINGS": "error",
        "COLUMNS": "20",
    }
    desk.site.signature.write_text(private_sigstore.sign_statement(statement()))
    assert keyless(private_sigstore, desk.site.model, environment=environment).code == 0
