"""Programs that run beside the tests and never outlive them."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RARELY_COLLECTED = {"GOGC": "300"}
"""For programs in Go that live for seconds: a fifth less CPU for a fifth more memory."""
STOP_SECONDS = 10
TAIL_LINES = 15
SERVER_PORTS = range(10_000, 30_000)


class ControlPlaneError(Exception):
    """The other side did not start or did not do what a test's preparation asked of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The environment in which programs run.

    Attributes:
        address: Under which this process reaches them.
        enter: The command that runs another one there.
    """

    address: str
    enter: tuple[str, ...] = ()


LOOPBACK = Host(address="127.0.0.1")


class Program:
    """One process, its output in a log file; starts and stops as often as asked."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        folder: Path | None = None,
        host: Host = LOOPBACK,
    ) -> None:
        self._command = [*host.enter, *command]
        self._folder = folder
        self._name = os.path.basename(command[0])  # noqa: PTH119 — a string, not a path to walk
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        # The kernel's parent-death signal follows the *thread* that made the child: the child
        # would die with a thread pool of some test, so a thread that lives as long makes it.
        self._spawner = ThreadPoolExecutor(max_workers=1)

    @property
    def pid(self) -> int | None:
        """Return the id of the running process, `None` where there is none."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start the process; it dies with this one, however this one ends (on Linux)."""
        setpriv = shutil.which("setpriv")
        guard = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
        with self._log.open("ab") as log:
            self._process = self._spawner.submit(
                subprocess.Popen,
                [*guard, *self._command],
                cwd=self._folder,
                env=os.environ | RARELY_COLLECTED,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests, which then clean up
            ).result()

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Return when `ready` does; connection errors count as not ready.

        Raises:
            ControlPlaneError: the process ended or was not ready in time; with its log's tail.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.pid is None:
                raise ControlPlaneError(f"{self._name} ended at start:\n{self._tail()}")
            try:
                if ready():
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise ControlPlaneError(f"{self._name} was not ready in {seconds:.0f} s:\n{self._tail()}")

    def kill(self) -> None:
        """End the process at once, as a crash does, and wait until it is gone."""
        if self._process is not None:
            # Where `enter` forks, the program is its child, which lets go of its port a bit later.
            entered = children(self._process.pid)
            self._process.kill()
            self._process.wait(STOP_SECONDS)
            self._process = None
            until(
                lambda: not any(_lives(pid) for pid in entered),
                what=f"{self._name} is gone",
                seconds=STOP_SECONDS,
            )

    def close(self) -> None:
        """End the process for good."""
        self.kill()
        self._spawner.shutdown()

    def _tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-TAIL_LINES:])


def children(pid: int | None) -> list[int]:
    """Return the process ids of a process's children; none where it is gone."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in listed.split()]


def _lives(pid: int) -> bool:
    """Tell whether a process runs; one that has ended may wait for seconds to be reaped.

    Its first thread may have ended while others still hold the process's sockets.
    """
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 — names only
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    ended = stat.rpartition(")")[2].split()[0] in "ZX"  # proc_pid_stat(5): zombie, dead
    return not ended or len(threads) > 1


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listened on a moment ago.

    They are none of those that the kernel gives to outgoing connections (ip(7), 32768 and above):
    while a server restarts, a client that tries again could be given the server's own port.
    """
    free: list[int] = []
    with ExitStack() as stack:
        while len(free) < count:
            port = SERVER_PORTS[secrets.randbelow(len(SERVER_PORTS))]
            probe = stack.enter_context(socket.socket())
            with suppress(OSError):  # taken
                probe.bind(("127.0.0.1", port))
                free.append(port)
    return free


def until(
    condition: Callable[[], bool], *, what: str, seconds: float = 10, pause: float = 0.02
) -> None:
    """Return when `condition` holds; the API server's caches follow its answers with a delay.

    Raises:
        ControlPlaneError: it did not hold in time; the message says `what`.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise ControlPlaneError(f"Waited {seconds:.0f} s in vain: {what}.")
        time.sleep(pause)
