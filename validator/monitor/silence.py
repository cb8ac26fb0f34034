"""A line of the log for a monitor that hangs: under `Report` and `Audit` no probe says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from validator.monitor.status_file import STALE_SECONDS, hangs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHECK_SECONDS: Final = 30.0
"""Between two looks at the time of the monitor's last movement."""


def hangs_of(silence: Callable[[], float], *, sleep: Callable[[float], None]) -> Iterator[str]:
    """Yield a sentence each time that the monitor begins to hang; for ever.

    Args:
        silence: Seconds since the monitor's last movement.
        sleep: Waits for some seconds.
    """
    told = False
    while True:
        sleep(CHECK_SECONDS)
        seconds = silence()
        if seconds > STALE_SECONDS and not told:
            yield hangs(seconds)
        told = seconds > STALE_SECONDS
