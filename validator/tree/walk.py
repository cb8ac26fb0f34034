"""A model's files by name: a walk over its tree that follows no link without checking it.

Step 8 of the verification: what no model may contain, and what cannot be looked at, becomes a
sentence.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from validator.errors import ModelError
from validator.statement.signed_files import SINGLE_FILE
from validator.text import quoted
from validator.tree.listing import ListedFiles, Listing, is_below
from validator.tree.tree import EscapeError, Identity
from validator.tree.workers import Workers, nonsense, worth_starting

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from validator.limits import Limits
    from validator.statement.signed_files import SignedFiles
    from validator.tree.listing import Place
    from validator.tree.tree import Tree
    from validator.tree.workers import Queue

LOST_AND_FOUND: Final = "lost+found"
"""Folder that mkfs leaves at a volume's root: owned by root, readable by nobody else."""

FILES_EACH: Final = 8000
"""Files that pay for a process that walks, too: 24 ms of work, for 6 ms."""

_PLAIN: Final = (
    ", as plain files: a Hugging Face cache has links; get the model with `hf download --local-dir`"
)

_HEAD_END: Final = b"\n"
"""Stands between the two parts of what a process says that walks beside this one."""

_NOTHING: Final = frozenset({errno.ENOENT, errno.ENOTDIR})
"""Errors that say: there is nothing of that name."""


class Scope(NamedTuple):
    """The names below a model that count.

    Attributes:
        ignored: Paths below the model that are left out, with all below them.
        files: The signed files, which a listing keeps by number; None where they are not known.
        signed: Names that are looked up all the same.
        signature: The signature file's path below the model, never part of it.
        follow: Whether links stand for what they lead to; else each is a problem.
        others_limit: Files that are not signed whose names are kept; all, if absent.
    """

    ignored: frozenset[str] = frozenset()
    files: SignedFiles | None = None
    signed: Collection[str] = ()
    signature: str | None = None
    follow: bool = False
    others_limit: int | None = None


def list_files(tree: Tree, scope: Scope, *, limits: Limits, cores: int = 1) -> Listing:
    """List all files of a model.

    Args:
        tree: The open model.
        scope: Which names count.
        limits: Of number and depth.
        cores: Those for which processes may be forked, this one's included.

    Raises:
        ModelError: The model has too many files.
    """
    files = ListedFiles(tree.root, scope.files, others_limit=scope.others_limit)
    listing = Listing(files, limits.mismatches)
    walk = _Walk(tree, scope, limits, listing)
    if not tree.in_place():
        listing.note("the model was replaced while it was verified")
    if tree.single is not None:
        _look_at_single_file(tree, tree.single, listing)
        return listing
    helpers = worth_starting(len(scope.files or ()), each=FILES_EACH, cores=cores - 1)
    walk.run(helpers)
    if helpers and listing.depends_on_order:
        return list_files(tree, scope, limits=limits)
    for name in scope.signed:
        if name not in listing.files and is_below(name, scope.ignored):
            walk.look_up(name)
    for sentences in (listing.problems, listing.unreadable, listing.ignored):
        sentences.sort()
    return listing


def _look_at_single_file(tree: Tree, name: str, listing: Listing) -> None:
    try:
        status = tree.look((name,))
    except OSError as error:
        listing.note(f"the model is gone: {error.strerror}")
        return
    if stat.S_ISREG(status.st_mode):
        listing.files.add(SINGLE_FILE, Identity.of(status), place=((), name))
    else:
        listing.note("the model is no longer a regular file")


class _Pending(NamedTuple):
    """A directory that is still to be listed; its paths are made when it is its turn.

    A directory at depth 1,000 has paths of kilobytes, and may have 100,000 directories in it.

    Attributes:
        above: The directory that it lies in; None for the model itself.
        item: Its name there.
        target: Its place below the tree's base, where a link leads to it or it is the model.
        depth: Number of directories above it.
    """

    above: _Pending | None
    item: str
    target: tuple[str, ...] | None
    depth: int

    def opened(self) -> _Folder:
        """Return it with its paths."""
        chain = [self]
        while (here := chain[-1].above) is not None:
            chain.append(here)
        chain.reverse()
        name = "/".join(each.item for each in chain[1:])
        start = max(n for n, each in enumerate(chain) if each.target is not None)
        real = (*(chain[start].target or ()), *(each.item for each in chain[start + 1 :]))
        return _Folder(self, name, real, is_linked=start > 0)


class _Folder(NamedTuple):
    """A directory that is being listed.

    Attributes:
        pending: What it was before.
        name: Its path below the model, as the workload would open it; "" for the model itself.
        real: Components of its path below the tree's base, all links resolved.
        is_linked: Whether a link leads to it, or to a directory above it.
    """

    pending: _Pending
    name: str
    real: tuple[str, ...]
    is_linked: bool


class _Walk:
    """A walk under way."""

    def __init__(self, tree: Tree, scope: Scope, limits: Limits, listing: Listing) -> None:
        self.tree = tree
        self.scope = scope
        self.limits = limits
        self.listing = listing
        self.entries = 0
        # By folder, what is not listed like anything else.
        self._special: dict[str, set[str]] = {}
        for name in (scope.signature or "", *scope.ignored):
            folder, _, item = name.rpartition("/")
            self._special.setdefault(folder, set()).add(item)

    def run(self, helpers: int) -> None:
        """Walk; have so many forked processes walk some of the first folder's folders."""
        above: list[tuple[int, int]] = []
        pending = self._enter(_Pending(None, "", self.tree.root, 0), above)
        while helpers and len(pending) == 1:
            pending = self._enter(pending[0], above)
        if helpers and pending:
            self._share(pending, above, helpers)
        else:
            self.walk_below(pending, above)

    def walk_below(self, pending: list[_Pending], above: list[tuple[int, int]]) -> None:
        """Walk depth first, so that `above` is the chain of directories to the present one."""
        while pending:
            pending += self._enter(pending.pop(), above)

    def _enter(self, next_: _Pending, above: list[tuple[int, int]]) -> list[_Pending]:
        """List one directory, if it can be, and may be; return the directories in it."""
        folder = next_.opened()
        del above[folder.pending.depth :]
        try:
            descriptor = self.tree.open_directory(folder.real)
        except OSError as error:
            self.listing.close(folder.name or SINGLE_FILE, error)
            return []
        try:
            status = os.fstat(descriptor)
            here = (status.st_dev, status.st_ino)
            if self._may_enter(folder, here, above):
                above.append(here)
                return self._directory(descriptor, folder)
        except OSError as error:
            self.listing.close(folder.name or SINGLE_FILE, error)
        finally:
            os.close(descriptor)
        return []

    def _share(self, folders: list[_Pending], above: list[tuple[int, int]], helpers: int) -> None:
        """Walk some directories together with other processes.

        What those have not listed, or not without anything odd, is walked here: a look that comes
        later is as good.
        """
        left = set(range(len(folders)))
        with Workers() as workers:
            try:
                queue = workers.queue(len(folders))
            except OSError:
                helpers = 0
            for _ in range(helpers):
                workers.start(partial(self._help, queue, folders, above))
            while helpers and (number := queue.take()) is not None:
                self.walk_below([folders[number]], above)
                left.remove(number)
            for message in workers.messages(wait=True):
                left -= self._take_over(message, left)
        self.walk_below([folders[number] for number in left], above)

    def _help(
        self,
        queue: Queue,
        folders: list[_Pending],
        above: list[tuple[int, int]],
        send: Callable[[bytes], None],
    ) -> None:
        """Walk directories in another process; send the states of the files in there."""
        listing = self.listing.like()
        walk = _Walk(self.tree, self.scope, self.limits, listing)
        numbers = []
        while (number := queue.take()) is not None:
            walk.walk_below([folders[number]], above)
            numbers.append(number)
        if listing.is_plain:
            head = json.dumps([walk.entries, numbers]).encode()
            send(head + _HEAD_END + listing.files.packed)

    def _take_over(self, message: bytes, left: set[int]) -> set[int]:
        """Take over what another process has listed; return the directories.

        Raises:
            ModelError: With these, the model has too many files.
            Undecided: It is no such message, or is about other directories than those left.
        """
        head, _, states = message.partition(_HEAD_END)
        try:
            entries, numbers = json.loads(head)
            self.entries += entries
            self.listing.files.merge(states)
            found = set(numbers)
        except (ValueError, TypeError) as error:
            raise nonsense() from error
        if not found <= left:
            raise nonsense()
        if self.entries > self.limits.entries:
            raise ModelError(f"the model has more than {self.limits.entries:,} files")
        return found

    def _may_enter(
        self, folder: _Folder, here: tuple[int, int], above: Collection[tuple[int, int]]
    ) -> bool:
        if here in above:
            self.listing.note(
                f"{quoted(folder.name)} leads in a circle: remove the link to a folder that it "
                "lies in"
            )
        elif folder.pending.depth >= self.limits.depth or len(folder.name) > self.limits.name_bytes:
            self.listing.note(
                f"{quoted(folder.name)} lies deeper than {self.limits.depth:,} directories, or "
                f"its path is longer than {self.limits.name_bytes:,} characters"
            )
        else:
            return True
        return False

    def _directory(self, descriptor: int, folder: _Folder) -> list[_Pending]:
        """List one directory; return the directories in it."""
        below = []
        start = f"{folder.name}/" if folder.name else ""
        # A model may have 300,000 files: what is the same for all in here is asked once.
        special = self._special.get(folder.name, ())
        is_here, add, is_regular = not folder.is_linked, self.listing.files.add_here, stat.S_ISREG
        most = self.limits.entries
        with os.scandir(descriptor) as entries:
            for item in entries:
                self.entries += 1
                if self.entries > most:
                    raise ModelError(f"the model has more than {most:,} files")
                own = item.name
                name = start + own
                if own in special and self._is_left_out(name, item):
                    continue
                status = item.stat(follow_symlinks=False)
                if is_here and is_regular(status.st_mode):
                    add(name, status)
                elif found := self._item(name, folder, own, status):
                    below.append(found)
        return below

    def _is_left_out(self, name: str, item: os.DirEntry[str]) -> bool:
        """Leave out the signature and what is ignored."""
        # A directory of the signature's name would be one that took the file's place.
        if name == self.scope.signature and not item.is_dir():
            return True
        if name in self.scope.ignored:
            self.listing.ignored.append(name)
            return True
        return False

    def _item(
        self, name: str, folder: _Folder, item: str, status: os.stat_result
    ) -> _Pending | None:
        """List one thing in a directory; return it if it is a directory itself."""
        target: tuple[str, ...] | None = None
        if stat.S_ISLNK(status.st_mode):
            followed = self._link(name, folder.real, item)
            if followed is None:
                return None
            target, status = followed
        if stat.S_ISREG(status.st_mode):
            place: Place | None = None
            if target is not None:
                place = target[:-1], target[-1]
            elif folder.is_linked:
                place = folder.real, item
            self.listing.files.add(name, Identity.of(status), place=place)
        elif not stat.S_ISDIR(status.st_mode):
            self.listing.note(
                f"{quoted(name)} is {_kind(status.st_mode)}, and a model has only files"
            )
        elif not self._skip_lost_and_found(name, status):
            return _Pending(folder.pending, item, target, folder.pending.depth + 1)
        return None

    def _link(
        self, name: str, folder: tuple[str, ...], item: str
    ) -> tuple[tuple[str, ...], os.stat_result] | None:
        """Follow a link; return where it leads and what is there."""
        if not self.scope.follow:
            self.listing.note(
                f"{quoted(name)} is a link, and the model was signed without links"
                + (_PLAIN if self.tree.is_cache else "")
            )
            return None
        try:
            return self.tree.follow(folder, item, limits=self.limits)
        except EscapeError as error:
            self.listing.note(f"{quoted(name)} is a link that {error}")
        except OSError as error:
            if error.errno in _NOTHING:
                self.listing.note(f"{quoted(name)} is a link that leads to nothing")
            else:
                self.listing.close(name, error)
        return None

    def look_up(self, name: str) -> None:
        """List one file by its name; nothing, if there is none."""
        real = self.tree.root
        try:
            for component in name.split("/"):
                below = self.tree.resolve(real, component, limits=self.limits)
                if not self.scope.follow and below != (*real, component):
                    return
                real = below
            status = self.tree.look(real)
        except EscapeError:
            return
        except OSError as error:
            if error.errno not in _NOTHING:
                self.listing.close(name, error)
            return
        if stat.S_ISREG(status.st_mode):
            self.listing.files.add(name, Identity.of(status), place=(real[:-1], real[-1]))

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


def _kind(mode: int) -> str:
    names = {
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFBLK: "a block device",
        stat.S_IFCHR: "a character device",
    }
    return names.get(stat.S_IFMT(mode), "of an unknown kind")
