"""Whether somebody on this machine has a file open for writing, by asking for a read lease.

The kernel grants one (fcntl F_SETLEASE, F_RDLCK) only while no process has the file open for
writing, and a shared mapping counts for as long as it lasts, also after its descriptor was
closed. It grants leases to a file's owner (or CAP_LEASE), and not on every file system.
"""

from __future__ import annotations

import fcntl
import os
import signal


def is_written(descriptor: int, *, owner: int) -> bool:
    """Tell whether a file is known to be open for writing; False also where it cannot be known.

    The lease is given back at once: a writer that opens the file meanwhile waits for that.

    Args:
        descriptor: The file, open for reading.
        owner: Its owner's user id.
    """
    user = os.geteuid()
    if user not in {0, owner}:
        return False
    try:
        # A broken lease is told by a signal: by one that a process ignores, unless it asks for it.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
