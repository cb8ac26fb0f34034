"""A model's tree: listed by directory descriptors, never leaving its root.

Step 8 of the verification, and the way by which step 9 opens files. A name is
resolved component by component, relative to an open directory and without
following links; a link is then followed by hand, so that its target is checked
before anything behind it is touched.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from validator.errors import ModelError, Undecided
from validator.statement import SINGLE_FILE
from validator.text import quoted, unreadable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from validator.limits import Limits

LOST_AND_FOUND: Final = "lost+found"
"""What mkfs leaves at a volume's root: owned by root, readable by nobody else."""

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking and not a terminal: an entry may turn into a FIFO or a device after it was listed.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_LOOK: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Identity(NamedTuple):
    """What tells one state of a file from another.

    It and `Entry` are tuples, since two of each are made for every file of a
    model, and a frozen dataclass takes three times as long.
    """

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        """Return the identity in a stat result."""
        return tuple.__new__(  # without the arguments' detour, in a third of the time
            cls,
            (
                status.st_dev,
                status.st_ino,
                status.st_size,
                status.st_mtime_ns,
                status.st_ctime_ns,
            ),
        )


class Entry(NamedTuple):
    """A regular file of the model.

    Attributes:
        name: Its path below the model, as the workload would open it.
        folder: Components of its folder's path below the tree's base, all links resolved.
        item: Its name in that folder.
        identity: Its state when it was listed.
    """

    name: str
    folder: tuple[str, ...]
    item: str
    identity: Identity

    @property
    def real(self) -> tuple[str, ...]:
        """Components of its path below the tree's base, all links resolved."""
        return (*self.folder, self.item)


@dataclass(slots=True)
class Listing:
    """What a walk found.

    Attributes:
        files: Regular files by name.
        problems: One sentence for each thing that no model may contain.
        unreadable: One sentence for each thing that could not be looked at.
        closed: The names of those things; what lies behind them may be there or not.
        ignored: Paths that exist and were left out.
    """

    files: dict[str, Entry] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    closed: set[str] = field(default_factory=set)
    ignored: list[str] = field(default_factory=list)

    def close(self, name: str, error: OSError) -> None:
        """Note that something cannot be looked at."""
        self.closed.add(name)
        self.unreadable.append(unreadable(quoted(name), error))

    def is_closed(self, name: str) -> bool:
        """Tell whether `name` lies where nobody could look."""
        return SINGLE_FILE in self.closed or (bool(self.closed) and is_below(name, self.closed))


_NOTHING: Final = frozenset({errno.ENOENT, errno.ENOTDIR})
"""Errors that say: there is nothing of that name."""


class _Escape(Exception):
    """A link leads where it must not; the text says where, to follow "which"."""


def is_missing(path: Path) -> bool:
    """Tell whether there is nothing at `path`, not even a link that leads nowhere."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False  # whoever opens it says why
    return False


class Tree:
    """An open model: a directory, or a single file.

    A Hugging Face cache is recognised by its layout, `models--*/snapshots/REV`:
    the tree's base is then the cache's folder, and links may lead into its
    `blobs/`, and nowhere else.
    """

    def __init__(
        self, base: int, *, path: Path, real: str, prefix: tuple[str, ...], single: str | None
    ) -> None:
        self._base = base
        self._path = path
        self._real = real
        self._root = os.path.dirname(real) if single else real
        self._prefix = prefix
        self._single = single

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path) -> Iterator[Tree]:
        """Open the model at `path`; links in the path itself are followed.

        Raises:
            ModelError: There is nothing, or neither a directory nor a regular file.
            Undecided: It cannot be opened.
        """
        try:
            real = os.path.realpath(path, strict=True)
            status = os.stat(real, follow_symlinks=False)
            parent, name = os.path.split(real)
            prefix: tuple[str, ...] = ()
            if stat.S_ISDIR(status.st_mode):
                folder = real
                if (cache := _hugging_face_cache(real)) is not None:
                    folder, prefix = cache, ("snapshots", name)
                single = None
            elif stat.S_ISREG(status.st_mode):
                folder, single = parent, name
            else:
                raise ModelError(f"the model {quoted(path)} is neither a directory nor a file")
            base = os.open(folder, _DIRECTORY)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ModelError(f"there is no model at {quoted(path)}") from error
        except ValueError as error:
            raise ModelError(f"{quoted(path)} is not a file's name") from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise ModelError(
                    f"the model {quoted(path)} is a link that leads to itself"
                ) from error
            raise Undecided(unreadable(f"the model {quoted(path)}", error)) from error
        try:
            yield cls(base, path=path, real=real, prefix=prefix, single=single)
        finally:
            os.close(base)

    @property
    def is_single_file(self) -> bool:
        """Whether the model is a file."""
        return self._single is not None

    def walk(
        self,
        *,
        ignored: frozenset[str],
        signed: Collection[str],
        signature: str | None,
        follow: bool,
        limits: Limits,
    ) -> Listing:
        """List all files of the model.

        Args:
            ignored: Paths below the model that are left out, with all below them.
            signed: Names that are looked up all the same.
            signature: The signature file's path below the model, never part of it.
            follow: Whether links stand for what they lead to; else each is a problem.
            limits: Of number and depth.
        """
        listing = Listing()
        if not self._in_place():
            listing.problems.append("the model was replaced while it was verified")
        if self._single is not None:
            self._single_file(self._single, listing)
            return listing
        _Walk(
            tree=self,
            listing=listing,
            ignored=ignored,
            signature=signature,
            follow=follow,
            limits=limits,
        ).run()
        for name in signed:
            if name not in listing.files and is_below(name, ignored):
                self._look_up(name, listing, follow=follow, limits=limits)
        for sentences in (listing.problems, listing.unreadable, listing.ignored):
            sentences.sort()
        return listing

    def open_file(self, entry: Entry, *, folder: int | None = None) -> int:
        """Open a listed file again and return its descriptor.

        Args:
            entry: The file.
            folder: Descriptor of its opened folder, where many files of it are opened.

        Raises:
            OSError: It is gone, or there is a link where a file or directory was.
        """
        if folder is None:
            return self._open(entry.real, _FILE)
        return os.open(entry.item, _FILE, dir_fd=folder)

    def relative(self, path: Path) -> str | None:
        """Return `path` relative to the model if it lies in it, by its real directory."""
        folder = os.path.realpath(path.parent)
        inside = os.path.relpath(os.path.join(folder, path.name), self._root)
        return None if inside == ".." or inside.startswith("../") else inside

    def _in_place(self) -> bool:
        """Tell whether the model's path still leads to what was opened."""
        base = os.fstat(self._base)
        here = self._real[: -len("/".join(self._prefix))] if self._prefix else self._root
        try:
            status = os.stat(here)
            real = os.path.realpath(self._path, strict=True)
        except OSError:
            return False
        return real == self._real and (status.st_dev, status.st_ino) == (base.st_dev, base.st_ino)

    def is_mount(self) -> bool:
        """Tell whether the model's root is the root of a mounted volume."""
        here = os.stat(".", dir_fd=self._base)
        above = os.stat("..", dir_fd=self._base)
        return not self._prefix and here.st_dev != above.st_dev

    def _look_up(self, name: str, listing: Listing, *, follow: bool, limits: Limits) -> None:
        """List one file by its name; nothing, if there is none."""
        real = self._prefix
        try:
            for component in name.split("/"):
                below = self.resolve(real, component, limits=limits)
                if not follow and below != (*real, component):
                    return
                real = below
            descriptor = self._open(real, _LOOK)
        except _Escape:
            return
        except OSError as error:
            if error.errno not in _NOTHING:
                listing.close(name, error)
            return
        status = os.fstat(descriptor)
        os.close(descriptor)
        if stat.S_ISREG(status.st_mode):
            listing.files[name] = Entry(name, real[:-1], real[-1], Identity.of(status))

    def _single_file(self, name: str, listing: Listing) -> None:
        try:
            status = os.stat(name, dir_fd=self._base, follow_symlinks=False)
        except OSError as error:
            listing.problems.append(f"the model is gone: {error.strerror}")
            return
        if stat.S_ISREG(status.st_mode):
            listing.files[SINGLE_FILE] = Entry(SINGLE_FILE, (), name, Identity.of(status))
        else:
            listing.problems.append("the model is no longer a regular file")

    def _open(self, real: Sequence[str], flags: int) -> int:
        """Open a path of the base that holds no links, component by component."""
        current = os.dup(self._base)
        try:
            for component in real[:-1]:
                below = os.open(component, _DIRECTORY, dir_fd=current)
                os.close(current)
                current = below
            return os.open(real[-1] if real else ".", flags, dir_fd=current)
        finally:
            os.close(current)

    def open_directory(self, real: Sequence[str]) -> int:
        """Open a directory by its resolved path below the base."""
        return self._open(real, _DIRECTORY)

    def resolve(self, folder: Sequence[str], name: str, *, limits: Limits) -> tuple[str, ...]:
        """Follow `name` in `folder` (resolved) through all links, inside the base.

        Returns:
            The target's components below the base, free of links.

        Raises:
            _Escape: It leads out of what is allowed, or in a circle.
            OSError: It leads to nothing.
        """
        done = list(folder)
        pending = [name]
        links = 0
        while pending:
            component = pending.pop()
            if component in {"", "."}:
                continue
            if component == "..":
                if not done:
                    raise _Escape("leads out of the model")
                done.pop()
                continue
            if (target := self._link_target([*done, component])) is None:
                done.append(component)
                continue
            links += 1
            if links > limits.links:
                raise _Escape("leads in a circle")
            if target.startswith("/"):
                raise _Escape("is absolute and leads out of the model")
            pending.extend(reversed(target.split("/")))
        if not self._allowed(done):
            raise _Escape("leads out of the model")
        return tuple(done)

    def _link_target(self, real: Sequence[str]) -> str | None:
        descriptor = self._open(real, _LOOK)
        try:
            if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
                return None
            return os.readlink("", dir_fd=descriptor)
        finally:
            os.close(descriptor)

    def _allowed(self, real: Sequence[str]) -> bool:
        if tuple(real[: len(self._prefix)]) == self._prefix:
            return True
        return len(real) == 2 and real[0] == "blobs"  # noqa: PLR2004 — blobs/DIGEST

    @property
    def root(self) -> tuple[str, ...]:
        """The model's root, below the base."""
        return self._prefix


@dataclass(slots=True, kw_only=True)
class _Walk:
    """One walk: state for what is deeper than a loop."""

    tree: Tree
    listing: Listing
    ignored: frozenset[str]
    signature: str | None
    follow: bool
    limits: Limits
    entries: int = 0

    def run(self) -> None:
        """Walk breadth first; `pending` holds name, resolved path and the chain of directories."""
        root = self.tree.root
        pending: list[tuple[str, tuple[str, ...], frozenset[tuple[int, int]]]] = [
            ("", root, frozenset())
        ]
        while pending:
            name, real, above = pending.pop()
            try:
                descriptor = self.tree.open_directory(real)
            except OSError as error:
                self._unreadable(name or SINGLE_FILE, error)
                continue
            try:
                status = os.fstat(descriptor)
                here = (status.st_dev, status.st_ino)
                if here in above:
                    self.listing.problems.append(f"{quoted(name)} leads in a circle")
                elif len(above) >= self.limits.depth:
                    self.listing.problems.append(
                        f"{quoted(name)} lies deeper than {self.limits.depth} directories"
                    )
                else:
                    found = self._directory(descriptor, name, real)
                    pending.extend((below, path, above | {here}) for below, path in found)
            except OSError as error:
                self._unreadable(name or SINGLE_FILE, error)
            finally:
                os.close(descriptor)

    def _directory(
        self, descriptor: int, folder: str, real: tuple[str, ...]
    ) -> list[tuple[str, tuple[str, ...]]]:
        """List one directory; return the directories in it."""
        files, below = self.listing.files, []
        with os.scandir(descriptor) as entries:
            for item in entries:
                self.entries += 1
                if self.entries > self.limits.entries:
                    raise ModelError(f"the model has more than {self.limits.entries:,} files")
                name = f"{folder}/{item.name}" if folder else item.name
                # A directory of that name would be one that took the file's place.
                if name == self.signature and not item.is_dir():
                    continue
                if name in self.ignored:
                    self.listing.ignored.append(name)
                    continue
                status = item.stat(follow_symlinks=False)
                followed = None
                if stat.S_ISLNK(status.st_mode):
                    followed = self._link(name, real, item.name)
                    if followed is None:
                        continue
                    target, status = followed
                if stat.S_ISREG(status.st_mode):
                    place, base = (target[:-1], target[-1]) if followed else (real, item.name)
                    files[name] = Entry(name, place, base, Identity.of(status))
                elif stat.S_ISDIR(status.st_mode):
                    if not self._skip_lost_and_found(name, status):
                        below.append((name, target if followed else (*real, item.name)))
                else:
                    self.listing.problems.append(
                        f"{quoted(name)} is {_kind(status.st_mode)}, and a model has only files"
                    )
        return below

    def _link(
        self, name: str, folder: tuple[str, ...], item: str
    ) -> tuple[tuple[str, ...], os.stat_result] | None:
        if not self.follow:
            self.listing.problems.append(
                f"{quoted(name)} is a link, and the model was signed without links"
            )
            return None
        try:
            real = self.tree.resolve(folder, item, limits=self.limits)
            descriptor = self.tree._open(real, _LOOK)  # noqa: SLF001 — one idea, two classes
        except _Escape as error:
            self.listing.problems.append(f"{quoted(name)} is a link that {error}")
        except OSError as error:
            if error.errno in _NOTHING:
                self.listing.problems.append(f"{quoted(name)} is a link that leads to nothing")
            else:
                self._unreadable(name, error)
        else:
            try:
                return real, os.fstat(descriptor)
            finally:
                os.close(descriptor)
        return None

    def _skip_lost_and_found(self, name: str, status: os.stat_result) -> bool:
        """Skip a file system's own folder, where we cannot read it and nobody else can."""
        if (
            name == LOST_AND_FOUND
            and status.st_uid == 0
            and not status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
            and os.geteuid() != 0
            and self.tree.is_mount()
        ):
            self.listing.ignored.append(name)
            return True
        return False

    def _unreadable(self, name: str, error: OSError) -> None:
        self.listing.close(name, error)


def is_below(name: str, folders: Collection[str]) -> bool:
    """Tell whether a name is one of some paths, or lies below one."""
    parts = name.split("/")
    return any("/".join(parts[:count]) in folders for count in range(1, len(parts) + 1))


def _hugging_face_cache(real: str) -> str | None:
    snapshots = os.path.dirname(real)
    cache = os.path.dirname(snapshots)
    if os.path.basename(snapshots) == "snapshots" and os.path.basename(cache).startswith(
        "models--"
    ):
        return cache
    return None


def _kind(mode: int) -> str:
    names = {
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFBLK: "a block device",
        stat.S_IFCHR: "a character device",
    }
    return names.get(stat.S_IFMT(mode), "of an unknown kind")
