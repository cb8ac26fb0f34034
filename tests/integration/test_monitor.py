"""`model-validator monitor` as the sidecar runs it, and as its probes ask it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from tests.support.desk import COMMAND, HEAVY, TIMEOUT_SECONDS, Desk, loaded, run
from tests.support.fakes.fuse import served
from tests.support.signed_model import FILES, Signer, Site, statement, write
from validator import contract
from validator.monitor.loop import POLL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.ended import Ended

BOUND_SECONDS = POLL_SECONDS + 10
"""From a change until a probe says it: a look, a small model's hashing, and a busy machine."""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A model `granite` of three files, honestly signed."""
    model = write(tmp_path / "granite", FILES)
    site = Site(model, model / "model.sig", Signer())
    site.sign(statement())
    return Desk(tmp_path, site)


@dataclass(frozen=True, slots=True)
class Running:
    """A monitor in a process of its own."""

    process: subprocess.Popen[str]
    state: Path

    def status(self) -> Ended:
        """Ask it as a probe does."""
        return run("monitor", "--status", "--state", self.state)

    def has_begun(self) -> bool:
        """Tell whether it has taken its lock."""
        assert self.process.poll() is None, "the monitor has ended"
        return (self.state / "monitor.lock").exists()

    def verdict(self) -> dict[str, Any]:
        """Wait for its next verdict."""
        line: dict[str, Any] = json.loads(_output(self.process).readline())
        return line

    def ended(self, number: signal.Signals) -> tuple[int, float]:
        """Send it a signal; return the exit code, and the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(TIMEOUT_SECONDS)
        return code, time.monotonic() - began


def _output(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


@contextmanager
def monitoring(
    desk: Desk,
    *,
    rate: str = "1Gi",
    command: Sequence[str] = COMMAND,
    options: Sequence[str] = (),
    **spec: Any,
) -> Iterator[Running]:
    """Run a monitor of the desk's model."""
    revalidation = {"interval": "1h", "bytesPerSecond": rate, "action": "Report"}
    policy = json.dumps(desk.policy(revalidation=revalidation, **spec))
    state = desk.folder / "state"
    state.mkdir(exist_ok=True)
    with subprocess.Popen(
        [*command, "monitor", "--state", state, "--format", "json", *options],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, contract.POLICY_VARIABLE: policy},
    ) as process:
        try:
            yield Running(process, state)
        finally:
            process.kill()


def test_a_changed_model_turns_bad_and_a_repaired_one_good(desk: Desk) -> None:
    """Within seconds, though the interval is an hour; the probe repeats the sentence."""
    with monitoring(desk) as monitor:
        first = monitor.verdict()
        assert (first["verdict"], first["cause"], first["generation"]) == ("verified", "start", 3)
        status = monitor.status()
        assert (status.code, status.out) == (0, f"{status.out.strip()}\n")
        assert status.out.startswith(f"Verification succeeded: {desk.site.model}, 3 files")

        path = desk.site.model / "weights/a.bin"
        changed = time.monotonic()
        path.write_bytes(b"b" + FILES["weights/a.bin"][1:])
        second = monitor.verdict()
        status = monitor.status()
        assert time.monotonic() - changed < BOUND_SECONDS
        assert (second["verdict"], second["cause"]) == ("refused", "change")
        assert second["changed"] == [str(path)]
        assert status.code == 1
        assert status.out == f"Verification failed: {second['models'][0]['reason']}\n"
        assert "'weights/a.bin' is not the signed file" in status.out

        path.write_bytes(FILES["weights/a.bin"])
        assert monitor.verdict()["verdict"] == "verified"
        assert monitor.status().code == 0


def test_a_bad_model_is_not_good_for_a_moment(desk: Desk) -> None:
    """From the first moment to the verdict, and after it: what waits for it does not start."""
    write(desk.site.model, {"config.json": b"[]"})
    with monitoring(desk) as monitor:
        while not monitor.has_begun():
            assert monitor.status().code == 1
        assert monitor.verdict()["verdict"] == "refused"
        assert monitor.status().code == 1
        write(desk.site.model, FILES)
        assert monitor.verdict()["verdict"] == "verified"
        assert monitor.status().code == 0


def test_it_has_the_pod_begin_again(desk: Desk) -> None:
    """With `--stop` it ends by a code of its own, once a model that was good is refused.

    A bad one that was never served only waits: the gate has said the opposite, and would again.
    """
    write(desk.site.model, {"config.json": b"[]"})
    with monitoring(desk, options=["--stop"]) as monitor:
        assert monitor.verdict()["verdict"] == "refused"
        write(desk.site.model, FILES)
        assert monitor.verdict()["verdict"] == "verified"
        assert (monitor.state / "monitor.good").exists()
        write(desk.site.model, {"config.json": b"[]"})
        assert monitor.verdict()["verdict"] == "refused"
        assert monitor.process.wait(TIMEOUT_SECONDS) == contract.ExitCode.STOP
        assert not (monitor.state / "monitor.good").exists()
        assert monitor.status().code == 1


def test_a_restarted_monitor_has_the_pod_begin_again(desk: Desk) -> None:
    """What a monitor before it found good is served: a bad verdict counts at once."""
    with monitoring(desk) as monitor:
        assert monitor.verdict()["verdict"] == "verified"
    write(desk.site.model, {"config.json": b"[]"})
    with monitoring(desk, options=["--stop"]) as monitor:
        assert monitor.verdict()["verdict"] == "refused"
        assert monitor.process.wait(TIMEOUT_SECONDS) == contract.ExitCode.STOP


def test_a_model_that_cannot_be_read_stops_nothing(desk: Desk) -> None:
    """Storage may come back; the pod is unready until then."""
    point = desk.folder / "fuse"
    with served(desk.site.model, point) as server:
        shown = Desk(desk.folder, Site(point, point / "model.sig", desk.site.signer))
        with monitoring(shown, options=["--stop"]) as monitor:
            assert monitor.verdict()["verdict"] == "verified"
            server.kill()
            assert monitor.verdict()["verdict"] == "undecided"
            assert monitor.status().code == 1
            assert monitor.process.poll() is None


def test_it_ends_at_once_when_it_is_told_to(desk: Desk) -> None:
    """As the last container of a pod, with zero: a Job that has succeeded stays so."""
    with monitoring(desk) as monitor:
        monitor.verdict()
        code, seconds = monitor.ended(signal.SIGTERM)
    assert code == 0
    assert seconds < 2


def test_it_ends_at_once_in_the_middle_of_a_large_file(desk: Desk) -> None:
    """SIGTERM ends it at once, also during the read of a terabyte at a bounded rate."""
    with (desk.site.model / "config.json").open("wb") as file:
        file.truncate(2**40)
    with monitoring(desk, rate="1M", mode="Audit") as monitor:
        while not monitor.has_begun():
            time.sleep(0.05)
        time.sleep(1)
        code, seconds = monitor.ended(signal.SIGTERM)
    assert code == 0
    assert seconds < 2


def test_a_killed_monitor_is_not_good(desk: Desk) -> None:
    """Its last verdict does not count any more."""
    with monitoring(desk) as monitor:
        monitor.verdict()
        assert monitor.status().code == 0
        monitor.ended(signal.SIGKILL)
        status = monitor.status()
    assert status.code == 1
    assert status.out.startswith("the monitor does not run")


def test_under_audit_nothing_is_stopped(desk: Desk) -> None:
    """No verdict is bad; and the workload, which does not wait for one, is spared at once."""
    large = {"weights/a.bin": os.urandom(4_000_000)}
    write(desk.site.model, large)
    with monitoring(desk, rate="1M", mode="Audit") as monitor:
        verdict = monitor.verdict()
        assert (verdict["verdict"], verdict["mode"]) == ("refused", "Audit")
        assert verdict["models"][0]["seconds"] > 3
        status = monitor.status()
    assert status.code == 0
    assert status.out.startswith("Verification failed: ")


def test_the_first_verification_takes_no_longer_than_the_gates(desk: Desk) -> None:
    """The workload waits for it; from then on the rate holds."""
    files = FILES | {"weights/a.bin": os.urandom(3_000_000)}
    write(desk.site.model, files)
    desk.site.sign(statement(files))
    with monitoring(desk, rate="1M") as monitor:
        first = monitor.verdict()
        (desk.site.model / "config.json").touch()
        second = monitor.verdict()
    assert (first["verdict"], second["verdict"]) == ("verified", "verified")
    assert first["models"][0]["seconds"] < 2.5
    assert second["models"][0]["seconds"] > 2.5


def test_a_restarted_monitor_spares_the_workload_that_runs(desk: Desk) -> None:
    """A monitor before it has let it start: the rate holds from the first verification on."""
    files = FILES | {"weights/a.bin": os.urandom(3_000_000)}
    write(desk.site.model, files)
    desk.site.sign(statement(files))
    seconds = []
    for _ in range(2):
        with monitoring(desk, rate="1M") as monitor:
            seconds.append(monitor.verdict()["models"][0]["seconds"])
            monitor.ended(signal.SIGKILL)
    assert seconds[0] < 2.5 < seconds[1]


def test_a_path_that_leaves_its_volume_turns_bad(desk: Desk) -> None:
    """A link that is repointed while the model is served may show the workload another one."""
    memory = "/dev/shm"  # noqa: S108 — a volume that is not the root
    if not os.path.ismount(memory):
        pytest.skip(f"{memory} is not a mount here")
    with tempfile.TemporaryDirectory(dir=memory) as volume:
        write(
            Path(volume) / "v1",
            {
                p.relative_to(desk.site.model).as_posix(): p.read_bytes()
                for p in desk.site.model.rglob("*")
                if p.is_file()
            },
        )
        link = Path(volume) / "granite"
        link.symlink_to("v1")
        with monitoring(desk, model={"path": str(link)}) as monitor:
            assert monitor.verdict()["verdict"] == "verified"
            link.unlink()
            link.symlink_to(desk.site.model)
            verdict = monitor.verdict()
            assert verdict["verdict"] == "refused"
            assert "out of the model's volume" in verdict["models"][0]["reason"]
            assert monitor.status().code == 1


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "no policy"),
        ({contract.POLICY_VARIABLE: "{"}, "is not JSON"),
        ({contract.POLICY_VARIABLE: "policy"}, "has no spec.revalidation"),
        ({contract.POLICY_VARIABLE: "policy", contract.COVER_VARIABLE: "{"}, "list of paths"),
        ({contract.POLICY_VARIABLE: "policy", contract.NESTED_VARIABLE: "{"}, "object of paths"),
    ],
)
def test_without_something_to_do_it_ends_with_two(
    desk: Desk, environment: dict[str, str], words: str
) -> None:
    """It does not look as if it watched anything."""
    given: dict[str, Any] = {"revalidation": {}} if len(environment) > 1 else {}
    policy = json.dumps(desk.policy(**given))
    filled = {name: policy if of == "policy" else of for name, of in environment.items()}
    ended = run("monitor", "--state", desk.folder, environment=filled)
    assert ended.code == 2
    assert words in ended.err


def test_a_state_that_cannot_be_written_ends_it(desk: Desk) -> None:
    """A monitor whose verdicts no probe could read would only look like one."""
    environment = {contract.POLICY_VARIABLE: json.dumps(desk.policy(revalidation={}))}
    ended = run("monitor", "--state", desk.folder / "absent", environment=environment)
    assert ended.code == 3
    assert "No such file or directory" in ended.err


def test_a_probe_without_a_monitor_is_bad(desk: Desk) -> None:
    """By its short way, which knows one place only, and by the whole command line."""
    if Path(contract.SERVICE_ACCOUNT_PATH).exists():
        pytest.skip(f"this is a pod: there is a {contract.SERVICE_ACCOUNT_PATH}")
    short = run("monitor", "--status")
    whole = run("monitor", "--status", "--state", contract.SERVICE_ACCOUNT_PATH)
    assert (short.code, short.out) == (whole.code, whole.out)
    assert short.code == 1
    assert short.out.startswith("the monitor has not begun: ")
    assert run("monitor", "--status", "--state", desk.folder).code == 1


def test_a_probe_loads_next_to_nothing() -> None:
    """It starts every few seconds, in every pod."""
    code = (
        "import contextlib, os, sys; sys.argv[1:] = ['monitor', '--status']; os._exit = sys.exit\n"
        "with contextlib.suppress(SystemExit): __import__('validator.__main__').__main__.main()"
    )
    modules = loaded(code)
    assert "fcntl" in modules
    assert not modules.intersection((*HEAVY, "argparse", "json", "msgspec", "threading", "pathlib"))


IMPATIENT = """
import runpy, sys
from validator.monitor import silence
silence.CHECK_SECONDS, silence.STALE_SECONDS = 0.2, 7.0
sys.argv[0] = "model-validator"
runpy.run_module("validator", run_name="__main__", alter_sys=True)
"""
"""A monitor that takes seven seconds of silence for a hang: more than two looks are apart."""


def test_a_dead_volume_is_a_line_of_the_log(desk: Desk) -> None:
    """Once, also where no probe would say it; and it can be ended."""
    point = desk.folder / "fuse"
    with served(desk.site.model, point) as server:
        shown = Desk(desk.folder, Site(point, point / "model.sig", desk.site.signer))
        with monitoring(shown, command=(sys.executable, "-c", IMPATIENT)) as monitor:
            assert monitor.verdict()["verdict"] == "verified"
            server.send_signal(signal.SIGSTOP)
            line = monitor.verdict()
            assert (line["verdict"], line["cause"]) == ("undecided", "silence")
            assert "the model's volume may hang" in line["reason"]
            time.sleep(1)  # five more looks at the time
            code, seconds = monitor.ended(signal.SIGTERM)
            rest = _output(monitor.process).read()
    assert (code, seconds < 5, rest) == (0, True, "")
