"""Every code of docs/codes.md: one way to it by the command line, and the exit code of its row."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.cluster_rules import rule_document
from tests.support.desk import run
from tests.support.schema import flaws
from tests.support.signed_model import Signer, resource, statement, statement_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sigstore import PrivateSigstore
    from tests.support.desk import Desk
    from tests.support.ended import Ended

DOCS: Final = Path(__file__).parents[3] / "docs"
ROWS: Final = re.findall(r"(?m)^\| `(\w+)` \| (\d) \|", (DOCS / "codes.md").read_text())
SCHEMA: Final[dict[str, Any]] = json.loads((DOCS / "report.schema.json").read_text())


def _another_key(desk: Desk) -> Ended:
    desk.key.write_bytes(Signer().public_pem)
    return desk.verify("--format=json")


def _another_statement(desk: Desk) -> Ended:
    desk.site.sign(statement_of([resource("../x", b"")]))
    return desk.verify("--format=json")


def _another_model(desk: Desk) -> Ended:
    (desk.site.model / "config.json").write_bytes(b"changed")
    return desk.verify("--format=json")


def _no_signature(desk: Desk) -> Ended:
    desk.site.signature.unlink()
    return desk.verify("--format=json")


def _keyless(desk: Desk, sigstore: PrivateSigstore, *options: object) -> Ended:
    desk.site.signature.write_text(sigstore.sign_statement(statement()))
    who = ("--identity=bob@example.com", f"--identity-provider={sigstore.issuer}")
    return run("verify", "sigstore", desk.site.model, *who, "--format=json", *options)


def _by_a_key(desk: Desk, sigstore: PrivateSigstore) -> Ended:
    desk.site.signature.write_text(sigstore.sign_statement(statement()))
    return desk.verify("--format=json")


def _outside(desk: Desk) -> Ended:
    return desk.gate("--format=json", cover=["/elsewhere"])


def _another_rule(desk: Desk) -> Ended:
    policy, rule = desk.folder / "policy.json", desk.folder / "rule.json"
    policy.write_text(json.dumps(desk.policy()))
    other = {"privateKeyConfig": {"publicKey": Signer().public_pem.decode()}}
    rule.write_text(json.dumps(rule_document(config=other)))
    return run("verify", "policy", policy, rule, "--format=json")


WAYS: Final[dict[str, Callable[[Desk, PrivateSigstore], Ended]]] = {
    "InvalidPolicy": lambda desk, _: desk.verify("--format=json", "--digest=sha256:none"),
    "InvalidBundle": lambda desk, _: _no_signature(desk),
    "OtherMethod": _by_a_key,
    "InvalidSignature": lambda desk, _: _another_key(desk),
    "OtherSigner": lambda desk, sigstore: _keyless(
        desk, sigstore, "--trusted-root", sigstore.trusted_root_path
    ),
    "UnknownToRoot": _keyless,
    "InvalidStatement": lambda desk, _: _another_statement(desk),
    "NotPinned": lambda desk, _: desk.verify("--format=json", f"--digest=sha256:{'0' * 64}"),
    "ModelDiffers": lambda desk, _: _another_model(desk),
    "ClusterRule": lambda desk, _: _another_rule(desk),
    "OutsideModel": lambda desk, _: _outside(desk),
    # ENAMETOOLONG: a file that cannot be read, for root as well.
    "Undecided": lambda desk, _: desk.verify("--format=json", f"--public-key={300 * 'x'}"),
}


def test_each_row_has_a_way() -> None:
    """A code that nothing reaches would be a promise that nothing keeps."""
    assert sorted(WAYS) == sorted(code for code, _ in ROWS)


@pytest.mark.parametrize(("code", "exit_code"), ROWS)
def test_each_code_is_reached(
    desk: Desk, private_sigstore: PrivateSigstore, code: str, exit_code: str
) -> None:
    """Programs read it from standard output, whether a verdict was reached or not."""
    ended = WAYS[code](desk, private_sigstore)
    printed = json.loads(ended.out)
    (said,) = printed.get("models", [printed])  # `verify policy` lists each model's report
    assert (said["code"], ended.code) == (code, int(exit_code))
    assert said["reason"]
    assert said["verdict"] == ("refused" if exit_code == "1" else "undecided")
    assert not list(flaws(said, SCHEMA))
