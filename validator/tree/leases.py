"""Whether somebody on this machine has a file open for writing, by asking for a read lease.

The kernel grants one (fcntl F_SETLEASE, F_RDLCK) only while no process has the file open for
writing, and a shared mapping counts for as long as it lasts, also after its descriptor was
closed. It grants leases to a file's owner (or CAP_LEASE), and not on every file system.
"""

from __future__ import annotations

import enum
import signal
from fcntl import F_RDLCK, F_SETLEASE, F_SETSIG, F_UNLCK, fcntl
from typing import Final

_SIGNAL: Final = int(signal.SIGURG)
"""Tells that a writer waits for a lease: one that a process ignores, unless it asks for it."""


class Lease(enum.Enum):
    """The kernel's answer."""

    TAKEN = enum.auto()
    REFUSED = enum.auto()
    UNKNOWN = enum.auto()


def are_given(*, owner: int, user: int) -> bool:
    """Tell whether a user may have leases on files of an owner."""
    return user in {0, owner}


TAKEN: Final = Lease.TAKEN
REFUSED: Final = Lease.REFUSED

_quiet = False


def be_quiet() -> None:
    """Have this process ignore the usual signal (SIGIO), so that no lease need name another one.

    For a program that is alone in its process, in its main thread.
    """
    global _quiet  # noqa: PLW0603 — a signal's disposition is the process' own
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    _quiet = True


def take(descriptor: int) -> Lease:
    """Ask for a lease; a writer that opens the file meanwhile waits until it is given back."""
    try:
        if not _quiet:
            fcntl(descriptor, F_SETSIG, _SIGNAL)
        fcntl(descriptor, F_SETLEASE, F_RDLCK)
    except BlockingIOError:
        return Lease.REFUSED
    except OSError:
        return Lease.UNKNOWN
    return Lease.TAKEN


def give_back(descriptor: int) -> bool:
    """Give a lease back; tell whether it was held until now.

    A writer waits for it for 45 seconds, and then gets the file all the same (proc_sys_fs(5),
    lease-break-time).
    """
    try:
        fcntl(descriptor, F_SETLEASE, F_UNLCK)
    except BlockingIOError:
        return False
    return True


def is_written(descriptor: int) -> bool:
    """Tell whether a file is known to be open for writing; False also where it cannot be known."""
    lease = take(descriptor)
    return lease is Lease.REFUSED or (lease is Lease.TAKEN and not give_back(descriptor))
