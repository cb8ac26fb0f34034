"""A monitor over a real model, on a clock that only sleeping moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from validator.cli.options import judge
from validator.monitor.loop import Monitor
from validator.monitor.sight import Watched, look
from validator.report import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from validator.monitor.loop import Finding
    from validator.monitor.sight import Sight
    from validator.report import Report
    from validator.verification import Request

INTERVAL = 600.0
GOOD, BAD, OPEN = Verdict.VERIFIED, Verdict.REFUSED, Verdict.UNDECIDED


@dataclass
class Scene:
    """A monitor over a real model, with a script of what others do to it.

    Attributes:
        requests: What it verifies.
        events: What happens at which second; or, in `amid`, in the middle of which verification.
        seconds: How long a verification takes.
        look_seconds: How long a look takes.
        chance: A number between 0 and 1 for each wait.
    """

    requests: list[Request]
    interval: float = INTERVAL
    chance: Callable[[], float] = lambda: 1.0
    running: bool = False
    events: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    amid: dict[int, Callable[[], object]] = field(default_factory=dict)
    seconds: float = 0.0
    look_seconds: float = 0.0
    now: float = 0.0
    verified_at: list[float] = field(default_factory=list)
    beside: list[bool] = field(default_factory=list)
    models: list[Watched] = field(default_factory=list)
    looked_at: list[float] = field(default_factory=list)

    def run(self) -> Iterator[Finding]:
        """Return the monitor's findings."""
        self.models = [Watched(request) for request in self.requests]
        return Monitor(
            models=self.models,
            look=self._look,
            verify=self._verify,
            clock=lambda: self.now,
            sleep=self._sleep,
            chance=self.chance,
            interval=self.interval,
            running=self.running,
        ).findings()

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        for event in [each for each in self.events if each[0] <= self.now]:
            self.events.remove(event)
            event[1]()

    def _look(self) -> Sight:
        self.looked_at.append(self.now)
        self.now += self.look_seconds
        return look(self.models)

    def _verify(self, *, beside: bool) -> tuple[Report, ...]:
        number = len(self.verified_at)
        self.verified_at.append(self.now)
        self.beside.append(beside)
        self.now += self.seconds
        return tuple(_judged(model, amid=self.amid.pop(number, None)) for model in self.models)


class _Display:
    """Lets something happen at the first read."""

    def __init__(self, act: Callable[[], object] | None) -> None:
        self._act = act

    def __call__(self, done: int, total: int) -> None:
        """Act once."""
        del done, total
        if self._act:
            act, self._act = self._act, None
            act()

    def close(self) -> None:
        """Do nothing."""


def _judged(model: Watched, *, amid: Callable[[], object] | None) -> Report:
    """Verify; `amid` happens at the first read."""
    return judge(model.request, display=_Display(amid), memory=model.memory)
