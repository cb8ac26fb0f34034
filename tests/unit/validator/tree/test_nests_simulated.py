"""A workload's view of a model that a gate has let pass: simulated, mount by mount.

The simulation mounts as containerd and runc do: outer paths first, and each destination by the
links that lie on its way. It shares no code with the gate.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from validator.errors import Refused, ValidatorError
from validator.limits import DEFAULT
from validator.paths import related
from validator.tree import nests
from validator.tree.mounts import leaves_its_volume
from validator.tree.tree import Tree
from validator.tree.walk import Scope, list_files

LINKS: Final = 40
"""Links that the kernel follows on one way."""

_name = st.sampled_from(["a", "b", "c"])
_place = st.lists(_name, min_size=1, max_size=3).map("/".join)
_target = st.sampled_from(
    [
        "a",
        "b",
        "../a",
        "../b",
        "../c/a",
        "../../models/a",
        "a/b",
        "{}/models/a",
        "{}/models/b/c",
        ".",
    ]
)
_content = st.dictionaries(_place, st.just("file") | _target, max_size=6)


class Workload:
    """A container's view: where which folder of the disk is mounted."""

    def __init__(self, mounts: list[tuple[str, Path]]) -> None:
        self._mounts: dict[str, Path] = {}
        for at, folder in sorted(mounts, key=lambda mount: mount[0].count("/")):
            self._mounts[self.resolved(at)] = folder

    def resolved(self, path: str) -> str:
        """Return a path without links, in this view; what is missing is made."""
        done, pending, links = "", path.split("/")[::-1], 0
        while pending:
            part = pending.pop()
            if part == "..":
                done = done.rpartition("/")[0]
            elif part not in ("", "."):
                here = f"{done}/{part}"
                disk = self.on_disk(here)
                if here in self._mounts or not disk.is_symlink() or links > LINKS:
                    done = here
                    continue
                links += 1
                target = disk.readlink().as_posix()
                done = "" if target.startswith("/") else done
                pending += target.split("/")[::-1]
        return done or "/"

    def on_disk(self, resolved: str) -> Path:
        """Return the folder or file of the disk that is seen at a resolved path."""
        for above in (resolved, *map(str, Path(resolved).parents)):
            if above in self._mounts:
                return self._mounts[above] / os.path.relpath(resolved, above)
        return Path(resolved)

    def files(self, folder: str, depth: int = 4) -> dict[str, str]:
        """Return the files below a path: name to the place on the disk."""
        found: dict[str, str] = {}
        disk = self.on_disk(self.resolved(folder))
        for name in [each.name for each in disk.iterdir()] if disk.is_dir() and depth else ():
            resolved = self.resolved(f"{folder}/{name}")
            if self.on_disk(resolved).is_dir():
                below = self.files(f"{folder}/{name}", depth - 1)
                found |= {f"{name}/{path}": file for path, file in below.items()}
            elif self.on_disk(resolved).exists():
                found[name] = os.path.normpath(self.on_disk(resolved))
        return found


def fill(folder: Path, content: dict[str, str], root: Path) -> None:
    """Write files and links, as far as they go beside one another."""
    folder.mkdir()
    for name, what in content.items():
        path = folder / name
        above = [path, *list(path.parents)[: name.count("/")]]
        if any(each.is_symlink() or each.is_file() for each in above) or path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if what == "file":
            path.write_text(name)
        else:
            path.symlink_to(what.format(root))


def let_pass(model: Path, nested: dict[str, str], points: set[str]) -> dict[str, str] | None:
    """Return the files that a gate verifies, by name; None, where it refuses."""
    try:
        hidden = nests.places(nested, [model], points=points)
        if leaves_its_volume(model, points=points | hidden, limits=DEFAULT):
            return None
        nests.check_apart(model, hidden)
        with Tree.open(model) as tree:
            if tree.single is not None:
                return None
            listing = list_files(tree, Scope(follow=True), limits=DEFAULT)
    except ValidatorError as refusal:
        event("found" if isinstance(refusal, Refused) else "undecided")
        return None
    if listing.problems or listing.unreadable:
        return None
    base = Path(os.path.realpath(model))
    return {name: os.path.realpath(base / name) for name in listing.files}


@dataclass(frozen=True, kw_only=True)
class World:
    """Three volumes, and where they are mounted.

    Attributes:
        models: Content of the model's volume, mounted at /models.
        home: Content of another one, mounted at /home.
        inner: Content of the one that is mounted within both.
        model: The model's path below /models.
        beside: Where the inner volume is mounted below /models.
        within: Where it is mounted below /home.
    """

    models: dict[str, str]
    home: dict[str, str]
    inner: dict[str, str]
    model: str
    beside: str
    within: str


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw one in which the model is there, as a folder or by a link, if nothing is in its way."""
    model, beside, real = draw(_place), draw(_place), draw(_place)
    there = {f"{real}/a": "file", f"{beside}/b": "file"}
    link = draw(st.sampled_from([{}, {model: "{}/models/" + real}]))
    return World(
        models=draw(st.sampled_from([there | link, link | there, {}])) | draw(_content),
        home=draw(_content),
        inner=draw(_content),
        model=draw(st.sampled_from([model, real])),
        beside=beside,
        within=draw(_place),
    )


def _world(**changes: Any) -> World:
    """Return one of which a test is about a part."""
    plain = {"models": {"a/a": "file"}, "home": {}, "inner": {"a": "file"}}
    return World(**{**plain, "model": "a", "beside": "b", "within": "c", **changes})


@settings(max_examples=150, deadline=None)
@given(worlds())
@example(_world(models={"a/a": "file", "b/b": "file"}))
@example(_world(models={"a/a": "file", "b": "a"}))
@example(_world(models={"a/a": "file", "b/b": "file"}, home={"c": "{}/models/a"}))
@example(_world(models={"b/b/a": "file", "a": "b/b"}))
@example(_world(models={"c/a": "file", "a": "c"}, beside="c"))
@example(_world(models={"c/b/a": "file", "c/a": "b/a", "a": "c"}, beside="c/b"))
def test_the_workload_sees_what_the_gate_has_verified(world: World) -> None:
    """One volume is mounted within the model's, beside the model, and within another one."""
    if related(f"/{world.model}", f"/{world.beside}"):
        return  # which the webhook refuses
    with tempfile.TemporaryDirectory() as made:
        root = Path(os.path.realpath(made))
        for name in ("models", "home", "inner"):
            fill(root / name, getattr(world, name), root)
        beside, within = root / "models" / world.beside, root / "home" / world.within
        nested = {str(beside): str(beside), str(within): "/home/within"}
        points = {"/", str(root / "models"), str(root / "home")}
        verified = let_pass(root / "models" / world.model, nested, points)
        if verified is None:
            return
        event("let pass")
        inner = root / "inner"
        outer = [(str(root / name), root / name) for name in ("models", "home")]
        workload = Workload([*outer, (str(beside), inner), (str(within), inner)])
        assert workload.files(str(root / "models" / world.model)) == verified
