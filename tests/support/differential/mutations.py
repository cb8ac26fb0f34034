"""Changes of a model after it was signed: one function a case, each in `MUTATIONS`.

What does not belong here: which verdict follows. That is read off the disk by
`models.Site.contents`; only `signature_holds` cannot be seen there.
"""

from __future__ import annotations

import base64
import json
import os
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.support.differential.models import COMPOSED, DECOMPOSED, SHARD_BYTES, Scenario, Site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Apply = Callable[[Site, random.Random], None]
    Fits = Callable[[Scenario], bool]


@dataclass(frozen=True, slots=True)
class Mutation:
    """A change of a signed model.

    Attributes:
        apply: Does it.
        fits: Whether a scenario has what it takes.
        signature_holds: Whether the signature still is one of the signer over this model.
    """

    apply: Apply
    fits: Fits = lambda _: True
    signature_holds: bool = True


MUTATIONS: Final[dict[str, Mutation]] = {}


def mutate(site: Site, name: str) -> None:
    """Let a mutation happen to a signed model, reproducibly."""
    MUTATIONS[name].apply(site, random.Random(f"{name} {site.scenario.seed}"))  # noqa: S311 — reproducible, not secret


def fitting(scenario: Scenario) -> list[str]:
    """Return the names of the mutations that the scenario has what it takes for."""
    return [name for name, mutation in MUTATIONS.items() if mutation.fits(scenario)]


def _mutation(
    *, fits: Fits = lambda _: True, signature_holds: bool = True
) -> Callable[[Apply], Apply]:
    def register(apply: Apply) -> Apply:
        name = apply.__name__.removeprefix("_")
        MUTATIONS[name] = Mutation(apply, fits, signature_holds)
        return apply

    return register


def _is_folder(scenario: Scenario) -> bool:
    return not scenario.is_file


def _has_two(scenario: Scenario) -> bool:
    return len({scenario.files[name] for name in scenario.signed}) > 1


def _has_links(scenario: Scenario) -> bool:
    return "links/0" in scenario.links


def _has_ignored_folder(scenario: Scenario) -> bool:
    return not scenario.is_file and not scenario.sign_git


def _pick(site: Site, rng: random.Random, *, filled: bool = False) -> Path:
    names = [name for name in site.scenario.signed if not filled or site.scenario.files[name]]
    return site.path(rng.choice(names))


def _has_filled(scenario: Scenario) -> bool:
    return any(scenario.files[name] for name in scenario.signed)


@_mutation()
def _none(site: Site, rng: random.Random) -> None:
    """Leave it honest."""


@_mutation()
def _touch(site: Site, rng: random.Random) -> None:
    path = _pick(site, rng)
    os.utime(path, (1, 1))
    path.chmod(0o600)


@_mutation()
def _rewrite(site: Site, rng: random.Random) -> None:
    """Write the same bytes to a new file."""
    path = _pick(site, rng)
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


@_mutation(fits=_has_filled)
def _flip(site: Site, rng: random.Random) -> None:
    path = _pick(site, rng, filled=True)
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


@_mutation()
def _append(site: Site, rng: random.Random) -> None:
    with _pick(site, rng).open("ab") as file:
        file.write(rng.randbytes(rng.choice([1, SHARD_BYTES, 5000])))


@_mutation(fits=_has_filled)
def _truncate(site: Site, rng: random.Random) -> None:
    path = _pick(site, rng, filled=True)
    os.truncate(path, rng.randrange(path.stat().st_size))


@_mutation(fits=_has_filled)
def _truncate_by_a_shard(site: Site, rng: random.Random) -> None:
    path = _pick(site, rng, filled=True)
    os.truncate(path, max(0, path.stat().st_size - (site.scenario.shard_bytes or SHARD_BYTES)))


@_mutation()
def _delete(site: Site, rng: random.Random) -> None:
    _pick(site, rng).unlink()


@_mutation(fits=_is_folder)
def _add(site: Site, rng: random.Random) -> None:
    (site.model / "added.py").write_bytes(rng.randbytes(10))


@_mutation(fits=_is_folder)
def _add_empty(site: Site, rng: random.Random) -> None:  # noqa: ARG001 — one shape for all
    (site.model / "__init__.py").touch()


@_mutation(fits=_is_folder)
def _add_not_utf8(site: Site, rng: random.Random) -> None:
    (site.model / os.fsdecode(b"\xff\xfe")).write_bytes(rng.randbytes(10))


@_mutation(fits=_is_folder)
def _add_empty_folders(site: Site, rng: random.Random) -> None:  # noqa: ARG001 — one shape for all
    (site.model / "empty" / "below").mkdir(parents=True)


@_mutation(fits=_is_folder)
def _add_nested_git(site: Site, rng: random.Random) -> None:
    """Git's names below the top level are not ignored."""
    folder = site.model / "nested" / ".git"
    folder.mkdir(parents=True)
    (folder / "config").write_bytes(rng.randbytes(10))


@_mutation(fits=_has_ignored_folder)
def _add_under_ignored(site: Site, rng: random.Random) -> None:
    folder = site.model / ".git"
    folder.mkdir(exist_ok=True)
    (folder / "added").write_bytes(rng.randbytes(10))


@_mutation(fits=_has_ignored_folder)
def _add_link_under_ignored(site: Site, rng: random.Random) -> None:  # noqa: ARG001 — one shape for all
    folder = site.model / ".git"
    folder.mkdir(exist_ok=True)
    (folder / "linked").symlink_to("nowhere")


@_mutation(fits=_is_folder)
def _add_fifo(site: Site, rng: random.Random) -> None:  # noqa: ARG001 — one shape for all
    os.mkfifo(site.model / "fifo")


@_mutation(fits=_is_folder)
def _add_broken_link(site: Site, rng: random.Random) -> None:  # noqa: ARG001 — one shape for all
    (site.model / "broken").symlink_to("nowhere")


@_mutation(fits=_is_folder)
def _add_link(site: Site, rng: random.Random) -> None:
    (site.model / "added link").symlink_to(_pick(site, rng).relative_to(site.model))


@_mutation(fits=_is_folder)
def _rename(site: Site, rng: random.Random) -> None:
    path = _pick(site, rng)
    path.rename(path.with_name("renamed"))


@_mutation(fits=_is_folder)
def _rename_case(site: Site, rng: random.Random) -> None:
    path = _pick(site, rng)
    path.rename(path.with_name(path.name.swapcase().removesuffix("N") + "x"))


@_mutation(fits=lambda scenario: len({COMPOSED, DECOMPOSED} & set(scenario.signed)) == 1)
def _rename_to_other_normal_form(site: Site, rng: random.Random) -> None:  # noqa: ARG001 — one shape for all
    names = [COMPOSED, DECOMPOSED]
    if DECOMPOSED in site.scenario.signed:
        names.reverse()
    site.path(names[0]).rename(site.path(names[1]))


@_mutation(fits=_has_two)
def _swap(site: Site, rng: random.Random) -> None:
    """Exchange the contents of two files."""
    first = _pick(site, rng)
    others = [site.path(name) for name in site.scenario.signed]
    second = rng.choice([path for path in others if path.read_bytes() != first.read_bytes()])
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


@_mutation(fits=_is_folder)
def _replace_by_link_to_its_content(site: Site, rng: random.Random) -> None:
    """Put the content below an ignored path or beside, and a link in its place."""
    path = _pick(site, rng)
    place = site.model / (".git" if not site.scenario.sign_git else "moved")
    place.mkdir(exist_ok=True)
    path.rename(place / "content")
    path.symlink_to(os.path.relpath(place / "content", path.parent))


@_mutation(fits=lambda scenario: _is_folder(scenario) and _has_two(scenario))
def _replace_by_link_to_another(site: Site, rng: random.Random) -> None:
    first, second = (site.path(name) for name in rng.sample(sorted(site.scenario.signed), 2))
    first.unlink()
    first.symlink_to(os.path.relpath(second, first.parent))


@_mutation(fits=_has_links)
def _repoint(site: Site, rng: random.Random) -> None:
    link = site.model / "links/0"
    link.unlink()
    link.symlink_to(os.path.relpath(_pick(site, rng), link.parent))


@_mutation(fits=_has_links)
def _replace_link_by_its_content(site: Site, rng: random.Random) -> None:  # noqa: ARG001 — one shape for all
    link = site.model / "links/0"
    content = link.read_bytes()
    link.unlink()
    link.write_bytes(content)


@_mutation(fits=_is_folder)
def _replace_by_folder(site: Site, rng: random.Random) -> None:
    path = _pick(site, rng)
    content = path.read_bytes()
    path.unlink()
    path.mkdir()
    (path / "inner").write_bytes(content)


@_mutation()
def _hard_link(site: Site, rng: random.Random) -> None:
    """A second name outside the model is nothing that its readers see."""
    (site.model.parent / "elsewhere").hardlink_to(_pick(site, rng))


def _edit(site: Site, edit: Callable[[bytes], bytes]) -> None:
    site.signature.write_bytes(edit(site.signature.read_bytes()))


@_mutation()
def _reformat_signature(site: Site, rng: random.Random) -> None:  # noqa: ARG001 — one shape for all
    _edit(site, lambda raw: json.dumps(json.loads(raw), indent=2, sort_keys=True).encode())


@_mutation(signature_holds=False)
def _flip_payload(site: Site, rng: random.Random) -> None:
    _flip_base64(site, rng, lambda bundle: bundle["dsseEnvelope"], "payload")


@_mutation(signature_holds=False)
def _flip_signature(site: Site, rng: random.Random) -> None:
    _flip_base64(site, rng, lambda bundle: bundle["dsseEnvelope"]["signatures"][0], "sig")


def _flip_base64(
    site: Site, rng: random.Random, part: Callable[[dict[str, Any]], dict[str, str]], key: str
) -> None:
    def edit(raw: bytes) -> bytes:
        bundle = json.loads(raw)
        holder = part(bundle)
        content = bytearray(base64.b64decode(holder[key]))
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        holder[key] = base64.b64encode(content).decode()
        return json.dumps(bundle).encode()

    _edit(site, edit)


@_mutation(signature_holds=False)
def _truncate_signature(site: Site, rng: random.Random) -> None:
    _edit(site, lambda raw: raw[: rng.randrange(len(raw))])


@_mutation(signature_holds=False)
def _delete_signature(site: Site, rng: random.Random) -> None:  # noqa: ARG001 — one shape for all
    site.signature.unlink()


@_mutation(signature_holds=False)
def _replace_signature(site: Site, rng: random.Random) -> None:
    site.signature.write_text(rng.choice(["", "{}", "[]", "null", '{"mediaType": 1}', "\0"]))


@_mutation(signature_holds=False)
def _drop_envelope(site: Site, rng: random.Random) -> None:
    drop = rng.choice(["dsseEnvelope", "verificationMaterial", "mediaType"])

    def edit(raw: bytes) -> bytes:
        bundle = json.loads(raw)
        del bundle[drop]
        return json.dumps(bundle).encode()

    _edit(site, edit)
