"""The cost of a review grows with the pod's size, and no pod costs more than a bounded one.

CPU of this process is counted, and the least of several runs, so that what else the machine
does has no part in it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.pods import MODEL, container, mount, pod, vllm
from tests.support.policies import policy_document
from validator.policy.document import MODELS_LIMIT, ModelValidation
from webhook.admission.memory import Memory
from webhook.admission.reviewer import Reviewer
from webhook.review import encode, parse
from webhook.settings import GateSettings, NamespaceOptions
from webhook.sources.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.review import Answer

Document = dict[str, Any]

POD_LIMIT = 3 * 1024 * 1024
"""Bytes of the largest request that an API server takes."""

LINEAR = 2.5
"""Times that twice the size may cost; one and a half of them are for sorting and caches."""

WORST = 300
"""Times that the worst pod may cost what an ordinary one does: about 0.3 s; it costs 100."""

LONG = "/" + "a/" * 1000


class Known(Store):
    """A cluster in which all is known, and a live read finds nothing else."""

    ready = True
    gate_images = ()
    server = None
    stale = False

    async def refresh(self, namespace: str) -> None:
        """Find that all is as it was."""

    async def run(self) -> None:
        """Follow nothing."""


def claims(count: int) -> list[Document]:
    """Return as many volumes."""
    return [
        {"name": f"v{index}", "persistentVolumeClaim": {"claimName": f"c{index}"}}
        for index in range(count)
    ]


def serving(*mounts: Document, volumes: list[Document] | None = None, **changes: Any) -> Document:
    """Return a pod of one vLLM with further mounts and volumes."""
    model = {"name": "model", "persistentVolumeClaim": {"claimName": "granite"}}
    return pod(vllm(mount(), *mounts, **changes), volumes=[model, *(volumes or [])])


def mounts(count: int, at: Callable[[int], str]) -> Document:
    """Return a pod with as many mounts of few volumes, each at a path of its own."""
    return serving(
        *(mount(f"v{index % 8}", at(index)) for index in range(count)), volumes=claims(8)
    )


def overrides(count: int) -> str:
    """Return a JSON object with as many keys that name a path."""
    return "--hf-overrides=" + json.dumps({f"k{index}": "/x" for index in range(count)})


EXPANDING = [{"name": "A", "value": "x" * 1000}, {"name": "B", "value": "$(A)" * 50}]

DIMENSIONS: dict[str, tuple[int, Callable[[int], Document]]] = {
    "containers": (60, lambda n: pod(*(vllm(name=f"c{i}") for i in range(n)))),
    "init containers": (
        60,
        lambda n: pod(
            initContainers=[container(f"i{i}", mount("model", "/m")) for i in range(n)],
        ),
    ),
    "sidecars": (
        60,
        lambda n: pod(
            initContainers=[container(f"i{i}", restartPolicy="Always") for i in range(n)],
        ),
    ),
    "mounts": (500, lambda n: mounts(n, lambda i: f"/d{i}")),
    "mounts within one another": (300, lambda n: mounts(n, lambda i: "/d" + "/a" * i)),
    "mounts within what others write": (
        60,
        lambda n: pod(
            vllm(mount(), mount("home", "/h"), *(mount("in", f"/h/{i}") for i in range(n))),
            *(container(f"c{i}", mount("home", "/h")) for i in range(n)),
            volumes=[
                {"name": "model", "persistentVolumeClaim": {"claimName": "granite"}},
                *({"name": name, "emptyDir": {}} for name in ("home", "in")),
            ],
        ),
    ),
    "mounts at one path": (500, lambda n: mounts(n, lambda _: "/d")),
    "mounts within the model's": (500, lambda n: mounts(n, lambda i: f"/models/{i}")),
    "mounts at long paths": (500, lambda n: mounts(n, lambda i: f"{LONG}{i}")),
    "length of paths": (500, lambda n: mounts(400, lambda i: f"/{'a/' * n}{i}")),
    "volumes": (250, lambda n: serving(volumes=claims(n))),
    "directories of the node": (
        250,
        lambda n: serving(
            *(mount(f"h{i}", f"/h{i}") for i in range(n)),
            volumes=[{"name": f"h{i}", "hostPath": {"path": f"{LONG}{i}"}} for i in range(n)],
        ),
    ),
    "emptyDirs of one container each": (
        60,
        lambda n: pod(
            vllm(),
            *(container(f"c{i}", mount(f"e{i}", "/tmp")) for i in range(n)),  # noqa: S108 — a mount point
            volumes=[
                {"name": "model", "persistentVolumeClaim": {"claimName": "granite"}},
                *({"name": f"e{i}", "emptyDir": {}} for i in range(n)),
            ],
        ),
    ),
    "devices": (
        500,
        lambda n: serving(
            volumeDevices=[{"name": "v0", "devicePath": f"/dev/x{i}"} for i in range(n)],
            volumes=claims(1),
        ),
    ),
    "vLLM's arguments": (120, lambda n: pod(vllm(args=["--seed=1"] * n))),
    "arguments of many containers": (
        8,
        lambda n: pod(*(vllm(name=f"c{i}", args=["--seed=1"] * 100) for i in range(n))),
    ),
    "words of a program": (900, lambda n: pod(vllm(), container("x", mount(), args=["a"] * n))),
    "keys of JSON": (2000, lambda n: pod(vllm(args=[overrides(n)]))),
    "options of JSON": (50, lambda n: pod(vllm(args=[overrides(100)] * n))),
    "options and mounts": (
        400,
        lambda n: serving(
            *(mount("v0", f"/d{i}") for i in range(n)),
            volumes=claims(1),
            args=["--lora-modules", *(f"a{i}={MODEL}/a{i}" for i in range(min(n, 200)))],
        ),
    ),
    "depth of JSON": (
        10_000,
        lambda n: pod(vllm(args=["--speculative-config=" + "[" * n + "]" * n])),
    ),
    "variables": (1500, lambda n: pod(vllm(env=[{"name": f"V{i}"} for i in range(n)]))),
    "variables that vLLM reads": (
        500,
        lambda n: pod(vllm(env=[{"name": f"PYTHON{i}", "value": f"/x{i}:/y"} for i in range(n)])),
    ),
    "expansions": (60, lambda n: pod(*(vllm(name=f"c{i}", env=EXPANDING) for i in range(n)))),
    "one variable twice": (
        1500,
        lambda n: pod(vllm(env=[{"name": "A", "value": "$(A)"} for _ in range(n)])),
    ),
    "capabilities": (
        4000,
        lambda n: pod(vllm(securityContext={"capabilities": {"add": ["SYS_ADMIN"] * n}})),
    ),
    "width of what is not read": (
        20_000,
        lambda n: pod(vllm(), affinity={"x": [{"a": i} for i in range(n)]}),
    ),
    "depth of what is not read": (
        300,
        lambda n: pod(vllm(), affinity=json.loads('{"a":' * n + "1" + "}" * n)),
    ),
}
"""By dimension: a size of which twice as much is still within the limits, and a pod of a size."""


def body(document: Document) -> bytes:
    """Return the review of a pod's creation, as the API server sends it."""
    request = {
        "uid": "1",
        "operation": "CREATE",
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "team",
        "userInfo": {"username": "someone"},
        "object": document,
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return json.dumps(review).encode()


@pytest.fixture(scope="module", params=["Check", "Strict"])
def reviewer(request: pytest.FixtureRequest) -> Reviewer:
    """A reviewer with a policy of several models."""
    return reviewing(of_models(MODELS_LIMIT // 2, request.param))


def reviewing(policy: ModelValidation) -> Reviewer:
    """Return a reviewer with one policy."""
    known = Known()
    known.put_namespace(NamespaceOptions(name="team"))
    known.put(policy)
    return Reviewer(source=known, gate=GateSettings(image="validator:1"))


def of_models(count: int, arguments: str) -> ModelValidation:
    """Return a policy of several models, the first of which pods serve."""
    paths = [MODEL, *(f"/models/m{index}" for index in range(count - 1))]
    document = policy_document(
        namespace="team",
        models=[{"path": path} for path in paths],
        workload={"arguments": arguments},
    )
    return ModelValidation.from_object(document, source="test")


def costs(reviewer: Reviewer, *documents: Document, within: float) -> tuple[float, float]:
    """Return the seconds of CPU that the two reviews of each pod's creation take.

    Args:
        reviewer: Who reviews them.
        documents: A pod, and one that is compared with it.
        within: How many times the first one's the second one's may be. While it is more, the
            pods are reviewed again, in turn: what the machine does beside us passes.
    """
    one, other = map(body, documents)
    small = min(_once(reviewer, one) for _ in range(2))  # the first one may fill caches
    large = _once(reviewer, other)
    for _ in range(12):
        if large <= within * small:
            break
        small = min(small, _once(reviewer, one))
        large = min(large, _once(reviewer, other))
    return small, large


def _once(reviewer: Reviewer, content: bytes) -> float:
    reviewer = replace(reviewer, memory=Memory())  # as if no pod like it had come before
    gc.disable()  # its share is that of everything else in this process
    start = time.process_time()
    for path in (reviewer.mutate, reviewer.validate):
        answer: Answer = asyncio.run(path(parse(content, content_type="application/json")))
        encode(answer)
    spent = time.process_time() - start
    gc.enable()
    return spent


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_twice_the_size_costs_at_most_two_and_a_half_times(
    dimension: str, reviewer: Reviewer
) -> None:
    """In each dimension of a pod, up to its limit."""
    size, made = DIMENSIONS[dimension]
    once, twice = costs(reviewer, made(size), made(2 * size), within=LINEAR)
    assert twice <= LINEAR * once, f"{once * 1000:.1f} ms and {twice * 1000:.1f} ms"


@pytest.mark.parametrize("arguments", ["Check", "Strict"])
def test_twice_as_many_models_cost_at_most_two_and_a_half_times(arguments: str) -> None:
    """A policy's size counts as the pod's does."""
    content = body(mounts(1000, lambda index: f"/d{index}"))
    few, many = (
        reviewing(of_models(count, arguments)) for count in (MODELS_LIMIT // 2, MODELS_LIMIT)
    )
    once, twice = (min(_once(each, content) for _ in range(3)) for each in (few, many))
    assert twice <= LINEAR * once, f"{once * 1000:.1f} ms and {twice * 1000:.1f} ms"


WIDE = overrides(2000)
LARGEST: dict[str, Callable[[], Document]] = {
    "expansions within the limit": lambda: pod(
        *(vllm(name=f"c{i}", env=EXPANDING, args=["$(B)$(A)"]) for i in range(128))
    ),
    "expansions of one container beyond the limit": lambda: pod(
        *(vllm(name=f"c{i}", env=EXPANDING, args=["$(B)" * 40] * 15) for i in range(128))
    ),
    "expansions beyond the limit": lambda: pod(
        *(
            vllm(name=f"c{i}", env=[*EXPANDING, {"name": "C", "value": "$(B)" * 41}])
            for i in range(128)
        )
    ),
    "arguments": lambda: pod(*(vllm(name=f"c{i}", args=["--seed=1"] * 250) for i in range(8))),
    "JSON": lambda: pod(*(vllm(name=f"c{i}", args=[WIDE] * 80) for i in range(1))),
    "long paths": lambda: mounts(1000, lambda index: f"{LONG}{index}"),
    "paths at their limit": lambda: mounts(700, lambda index: f"/{'a/' * 2000}{index}"),
    "paths to write anew": lambda: mounts(700, lambda index: f"/{'.//' * 1300}{index}"),
    "adapters and mounts": lambda: serving(
        *(mount("v0", f"/d{index}") for index in range(1000)),
        volumes=claims(1),
        args=["--lora-modules", *(f"a{i}={MODEL}/{'a/' * 1000}{i}" for i in range(240))],
    ),
    "variables": lambda: pod(
        vllm(env=[{"name": f"PYTHON{i}", "value": f"{MODEL}/x:" * 60} for i in range(2000)])
    ),
    "references that lead nowhere": lambda: pod(vllm(env=[{"name": "A", "value": "$(" * 700_000}])),
    "what is not read": lambda: pod(affinity={"x": [{"a": i} for i in range(200_000)]}),
    "what is escaped": lambda: pod(vllm(args=["\x01" * 400_000])),
}
"""Pods of about the size that an API server takes, by what makes them large."""


@pytest.mark.parametrize("largest", LARGEST)
def test_the_largest_pod_costs_a_bounded_number_of_ordinary_ones(
    largest: str, reviewer: Reviewer
) -> None:
    """Whoever may create pods cannot stop admission for others."""
    document = LARGEST[largest]()
    assert len(json.dumps(document, ensure_ascii=False)) <= POD_LIMIT
    ordinary, most = costs(reviewer, pod(), document, within=WORST)
    assert most <= WORST * ordinary
