"""A model's directory, opened so that no name leads out of it.

Steps 8 and 9 of the verification open files this way. A name is resolved component by component,
relative to an open directory and without following links; each link is then followed by our own
code, which checks its target before it opens anything there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from validator.errors import ModelError, Undecided
from validator.text import quoted, unreadable
from validator.tree.mounts import devices_without_inodes
from validator.tree.tools.hugging_face import cache_of, is_blob

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from validator.limits import Limits
    from validator.paths import StrPath

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking and not a terminal: an entry may turn into a FIFO or a device after it was listed.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_LOOK: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


identity_fields: Final = attrgetter("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
"""Returns a stat result's part that is an `Identity`, as a plain tuple."""


class Identity(NamedTuple):
    """One state of a file, as the file system tells it from others.

    It and `Entry` are tuples, which are quicker to make than frozen dataclasses: two of each are
    made for every file of a model.
    """

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        """Return the identity in a stat result."""
        return cls._make(identity_fields(status))

    def is_like(self, other: Identity) -> bool:
        """Tell whether another state differs in no more than inode and ctime."""
        return self == other or (
            self.device == other.device
            and self.size == other.size
            and self.modified_ns == other.modified_ns
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

    def is_like(self, other: Entry) -> bool:
        """Tell whether another entry is at the same place and differs in inode and ctime only."""
        return self.real == other.real and self.identity.is_like(other.identity)


class EscapeError(Exception):
    """A link leads where it must not; the text says where, to follow "which".

    `validator.tree.walk` turns it into a sentence of its listing: it never leaves this package.
    """


def is_missing(path: StrPath) -> bool:
    """Tell whether there is nothing at `path`, not even a link that leads nowhere."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False  # whoever opens it says why
    return False


class Tree:
    """An open model: a directory, or a single file.

    A Hugging Face cache is recognised by its layout (`validator.tree.tools.hugging_face`): its base
    is then a folder above the model, and links may lead to blobs there, and nowhere else.
    """

    def __init__(
        self, base: int, *, path: StrPath, real: str, prefix: tuple[str, ...], single: str | None
    ) -> None:
        self._base = base
        self._path = path
        self._real = real
        self._root = os.path.dirname(real) if single else real
        self._prefix = prefix
        self._single = single
        self._forgetful = devices_without_inodes()

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: StrPath) -> Iterator[Tree]:
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
                if (cache := cache_of(real)) is not None:
                    folder, prefix = cache
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

    def forgets_inodes(self, device: int) -> bool:
        """Tell whether a device's files have other inode numbers from time to time."""
        return device in self._forgetful

    @property
    def single(self) -> str | None:
        """The model's name in its directory, if it is a file and no directory."""
        return self._single

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

    def relative(self, path: StrPath) -> str | None:
        """Return `path` relative to the model if it lies in it, by its real directory."""
        folder, name = os.path.split(path)
        inside = os.path.relpath(os.path.join(os.path.realpath(folder), name), self._root)
        return None if inside == ".." or inside.startswith("../") else inside

    @property
    def _top(self) -> str:
        """The path of the tree's base, as it was opened."""
        return self._real[: -len("/".join(self._prefix))] if self._prefix else self._root

    def in_place(self) -> bool:
        """Tell whether the model's path still leads to what was opened."""
        base = os.fstat(self._base)
        try:
            status = os.stat(self._top)
            real = os.path.realpath(self._path, strict=True)
        except OSError:
            return False
        return real == self._real and (status.st_dev, status.st_ino) == (base.st_dev, base.st_ino)

    def is_mount(self) -> bool:
        """Tell whether the model's root is the root of a mounted volume."""
        here = os.stat(".", dir_fd=self._base)
        above = os.stat("..", dir_fd=self._base)
        return not self._prefix and here.st_dev != above.st_dev

    def _open(self, real: Sequence[str], flags: int) -> int:
        """Open a path of the base that holds no links, component by component."""
        current = self._base
        try:
            for component in real[:-1]:
                above, current = current, os.open(component, _DIRECTORY, dir_fd=current)
                if above != self._base:
                    os.close(above)
            return os.open(real[-1] if real else ".", flags, dir_fd=current)
        finally:
            if current != self._base:
                os.close(current)

    def look(self, real: Sequence[str]) -> os.stat_result:
        """Return the status of a path of the base that holds no links.

        Raises:
            OSError: There is nothing, or it cannot be looked at.
        """
        descriptor = self._open(real, _LOOK)
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def open_directory(self, real: Sequence[str]) -> int:
        """Open a directory by its resolved path below the base."""
        return self._open(real, _DIRECTORY)

    def resolve(self, folder: Sequence[str], name: str, *, limits: Limits) -> tuple[str, ...]:
        """Follow `name` in `folder` (resolved) through all links, inside the base.

        Returns:
            The target's components below the base, free of links.

        Raises:
            EscapeError: It leads out of what is allowed, or in a circle.
            OSError: It leads to nothing.
        """
        return self.follow(folder, name, limits=limits)[0]

    def follow(
        self, folder: Sequence[str], name: str, *, limits: Limits
    ) -> tuple[tuple[str, ...], os.stat_result]:
        """Follow a name as `resolve` does; return the status of what is there, too."""
        done = list(folder)
        pending = [name]
        links = 0
        here: os.stat_result | None = None  # the status of `done`, if it was looked at last
        while pending:
            component = pending.pop()
            if component in {"", "."}:
                continue
            if component == "..":
                if not done:
                    raise self._escape(os.path.join(self._top, "..", *reversed(pending)))
                done.pop()
                here = None
                continue
            status, target = self._looked_through([*done, component])
            if target is None:
                done.append(component)
                here = status
                continue
            here = None
            links += 1
            if links > limits.links:
                raise EscapeError("leads in a circle")
            if target.startswith("/"):
                raise self._escape(target, how="is absolute and ")
            pending.extend(reversed(target.split("/")))
        if not self._allowed(done):
            raise EscapeError("leads out of the model")
        return tuple(done), here or self.look(done)

    def _escape(self, path: str, *, how: str = "") -> EscapeError:
        """Return the error for a link on the way out, with the remedy where it comes back.

        Elsewhere the model lies at another path, so that such a link would lead to something else.
        """
        for root in (self._root, os.path.abspath(self._path)):
            inside = os.path.relpath(path, root)
            if inside != ".." and not inside.startswith("../"):
                if inside == ".":
                    return EscapeError(f"{how}leads back to the model itself: remove it")
                return EscapeError(
                    f"{how}leads out of the model and back to {quoted(inside)} in it, which holds "
                    "at this place only: make it a relative link that stays within the model"
                )
        return EscapeError(f"{how}leads out of the model")

    def _looked_through(self, real: Sequence[str]) -> tuple[os.stat_result, str | None]:
        """Return the status of a path without links before its last name, and that link's text."""
        descriptor = self._open(real, _LOOK)
        try:
            status = os.fstat(descriptor)
            is_link = stat.S_ISLNK(status.st_mode)
            return status, os.readlink("", dir_fd=descriptor) if is_link else None
        finally:
            os.close(descriptor)

    def _allowed(self, real: Sequence[str]) -> bool:
        return tuple(real[: len(self._prefix)]) == self._prefix or is_blob(real, self._prefix)

    @property
    def is_cache(self) -> bool:
        """Whether the model is a snapshot in a Hugging Face cache."""
        return bool(self._prefix)

    @property
    def root(self) -> tuple[str, ...]:
        """The model's root, below the base."""
        return self._prefix
