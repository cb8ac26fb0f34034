"""The rule on arguments: what the workload opens is verified, as far as its pod says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from validator.paths import covers
from webhook.vllm import check
from webhook.vllm.check import Judgement
from webhook.vllm.recognition import recognised
from webhook.vllm.strict import container

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.admission.pod import Placed
    from webhook.admission.rules.case import Case


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
        if case.strict and case.serves(placed):
            refusals = container.refusals(
                placed.reading,
                model_paths=paths,
                fresh=case.storage.private,
                accompanied=len(case.pod.staying) > 1,
            )
            judgement = replace(judgement, refusals=(*judgement.refusals, *refusals))
        yield judgement
    yield from _early_servers(case)


def _early_servers(case: Case) -> Iterator[Judgement]:
    """Yield what is to be said of a vLLM that runs before the gate, without the model's volume."""
    for placed in case.early:
        if placed.is_sidecar or case.storage.sees(placed) or not recognised(placed.reading):
            continue
        sentence = (
            f"{placed.where} starts vLLM before the gate, and may serve what nobody has verified "
            "for as long as it runs; make it a container of the workload, or remove it"
        )
        said = (sentence,)
        yield Judgement(refusals=said) if case.strict else Judgement(warnings=said)


def _mounts_any(placed: Placed, paths: tuple[str, ...]) -> bool:
    return any(covers(mount.at, path) for mount in placed.mounts for path in paths)
