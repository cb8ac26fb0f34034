"""The form of the log: one JSON object a line, or colours on a terminal.

Belongs here: form, and the bounds of foreign text. No line carries a key or a pod's
contents: names and sentences only.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Final

import structlog

from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import MutableMapping

NAME_LIMIT: Final = 253
"""Characters of a Kubernetes name."""

TEXT_LIMIT: Final = 4096
"""Characters of one value of a line; a traceback is cut to its end."""


def configure() -> None:
    """Send all log lines, also those of libraries, to standard error."""
    renderer: Any = structlog.processors.JSONRenderer(ensure_ascii=False)
    if sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # The plain traceback: the structured one would carry local variables.
            structlog.processors.format_exc_info,
            _bounded,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Handler(logging.WARNING)], level=logging.WARNING, force=True)


def foreign(text: object) -> str:
    """Return a name from outside, printable and bounded."""
    return quoted(text, limit=NAME_LIMIT)[1:-1]


def _bounded(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str) and len(value) > TEXT_LIMIT:
            event[key] = f"…{value[-TEXT_LIMIT:]}"
    return event


class _Handler(logging.Handler):
    """Pass what libraries log through the same processors."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            structlog.get_logger().log(
                record.levelno,
                "a library reports",
                library=record.name,
                report=quoted(record.getMessage(), limit=TEXT_LIMIT),
                exc_info=record.exc_info or None,
            )
        except Exception:  # noqa: BLE001 — logging's contract: a handler never raises
            self.handleError(record)
