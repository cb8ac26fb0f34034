"""`model-validator monitor`: verify again and again, beside the workload.

The policy comes from the environment, as the gate's does. Each verdict is a line
of the log; the last one is kept for the container's probes, which ask for it by
`monitor --status`.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from validator import contract
from validator.cli import injected, options
from validator.contract import ExitCode
from validator.errors import PolicyError, Refused, Undecided
from validator.monitor import status_file
from validator.monitor.throttle import Throttle

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from validator.arguments import ArgumentParser
    from validator.monitor.loop import Finding, Verify
    from validator.monitor.sight import Watched
    from validator.policy.document import ModelValidation
    from validator.policy.workload import Revalidation
    from validator.report import Report
    from validator.verification import Request


def add_options(parser: ArgumentParser) -> None:
    """Describe the subcommand."""
    parser.description = (
        f"Verify the models of the ModelValidation in ${contract.POLICY_VARIABLE} again and "
        "again, as its spec.revalidation says; a line for each verdict."
    )
    parser.add_argument(
        "--status",
        action="store_true",
        help="only say what the running monitor has found; exit code 1 if that is not good",
    )
    parser.add_argument(
        "--state",
        default=contract.SERVICE_ACCOUNT_PATH,
        metavar="FOLDER",
        help="where the monitor keeps what it has found (default: %(default)s)",
    )
    parser.add_argument(
        "--stop",
        action="store_true",
        help=f"end with exit code {ExitCode.STOP} when a model that was good is refused, so that "
        "the kubelet begins the pod again",
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="form of the verdicts"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Verify until the container is stopped or, if it is to stop the pod, until that is due."""
    if arguments.status:
        good, sentence = status_file.read(arguments.state, now=time.monotonic())
        options.show(sentence)
        return ExitCode.VERIFIED if good else ExitCode.REFUSED
    from validator import from_policy

    _end_at_once_when_told()
    try:
        injected.make_undumpable()
        policy, revalidation = _policy()
        found = status_file.StatusFile(arguments.state)
        # Before anything of a volume is read, which may hang.
        _log_hangs(found, policy, form=arguments.format)
        requests = from_policy.requests(policy, cover=injected.cover())
    except (PolicyError, Refused, Undecided) as error:
        injected.leave_message(injected.sentence_message(error))
        raise
    audit = policy.spec.mode == "Audit"
    served = found.was_good
    for finding in _findings(policy, revalidation, requests, found=found):
        found.say(finding.sentence, good=audit or finding.verdict == "verified")
        if arguments.format == "json":
            options.show(injected.context(policy) | finding.as_dict())
        else:
            options.show(finding.as_text())
        sys.stdout.flush()
        # Before the first good verdict nothing is served, and the gate would only say the opposite.
        if arguments.stop and served and finding.verdict == "refused":
            from validator.report import short_message

            injected.leave_message(short_message(finding.verdict, finding.sentence))
            found.forget()
            return ExitCode.STOP
        served = served or finding.verdict == "verified"
    raise AssertionError  # there is always one more


def _log_hangs(found: status_file.StatusFile, policy: ModelValidation, *, form: str) -> None:
    """Say in the log when the monitor hangs, from a thread that touches no volume."""
    from validator.monitor.silence import hangs_of

    def watch() -> None:
        for sentence in hangs_of(lambda: found.silence, sleep=time.sleep):
            verdict = {"verdict": "undecided", "cause": "silence", "reason": sentence}
            options.show(injected.context(policy) | verdict if form == "json" else sentence)
            sys.stdout.flush()

    threading.Thread(target=watch, name="silence", daemon=True).start()


def _end_at_once_when_told() -> None:
    """Let SIGTERM end the process, also while its threads hang in a dead volume.

    A handler of Python's would wait for the main thread's system call. There is nothing to put in
    order before the end.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def wait() -> None:
        signal.sigwait({signal.SIGTERM})
        os._exit(ExitCode.VERIFIED)

    threading.Thread(target=wait, name="end", daemon=True).start()


def _policy() -> tuple[ModelValidation, Revalidation]:
    policy = injected.policy()
    if policy.spec.revalidation is None:
        raise PolicyError(f"{policy.reference} has no spec.revalidation: there is nothing to do")
    return policy, policy.spec.revalidation


def _findings(
    policy: ModelValidation,
    revalidation: Revalidation,
    requests: list[Request],
    *,
    found: status_file.StatusFile,
) -> Iterator[Finding]:
    from validator.monitor import loop
    from validator.monitor.sight import Watched, look

    def sleep(seconds: float) -> None:
        found.beat()
        time.sleep(seconds)

    models = [Watched(request) for request in requests]
    return loop.Monitor(
        models=models,
        look=lambda: look(models),
        verify=_verify(policy, models, rate=revalidation.rate, beat=found.beat),
        clock=time.monotonic,
        sleep=sleep,
        chance=random.SystemRandom().random,
        interval=revalidation.seconds,
        # Audit holds nothing back; and a monitor before this one has let the workload start.
        running=policy.spec.mode == "Audit" or found.was_good,
    ).findings()


def _verify(
    policy: ModelValidation, models: list[Watched], *, rate: int, beat: Callable[[], None]
) -> Verify:
    """Return what verifies all models: with all cores, or with one at a bounded rate."""

    def verify(*, beside: bool) -> tuple[Report, ...]:
        try:
            injected.stay_on_their_volumes([model.request for model in models])
        except (Refused, Undecided) as error:
            return injected.unjudged(policy, error)
        return tuple(
            options.judge(
                model.request._replace(jobs=1) if beside else model.request,
                display=_Pulse(beat, rate=rate if beside else None),
                memory=model.memory,
            )
            for model in models
        )

    return verify


class _Pulse:
    """A progress display that shows that the monitor moves, and keeps to the rate."""

    def __init__(self, beat: Callable[[], None], *, rate: int | None) -> None:
        self._beat = beat
        self._throttle = Throttle(rate, clock=time.monotonic, sleep=time.sleep) if rate else None

    def __call__(self, done: int, total: int) -> None:
        """Take note of `done` of `total` bytes."""
        self._beat()
        if self._throttle:
            self._throttle(done, total)

    def close(self) -> None:
        """Do nothing."""
