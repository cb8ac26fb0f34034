"""A start that cannot succeed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from webhook.errors import SetupError
from webhook.serving import process
from webhook.settings import GateSettings, ServerSettings

if TYPE_CHECKING:
    from pathlib import Path


async def test_without_a_cluster_the_way_to_do_without_one_is_named(tmp_path: Path) -> None:
    """A kubeconfig that is not there: the sentence names it, and `--policies`."""
    settings = ServerSettings(
        certificate=tmp_path / "tls.crt",
        key=tmp_path / "tls.key",
        host="127.0.0.1",
        port=0,
        probe_port=0,
        policies=None,
        kubeconfig=tmp_path / "missing",
        gate_namespace=None,
        operator_compat=False,
        drain_seconds=0,
    )
    with pytest.raises(SetupError, match=r"missing.*\(without a cluster, use --policies\)"):
        await process.serve(settings, gate=GateSettings(image="validator:1"))
