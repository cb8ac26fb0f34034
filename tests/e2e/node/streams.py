"""A steady stream of labelled pods: who was admitted without a gate, and who was not admitted."""

from __future__ import annotations

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from tests.e2e.node.models import serving
from validator.contract import GATE_CONTAINER

if TYPE_CHECKING:
    from tests.e2e.api_server.client import ApiServer, Document

AT_A_TIME: Final = 2
PAUSE_SECONDS: Final = 0.02
"""Between a creator's pods: together some dozens a second, and cores are left for the rest."""


@dataclass(frozen=True, slots=True)
class Creation:
    """One pod that was to be created.

    Attributes:
        at: When it was asked for, seconds of the monotonic clock.
        admitted: Whether the API server took it.
        gated: Whether it had a gate then, with the image of a release.
        message: Why it was not taken.
    """

    at: float
    admitted: bool
    gated: bool
    message: str


@dataclass(slots=True)
class Stream:
    """A context manager that creates pods inside the block, as dry runs: no kubelet is kept busy.

    A dry run goes through admission whole, webhooks and policies included.
    """

    api: ApiServer
    namespace: str
    creations: list[Creation] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_A_TIME))

    def __enter__(self) -> Self:
        for _ in range(AT_A_TIME):
            self._pool.submit(self._create)
        self.wait_for(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()

    def wait_for(self, count: int) -> None:
        """Return when so many more pods have been asked for."""
        end = len(self.creations) + count
        while len(self.creations) < end:
            time.sleep(PAUSE_SECONDS)

    @property
    def ungated(self) -> list[Creation]:
        """Those that were admitted without their gate: there must never be one."""
        return [each for each in self.creations if each.admitted and not each.gated]

    @property
    def failed(self) -> list[Creation]:
        """Those that were not admitted."""
        return [each for each in self.creations if not each.admitted]

    def _create(self) -> None:
        pod = serving("Pod", self.namespace)
        del pod["metadata"]["name"]
        pod["metadata"]["generateName"] = "stream-"
        while not self._stop.wait(PAUSE_SECONDS):
            self.creations.append(self._created(pod))

    def _created(self, pod: Document) -> Creation:
        start = time.monotonic()
        try:
            answer = self.api.create(pod, dry_run=True)
        except (OSError, http.client.HTTPException) as error:  # nobody answers at all
            return Creation(start, admitted=False, gated=False, message=str(error))
        admitted = answer.status == http.client.CREATED
        return Creation(start, admitted, admitted and _gated(answer.document), answer.message)


def _gated(pod: Document) -> bool:
    gates = [
        each for each in pod["spec"].get("initContainers", []) if each["name"] == GATE_CONTAINER
    ]
    return [each["image"].partition(":")[0] for each in gates] == ["model-validation/validator"]
