"""Rules on order: no container serves a model before it is verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.vllm.recognition import recognised

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.admission.rules.case import Case


def early_readers(case: Case) -> Iterator[str]:
    """A container with the model's volume before the verdict may only write it, and must end."""
    for placed in case.early:
        if not case.storage.sees(placed):
            continue
        if placed.is_sidecar or recognised(placed.reading):
            yield (
                f"{placed.where} would serve the model before it is verified: place it after the "
                "last init container that writes the model's volume"
            )
        elif case.strict:
            yield (
                f"{placed.where} has the model's volume before the verdict, and could serve it or "
                "keep it open to write it later: under workload.arguments Strict, let a Job write "
                "the model"
            )
