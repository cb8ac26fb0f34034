"""`inspect`: what a signature file claims."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.sigstore.authority import Identity
from tests.support.certificates import Party
from tests.support.signed_model import FILES, Signer, sharded, statement, statement_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sigstore import PrivateSigstore

from tests.support.desk import Desk, edited, run


class TestInspect:
    """`inspect`: what a signature claims, without a model."""

    def test_it_says_that_nothing_was_verified(self, desk: Desk) -> None:
        """First of all."""
        ended = run("inspect", desk.site.signature)
        assert ended.code == 0
        assert ended.out.startswith("Claims only, nothing was verified.\nmethod: key\n")
        assert "model: granite\n" in ended.out
        document = json.loads(run("inspect", desk.site.signature, "--format=json").out)
        assert document["verified"] is False
        assert document["files"] == 3
        assert "resources" not in document

    def test_a_models_directory_stands_for_its_signature(self, desk: Desk) -> None:
        """`model.sig` in it; a directory without one says where it was looked for."""
        by_model, by_file = (
            # Advice is measured each time.
            [line for line in run("inspect", at).out.splitlines() if not line.startswith("advice:")]
            for at in (desk.site.model, desk.site.signature)
        )
        assert by_model == by_file
        ended = run("inspect", desk.site.model / "weights")
        assert ended.code == 1
        assert "there is no signature file at" in ended.err
        assert "weights/model.sig'" in ended.err

    def test_it_knows_all_methods(self, desk: Desk, private_sigstore: PrivateSigstore) -> None:
        """The claimed signer, time and method."""
        root = Party.root()
        desk.site.signature.write_bytes(root.issue().bundle(statement()))
        assert (
            "certificate: CN=signer (2026-11-22 to 2026-12-23), by CN=root, ECDSA secp256r1"
            in run("inspect", desk.site.signature).out
        )
        desk.site.signature.write_text(private_sigstore.sign_statement(statement()))
        out = run("inspect", desk.site.signature).out
        assert "identity: alice@example.com" in out
        assert re.search(r"\nsigned at: 20\d\d-.* \d\d:.*, by SET\nlog: [0-9a-f]{64}\n", out)
        assert re.search(r"\nlog index: \d+( \(over all of its trees: \d+\))?\n", out)
        workflow = Identity("https://example.com/sign.yaml", claims={5: "team/granite"})
        signed = private_sigstore.sign_statement(
            statement(ignore_paths=["drafts"], allow_symlinks=True), identity=workflow
        )
        desk.site.signature.write_text(signed)
        out = run("inspect", desk.site.signature).out
        assert "\nworkflow repository: team/granite\n" in out
        assert "\nlinks: stand for what they lead to\nignored: drafts\n" in out

    def test_claims_write_no_lines_of_their_own(self, desk: Desk) -> None:
        """A hostile name in the statement is escaped."""
        document = statement()
        document["subject"][0]["name"] = "x\nVerification succeeded\x1b[2J"
        desk.site.sign(document)
        out = run("inspect", desk.site.signature).out
        assert r"model: x\nVerification succeeded\x1b[2J" in out
        assert "\x1b" not in out

    @pytest.mark.parametrize(
        ("content", "code", "said"),
        [
            (b"", 1, "is not JSON"),
            (b"{}", 1, "is not a Sigstore bundle"),
            (
                Signer().bundle(b"junk"),
                1,
                "statement is not acceptable: the signed statement is",
            ),
        ],
    )
    def test_what_is_no_signature_is_said(
        self, desk: Desk, content: bytes, code: int, said: str
    ) -> None:
        """The file may be anything."""
        desk.site.signature.write_bytes(content)
        ended = run("inspect", desk.site.signature)
        assert ended.code == code
        assert said in ended.text

    def test_a_name_that_no_file_can_have_is_said(self) -> None:
        """By the same sentence as for any file that cannot be read."""
        ended = run("inspect", "x" * 300)
        assert ended.code == 3
        assert "the signature file 'xxx" in ended.err
        assert "cannot be read: File name too long" in ended.err

    def test_a_certificate_that_is_none_is_unreadable(
        self, desk: Desk, private_sigstore: PrivateSigstore
    ) -> None:
        """Malformed certificates give one sentence each."""
        material = {"x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}]}}
        desk.site.signature.write_bytes(edited(verificationMaterial=material))
        ended = run("inspect", desk.site.signature)
        assert ended.code == 1
        assert "the signer is not acceptable: certificate 1 of the bundle's chain" in ended.out
        bundle = json.loads(private_sigstore.sign_statement(statement()))
        bundle["verificationMaterial"]["certificate"]["rawBytes"] = "AAAA"
        desk.site.signature.write_text(json.dumps(bundle))
        ended = run("inspect", desk.site.signature)
        assert ended.code == 1
        assert "the signer is not acceptable: the keyless signature is not a complete" in ended.out

    def test_the_files_are_listed_when_they_are_asked_for(self, desk: Desk) -> None:
        """Each with its digest, and shards with their bytes."""
        out = run("inspect", desk.site.signature, "--files").out
        for name, content in FILES.items():
            assert f"\n  {hashlib.sha256(content).hexdigest()}  {name}\n" in out
        shards = sharded("a.bin", b"a" * 1500, 1000)
        desk.site.sign(statement_of(shards, method="shards", shard_size=1000))
        out = run("inspect", desk.site.signature, "--files").out
        assert f"  {shards[1]['digest']}  a.bin (bytes 1,000 to 1,500)" in out


class TestPolicy:
    """`inspect --policy`: the ModelValidation that accepts exactly this."""

    def test_it_accepts_the_model_and_no_other_of_its_signer(
        self, desk: Desk, tmp_path: Path
    ) -> None:
        """The policy as printed is the one to verify by."""
        drafted = run("inspect", desk.site.model, "--policy", "--public-key", desk.key)
        assert drafted.code == 0
        assert drafted.out.startswith("# Accepts this one signature.")
        policy = tmp_path / "policy.yaml"
        policy.write_text(drafted.out)
        verify = ("verify", "policy", policy, "--model", desk.site.model)
        assert run(*verify).code == 0
        desk.site.sign(statement(ignore_paths=["other"]))
        ended = run(*verify)
        assert ended.code == 1
        assert "it is not the pinned one" in ended.text

    def test_what_a_signature_cannot_vouch_for_is_asked_for(self, desk: Desk) -> None:
        """The option is named, and nothing is printed."""
        ended = run("inspect", desk.site.model, "--policy")
        assert (ended.code, ended.out) == (2, "")
        assert "name the signer's public key by --public-key" in ended.err
        ended = run("inspect", desk.site.model, "--public-key", desk.key)
        assert ended.code == 2
        assert "--public-key is for the policy: give --policy too" in ended.err
        desk.key.write_bytes(Signer().public_pem)
        ended = run("inspect", desk.site.model, "--policy", "--public-key", desk.key)
        assert (ended.code, ended.out) == (1, "")
        assert "signed by another key" in ended.err
