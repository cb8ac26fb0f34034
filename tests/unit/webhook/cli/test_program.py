"""`python -m webhook`, as a process: where its libraries are not installed, and what it loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.desk import loaded

ROOT = Path(__file__).parents[4]


def test_a_missing_library_is_one_sentence() -> None:
    """It says what to install, with the exit code of a wrong setup."""
    # `-S`: without what is installed in the environment.
    ended = subprocess.run(
        [sys.executable, "-S", "-m", "webhook", "mutate", "pod.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert "is not installed" in ended.stderr
    assert "pip install '.[webhook]'" in ended.stderr


def test_a_start_in_a_cluster_loads_no_more_than_it_needs() -> None:
    """Neither YAML, nor the Kubernetes client, nor what sends traces, nor another subcommand."""
    modules = loaded("from webhook.cli import serve; from webhook.serving import process")
    assert "aiohttp" in modules
    assert not modules.intersection(("kubernetes_asyncio", "opentelemetry.sdk", "requests", "yaml"))
    others = ("convert", "doctor", "mutate", "observe")
    assert not modules.intersection(f"webhook.cli.{name}" for name in others)
