"""The guard: it stands before vLLM's functions, and asks a judge whether they may run.

It has to stand before anything else happens, so it imports nothing but Python's own modules.
What decides needs libraries, some of which may be missing where vLLM runs; it is loaded for the
first question, and while it cannot be loaded, no question is answered with yes.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Final

from validator.errors import Undecided
from validator.vllm.plugin import doors
from validator.vllm.plugin.imports import ChangedImports

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, MutableMapping

    from validator.vllm.plugin.judge import Judge

_INSTALLING: Final = threading.RLock()


class Guard:
    """Stands before vLLM's functions in one process, under one policy."""

    def __init__(
        self, text: str, *, environment: MutableMapping[str, str], log: logging.Logger
    ) -> None:
        """Remember the policy; it is read for the first question.

        Args:
            text: The policy as JSON or YAML, or the absolute path of its file.
            environment: The process' own variables.
            log: Where verdicts are told.
        """
        self._text = text
        self._environment = environment
        self._log = log
        self._imports = ChangedImports(
            {name: functools.partial(door, self) for name, door in doors.DOORS.items()}
        )

    def install(self) -> None:
        """Stand before all doors: of modules that are imported, and of those that will be.

        Raises:
            Undecided: A module is not the one that we know.
        """
        with _INSTALLING:
            self._imports.install()

    def ask(self, question: Callable[[Judge], None]) -> None:
        """Put a question to the judge, who raises where the answer is no.

        Raises:
            PolicyError: The policy or one of its trust anchors is not valid.
            Refused: A model must not be served, or something else would be opened.
            Undecided: The verdict could not be reached.
        """
        try:
            question(self._judge)
        except ImportError as error:
            missing = (error.name or str(error)).partition(".")[0]
            raise Undecided(
                f"the engine does not start: nothing can be verified without {missing!r}; run "
                "`pip install '.[vllm]'` in a checkout of this project, with the pip of vLLM"
            ) from None

    @functools.cached_property
    def _judge(self) -> Judge:
        """Who decides.

        Raises:
            ImportError: A library is missing.
        """
        from validator.vllm.plugin.judge import Judge

        return Judge(self._text, environment=self._environment, log=self._log)
