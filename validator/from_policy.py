"""From a policy, and what the workload opens, to the verifications that it asks for."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING

from validator.errors import Refused
from validator.policy_verifiers import verifiers
from validator.text import quoted
from validator.tree.hashing import default_jobs
from validator.verification import Request

if TYPE_CHECKING:
    from validator.policy.document import ModelValidation
    from validator.policy.volumes import Model


def requests(
    policy: ModelValidation, *, cover: tuple[str, ...], jobs: int | None = None
) -> list[Request]:
    """Return the verification that a policy asks for, of each model.

    Args:
        policy: What is demanded.
        cover: Absolute and canonical paths that the workload opens.
        jobs: Threads for hashing; the cores that this process may use, if absent.

    Raises:
        PolicyError: A trust anchor is none.
        Refused: The workload opens something outside of every model.
        Undecided: A trust anchor cannot be read or fetched.
    """
    models = policy.spec.all_models
    covered = _by_model(models, cover)
    accepted = verifiers(policy)
    return [
        Request(
            model=Path(model.path),
            signature=Path(model.signature),
            verifiers=accepted,
            ignore_paths=model.ignore_paths,
            ignore_git_paths=model.ignore_git_paths,
            ignore_unsigned_files=model.ignore_unsigned_files,
            digests=model.digests,
            must_cover=covered[model.path],
            jobs=jobs or default_jobs(),
        )
        for model in models
    ]


def _by_model(models: tuple[Model, ...], cover: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return, for each model's path, what the workload opens in it.

    Raises:
        Refused: The workload opens something outside of every model.
    """
    covered: dict[str, tuple[str, ...]] = {model.path: () for model in models}
    for path in cover:
        for root in covered:
            if path == root or path.startswith(f"{root}/"):
                covered[root] += (posixpath.relpath(path, root),)
                break
        else:
            raise Refused(f"the workload opens {quoted(path)}, which lies in no verified model")
    return covered
