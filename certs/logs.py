"""How the log is written: one JSON object a line, or colours on a terminal.

No line carries a key. The form is that of the webhook's log.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog


def configure() -> None:
    """Send all log lines, also the warnings of libraries, to standard error."""
    renderer: Any = structlog.processors.JSONRenderer(ensure_ascii=False)
    if sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # The plain traceback: the structured one would carry local variables.
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Handler(logging.WARNING)], level=logging.WARNING, force=True)


class _Handler(logging.Handler):
    """Pass what libraries log through the same processors."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            structlog.get_logger().log(
                record.levelno,
                "a library reports",
                library=record.name,
                report=record.getMessage(),
                exc_info=record.exc_info or None,
            )
        except Exception:  # noqa: BLE001 — logging's contract: a handler never raises
            self.handleError(record)
