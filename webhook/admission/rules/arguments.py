"""The rule on arguments: what the workload opens is verified, as far as its pod says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from validator.paths import covers
from webhook.vllm import check, strict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.admission.pod import Placed
    from webhook.admission.rules.case import Case
    from webhook.vllm.check import Judgement


def judgements(case: Case) -> Iterator[Judgement]:
    """Yield what is to be said of each container of the workload."""
    paths = tuple(model.path for model in case.policy.spec.all_models)
    for placed in case.workload:
        mounts_model = _mounts_any(placed, paths)
        judgement = check.check(
            placed.reading,
            mounts_model=mounts_model,
            model_paths=paths,
            volumes=case.storage.volumes,
        )
        if case.strict:
            refusals = strict.refusals(
                placed.reading,
                mounts_model=mounts_model or case.storage.sees(placed),
                model_paths=paths,
                fresh=case.storage.private,
                accompanied=len(case.pod.staying) > 1 or bool(case.pod.spec.host_ipc),
            )
            judgement = replace(judgement, refusals=(*judgement.refusals, *refusals))
        yield judgement


def _mounts_any(placed: Placed, paths: tuple[str, ...]) -> bool:
    return any(covers(mount.at, path) for mount in placed.mounts for path in paths)
