"""The finding of a look: what `stat` tells of some models, without reading them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from validator.errors import Refused, Undecided
from validator.tree.mounts import devices_without_inodes
from validator.tree.tree import Identity, Tree
from validator.tree.walk import Scope, list_files
from validator.verification import Memory, scope_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from validator.paths import StrPath
    from validator.tree.listing import ListedFiles, Listing
    from validator.tree.tree import Entry
    from validator.verification import Request

OTHERS_LIMIT: Final = 1000
"""Names that are kept of the files of a model whose signed statement is not known."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A model, and what its last verification has left."""

    request: Request
    memory: Memory = field(default_factory=Memory)


@dataclass(frozen=True, slots=True)
class View:
    """The finding for one model.

    Attributes:
        files: Its files; None where it could not be listed.
        odd: Sentences on what is odd.
        signature: The state of its signature file, or why there is none.
    """

    files: ListedFiles | None
    odd: frozenset[str]
    signature: Identity | str


Sight = tuple[View, ...]
"""One view for each model."""


def look(models: Iterable[Watched]) -> Sight:
    """Return what can be seen of some models.

    What the policy and the signer ignore is not looked at, but for signed files in it.
    """
    return tuple(_view(model) for model in models)


def after_verification(models: Sequence[Watched], before: Sight) -> Sight:
    """Return what verifications have seen, or the look before them where they saw nothing.

    It differs from what a later look sees, if anything has changed that they have not read: after
    the end of a good one, or after the beginning of another one.
    """
    return tuple(
        replace(view, files=listing.files, odd=_odd(listing))
        if (listing := model.memory.listing) is not None
        else view
        for model, view in zip(models, before, strict=True)
    )


def _view(model: Watched) -> View:
    request, accepted = model.request, model.memory.accepted
    signature = _state(request.signature)
    try:
        with Tree.open(request.model) as tree:
            if accepted:
                scope = scope_of(tree, request, accepted)
            else:
                scope = Scope(
                    ignored=request.ignored,
                    signature=tree.relative(request.signature),
                    follow=True,
                    others_limit=OTHERS_LIMIT,
                )
            listing = list_files(tree, scope, limits=request.limits)
    except (Refused, Undecided) as error:
        return View(None, frozenset({str(error)}), signature)
    return View(listing.files, _odd(listing), signature)


def _odd(listing: Listing) -> frozenset[str]:
    return frozenset((*listing.problems, *listing.unreadable))


def _state(path: StrPath) -> Identity | str:
    try:
        return Identity.of(os.stat(path))  # noqa: PTH116 — links followed
    except (OSError, ValueError) as error:
        return str(error)


def differences(models: Iterable[Watched], before: Sight, after: Sight) -> tuple[str, ...]:
    """Return what two looks saw differently: paths, and sentences on what is odd."""
    forgetful = devices_without_inodes()
    found: set[str] = set()
    for model, one, other in zip(models, before, after, strict=True):
        request = model.request
        found.update(one.odd ^ other.odd)
        if _lasting(one.signature, forgetful) != _lasting(other.signature, forgetful):
            found.add(str(request.signature))
        if one.files is None or other.files is None:
            continue  # the sentences tell it
        if one.files.signed is not other.files.signed:
            found.add(str(request.model))  # another statement was accepted in between
            continue
        found.update(
            f"{request.model}/{name}"
            for name, entry, another in one.files.differing(other.files)
            if not _same(entry, another, forgetful)
        )
        ignores = request.ignore_unsigned_files and model.memory.accepted
        if not ignores and one.files.differs_beyond(other.files):
            found.add(str(request.model))
    return tuple(sorted(found))


def _same(one: Entry | None, other: Entry | None, forgetful: Collection[int]) -> bool:
    return (
        one is not None
        and other is not None
        and one.real == other.real
        and _lasting(one.identity, forgetful) == _lasting(other.identity, forgetful)
    )


def _lasting(state: Identity | str, forgetful: Collection[int]) -> Identity | str:
    """Return a file's state without its inode's number, where that changes by itself."""
    if isinstance(state, Identity) and state.device in forgetful:
        return state._replace(inode=0)
    return state
