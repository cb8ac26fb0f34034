"""The common part of the injected containers, the gate and its monitor.

Both find their policy in the environment, protect their process, look whether the
models' paths stay on their volumes, and leave a termination message.
"""

from __future__ import annotations

import json
import os
import posixpath
from typing import TYPE_CHECKING, Any

from validator import contract
from validator.errors import PolicyError, Refused, Undecided, ValidatorError
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Collection

    from validator.policy.document import ModelValidation
    from validator.report import Report
    from validator.verification import Request


def policy() -> ModelValidation:
    """Return the policy in the environment, with what the cluster's rules demand beside it.

    Raises:
        PolicyError: There is none, or not a valid one.
    """
    from validator.policy.cluster_rules.resolved import ResolvedPolicy

    value = os.environ.get(contract.POLICY_VARIABLE)
    if value is None:
        raise PolicyError(
            f"no policy: name its FILE, or set ${contract.POLICY_VARIABLE} as the webhook does"
        )
    return ResolvedPolicy.from_environment(value)


def cover() -> tuple[str, ...]:
    """Return the paths that the workload opens, as the webhook read them.

    Raises:
        PolicyError: The environment does not hold what the webhook writes.
    """
    paths = _written(contract.COVER_VARIABLE, otherwise=[])
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise PolicyError(f"${contract.COVER_VARIABLE} is not a JSON list of paths")
    return tuple(posixpath.normpath(path) for path in paths)


def _nested() -> dict[str, str]:
    """Return what the workload mounts within volumes: from the path here to the workload's.

    Raises:
        PolicyError: The environment does not hold what the webhook writes.
    """
    paths = _written(contract.NESTED_VARIABLE, otherwise={})
    if not isinstance(paths, dict) or not all(isinstance(path, str) for path in paths.values()):
        raise PolicyError(f"${contract.NESTED_VARIABLE} is not a JSON object of paths")
    return paths


def _written(variable: str, *, otherwise: Any) -> Any:
    """Return the JSON of a variable; `otherwise` where it is not set, None for other text."""
    text = os.environ.get(variable)
    try:
        return otherwise if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None


def context(policy: ModelValidation) -> dict[str, Any]:
    """Return what stands beside verdicts: by which policy they were reached, and in which trace."""
    from validator.policy.cluster_rules.resolved import ResolvedPolicy

    context: dict[str, Any] = {
        "policy": policy.reference,
        "generation": policy.metadata.generation,
        "mode": policy.spec.mode,
    }
    demands = policy.also_required if isinstance(policy, ResolvedPolicy) else ()
    roots = policy.resolved.trust_roots if policy.resolved else ()
    if roots := (*roots, *(root for each in demands for root in each.trust_roots)):
        context["trustRoots"] = list(dict.fromkeys(each.shown for each in roots))
    if policy.resolved is not None and policy.resolved.exemption is not None:
        context["exemption"] = policy.resolved.exemption.name
    if demands:
        context["clusterRules"] = [each.shown for each in demands]
    # A UUID without its dashes is the id of a trace.
    if trace := os.environ.get(contract.POD_UID_VARIABLE, "").replace("-", ""):
        context["traceId"] = trace
    return context


def stay_on_their_volumes(requests: Collection[Request]) -> None:
    """Refuse models whose paths lead elsewhere, where the workload may see something else.

    Raises:
        Refused: A link leads out of the volume that it lies on, or a mount of the workload's over
            the model.
        Undecided: The kernel does not say what is mounted, or a path cannot be looked at.
        PolicyError: The environment does not hold what the webhook writes.
    """
    from validator.tree import nests
    from validator.tree.mounts import leaves_its_volume, mount_points

    points = mount_points()
    models = [request.model for request in requests]
    hidden = nests.places(_nested(), models, points=points)
    for request in requests:
        if leaves_its_volume(request.model, points=points | hidden, limits=request.limits):
            raise Refused(
                f"the path {quoted(request.model)} leads by a link out of the model's volume, to "
                "where the workload may see another model: let it lead to a place on the volume"
            )
        nests.check_apart(request.model, hidden)


def unjudged(policy: ModelValidation, error: ValidatorError) -> tuple[Report, ...]:
    """Return the reports of models that were not even looked at."""
    from validator.report import Report, Verdict

    verdict = Verdict.REFUSED if isinstance(error, Refused) else Verdict.UNDECIDED
    return tuple(
        Report(verdict=verdict, model=model.path, code=error.code, reason=str(error))
        for model in policy.spec.all_models
    )


def make_undumpable() -> None:
    """Deny other processes of the same user to trace this one or read its memory.

    Raises:
        Undecided: The kernel refuses it.
    """
    import ctypes

    pr_set_dumpable = 4  # linux/prctl.h
    if ctypes.CDLL(None, use_errno=True).prctl(pr_set_dumpable, 0, 0, 0, 0) != 0:
        raise Undecided(
            "the container cannot protect its own process (prctl PR_SET_DUMPABLE failed)"
        )


def leave_message(message: bytes) -> None:
    """Write the termination message, if there is a file for it."""
    try:
        # Never created: outside of a container there is none, and none is wanted.
        descriptor = os.open(
            contract.TERMINATION_MESSAGE_PATH,
            os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK,
        )
    except OSError:
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(message)


def sentence_message(error: ValidatorError) -> bytes:
    """Return the termination message of a container that reached no verdict on a model."""
    from validator.report import Verdict, short_message

    verdict = Verdict.REFUSED if isinstance(error, Refused) else Verdict.UNDECIDED
    return short_message(verdict, str(error), code=error.code)
