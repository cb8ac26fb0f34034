"""Generated models: what they hold, how they are signed, and where they lie on disk.

A `Scenario` is a pure function of its seed. `Site.contents` is the truth that
verifiers are measured by: what a reader of the model finds under each name.

What does not belong here: anything that knows a verifier or a signer.
"""

from __future__ import annotations

import os
import random
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HashName = Literal["sha256", "blake2", "blake3"]

GIT_PATHS: Final = (".git", ".gitattributes", ".github", ".gitignore")

SHARD_BYTES: Final = 64
"""Small, so that small files have several."""

COMPOSED: Final = "caf\u00e9"
DECOMPOSED: Final = "cafe\u0301"
"""The same name to a person, in Unicode's forms NFC and NFD."""

_NAMES: Final = (
    "config.json",
    "model-00001-of-00002.safetensors",
    # Sorted by name and by component, these come in different orders.
    "x/y",
    "x.md",
    "x-1/z",
    "x/a.b/c",
    "x/a-b",
    " leading and trailing ",
    "a b/c d.txt",
    ".hidden",
    "..data",
    ".../....",
    COMPOSED,
    DECOMPOSED,
    "模型/权重.bin",
    "🤗/tokenizer.json",
    "colon:name",
    "colon:0:64",
    "back\\slash",
    "new\nline",
    "quote'\"`$(x)",
    "%2e%2e",
    "[a]*?",
    "-rf",
    "UPPER",
    "upper",
    "\u202eexe.txt",
    "n" * 255,
    "/".join(["deep"] * 40),
    "x/.gitignore",
    "sub/.git/HEAD",
    "cache/old.bin",
    "cache/new/er.bin",
    "notes.txt",
)
_GIT_NAMES: Final = (".git/HEAD", ".git/objects/ab/cdef", ".gitattributes", ".github/ci.yml")
_IGNORES: Final = ("cache", "notes.txt", "x/y", "absent", "x-1")
_SIZES: Final = (0, 1, 63, 64, 65, 128, 200, 1000, 4096)
_LARGE: Final = (300_000, 1_048_576, 1_100_000)
"""Around one buffer of the validator's, and beyond what it takes for a small file."""

NOT_A_FILE: Final = b"\0not a file"
"""Stands in `contents` for what no model may hold."""

LINKED_FOLDER: Final = b"\0linked folder"
"""Stands in `contents` for a link to a directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A model, and how it is signed and judged.

    Attributes:
        seed: All that follows from it.
        files: Content by name; one name, `.`, for a model that is a file.
        links: Targets by name.
        method: sigstore, key or certificate.
        hash: As `model_signing.hashing.Config` calls it.
        shard_bytes: None where files are hashed whole.
        allow_links: Whether it is signed with links.
        ignores: Paths that the signer leaves out.
        sign_git: Whether git's files at the top level are signed.
        inside: Whether the signature lies in the model.
        ignore_unsigned: Whether files beside the signed ones are let pass.
    """

    seed: int
    files: Mapping[str, bytes]
    links: Mapping[str, str]
    method: Literal["sigstore", "key", "certificate"]
    hash: HashName
    shard_bytes: int | None
    allow_links: bool
    ignores: tuple[str, ...]
    sign_git: bool
    inside: bool
    ignore_unsigned: bool

    @property
    def is_file(self) -> bool:
        """Whether the model is a single file."""
        return "." in self.files

    @property
    def ignored(self) -> frozenset[str]:
        """All paths that need not be signed."""
        git = () if self.sign_git else GIT_PATHS
        return frozenset((*self.ignores, *git, *(["model.sig"] if self.inside else [])))

    @property
    def signed(self) -> list[str]:
        """Names of the regular files that are signed."""
        return [name for name in self.files if not is_ignored(name, self.ignored)]


@dataclass(frozen=True, slots=True)
class Site:
    """A scenario's files on disk."""

    scenario: Scenario
    model: Path
    signature: Path

    def path(self, name: str) -> Path:
        """Return where a name of the model lies."""
        return self.model if name == "." else self.model / name

    def write(self) -> None:
        """Make the model."""
        for name, content in self.scenario.files.items():
            path = self.path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for name, target in self.scenario.links.items():
            path = self.path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)

    def contents(self) -> dict[str, bytes]:
        """Return what a reader finds under each name that is not ignored."""
        if not self.model.is_dir():
            return {".": _content(self.model, links=False)} if self.model.exists() else {}
        found = {}
        for folder, folders, files in os.walk(self.model):
            for item in (*folders, *files):
                path = Path(folder, item)
                name = str(path.relative_to(self.model))
                if is_ignored(name, self.scenario.ignored):
                    continue
                if item in files or path.is_symlink():
                    found[name] = _content(path, links=self.scenario.allow_links)
        return found

    def odd_under_ignored(self) -> bool:
        """Tell whether an ignored path holds more than files and directories."""
        return any(
            is_ignored(str(path.relative_to(self.model)), self.scenario.ignored)
            and _content(path, links=self.scenario.allow_links) == NOT_A_FILE
            for path in self.model.rglob("*")
            if path.is_symlink() or not path.is_dir()
        )


def is_ignored(name: str, ignored: Iterable[str]) -> bool:
    """Tell whether a name is, or lies below, an ignored path."""
    return any(name == path or name.startswith(f"{path}/") for path in ignored)


def _content(path: Path, *, links: bool) -> bytes:
    if path.is_symlink() and (not links or not path.exists()):
        return NOT_A_FILE
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        return LINKED_FOLDER
    return path.read_bytes() if stat.S_ISREG(mode) else NOT_A_FILE


def scenario(seed: int) -> Scenario:
    """Return the seed's scenario."""
    rng = random.Random(seed)  # noqa: S311 — reproducible, not secret
    is_file = rng.random() < 0.06
    files = {".": rng.randbytes(rng.choice(_SIZES[1:]))} if is_file else _files(rng)
    allow_links = not is_file and rng.random() < 0.3
    sharded = rng.random() < 0.4
    # The reference takes no shards with blake3: it then hashes whole files.
    hashes: list[HashName] = ["sha256", "blake2", "sha256" if sharded else "blake3"]
    large = rng.random() < 0.05
    if large and not is_file:
        files[rng.choice(sorted(files))] = rng.randbytes(rng.choice(_LARGE))
    ignores = [] if is_file else rng.sample(_IGNORES, rng.choice([0, 0, 1, 2]))
    if all(is_ignored(name, (*ignores, *GIT_PATHS)) for name in files):
        files["model.bin"] = rng.randbytes(100)
    return Scenario(
        seed=seed,
        files=files,
        links=_links(rng, files, ignores) if allow_links else {},
        # A keyless signature takes two orders of magnitude longer to make.
        method="sigstore" if seed % 25 == 0 else rng.choice(["key", "certificate"]),
        hash=rng.choice(hashes),
        shard_bytes=rng.choice([4096, 262_144] if large else [SHARD_BYTES, 4096])
        if sharded
        else None,
        allow_links=allow_links,
        ignores=tuple(ignores),
        sign_git=not is_file and rng.random() < 0.2,
        inside=not is_file and rng.random() < 0.5,
        ignore_unsigned=rng.random() < 0.2,
    )


def _files(rng: random.Random) -> dict[str, bytes]:
    names = rng.sample(_NAMES, rng.randint(2, 9))
    if rng.random() < 0.4:
        names += rng.sample(_GIT_NAMES, rng.randint(1, 3))
    # Shards cannot be verified where an empty file lies among them: a named divergence, so rare.
    sizes = _SIZES if rng.random() < 0.3 else _SIZES[1:]
    return {name: rng.randbytes(rng.choice(sizes)) for name in names}


def _links(
    rng: random.Random, files: Mapping[str, bytes], ignores: Sequence[str]
) -> dict[str, str]:
    """Link to files, among them ignored ones, and now and then to a directory."""
    links = {}
    for count, name in enumerate(rng.sample(sorted(files), min(2, len(files)))):
        place = f"links/{count}"
        links[place] = os.path.relpath(name, "links")
    tops = {name.partition("/")[0] for name in files if "/" in name}
    folders = sorted(tops - {*ignores, *GIT_PATHS})
    if folders and rng.random() < 0.3:
        links["linked folder"] = folders[0]
    return links
