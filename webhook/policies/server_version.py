"""The API server's version: it decides what gates can have, and whether there can be any.

On one that drops fields which gates need, nothing is served.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from webhook.cluster.errors import ApiError
from webhook.errors import SetupError
from webhook.policies.watch import pauses

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from webhook.policies.watch import Api, Timing

PATH: Final = "/version"

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
    def numbers(self) -> tuple[int, int]:
        """Major and minor; some providers write the minor as `31+`.

        An API server that emulates another version has that one's features.

        Raises:
            ValueError: They are no numbers.
        """
        major, minor = self.emulation_major or self.major, self.emulation_minor or self.minor
        return int(major), int(minor.rstrip("+"))


async def versions(api: Api, *, timing: Timing) -> AsyncGenerator[tuple[int, int] | None]:
    """Yield the API server's version, again and again: a control plane is upgraded while we run.

    One that does not tell it is not asked again: that is a single `None`.

    Args:
        api: The client.
        timing: See `Timing`.

    Raises:
        SetupError: It is too old.
    """
    told = await read(api, timing=timing)
    yield told
    while told is not None:
        await asyncio.sleep(timing.watch)
        told = await read(api, timing=timing) or told
        yield told


async def read(api: Api, *, timing: Timing) -> tuple[int, int] | None:
    """Return the API server's version once it has said it, `None` where it will not.

    Args:
        api: The client.
        timing: See `Timing`.

    Raises:
        SetupError: It is too old.
    """
    for pause in pauses(timing.pause, longest=timing.longest_pause):
        try:
            version = await api.read(PATH, Version, seconds=timing.read, limit=ANSWER_LIMIT)
            numbers = version.numbers
        except ApiError as error:
            _log.warning("the API server's version cannot be read", reason=str(error))
            if error.status is not None:
                return None
            await asyncio.sleep(pause)
            continue
        except ValueError:
            _log.warning("the API server's version is no number", version=str(version)[:100])
            return None
        if numbers < OLDEST:
            raise SetupError(
                f"the API server is Kubernetes {numbers[0]}.{numbers[1]}, which drops "
                "recursiveReadOnly from the mounts of gated pods: upgrade the cluster to "
                f"{OLDEST[0]}.{OLDEST[1]} or newer"
            )
        return numbers
    raise AssertionError  # there is always one more pause
