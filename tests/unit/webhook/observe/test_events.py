"""Events that wait are bounded, and so is what they say."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry

from tests.support import observed as made
from tests.support.observed import ended, gated, refused
from webhook.observe.events import WAITING_LIMIT, Events
from webhook.observe.metrics import Metrics
from webhook.observe.pod.verdict import observed
from webhook.observe.pod.wire import Pod

NOW = dt.datetime(2026, 11, 28, 20, 30, tzinfo=dt.UTC)


class Nowhere:
    """An API server that is never reached: nothing is sent here."""

    async def create(self, path: str, body: dict[str, Any]) -> None:
        """Fail."""
        raise AssertionError(path, body)


def test_further_events_are_dropped() -> None:
    """A thousand objects with news at a time are enough; what is dropped is counted."""
    metrics = Metrics(CollectorRegistry())
    events = Events(Nowhere(), metrics=metrics, instance="test", now=lambda: NOW)
    pod = msgspec.convert(ended(gated(), [refused()], code=1), Pod)
    seen = observed(pod, images=(made.IMAGE,))
    for number in range(WAITING_LIMIT):  # of the policy's events there is one
        events.announce(None, replace(seen, uid=str(number)))
    name = "model_validation_observe_events_total"
    assert metrics.registry.get_sample_value(name, {"outcome": "dropped"}) == 1
