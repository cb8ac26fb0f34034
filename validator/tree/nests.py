"""Check that what the workload mounts within a volume stays where it was put, beside the model.

A container runtime follows the links of volumes that it has mounted already. A link in the
place of an inner mount would lead it elsewhere: over the model. The gate mounts the outer
volumes without the inner ones, and looks at their places.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from validator.errors import Refused, Undecided
from validator.paths import covers, related
from validator.text import quoted, unreadable
from validator.tree.tools.hugging_face import cache_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from validator.paths import StrPath


def places(
    nested: Mapping[str, str], models: Iterable[StrPath], *, points: Collection[str]
) -> frozenset[str]:
    """Look at the place of each inner mount; return those that lie on a model's mount.

    Args:
        nested: The inner mounts: from the path here to the path in the workload, which is the same
            on a model's own mount.
        models: The models' paths.
        points: Where volumes are mounted here.

    Raises:
        Refused: A link is on the way to a place, or there is nothing in a place on a model's
            volume, where the workload cannot make it, or something in the place of a model's mount.
        Undecided: A place cannot be looked at.
    """
    holders = {_split(str(model), points)[0] for model in models}
    hidden = set()
    for path, shown in nested.items():
        try:
            holder, below = _split(path, points)
            real = os.path.realpath(shown)
        except ValueError as error:
            raise Undecided(f"{quoted(shown)} is not a path") from error
        if holder == "/":
            raise Undecided(f"the volume around the workload's mount {quoted(shown)} is not here")
        exists = _look(holder, below, shown)
        if path != shown:
            around = any(covers(real, each) for each in holders)
            if exists and around and holder not in holders:
                _check_empty(path, shown)
            continue
        hidden.add("/".join((holder, *below)))
        if holder in holders and not exists:
            raise Refused(
                f"there is nothing at {quoted(shown)}, where the workload mounts something within "
                "the model's volume, which is read-only: create a folder there"
            )
    return frozenset(hidden)


def check_apart(model: StrPath, hidden: Iterable[str]) -> None:
    """Check that no inner mount hides what the model's links may lead to.

    Args:
        model: The model's path.
        hidden: The inner mounts' places, free of links.

    Raises:
        Refused: One does.
    """
    real = os.path.realpath(model)
    cache = cache_of(real)
    folder = real if cache is None else cache[0]
    for place in hidden:
        if related(folder, place):
            raise Refused(
                f"the workload mounts something at {quoted(place)}, within or above what the model "
                f"{quoted(model)} is read from ({quoted(folder)}): mount it outside of there"
            )


def _split(path: str, points: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """Return the outermost mount on the way along a path, and the way from there.

    Links above it are the image's own and are followed.
    """
    parts = path.strip("/").split("/")
    for count in range(1, len(parts) + 1):
        real = os.path.realpath("/" + "/".join(parts[:count]))
        if real != "/" and real in points:
            return real, tuple(parts[count:])
    return "/", tuple(parts)


def _look(holder: str, below: Iterable[str], shown: str) -> bool:
    """Tell whether there is something at a place on a mount."""
    here = holder
    for part in below:
        here = f"{here}/{part}"
        try:
            status = os.lstat(here)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise Undecided(unreadable(f"the place of the mount {quoted(shown)}", error)) from error
        if stat.S_ISLNK(status.st_mode):
            raise Refused(
                f"there is a link on the way to {quoted(shown)}, where the workload mounts "
                "something within another volume; it would lead that mount elsewhere: replace the "
                "link by a folder"
            )
    return True


def _check_empty(path: str, shown: str) -> None:
    """Check that another volume has no files where a model's is mounted.

    Whoever writes that volume can put another folder there, which the workload then sees in place
    of the model. The mount hides it from nobody but the workload, so that it is found here.
    """
    try:
        with os.scandir(path) as entries:
            filled = next(entries, None) is not None and not os.path.samefile(path, shown)
    except NotADirectoryError:
        filled = os.lstat(path).st_size > 0
    except OSError as error:
        raise Undecided(unreadable(f"the place of the mount {quoted(shown)}", error)) from error
    if filled:
        raise Refused(
            f"there are files at {quoted(shown)} on the volume around it, where the model's own "
            "volume is mounted, and a change there could put them in the model's place: move them "
            "away, or mount the two volumes side by side"
        )
