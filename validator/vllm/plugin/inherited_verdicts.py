"""A verdict for the other processes of the same vLLM, so that one verification is enough.

vLLM starts its API servers, engines and workers from one process. What that has
verified it leaves in its environment, which its children inherit, with its own
number and start. A child believes it only of a process that it descends from: a
variable that was carried elsewhere, or is left of an earlier run, says nothing.
Whoever sets the environment of vLLM's first process could as well take the
policy out of it, and is trusted.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, MutableMapping

VARIABLE: Final = "MODEL_VALIDATION_VERIFIED"
"""The environment variable with a verdict, as JSON."""

_PARENT: Final = 1
_START: Final = 19
"""Columns of a process' stat after its name (proc_pid_stat(5)), counted from its state."""


def leave(environment: MutableMapping[str, str], *, policy: str, paths: Collection[str]) -> None:
    """Leave a verdict of this process for its children; nothing where the system has no /proc.

    Args:
        environment: The process' own variables.
        policy: The policy's hash.
        paths: What was verified, absolute.
    """
    here = _process(os.getpid())
    if here is not None:
        _, start = here
        verdict = {"process": os.getpid(), "start": start, "policy": policy, "paths": [*paths]}
        environment[VARIABLE] = json.dumps(verdict)


def inherited(environment: MutableMapping[str, str], *, policy: str) -> frozenset[str]:
    """Return the paths that a process above this one has verified under the same policy."""
    try:
        verdict = json.loads(environment.get(VARIABLE, "null"))
        given = (verdict["process"], verdict["start"], verdict["policy"])
        paths = frozenset(map(str, verdict["paths"]))
    except (ValueError, RecursionError, KeyError, TypeError):
        return frozenset()
    above = ((*process, policy) for process in _ancestors())
    return paths if given in above else frozenset()


def _ancestors() -> Iterator[tuple[int, str]]:
    """Yield the number and the start of each process above this one."""
    number = os.getppid()
    while number and (found := _process(number)) is not None:
        parent, start = found
        yield number, start
        number = parent


def _process(number: int) -> tuple[int, str] | None:
    """Return a process' parent and its start, in ticks since the machine's; None if unknown."""
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    columns = text.rpartition(")")[2].split()  # its name stands before, and may hold anything
    return int(columns[_PARENT]), columns[_START]
