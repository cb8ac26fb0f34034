"""Creations of pods a second through a real API server, by who is asked about them.

    python -m benchmarks.api_server [--creations 300] [--rounds 5] [--json FILE]

etcd and kube-apiserver are those of the tests (`make cluster-tools`). Pods are created as a dry
run, so that nothing but admission differs: without webhooks, with ours, and with a handler that
answers a recorded patch at once. The handler also shows what a patch costs the API server, by
its operations and bytes. Contenders take turns, and medians are compared. CPU is that of the API
server and etcd for each pod.
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
from contextlib import AsyncExitStack, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiohttp
import msgspec
import yaml
from aiohttp import web

from benchmarks import reviews, servers
from tests.e2e.api_server import building
from tests.e2e.api_server.admission.serving import running_webhook
from tests.e2e.api_server.control_plane import ControlPlane
from tests.e2e.api_server.webhook_registration import Endpoint, mutating, registered, validating
from validator import contract

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.e2e.api_server.admission.serving import ServingWebhook

Object = dict[str, Any]

IN_FLIGHT: Final = (1, 16)
WARM_UP: Final = 20


class Made(NamedTuple):
    """Pods a second, and the milliseconds of CPU that the API server took for each."""

    rate: float
    cpu: float


Creations = dict[str, dict[int, Made]]
"""By contender and number in flight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Whom the API server asks about which pods.

    Attributes:
        endpoint: The webhook; `None` for none.
        labelled: Whether the pods carry our label.
    """

    name: str
    endpoint: Endpoint | None
    labelled: bool = True


def pod(*, labelled: bool) -> bytes:
    """Return a pod as its author writes it: the API server adds the token."""
    made = reviews.pod()
    for field in (made["spec"]["volumes"], made["spec"]["containers"][0]["volumeMounts"]):
        field.pop()
    del made["metadata"]["managedFields"]
    made["metadata"]["labels"] = {"app": "vllm"} | ({contract.LABEL: "true"} if labelled else {})
    return msgspec.json.encode(made)


def patches() -> dict[str, bytes]:
    """Return patches with one effect or none, from the cheapest on, each with its name."""
    written = servers.recorded()
    operations: list[Object] = msgspec.json.decode(written)
    fine = [part for operation in operations for part in _by_field(operation)]
    return {
        "no patch": servers.NO_PATCH,
        "recorded patch": written,
        "recorded patch, an operation for each field": msgspec.json.encode(fine),
    }


def _by_field(operation: Object) -> list[Object]:
    """Return an operation, taken apart where it adds an object."""
    value, path = operation.get("value"), operation["path"]
    if not isinstance(value, dict) or operation["op"] != "add":
        return [operation]
    escaped = {key: key.replace("~", "~0").replace("/", "~1") for key in value}
    fields = [{"op": "add", "path": f"{path}/{escaped[key]}", "value": value[key]} for key in value]
    return [{**operation, "value": {}}, *fields]


async def compared(options: argparse.Namespace) -> Creations:
    """Return the medians of all contenders."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "webhook").mkdir()
        programs = building.find(building.CONTROL_PLANE)
        api = stack.enter_context(ControlPlane(programs, folder=folder / "control-plane"))
        ours = stack.enter_context(running_webhook(api, folder / "webhook"))
        api.make_namespace(reviews.NAMESPACE)
        policy = yaml.safe_load(reviews.POLICY)
        api.created({**policy, "metadata": {"name": "granite", "namespace": reviews.NAMESPACE}})
        async with AsyncExitStack() as handlers:
            contenders = [
                Contender(name="no webhook", endpoint=None),
                Contender(
                    name="ours, pods without the label", endpoint=ours.endpoint, labelled=False
                ),
                Contender(name="ours", endpoint=ours.endpoint),
            ]
            for number, (name, patch) in enumerate(patches().items()):
                there = folder / str(number)
                there.mkdir()
                authority = servers.prepare(there)
                (there / "recorded").write_bytes(patch)
                handler = await handlers.enter_async_context(servers.recorded_patch(there))
                contenders.append(Contender(name=name, endpoint=_endpoint(handler.url, authority)))
            return await _in_turns(api, contenders, ours, options)


def _endpoint(url: str, authority: bytes) -> Endpoint:
    return Endpoint(url.removeprefix("https://").partition("/")[0], authority)


async def _in_turns(
    api: ControlPlane,
    contenders: Sequence[Contender],
    ours: ServingWebhook,
    options: argparse.Namespace,
) -> Creations:
    runs: dict[str, dict[int, list[Made]]] = {
        each.name: {count: [] for count in IN_FLIGHT} for each in contenders
    }
    for _, each in itertools.product(range(options.rounds), contenders):
        before = _reviews(ours)
        endpoint = each.endpoint
        asked = (
            registered(api, mutating(endpoint), validating(endpoint)) if endpoint else nullcontext()
        )
        with asked:
            for in_flight in IN_FLIGHT:
                made = await _created(api, each, count=options.creations, in_flight=in_flight)
                runs[each.name][in_flight].append(made)
        if not each.labelled and _reviews(ours) != before:
            raise SystemExit("the webhook was asked about a pod without the label")
    return {
        name: {
            count: Made(*(statistics.median(values) for values in zip(*made, strict=True)))
            for count, made in of.items()
        }
        for name, of in runs.items()
    }


def _reviews(webhook: ServingWebhook) -> int:
    """Return how many reviews the webhook has counted."""
    name = "model_validation_webhook_reviews_total{"
    lines = webhook.probe("/metrics").splitlines()
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if line.startswith(name))


async def _created(api: ControlPlane, of: Contender, *, count: int, in_flight: int) -> Made:
    """Create pods."""
    body = pod(labelled=of.labelled)
    trust = ssl.create_default_context(cafile=api.folder / "ca.pem")
    url = f"{api.url}/api/v1/namespaces/{reviews.NAMESPACE}/pods?dryRun=All"
    headers = {"Authorization": f"Bearer {api.token}", "Content-Type": "application/json"}
    gated = of.labelled and of.endpoint is not None and of.name != "no patch"

    async def create(left: range) -> None:
        for _ in left:
            async with client.post(url, data=body, headers=headers) as answer:
                text = await answer.read()
            created = answer.status == web.HTTPCreated.status_code
            if not created or gated != (contract.GATE_CONTAINER.encode() in text):
                raise SystemExit(f"{of.name}: the API server answered {answer.status}: {text!r}")

    connector = aiohttp.TCPConnector(ssl=trust, limit=in_flight)
    async with aiohttp.ClientSession(connector=connector) as client:
        await create(range(WARM_UP))
        used, start = _cpu(api), time.perf_counter()
        each = range(count // in_flight)
        await asyncio.gather(*(create(each) for _ in range(in_flight)))
        seconds, pods = time.perf_counter() - start, len(each) * in_flight
        return Made(rate=pods / seconds, cpu=(_cpu(api) - used) / pods * 1000)


def _cpu(api: ControlPlane) -> float:
    return sum(map(servers.cpu_seconds, api.pids))


def _print_table(found: Creations) -> None:
    sizes = {
        name: f"{len(msgspec.json.decode(text))} | {len(text):,}"
        for name, text in patches().items()
    }
    columns = " | ".join(f"{n} in flight, pods/s | of recorded | CPU ms" for n in IN_FLIGHT)
    sys.stdout.write(f"| who is asked | operations | bytes | {columns} |\n")
    sys.stdout.write(f"|---|---|---|{'---|' * 3 * len(IN_FLIGHT)}\n")
    least = found["recorded patch"]
    for name, of in found.items():
        cells = " | ".join(
            f"{made.rate:.0f} | {made.rate / least[n].rate:.2f} | {made.cpu:.1f}"
            for n, made in of.items()
        )
        sys.stdout.write(f"| {name} | {sizes.get(name, ' | ')} | {cells} |\n")


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="Measure creations through an API server.")
    parser.add_argument("--creations", type=int, default=300, help="a run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the medians there, too")
    options = parser.parse_args()
    found = asyncio.run(compared(options))
    _print_table(found)
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")


if __name__ == "__main__":
    main()
