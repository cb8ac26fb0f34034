"""Running a program until it is told to end, and the exit code that follows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from webhook.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Coroutine

DIED: Final = 1


def exit_code(program: Coroutine[Any, Any, None]) -> int:
    """Run a program to its end; return 0, or 1 where a background task failed.

    Raises:
        SetupError: A port cannot be listened on, or a background task found the setup wrong.
    """
    # `--help` does without half a second of imports.
    import structlog

    from webhook.cluster import logs

    logs.configure()
    try:
        asyncio.run(program)
    except OSError as error:
        raise SetupError(f"cannot listen: {error.strerror}") from error
    except ExceptionGroup as group:
        if refused := group.subgroup(SetupError):
            raise SetupError(str(_first(refused))) from group
        # The event says what happened; the traceback is for a bug report.
        structlog.get_logger().error("a background task failed", exc_info=group)
        return DIED
    return 0


def _first(group: ExceptionGroup[Exception]) -> Exception:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first
