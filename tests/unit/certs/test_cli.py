"""`python -m certs run`: options."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from certs.cli import main
from tests.support.fakes.fake_api_server import FakeApiServer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "not in a pod: --namespace is needed"),
        (["--overlap", "20d"], "--serving-lifetime must be at least 6 times --overlap"),
        (
            ["--authority-lifetime", "89d"],
            "--authority-lifetime must not be shorter than --serving-lifetime",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And exit code 2."""
    assert main(["run", *options]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("python")]
    assert line.startswith(f"python -m certs: {sentence}")


@pytest.mark.parametrize(
    ("duration", "sentence"),
    [
        *((text, "is not a number and s, m, h or d") for text in ("90", "d", "-1d", "1w", "1.5h")),
        *((text, "is not between a second and 36500d") for text in ("0s", "36501d")),
        ("9" * 10, "is not a number and s, m, h or d"),
    ],
)
def test_a_duration_is_a_number_and_a_unit(
    duration: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """All else is a usage error."""
    with pytest.raises(SystemExit) as end:
        main(["run", f"--serving-lifetime={duration}"])
    assert end.value.code == 2
    assert f"--serving-lifetime: '{duration}' {sentence}" in capsys.readouterr().err


def test_without_a_cluster_it_does_not_start() -> None:
    """Exit code 2 and a sentence, not a traceback."""
    command = (sys.executable, "-m", "certs", "run", "--namespace", "x", "--kubeconfig", "/none")
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-1].startswith(
        "python -m certs: there is no access to the API server by the kubeconfig /none: "
    )


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    """Exit code 2, before the API server is asked for anything."""
    server = FakeApiServer()
    server.url = "http://127.0.0.1:9"
    kubeconfig = server.kubeconfig(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        where = ("--host", "127.0.0.1", "--probe-port", port, "--kubeconfig", str(kubeconfig))
        ran = subprocess.run(
            [sys.executable, "-m", "certs", "run", "--namespace", "x", *where],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert ran.returncode == 2
    (line,) = (line for line in ran.stderr.splitlines() if line.startswith("python"))
    assert line.startswith("python -m certs: cannot listen: ")
    assert "address already in use" in line.lower()


def test_help_needs_no_client() -> None:
    """It comes without the half second that the API server's client takes to import."""
    code = (
        "import sys, certs.cli\n"
        "try: certs.cli.main(['run', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'kubernetes_asyncio', 'aiohttp'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.endswith("[]\n")


def test_usage_errors_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With where the options are listed."""
    with pytest.raises(SystemExit) as end:
        main(["run", "--probe-port", "99999"])
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        "python -m certs run: argument --probe-port: 99999 is not a port: 0 to 65535 "
        "(see python -m certs run --help)\n"
    )
