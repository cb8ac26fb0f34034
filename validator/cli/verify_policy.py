"""`model-validator verify policy`: what the gate runs.

The policy is a file, or the environment variable that the webhook wrote. In the
second case this process is a gate: it first makes itself undumpable, so that no
process beside it can read or change it, and leaves its verdict as the
container's termination message.
"""

from __future__ import annotations

import json
import os
import posixpath
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from validator import contract
from validator.cli import options
from validator.contract import ExitCode
from validator.errors import PolicyError, Refused, Undecided, ValidatorError, quoted

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from validator.policy import Model, ModelValidation
    from validator.report import Report
    from validator.verification import Request


def add_to(methods: argparse._SubParsersAction[Any]) -> None:
    """Add the subcommand."""
    text = (
        "Verify the models of a ModelValidation: from FILE, or from "
        f"${contract.POLICY_VARIABLE} as the webhook writes it."
    )
    parser = methods.add_parser(
        "policy", help="signed as a ModelValidation demands", description=text, allow_abbrev=False
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the policy, YAML")
    parser.add_argument(
        "--model", type=Path, metavar="PATH", help="where the policy's only model lies here"
    )
    options.add_display(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Verify all models of the policy; the worst verdict counts."""
    gate = arguments.file is None
    policy = None
    try:
        if gate:
            _make_undumpable()
        policy = _read(arguments.file)
        requests = _requests(policy, arguments, cover=_cover() if gate else ())
        if gate:
            _stay_on_their_volumes(requests)
        reports = tuple(options.judge(request, shown=arguments.progress) for request in requests)
    except (PolicyError, Refused, Undecided) as error:
        if policy is None or policy.spec.mode != "Audit":
            if gate:
                _leave_message(_sentence_message(error))
            raise
        reports = tuple(_unjudged(model, error) for model in policy.spec.all_models)
    return _conclude(policy, reports, arguments, gate=gate)


def _unjudged(model: Model, error: ValidatorError) -> Report:
    """Return the report of a model that was not even looked at; Audit lets it pass, too."""
    from validator.report import Report, Verdict  # noqa: PLC0415 — start-up

    verdict = Verdict.REFUSED if isinstance(error, Refused) else Verdict.UNDECIDED
    return Report(verdict=verdict, model=model.path, reason=str(error))


def _conclude(
    policy: ModelValidation,
    reports: tuple[Report, ...],
    arguments: argparse.Namespace,
    *,
    gate: bool,
) -> ExitCode:
    from validator.report import termination_message  # noqa: PLC0415 — start-up

    worst = max((options.exit_code(report) for report in reports), key=_severity)
    audit = policy.spec.mode == "Audit"
    context: dict[str, Any] = {
        "policy": policy.reference,
        "generation": policy.metadata.generation,
        "mode": policy.spec.mode,
    }
    if gate:
        _leave_message(termination_message(reports, context=context))
    if arguments.format == "json":
        options.show({**context, "models": [report.as_dict() for report in reports]})
    else:
        options.show("\n".join(report.as_text() for report in reports))
        if audit and worst is not ExitCode.VERIFIED:
            options.show(f"{policy.reference} is in Audit mode: let pass all the same")
    return ExitCode.VERIFIED if audit else worst


def _severity(code: ExitCode) -> int:
    return (ExitCode.VERIFIED, ExitCode.UNDECIDED, ExitCode.REFUSED).index(code)


def _read(file: Path | None) -> ModelValidation:
    from validator.bundle import read_anchor  # noqa: PLC0415 — start-up
    from validator.policy import ModelValidation  # noqa: PLC0415 — start-up

    if file is not None:
        text = read_anchor(file, what="policy")
        return ModelValidation.from_yaml(text, source=str(file))
    value = os.environ.get(contract.POLICY_VARIABLE)
    if value is None:
        raise PolicyError(
            f"no policy: name its FILE, or set ${contract.POLICY_VARIABLE} as the webhook does"
        )
    return ModelValidation.from_environment(value)


def _cover() -> tuple[str, ...]:
    """Return the paths that the workload opens, as the webhook read them."""
    try:
        paths = json.loads(os.environ.get(contract.COVER_VARIABLE, "[]"))
    except (ValueError, RecursionError):
        paths = None
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise PolicyError(f"${contract.COVER_VARIABLE} is not a JSON list of paths")
    return tuple(posixpath.normpath(path) for path in paths)


def _requests(
    policy: ModelValidation, arguments: argparse.Namespace, *, cover: tuple[str, ...]
) -> list[Request]:
    from validator.hashing import default_jobs  # noqa: PLC0415 — start-up
    from validator.policy_verifiers import verifiers  # noqa: PLC0415 — start-up
    from validator.verification import Request  # noqa: PLC0415 — start-up

    models = policy.spec.all_models
    if arguments.model and len(models) > 1:
        raise PolicyError(f"--model fits a policy of one model, and this one has {len(models)}")
    covered = _by_model(models, cover)
    accepted = verifiers(policy)
    requests = [
        Request(
            model=Path(model.path),
            signature=Path(model.signature),
            verifiers=accepted,
            ignore_paths=model.ignore_paths,
            ignore_git_paths=model.ignore_git_paths,
            ignore_unsigned_files=model.ignore_unsigned_files,
            digests=model.digests,
            must_cover=covered[model.path],
            jobs=arguments.jobs or default_jobs(),
        )
        for model in models
    ]
    if arguments.model:
        requests = [_moved(requests[0], models[0], arguments.model)]
    return requests


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


def _stay_on_their_volumes(requests: Iterable[Request]) -> None:
    """Refuse models whose paths lead elsewhere, where the workload may see something else.

    Raises:
        Refused: A link leads out of the volume that it lies on.
    """
    from validator.mounts import leaves_its_volume, mount_points  # noqa: PLC0415 — start-up

    points = mount_points()
    for request in requests:
        if leaves_its_volume(request.model, points=points, limits=request.limits):
            raise Refused(
                f"the path {quoted(request.model)} leads by a link out of the model's volume, to "
                "where the workload may see another model: let it lead to a place on the volume"
            )


def _moved(request: Request, model: Model, here: Path) -> Request:
    """Return the same request for a model that lies elsewhere than in the pod."""
    signature = Path(model.signature)
    if signature.is_relative_to(model.path):
        signature = here / signature.relative_to(model.path)
    return replace(request, model=here, signature=signature)


def _make_undumpable() -> None:
    """Deny other processes of the same user to trace this one or read its memory.

    Raises:
        Undecided: The kernel refuses it.
    """
    import ctypes  # noqa: PLC0415 — start-up

    pr_set_dumpable = 4  # linux/prctl.h
    if ctypes.CDLL(None, use_errno=True).prctl(pr_set_dumpable, 0, 0, 0, 0) != 0:
        raise Undecided("the gate cannot protect its own process (prctl PR_SET_DUMPABLE failed)")


def _leave_message(message: bytes) -> None:
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


def _sentence_message(error: ValidatorError) -> bytes:
    from validator.report import Verdict, short_message  # noqa: PLC0415 — start-up

    verdict = Verdict.REFUSED if isinstance(error, Refused) else Verdict.UNDECIDED
    return short_message(verdict, str(error))
