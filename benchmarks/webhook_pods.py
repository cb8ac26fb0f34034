"""The webhook's memory against the pods that it has judged, and a review's time against their size.

    python -m benchmarks.webhook_pods [--pods N...] [--containers N...] [--plot]

No two pods are alike, so that each is judged, and the memory of answers fills. A review of more
than 64 KiB is judged by another process.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import itertools
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import reviews, series, servers
from benchmarks.series import Line, Plot
from benchmarks.webhook_throughput import Contender, measured

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PODS: Final = (100, 500, 1000, 2000, 5000, 10_000)
CONTAINERS: Final = (1, 5, 10, 20, 40, 60, 80, 100)
REVIEWS: Final = 100
"""Of each size."""

Points = tuple[tuple[float, float], ...]


def of_size(containers: int) -> Iterator[bytes]:
    """Yield reviews of different pods with so many containers each, without end."""
    for number in itertools.count():
        made = reviews.pod(number)
        (serving,) = made["spec"]["containers"]
        for index in range(containers - 1):
            beside = copy.deepcopy(serving) | {"name": f"tool-{index}", "command": ["/bin/tool"]}
            made["spec"]["containers"].append(beside)
        yield reviews.review(made)


async def compared(pods: Sequence[int], containers: Sequence[int]) -> tuple[Points, Points]:
    """Return MiB by the number of pods, and milliseconds of a review by their containers."""
    memory: list[tuple[float, float]] = []
    times: list[tuple[float, float]] = []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers.prepare(folder)
        (folder / "policies").mkdir()
        (folder / "policies" / "granite.yaml").write_text(reviews.POLICY)
        server = await stack.enter_async_context(servers.webhook(folder))
        different = Contender(name="different", server=server, bodies=reviews.all_different())
        asked = 0
        for count in pods:
            await measured(different, count=count - asked, in_flight=16, warm_up=0)
            asked = count
            memory.append((count, server.resident_mib()))
        for count in containers:
            of = Contender(name="sized", server=server, bodies=of_size(count))
            times.append((count, (await measured(of, count=REVIEWS, in_flight=1)).p50))
    return tuple(memory), tuple(times)


def main() -> None:
    """Print tables, and write the figures of the plots."""
    parser = argparse.ArgumentParser(description="Measure the webhook by number and size of pods.")
    parser.add_argument("--pods", type=int, nargs="*", default=PODS)
    parser.add_argument("--containers", type=int, nargs="*", default=CONTAINERS)
    parser.add_argument("--plot", action="store_true", help="write the figures of docs/plots")
    options = parser.parse_args()
    memory, times = asyncio.run(compared(options.pods, options.containers))
    _print_table("pods that were judged", "MiB", memory)
    _print_table("containers of a pod", "p50 ms", times)
    if options.plot:
        title = "Memory of the webhook, by different pods"
        line = Line(name="resident", points=memory)
        series.write(
            "pods-mib", Plot(title=title, x="pods that were judged", y="MiB", lines=(line,))
        )
        title = "Time of a review, by the pod's containers"
        line = Line(name="median", points=times)
        series.write(
            "pods-size", Plot(title=title, x="containers", y="milliseconds", lines=(line,))
        )


def _print_table(x: str, y: str, points: Points) -> None:
    sys.stdout.write(f"\n| {x} | {y} |\n|---|---|\n")
    for number, value in points:
        sys.stdout.write(f"| {number:,} | {value:.1f} |\n")


if __name__ == "__main__":
    main()
