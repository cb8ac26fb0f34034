"""Reviews a second of the webhook, side by side with a handler that answers a recorded patch.

    python -m benchmarks.webhook_throughput [--reviews 3000] [--json FILE] [--peer NAME URL PID]...

All are processes of their own, over TLS keep-alive on loopback; the client runs here, so that on
few cores it has its share in the figures. They are asked in turns, and the medians and their ratios
are what can be compared between machines. A peer is another webhook that runs already.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import ssl
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec

from benchmarks import reviews, series, servers
from benchmarks.series import Line, Plot
from benchmarks.servers import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

IN_FLIGHT: Final = (1, 16, 64)
ROUNDS: Final = 5
WARM_UP: Final = 100
REVIEWS_LIMIT: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A server, and what it is asked."""

    name: str
    server: Server
    bodies: Iterator[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Reviews a second, milliseconds of the median and the slowest hundredth, CPU of a review."""

    rate: float
    p50: float
    p99: float
    cpu: float


Medians = dict[str, dict[str, Figures]]
"""Figures by the number in flight and the contender's name."""


async def main(count: int, *, peers: Sequence[Sequence[str]]) -> Medians:
    """Measure all contenders at each number in flight, in turns, and print the table."""
    medians: Medians = {}
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers.prepare(folder)
        (folder / "policies").mkdir()
        (folder / "policies" / "granite.yaml").write_text(reviews.POLICY)
        ours = await stack.enter_async_context(servers.webhook(folder))
        least = await stack.enter_async_context(servers.recorded_patch(folder))
        contenders = [
            _contender("webhook, pods of one workload", ours, reviews.of_one_workload),
            _contender("webhook, all pods different", ours, reviews.all_different),
            _contender("recorded patch", least, reviews.of_one_workload),
        ]
        for name, url, pid in peers:
            peer = Server(url=url, pid=int(pid))
            contenders.append(_contender(name, peer, reviews.of_one_workload))
        for in_flight in IN_FLIGHT:
            found = medians[str(in_flight)] = await _compared(contenders, count, in_flight)
            _print_table(in_flight, found)
    return medians


def _contender(name: str, server: Server, bodies: Callable[[], Iterator[bytes]]) -> Contender:
    return Contender(name=name, server=server, bodies=bodies())


async def _compared(
    contenders: Sequence[Contender], count: int, in_flight: int
) -> dict[str, Figures]:
    """Return the medians of the contenders' figures, which take turns."""
    runs: dict[str, list[Figures]] = {each.name: [] for each in contenders}
    for _ in range(ROUNDS):
        for each in contenders:
            runs[each.name].append(await measured(each, count=count, in_flight=in_flight))
    return {
        name: Figures(
            **{
                field: statistics.median(getattr(figures, field) for figures in of)
                for field in Figures.__slots__
            }
        )
        for name, of in runs.items()
    }


async def measured(
    contender: Contender, *, count: int, in_flight: int, warm_up: int = WARM_UP
) -> Figures:
    """Return the figures of one run over keep-alive connections, after some reviews more."""
    bodies = list(itertools.islice(contender.bodies, warm_up + count))
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE  # on loopback, and of peers too
    connector = aiohttp.TCPConnector(ssl=unverified, limit=in_flight)
    async with aiohttp.ClientSession(connector=connector) as client:
        server = contender.server
        await _asked(client, server.url, bodies[:warm_up], in_flight=in_flight)
        cpu, start = server.cpu_seconds(), time.perf_counter()
        seconds = await _asked(client, server.url, bodies[warm_up:], in_flight=in_flight)
        whole, cpu = time.perf_counter() - start, server.cpu_seconds() - cpu
    hundredths = statistics.quantiles(seconds, n=100)
    return Figures(
        rate=len(seconds) / whole,
        p50=hundredths[49] * 1000,
        p99=hundredths[98] * 1000,
        cpu=cpu / len(seconds) * 1000,
    )


async def _asked(
    client: aiohttp.ClientSession, url: str, bodies: Sequence[bytes], *, in_flight: int
) -> list[float]:
    """Post the bodies; return the seconds of each."""
    seconds: list[float] = []
    left = iter(bodies)

    async def ask() -> None:
        for body in left:
            start = time.perf_counter()
            headers = {"Content-Type": "application/json"}
            async with client.post(url, data=body, headers=headers) as answer:
                text = await answer.read()
            if b'"allowed":true' not in text:
                raise SystemExit(f"{url} answered {answer.status}: {text[:500]!r}")
            seconds.append(time.perf_counter() - start)

    await asyncio.gather(*(ask() for _ in range(in_flight)))
    return seconds


def _print_table(in_flight: int, found: dict[str, Figures]) -> None:
    least = found["recorded patch"].rate
    sys.stdout.write(
        f"\n| {in_flight} in flight | reviews/s | of the least | p50 / p99 ms | CPU ms |\n"
    )
    sys.stdout.write("|---|---|---|---|---|\n")
    for name, of in found.items():
        cells = (
            f"{of.rate:,.0f} | {of.rate / least:.2f} | {of.p50:.1f} / {of.p99:.1f} | {of.cpu:.2f}"
        )
        sys.stdout.write(f"| {name} | {cells} |\n")
    sys.stdout.flush()


def _plot(medians: Medians) -> None:
    """Write reviews a second, and the slowest hundredth, by the number in flight."""
    names = next(iter(medians.values()))
    for field, title, y in (
        ("rate", "Reviews of pods a second", "reviews a second"),
        ("p99", "The slowest hundredth of reviews", "milliseconds"),
    ):
        lines = tuple(
            Line(
                name=name.removeprefix("webhook, "),
                points=tuple(
                    (float(count), getattr(found[name], field)) for count, found in medians.items()
                ),
            )
            for name in names
        )
        series.write(f"reviews-{field}", Plot(title=title, x="in flight", y=y, lines=lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the webhook on loopback.")
    parser.add_argument("--reviews", type=int, default=2000, help="a run (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the medians there, too")
    parser.add_argument("--plot", action="store_true", help="write the figures of docs/plots")
    parser.add_argument(
        "--peer", nargs=3, action="append", default=[], metavar=("NAME", "URL", "PID")
    )
    options = parser.parse_args()
    count = min(max(options.reviews, 100), REVIEWS_LIMIT)
    medians = asyncio.run(main(count, peers=options.peer))
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(medians)) + b"\n")
    if options.plot:
        _plot(medians)
