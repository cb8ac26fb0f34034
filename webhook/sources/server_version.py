"""The API server's version: it decides what gates can have, and whether there can be any.

On one that drops fields which gates need, nothing is served.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from webhook.cluster.errors import ApiError
from webhook.cluster.watch import pauses
from webhook.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from webhook.cluster.watch import Api, Timing

PATH: Final = "/version"

Numbers = tuple[int, int]
"""Major and minor version."""

ANSWER_LIMIT: Final = 64 * 1024
"""Bytes of the answer; it has about 500."""

OLDEST: Final = (1, 31)
"""The first Kubernetes whose API server keeps `recursiveReadOnly` of a mount, by default. Older
ones drop it, and what is mounted below the model's volume could be written to beside the gate."""

_log = structlog.get_logger()


class Version(msgspec.Struct, frozen=True):
    """The part of the answer that we read."""

    major: str
    minor: str
    emulation_major: str = msgspec.field(name="emulationMajor", default="")
    emulation_minor: str = msgspec.field(name="emulationMinor", default="")

    @property
    def numbers(self) -> Numbers:
        """Major and minor; some providers write the minor as `31+`.

        An API server that emulates another version has that one's features.

        Raises:
            ValueError: They are no numbers.
        """
        major, minor = self.emulation_major or self.major, self.emulation_minor or self.minor
        return int(major), int(minor.rstrip("+"))


async def versions(api: Api, *, timing: Timing) -> AsyncGenerator[Numbers | None]:
    """Yield the API server's version, again and again: a control plane is upgraded while we run.

    It is the last one that was told, `None` where none was. One that cannot be reached is waited
    for; one that answers with an error may tell it the next time.

    Args:
        api: The client.
        timing: See `Timing`.

    Raises:
        SetupError: It is too old.
    """
    known: Numbers | None = None
    said = ""
    while True:
        try:
            known, said = await _read(api, timing=timing), ""
        except _Untold as error:
            if str(error) != said:
                _log.warning("the API server does not tell its version", reason=str(error))
            said = str(error)
        if known is not None and known < OLDEST:
            raise SetupError(
                f"the API server is Kubernetes {known[0]}.{known[1]}, which drops "
                "recursiveReadOnly from the mounts of gated pods: upgrade the cluster to "
                f"{OLDEST[0]}.{OLDEST[1]} or newer"
            )
        yield known
        await asyncio.sleep(timing.watch)


class _Untold(Exception):
    """The API server has answered, and not with its version."""


async def _read(api: Api, *, timing: Timing) -> Numbers:
    """Return the API server's version, once it can be reached.

    Raises:
        _Untold: It does not tell it.
    """
    for pause in pauses(timing.pause, longest=timing.longest_pause):
        try:
            version = await api.read(PATH, Version, seconds=timing.read, limit=ANSWER_LIMIT)
            numbers = version.numbers
        except ApiError as error:
            if error.status is not None:
                raise _Untold(str(error)) from error
            _log.warning("the API server's version cannot be read", reason=str(error))
        except ValueError as error:
            raise _Untold(f"it is not a number: {str(version)[:100]}") from error
        else:
            return numbers
        await asyncio.sleep(pause)
    raise AssertionError  # there is always one more pause
