"""A machine for a cluster: namespaces for its network, mounts and processes.

All ends with one kill: processes with the first one of their namespace, mounts and addresses with
the last. Nothing of it shows on the host but one link, by which tests reach the API server, and
control groups, which are removed.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.e2e.api_server.processes import ControlPlaneError, Host, Program, children

if TYPE_CHECKING:
    from collections.abc import Iterator

CGROUPS: Final = Path("/sys/fs/cgroup")
SLOTS: Final = range(1, 250)
"""Machines that can live side by side: one /30 each of 10.213.0.0/16."""

COMMAND_SECONDS: Final = 120
FIRST: Final = (
    "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\nwhile True: signal.pause()"
)
"""The first process of the namespace: it takes over orphans, and lets them go."""

PREPARE: Final = """
mount --make-rshared /
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/lock
ip link set lo up
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.route_localnet=1
"""
"""The first commands in it; the run folder is new, so that no socket or lock is the host's."""


class Machine:
    """A context manager: the machine is there inside the block, and nothing of it afterwards.

    Needs root, and iproute2, util-linux and mount of any distribution.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = f"mv-{secrets.token_hex(3)}"
        self._running = ExitStack()
        self.pid = 0
        self.host = Host(address="")

    @property
    def cgroup(self) -> str:
        """The control group, below the root of each hierarchy, that pods belong into."""
        return f"/{self._name}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._make_cgroups(stack)
            self._start_first(stack)
            self.run("sh", "-ec", PREPARE)
            self._link(stack)
            self._running = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def run(self, *command: str, given: bytes | None = None) -> bytes:
        """Run a command in the machine and return what it printed.

        Raises:
            ControlPlaneError: It failed.
        """
        return _run(*enter(self.pid), *command, given=given)

    def _start_first(self, stack: ExitStack) -> None:
        command = ["unshare", "--net", "--mount", "--propagation=private", "--pid", "--fork"]
        command += ["--mount-proc", "--kill-child=KILL", sys.executable, "-c", FIRST]
        first = Program(command, log=self._folder / "machine.log")
        stack.callback(self._wait_until_gone)
        stack.callback(first.close)
        first.start()
        first.wait_until(lambda: bool(children(first.pid)), seconds=10)
        (self.pid,) = children(first.pid)

    def _wait_until_gone(self) -> None:
        """Wait for the namespace's last process, whose mounts and control groups are then free."""
        end = time.monotonic() + 10
        while time.monotonic() < end and any(map(_members, self._groups())):
            time.sleep(0.05)

    def _link(self, stack: ExitStack) -> None:
        """Connect the machine to the host by a link, on the first free network."""
        for slot in SLOTS:
            near, far = f"10.213.{slot}.1", f"10.213.{slot}.2"
            outside = f"mv{slot}"
            link = ["link", "add", outside, "type", "veth", "peer", "name", "eth0"]
            made = subprocess.run(
                ["ip", *link, "netns", str(self.pid)], capture_output=True, check=False
            )
            if made.returncode == 0:
                break
        else:
            raise ControlPlaneError("no free network for another machine: is `ip` there, as root?")
        # Sockets that linger would keep it for minutes.
        stack.callback(subprocess.run, ["ip", "link", "del", outside], check=False)
        _run("ip", "addr", "add", f"{near}/30", "dev", outside)
        _run("ip", "link", "set", outside, "up")
        self.run("ip", "addr", "add", f"{far}/30", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        # Leads nowhere; but without one, the kernel would not even try a Service's address.
        self.run("ip", "route", "add", "default", "via", near)
        self.host = Host(address=far, enter=enter(self.pid))

    def _make_cgroups(self, stack: ExitStack) -> None:
        for hierarchy in _hierarchies():
            group = hierarchy / self._name
            group.mkdir()
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (group / name).exists() and hierarchy.name == "cpuset":
                    (group / name).write_text((hierarchy / name).read_text())
        stack.callback(self._remove_cgroups)

    def _remove_cgroups(self) -> None:
        for group in self._groups():
            for below, _, _ in os.walk(group, topdown=False):
                with suppress(OSError):
                    Path(below).rmdir()

    def _groups(self) -> Iterator[Path]:
        for hierarchy in _hierarchies():
            if (group := hierarchy / self._name).exists():
                yield group


def enter(pid: int) -> tuple[str, ...]:
    """Return the command that runs another one in the machine, and ends it with itself."""
    return (
        *("nsenter", "--target", str(pid), "--mount", "--net", "--pid", "--"),
        *("setpriv", "--pdeathsig", "KILL", "--"),
    )


def _run(*command: str, given: bytes | None = None) -> bytes:
    ran = subprocess.run(
        command, input=given or b"", capture_output=True, check=False, timeout=COMMAND_SECONDS
    )
    if ran.returncode != 0:
        said = (ran.stderr or ran.stdout).decode(errors="replace").strip()
        raise ControlPlaneError(f"`{' '.join(command[-6:])}` failed: {said[-1000:]}")
    return ran.stdout


def _hierarchies() -> list[Path]:
    """Return where control groups are made: each hierarchy of version 1, or the one of 2."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [path for path in CGROUPS.iterdir() if (path / "cgroup.procs").exists()]


def _members(group: Path) -> bool:
    return any((Path(below) / "cgroup.procs").read_text() for below, _, _ in os.walk(group))
