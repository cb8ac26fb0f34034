"""Run the demo; exit 0 only if every verdict was the expected one."""

from __future__ import annotations

import base64
import difflib
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonpatch
import yaml
from model_signing import hashing

from tests.demo.stage import (
    Webhook,
    colour,
    make_model,
    policy,
    review,
    run_gate,
    shown_command,
    webhook,
    with_own_gate,
)
from tests.sigstore.authority import Identity
from tests.sigstore.private import PrivateSigstore

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS = 110


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the final table."""

    what: str
    expected: str
    got: str
    sentence: str

    @property
    def good(self) -> bool:
        """Whether the verdict was the expected one."""
        return self.expected == self.got


def main() -> int:
    """Play the whole piece in a temporary folder, and remove it."""
    with tempfile.TemporaryDirectory(prefix="model-validation-demo-") as name:
        folder = Path(name)
        with PrivateSigstore.start() as sigstore:
            return _play(folder, sigstore)


def _play(folder: Path, sigstore: PrivateSigstore) -> int:
    models, policies = folder / "models", folder / "policies"
    granite = models / "granite"
    policies.mkdir()

    _title(
        "1. A model, signed keylessly by alice@example.com (model_signing, a throwaway Sigstore)"
    )
    make_model(granite)
    _sign(sigstore, granite)
    _print_tree(granite)

    _title("2. The policy, and the webhook on loopback")
    document = policy("granite", granite, sigstore)
    (policies / "granite.yaml").write_text(yaml.safe_dump(document))
    shown = {**document, "spec": {**document["spec"], "trust": {"trustedRoot": "{…}"}}}
    print(_indented(yaml.safe_dump(shown, allow_unicode=True)))

    with webhook(folder, policies) as server:
        _title(
            "3. A pod labelled validation.rhtas.redhat.com/ml is created: what the webhook changes"
        )
        asked = review(models)
        pod = _admitted(server, asked)
        _print_diff(asked["request"]["object"], pod)

        _title("4. The injected container, run exactly as it stands in the pod")
        print(_indented(f"$ {shown_command(pod)}"))
        ended = run_gate(pod)
        print(_indented(ended.output))
        print(_indented(f"exit code {ended.code}: vLLM may start"))
        rows = [_row("the signed model", "verified", ended.code, ended.output)]

        _title("5. What must not be served")
        rows += [_attack(pod, sigstore, granite, attack) for attack in ATTACKS]
        rows.append(_pinned(server, sigstore, models, policies))
        rows.append(_own_gate(server, asked, pod))

    _print_table(rows)
    return 0 if all(row.good for row in rows) else 1


def _sign(sigstore: PrivateSigstore, model: Path, *, signer: str = "alice@example.com") -> None:
    links = hashing.Config().set_allow_symlinks(allow_symlinks=True)
    sigstore.sign_model(model, model / "model.sig", identity=Identity(signer), hashing=links)


def _admitted(server: Webhook, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the pod as the API server would store it: mutated, then validated."""
    answer = server.ask("/mutate", asked)
    if not answer["allowed"]:
        raise SystemExit(f"the webhook refused the pod: {answer['status']['message']}")
    operations = json.loads(base64.b64decode(answer["patch"]))
    pod: dict[str, Any] = jsonpatch.apply_patch(asked["request"]["object"], operations)
    again = {**asked, "request": {**asked["request"], "object": pod}}
    verdict = server.ask("/validate", again)
    if not verdict["allowed"]:
        raise SystemExit(f"the webhook refused its own work: {verdict['status']['message']}")
    return pod


# What an attacker does to the model's files, by name.
def _flip(model: Path, _: PrivateSigstore) -> None:
    with (model / "model-00001-of-00002.safetensors").open("r+b") as weights:
        first = weights.read(1)
        weights.seek(0)
        weights.write(bytes([first[0] ^ 1]))


def _add(model: Path, _: PrivateSigstore) -> None:
    (model / "modeling_granite.py").write_text("print('at your service')\n")


def _repoint(model: Path, _: PrivateSigstore) -> None:
    (model / "tokenizer.json").unlink()
    (model / "tokenizer.json").symlink_to("tokenizers/v1.json")


def _unsign(model: Path, _: PrivateSigstore) -> None:
    (model / "model.sig").unlink()


def _sign_as_mallory(model: Path, sigstore: PrivateSigstore) -> None:
    _sign(sigstore, model, signer="mallory@example.com")


ATTACKS: tuple[tuple[str, Callable[[Path, PrivateSigstore], None]], ...] = (
    ("a flipped byte", _flip),
    ("an added file", _add),
    ("a repointed link", _repoint),
    ("a missing signature", _unsign),
    ("another signer", _sign_as_mallory),
)


def _attack(
    pod: dict[str, Any],
    sigstore: PrivateSigstore,
    model: Path,
    attack: tuple[str, Callable[[Path, PrivateSigstore], None]],
) -> Row:
    """Attack the model, run the same gate again, and repair the model."""
    name, act = attack
    kept = model.with_name("kept")
    shutil.copytree(model, kept, symlinks=True)
    try:
        act(model, sigstore)
        ended = run_gate(pod)
    finally:
        shutil.rmtree(model)
        kept.rename(model)
    return _row(name, "refused", ended.code, ended.output)


def _pinned(server: Webhook, sigstore: PrivateSigstore, models: Path, policies: Path) -> Row:
    """An older model of the same signer, where the policy pins the newer one."""
    from validator.bundle import read_bundle  # noqa: PLC0415 — this scene only
    from validator.limits import DEFAULT  # noqa: PLC0415 — as above
    from validator.statement import parse_statement  # noqa: PLC0415 — as above

    granite = models / "granite"
    bundle = read_bundle(granite / "model.sig", limits=DEFAULT)
    newer = parse_statement(
        bundle.payload, payload_type=bundle.payload_type, limits=DEFAULT, allow_legacy=False
    )
    document = policy("pinned", granite, sigstore, digests=[f"sha256:{newer.root_digest}"])
    (policies / "pinned.yaml").write_text(yaml.safe_dump(document))
    pod = _admitted_soon(server, review(models, label="pinned"))
    shutil.rmtree(granite)
    make_model(granite, version=1)
    _sign(sigstore, granite)
    ended = run_gate(pod)
    return _row("an older model, under a pin", "refused", ended.code, ended.output)


def _admitted_soon(server: Webhook, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the admitted pod, once the webhook has noticed the new policy file."""
    import time  # noqa: PLC0415 — this scene only

    for _ in range(100):
        if server.ask("/mutate", asked)["allowed"]:
            break
        time.sleep(0.1)
    return _admitted(server, asked)


def _own_gate(server: Webhook, asked: dict[str, Any], pod: dict[str, Any]) -> Row:
    """A pod that brings a gate of its own: refused as it is; ours replaces it."""
    spoofed = with_own_gate(asked)
    verdict = server.ask("/validate", spoofed)
    replaced = _admitted(server, spoofed)["spec"]["initContainers"] == pod["spec"]["initContainers"]
    got = "refused" if not verdict["allowed"] and replaced else "admitted"
    sentence = verdict.get("status", {}).get("message", "its own gate was taken")
    print(_indented(f"a pod with its own model-validation: {colour('31', got)}"))
    print(_indented(sentence, by=6))
    return Row("a pod with its own model-validation", "refused", got, sentence)


def _row(what: str, expected: str, code: int, output: str) -> Row:
    got = {0: "verified", 1: "refused"}.get(code, f"exit {code}")
    sentence = output.splitlines()[0] if output else ""
    if expected == "refused":
        print(_indented(f"{what}: {colour('31', got)}"))
        print(_indented(output, by=6))
    return Row(what, expected, got, sentence)


def _title(text: str) -> None:
    print(f"\n{colour('1', text)}")


def _indented(text: str, *, by: int = 3) -> str:
    return "\n".join(f"{' ' * by}{_cut(line)}" for line in text.rstrip().splitlines())


def _cut(line: str) -> str:
    return line if len(line) <= 2 * COLUMNS else f"{line[: 2 * COLUMNS]}…"


def _print_tree(model: Path) -> None:
    for path in sorted(model.rglob("*")):
        name = path.relative_to(model)
        if path.is_symlink():
            print(f"   {name} -> {path.readlink()}")
        elif path.is_file():
            print(f"   {name}  ({path.stat().st_size:,} bytes)")


def _print_diff(before: dict[str, Any], after: dict[str, Any]) -> None:
    def lines(pod: dict[str, Any]) -> list[str]:
        return yaml.safe_dump(pod["spec"], sort_keys=False, width=1000).splitlines()

    for line in list(difflib.unified_diff(lines(before), lines(after), lineterm="", n=2))[2:]:
        code = {"+": "32", "-": "31"}.get(line[:1], "2")
        short = line if len(line) <= COLUMNS else f"{line[:COLUMNS]}…"
        print(f"   {colour(code, short)}")


def _print_table(rows: list[Row]) -> None:
    _title("Verdicts")
    width = max(len(row.what) for row in rows)
    for row in rows:
        mark = colour("32", "as expected") if row.good else colour("31", f"NOT {row.expected}")
        print(f"   {row.what:<{width}}  {row.got:<9} {mark}")
    wrong = sum(not row.good for row in rows)
    end = (
        f"{len(rows)} verdicts, {wrong} of them wrong."
        if wrong
        else f"All {len(rows)} verdicts are the expected ones."
    )
    print(f"\n{end}")


if __name__ == "__main__":
    sys.exit(main())
