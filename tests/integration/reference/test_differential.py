"""Our verdict is the reference's, on hundreds of models: honest ones, and what became of them.

Where it is not, a flaw of `model_signing` is the reason: of 1.1.1, or of rh-model-signing
(`python -m tests.support.differential`), which has fewer. Each is told by what lies on the disk,
never by the verdicts, and has a test of its own in `test_reference_flaws`. `truth` is the third
opinion, by the specification's rules, so that both cannot be wrong alike.
"""

from __future__ import annotations

import base64
import json
import random
import warnings
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import pytest

from tests.support.differential.models import LINKED_FOLDER, NOT_A_FILE, Scenario, Site, scenario
from tests.support.differential.mutations import MUTATIONS, fitting, mutate
from tests.support.differential.signers import IS_RED_HATS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.sigstore import PrivateSigstore
    from tests.support.differential.signers import Signers

MODELS: Final = 400


def chosen(drawn: Scenario) -> str:
    """Return the mutation of a scenario; every one gets its share."""
    names = fitting(drawn)
    return names[drawn.seed % len(names)]


@dataclass(frozen=True, slots=True)
class Case:
    """A signed model as it lies there now.

    `signed` is what it held when it was signed; `holds` whether the signature is
    still that one.
    """

    site: Site
    signed: Mapping[str, bytes]
    holds: bool = True

    @property
    def listed(self) -> dict[str, bytes]:
        """The manifest of the reference: no empty shards, no linked folders."""
        return {
            name: content
            for name, content in self.signed.items()
            if content != LINKED_FOLDER and (content or not self.site.scenario.shard_bytes)
        }

    def truth(self, *, unseen: tuple[bytes, ...] = ()) -> bool:
        """Tell whether the model is the signed one, to a reader who does not see `unseen`."""
        found = {
            name: content
            for name, content in self.site.contents().items()
            if content not in unseen or name in self.listed
        }
        return (
            self.holds
            and NOT_A_FILE not in found.values()
            and all(found.get(name) == content for name, content in self.listed.items())
            and (self.site.scenario.ignore_unsigned or found.keys() <= self.listed.keys())
        )

    def flaw(self) -> str | None:
        """Return the reference's flaw that makes its verdict a wrong one."""
        dies = next((name for name, applies in WRONGLY_REFUSED.items() if applies(self)), None)
        if self.truth():
            return dies
        return next(
            (name for name, wrong in WRONGLY_ACCEPTED.items() if not dies and wrong(self)), None
        )


WRONGLY_REFUSED: Final[dict[str, Callable[[Case], bool]]] = {
    "it takes a name with a colon apart": lambda case: (
        bool(case.site.scenario.shard_bytes) and any(":" in name for name in case.listed)
    ),
    "it looks for shards as files where unsigned files may lie": lambda case: (
        bool(case.site.scenario.shard_bytes) and case.site.scenario.ignore_unsigned
    ),
    "it looks at links below ignored paths": lambda case: (
        not IS_RED_HATS and not case.site.scenario.ignore_unsigned and case.site.odd_under_ignored()
    ),
}

WRONGLY_ACCEPTED: Final[dict[str, Callable[[Case], bool]]] = {
    "it does not see empty files beside shards": lambda case: (
        bool(case.site.scenario.shard_bytes) and case.truth(unseen=(b"",))
    ),
    "it does not enter linked folders": lambda case: case.truth(unseen=(LINKED_FOLDER,)),
    "it sees neither, empty files nor linked folders": lambda case: (
        bool(case.site.scenario.shard_bytes) and case.truth(unseen=(b"", LINKED_FOLDER))
    ),
    "it lets unsigned links and special files pass": lambda case: (
        case.site.scenario.ignore_unsigned and case.truth(unseen=(NOT_A_FILE,))
    ),
}


@pytest.mark.parametrize("seed", range(MODELS))
def test_our_verdict_is_the_references(
    seed: int,
    signers: Signers,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    """A model that the reference signed gets the same verdict from both, before and after."""
    drawn = scenario(seed)
    sigstore: PrivateSigstore | None = None
    if drawn.method == "sigstore":
        sigstore = request.getfixturevalue("private_sigstore")
    model = tmp_path / "model"
    site = Site(drawn, model, model / "model.sig" if drawn.inside else tmp_path / "model.sig")
    site.write()
    signed = site.contents()
    signers.sign(site, sigstore=sigstore)
    mutation = chosen(drawn)
    for name, holds in (("none", True), (mutation, MUTATIONS[mutation].signature_holds)):
        mutate(site, name)
        case = Case(site, signed, holds)
        ours = signers.ours(site, sigstore=sigstore)
        reference = signers.reference(site, sigstore=sigstore)
        flaw = case.flaw()
        record_property("verdict", f"{name}|{ours.accepted}|{reference.accepted}|{flaw}")
        context = f"{name}: ours {ours}, the reference's {reference}, {flaw=}, {drawn}"
        assert ours.accepted == case.truth(), context
        assert (reference.accepted != ours.accepted) == (flaw is not None), context


def what_is_signed(bundle: bytes) -> tuple[bytes, str]:
    """Payload and its type in *bundle*: base64 spells the same bytes in several ways."""
    envelope = json.loads(bundle)["dsseEnvelope"]
    return base64.b64decode(envelope["payload"]), envelope["payloadType"]


@pytest.mark.parametrize("method", ["key", "certificate"])
def test_a_damaged_bundle_gets_a_sentence(
    method: Literal["key", "certificate"], signers: Signers, tmp_path: Path
) -> None:
    """One byte of a bundle changed: refused by one of our errors, or nothing signed was changed."""
    plain = replace(scenario(0), files={"x": b"x"}, links={}, method=method, inside=False)
    site = Site(plain, tmp_path / "model", tmp_path / "model.sig")
    site.write()
    signers.sign(site)
    honest = site.signature.read_bytes()
    signed = what_is_signed(honest)
    rng = random.Random(method)  # noqa: S311 — reproducible, not secret
    for _ in range(1000):
        damaged = bytearray(honest)
        damaged[rng.randrange(len(damaged))] = rng.choice(b'"{}[],:\\ AZaz09+/=\x00\xff')
        site.signature.write_bytes(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of cryptography, on broken certificates
            ours = signers.ours(site)
        if ours.accepted:
            assert what_is_signed(bytes(damaged)) == signed


def test_the_models_differ_in_everything_that_matters() -> None:
    """Every mutation, method, hash and option occurs, and so does each verdict."""
    drawn = [scenario(seed) for seed in range(MODELS)]
    assert {chosen(one) for one in drawn} == MUTATIONS.keys()
    kinds: Counter[object] = Counter()
    for one in drawn:
        kinds.update(
            [
                one.method,
                one.hash,
                f"sharded {bool(one.shard_bytes)}",
                f"links {bool(one.links)}",
                f"ignores {bool(one.ignores)}",
                f"git {one.sign_git}",
                f"file {one.is_file}",
                f"inside {one.inside}",
                f"unsigned {one.ignore_unsigned}",
                f"empty {b'' in one.files.values()}",
                f"colon {any(':' in name for name in one.signed)}",
                f"linked folder {'linked folder' in one.links}",
            ]
        )
    assert len(kinds) == 3 + 3 + 10 * 2
    assert min(kinds.values()) >= 10
