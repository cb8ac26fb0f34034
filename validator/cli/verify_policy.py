"""`model-validator verify policy`: what the gate runs.

The policy is a file, or the environment variable that the webhook wrote. In the
second case this process is a gate: it first makes itself undumpable, so that no
process beside it can read or change it, and leaves its verdict as the
container's termination message.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from validator import contract
from validator.cli import injected, options, progress
from validator.contract import ExitCode
from validator.errors import PolicyError, Refused, Undecided
from validator.paths import covers

if TYPE_CHECKING:
    import argparse

    from validator.arguments import ArgumentParser
    from validator.policy.document import ModelValidation
    from validator.policy.volumes import Model
    from validator.report import Report
    from validator.verification import Request


def add_options(parser: ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        "Verify the models of a ModelValidation: from FILE, or from "
        f"${contract.POLICY_VARIABLE} as the webhook writes it."
    )
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="the policy, YAML; and what counts beside it, there or in further files: TrustRoots, "
        f"{contract.CLUSTER_KIND}s, and the Namespace, whose labels those select",
    )
    parser.add_argument("--model", metavar="PATH", help="where the policy's only model lies here")
    options.add_display(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Verify all models of the policy; the worst verdict counts."""
    gate = not arguments.files
    policy = None
    try:
        if gate:
            injected.make_undumpable()
        policy = injected.policy() if gate else _read(arguments.files)
        requests = _requests(policy, arguments, cover=injected.cover() if gate else ())
        if gate:
            injected.stay_on_their_volumes(requests)
        reports = tuple(
            options.judge(request, display=progress.choose(arguments.progress, sys.stderr))
            for request in requests
        )
    except (PolicyError, Refused, Undecided) as error:
        if policy is None or policy.spec.mode != "Audit":
            if gate:
                injected.leave_message(injected.sentence_message(error))
            raise
        reports = injected.unjudged(policy, error)  # Audit lets them pass, too
    return _conclude(policy, reports, arguments, gate=gate)


def _conclude(
    policy: ModelValidation,
    reports: tuple[Report, ...],
    arguments: argparse.Namespace,
    *,
    gate: bool,
) -> ExitCode:
    from validator.report import summary, termination_message, worst

    code = options.exit_code(worst(reports))
    audit = policy.spec.mode == "Audit"
    context = injected.context(policy)
    if gate:
        injected.leave_message(termination_message(reports, context=context))
    if arguments.format == "json":
        options.show(summary(reports, context=context))
    else:
        options.show("\n".join(report.as_text() for report in reports))
        if audit and code is not ExitCode.VERIFIED:
            options.show(f"{policy.reference} is in Audit mode: let pass all the same")
    return ExitCode.VERIFIED if audit else code


def _read(files: list[str]) -> ModelValidation:
    from validator.files import read_anchor
    from validator.policy.files import read_policies

    return read_policies((read_anchor(file, what="policy"), file) for file in files)


def _requests(
    policy: ModelValidation, arguments: argparse.Namespace, *, cover: tuple[str, ...]
) -> list[Request]:
    from validator import from_policy

    models = policy.spec.all_models
    if arguments.model and len(models) > 1:
        raise PolicyError(f"--model fits a policy of one model, and this one has {len(models)}")
    requests = from_policy.requests(policy, cover=cover, jobs=arguments.jobs)
    if arguments.model:
        requests = [_moved(requests[0], models[0], arguments.model)]
    return requests


def _moved(request: Request, model: Model, here: str) -> Request:
    """Return the same request for a model that lies elsewhere than in the pod."""
    signature = model.signature
    if os.path.isfile(here):  # its signature lies beside it
        signature = os.path.join(os.path.dirname(here), os.path.basename(signature))
    elif covers(model.path, signature):
        signature = os.path.join(here, os.path.relpath(signature, model.path))
    return request._replace(model=here, signature=signature)
