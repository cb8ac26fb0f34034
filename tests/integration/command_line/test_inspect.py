"""`inspect`: what a signature file claims."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.certificates import Party
from tests.support.signed_model import (
    Signer,
    statement,
)

if TYPE_CHECKING:
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

    def test_a_models_directory_stands_for_its_signature(self, desk: Desk) -> None:
        """`model.sig` in it; a directory without one says where it was looked for."""
        assert run("inspect", desk.site.model).out == run("inspect", desk.site.signature).out
        ended = run("inspect", desk.site.model / "weights")
        assert ended.code == 1
        assert "there is no signature file at" in ended.err
        assert "weights/model.sig'" in ended.err

    def test_it_knows_all_methods(self, desk: Desk, private_sigstore: PrivateSigstore) -> None:
        """The claimed signer, time and method."""
        root = Party.root()
        desk.site.signature.write_bytes(root.issue().bundle(statement()))
        assert (
            "chain: CN=signer (2026-11-22 to 2026-12-23)" in run("inspect", desk.site.signature).out
        )
        desk.site.signature.write_text(private_sigstore.sign_statement(statement()))
        out = run("inspect", desk.site.signature).out
        assert "identity: alice@example.com" in out
        assert "log index: " in out

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
            (Signer().bundle(b"junk"), 1, "statement: not acceptable: the signed statement is"),
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

    def test_a_certificate_that_is_none_is_unreadable(
        self, desk: Desk, private_sigstore: PrivateSigstore
    ) -> None:
        """Malformed certificates give one sentence each."""
        material = {"x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}]}}
        desk.site.signature.write_bytes(edited(verificationMaterial=material))
        ended = run("inspect", desk.site.signature)
        assert ended.code == 1
        assert "signer: not acceptable: certificate 1 of the bundle's chain" in ended.out
        bundle = json.loads(private_sigstore.sign_statement(statement()))
        bundle["verificationMaterial"]["certificate"]["rawBytes"] = "AAAA"
        desk.site.signature.write_text(json.dumps(bundle))
        ended = run("inspect", desk.site.signature)
        assert ended.code == 1
        assert "signer: not acceptable: the keyless signature is not a complete" in ended.out
