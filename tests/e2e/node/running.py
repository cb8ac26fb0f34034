"""A cluster from nothing, with the webhook installed or without: for the lane, and to look at."""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.api_server import building
from tests.e2e.node import installing
from tests.e2e.node.cluster import Cluster
from tests.e2e.node.node import Node
from tests.support.caching import say

if TYPE_CHECKING:
    from collections.abc import Iterator


def build() -> tuple[dict[str, Path], list[Path]]:
    """Build the programs and the images' archives that are missing, and return where they are.

    Raises:
        ProgramsMissingError: A program could not be built.
        ImagesMissingError: An image could not be built.
    """
    return building.build(building.NODE), installing.archives()


@contextmanager
def running_node() -> Iterator[tuple[Cluster, Node]]:
    """Build what is missing, and start a node without anything of ours; clean up after.

    Raises:
        ProgramsMissingError: A program could not be built.
        ImagesMissingError: An image could not be built.
        ControlPlaneError: The cluster does not become ready.
    """
    start = time.monotonic()
    programs, archives = build()
    built = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="model-validation-") as folder,
        Node(programs, folder=Path(folder), images=archives) as node,
    ):
        cluster = Cluster(node.control_plane, Path(folder))
        cluster.invite(programs["kubectl"])
        ready = time.monotonic()
        say(f"programs and images {built - start:.0f} s, cluster {ready - built:.0f} s")
        yield cluster, node


@contextmanager
def running_cluster() -> Iterator[tuple[Cluster, Node]]:
    """Start a node and install the webhook on it as its users do.

    Raises:
        ProgramsMissingError: A program could not be built.
        ImagesMissingError: An image could not be built.
        ControlPlaneError: The cluster or the installation does not become ready.
    """
    with running_node() as (cluster, node):
        start = time.monotonic()
        installing.install(cluster.api)
        say(f"installation {time.monotonic() - start:.0f} s")
        yield cluster, node
