"""Verdicts of the three methods, as people and programs read them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.certificates import LASTING, Party
from tests.support.signed_model import (
    statement,
)

if TYPE_CHECKING:
    from tests.sigstore import PrivateSigstore

from tests.support.desk import Desk, keyless, run


def test_the_installed_command_is_the_module(desk: Desk) -> None:
    """The console script and the interpreter's -m say the same."""
    script = Path(sys.executable).with_name("model-validator")
    if not script.exists():
        pytest.skip("the project is not installed beside this interpreter: pip install -e .")
    ended = run("verify", "key", desk.site.model, "--public-key", desk.key, prefix=(str(script),))
    assert ended.code == 0
    assert ended.out.startswith(f"Verification succeeded: {desk.site.model}\n")
    assert "  3 files, 3.9 KiB, sha256\n" in ended.out


def test_a_verified_model_ends_with_zero(desk: Desk) -> None:
    """The verdict goes to standard output, and nothing to standard error."""
    ended = desk.verify()
    assert (ended.code, ended.err) == (0, "")


def test_json_is_one_object(desk: Desk) -> None:
    """Verified or refused, on standard output, with the same fields."""
    ended = desk.verify("--format", "json")
    document = json.loads(ended.out)
    assert (ended.code, document["verdict"], document["files"]) == (0, "verified", 3)
    (desk.site.model / "extra").touch()
    (desk.site.model / "config.json").unlink()
    ended = desk.verify("--format=json")
    document = json.loads(ended.out)
    assert (ended.code, document["verdict"]) == (1, "refused")
    assert document["mismatches"] == [
        "'config.json' is signed and missing",
        "'extra' is not signed",
    ]
    desk.key.unlink()
    assert desk.verify("--format=json").code == 2


def test_a_refused_model_ends_with_one(desk: Desk) -> None:
    """The words that people search for, the reason, and every file."""
    (desk.site.model / "config.json").write_bytes(b"[]")
    ended = desk.verify()
    assert ended.code == 1
    assert ended.out == (
        "Verification failed: the model is not the signed one: 'config.json' is not the signed "
        "file: its content differs\n"
    )


def test_certificates_are_verified(desk: Desk) -> None:
    """Several files with authorities may be named, in either spelling."""
    root, other = Party.root("root"), Party.root("other")
    desk.site.signature.write_bytes(root.issue(profile=LASTING).bundle(statement()))
    for party in (root, other):
        (desk.folder / f"{party.certificate.subject.rfc4514_string()}.pem").write_bytes(party.pem)
    ended = run(
        *("verify", "certificate", desk.site.model),
        *("--certificate-chain", desk.folder / "CN=other.pem"),
        *("--certificate_chain", desk.folder / "CN=root.pem"),
    )
    assert ended.code == 0, ended.text
    assert "signer: CN=signer (certificate)" in ended.out
    ended = run(
        *("verify", "certificate", desk.site.model),
        *("--certificate-chain", desk.folder / "CN=other.pem"),
    )
    assert ended.code == 1
    assert "does not lead to an accepted authority ('CN=other')" in ended.out


def test_certificates_are_accepted_by_their_name(desk: Desk) -> None:
    """By subject or alternative name, exactly or by an expression."""
    root = Party.root("root")
    desk.site.signature.write_bytes(root.issue(profile=LASTING).bundle(statement()))
    (desk.folder / "root.pem").write_bytes(root.pem)
    verify = ("verify", "certificate", desk.site.model)
    chain = ("--certificate-chain", desk.folder / "root.pem")
    for option, accepted, refused in (
        ("--identity", "CN=signer", "CN=sign"),
        ("--identity-regexp", "CN=sig.*", "sig.*"),
        ("--identity_regexp", "CN=(signer|other)", "CN=other"),
    ):
        assert run(*verify, *chain, option, accepted).code == 0
        ended = run(*verify, *chain, option, refused)
        assert ended.code == 1
        assert f"somebody else: 'CN=signer', and '{refused}' is accepted" in ended.out


def test_keyless_signatures_are_verified(desk: Desk, private_sigstore: PrivateSigstore) -> None:
    """By a trusted root or a client's trust configuration, in either spelling."""
    desk.site.signature.write_text(private_sigstore.sign_statement(statement()))
    for arguments in (
        (),
        ("--trusted_root", private_sigstore.trusted_root_path),
        ("--trust-config", private_sigstore.trust_config_path),
        ("--trust_config", private_sigstore.trust_config_path),
    ):
        ended = keyless(private_sigstore, desk.site.model, *arguments)
        assert ended.code == 0, ended.text
        assert "signer: alice@example.com (sigstore)" in ended.out
        assert "log index: " in ended.out
        assert ended.err == ""


@pytest.mark.parametrize("instance", [(), ("--staging",), ("--use_staging",)])
def test_public_roots_do_not_know_a_private_log(
    desk: Desk, private_sigstore: PrivateSigstore, instance: tuple[str, ...]
) -> None:
    """Offline, by the root that ships with sigstore-python, whose age is said."""
    desk.site.signature.write_text(private_sigstore.sign_statement(statement()))
    ended = run(
        *("verify", "sigstore", desk.site.model, "--identity=alice@example.com"),
        *("--identity_provider", private_sigstore.issuer, *instance),
    )
    assert ended.code == 1
    assert "the root shipped with sigstore-python" in ended.out
    assert "does not know: update the validator, or name the right root" in ended.out


def test_a_single_file_has_its_signature_beside_it(desk: Desk) -> None:
    """By custom, model.sig in the file's directory."""
    file = desk.folder / "model.gguf"
    file.write_bytes(b"weights")
    (desk.folder / "model.sig").write_bytes(desk.site.signer.bundle(statement({".": b"weights"})))
    ended = run("verify", "key", file, "--public-key", desk.key)
    assert ended.code == 0, ended.text
    assert "1 file," in ended.out
