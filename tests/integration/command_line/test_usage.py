"""Wrong usage ends with 2, and what cannot be decided with 3."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pytest

from tests.support.certificates import Party
from tests.support.desk import COMMAND, Desk, run
from validator.arguments import DISTRIBUTION

ROOT = Path(__file__).parents[3]

MISUSED: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "nothing": ((), "the following arguments are required: COMMAND"),
    "no method": (("verify",), "required: METHOD"),
    "unknown method": (("verify", "gpg"), "invalid choice: 'gpg'"),
    "no key": (("verify", "key", "{model}"), "--public-key"),
    "no identity": (("verify", "sigstore", "{model}"), "--identity"),
    "no authority": (("verify", "certificate", "{model}"), "--certificate-chain"),
    "abbreviated option": (
        ("verify", "key", "{model}", "--public-key", "{key}", "--ignore-unsigned"),
        "unrecognized arguments: --ignore-unsigned",
    ),
    "empty identity": (
        (
            *("verify", "certificate", "{model}", "--certificate-chain={ca}"),
            "--identity=",
        ),
        "argument --identity: invalid text value: ''",
    ),
    "identity that is not UTF-8": (
        (
            *("verify", "sigstore", "{model}", "--identity-provider=b"),
            "--identity=\udcff",
        ),
        "argument --identity: invalid text value",
    ),
    "no jobs": (
        ("verify", "key", "{model}", "--public-key", "{key}", "--jobs", "0"),
        "invalid positive number value: '0'",
    ),
    "digest of another kind": (
        ("verify", "key", "{model}", "--public-key", "{key}", "--digest", "sha512:00"),
        "--digest 'sha512:00' is not 'sha256:' or 'statement:sha256:', and 64 lower-case hex",
    ),
    "key that is a certificate": (
        ("verify", "key", "{model}", "--public-key", "{ca}"),
        "not a public key in PEM form (it is a certificate): use `verify certificate`, or ",
    ),
    "key that is private": (
        ("verify", "key", "{model}", "--public-key", "{private}"),
        "(it looks like a private key): name its public half, which `openssl pkey -pubout` prints",
    ),
    "authority that is a key": (
        ("verify", "certificate", "{model}", "--certificate-chain", "{key}"),
        "not certificates in PEM form (it is a public key): use `verify key`, or publicKeyConfig",
    ),
    "authority that is a private key": (
        ("verify", "certificate", "{model}", "--certificate-chain", "{private}"),
        "not certificates in PEM form (it looks like a private key): name its certificate",
    ),
    "two roots": (
        (
            *("verify", "sigstore", "{model}", "--identity=a", "--identity-provider=b"),
            *("--trust-config={key}", "--trusted-root={key}"),
        ),
        "not allowed with argument",
    ),
    "file and public instance": (
        (
            *("verify", "sigstore", "{model}", "--identity=a", "--identity-provider=b"),
            *("--trusted-root={key}", "--staging"),
        ),
        "--staging and --online choose a public root",
    ),
    "root that is none": (
        (
            *("verify", "sigstore", "{model}", "--identity=a", "--identity-provider=b"),
            "--trusted-root={key}",
        ),
        "the trusted root is not JSON",
    ),
    "policy that is none": (("verify", "policy", "{key}"), "expected a mapping"),
    "no policy at all": (
        ("verify", "policy"),
        "no policy: name its FILE, or set $MODEL_VALIDATION_POLICY as the webhook does",
    ),
}


@pytest.mark.parametrize("case", MISUSED)
def test_misuse_ends_with_two(desk: Desk, case: str) -> None:
    """A wrong command line or policy is no verdict on the model, and says what is wrong."""
    arguments, said = MISUSED[case]
    (desk.folder / "ca.pem").write_bytes(Party.root().pem)
    (desk.folder / "private").write_text("-----BEGIN PRIVATE KEY-----\n")
    names = {
        "model": desk.site.model,
        "key": desk.key,
        "ca": desk.folder / "ca.pem",
        "private": desk.folder / "private",
    }
    ended = run(*(argument.format(**names) for argument in arguments))
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert ended.err.startswith("model-validator")
    assert ended.err.count("\n") == 1


def test_the_version_is_the_distributions() -> None:
    """It is asked for without a command."""
    assert run("--version").out == f"{version(DISTRIBUTION)}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("key", "{model}", "--public-key=absent"), "there is no public key at 'absent'"),
        (("key", "{model}", "--public-key={model}"), "is not a regular file"),
        (("key", "{model}", "--public-key=/dev/zero"), "is not a regular file"),
        (("certificate", "{model}", "--certificate-chain=absent"), "there is no certificate chain"),
        (
            (
                *("sigstore", "{model}", "--identity=a", "--identity-provider=b"),
                "--trusted-root=absent",
            ),
            "there is no trusted root at 'absent'",
        ),
        (("policy", "absent"), "there is no policy at 'absent'"),
    ],
)
def test_a_missing_anchor_ends_with_two(desk: Desk, arguments: tuple[str, ...], said: str) -> None:
    """The command line names what is not there."""
    ended = run("verify", *(text.format(model=desk.site.model) for text in arguments))
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


def obeying_permissions() -> tuple[str, ...]:
    """Return how the command is run so that file permissions count for root, too."""
    if os.geteuid() != 0:
        return COMMAND
    prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    if shutil.which("setpriv") is None:
        pytest.skip("root obeys permissions only under `setpriv` (util-linux)")
    return (*prefix, *COMMAND)


@pytest.mark.parametrize("closed", ["config.json", "weights", "model.sig", "."])
def test_what_cannot_be_read_ends_with_three(desk: Desk, closed: str) -> None:
    """Neither verified nor refused, with the path and the system's reason."""
    path = desk.site.model / closed
    path.chmod(0)
    try:
        ended = desk.verify(prefix=obeying_permissions())
    finally:
        path.chmod(0o755)
    assert ended.code == 3
    assert "cannot be read: Permission denied" in ended.text


def test_a_missing_library_is_one_sentence(desk: Desk) -> None:
    """It says what to install, and does not call itself a fault of ours."""
    ended = subprocess.run(
        # `-S`: without what is installed in the environment.
        [sys.executable, "-S", "-m", "validator", "inspect", str(desk.site.signature)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert "is not installed: install this project" in ended.stderr
    assert "pip install '.[validator]'" in ended.stderr
