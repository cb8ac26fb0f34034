"""Options that the verifying subcommands share, and how a verification is run and shown.

Options follow `model_signing`, so that its users feel at home: its underscored
spellings are accepted beside the dashed ones.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from validator.cli import progress
from validator.contract import ExitCode
from validator.errors import ModelError, PolicyError, Refused, Undecided, ValidatorError
from validator.text import quoted

if TYPE_CHECKING:
    from validator.cli.progress import Progress
    from validator.report import Report
    from validator.signatures import Verifier
    from validator.verification import Memory, Request

_CODES = {"verified": ExitCode.VERIFIED, "refused": ExitCode.REFUSED}


def spelled(name: str) -> tuple[str, ...]:
    """Return an option's dashed spelling and, where it differs, the underscored one."""
    return tuple(dict.fromkeys((f"--{name}", f"--{name.replace('-', '_')}")))


def positive(text: str) -> int:
    """Parse a number of at least one, for argparse."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


positive.__name__ = "positive number"  # argparse puts it into its sentence


def filled(text: str) -> str:
    """Parse a text of UTF-8, for argparse; an unset variable of a script would make it empty."""
    if not text.encode():
        raise ValueError
    return text


filled.__name__ = "text"


def add_display(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how a verdict is shown and computed."""
    parser.add_argument(
        "--jobs",
        type=positive,
        metavar="N",
        help="threads and processes for hashing (default: the cores that its container is granted)",
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="form of the verdict"
    )
    parser.add_argument(
        "--progress",
        choices=("auto", "bar", "lines", "json", "none"),
        default="auto",
        help="progress on standard error; auto is a bar on a terminal, else a line now and then",
    )
    parser.set_defaults(unjudged=show_unjudged)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the model, its signature, and what may lie beside the signed files."""
    parser.add_argument("model", metavar="MODEL", help="the model's directory or file")
    parser.add_argument(
        "--signature",
        metavar="SIG",
        help="the signature's file (default: MODEL/model.sig)",
    )
    parser.add_argument(
        *spelled("ignore-paths"),
        action="append",
        default=[],
        metavar="PATH",
        help="a path in the model that need not be signed; may be repeated",
    )
    parser.add_argument(
        *spelled("ignore-git-paths"),
        action=argparse.BooleanOptionalAction,
        default=True,
        help="ignore .git, .gitattributes, .github and .gitignore at the top level; done "
        "unless --no-ignore-git-paths is given",
    )
    parser.add_argument(
        *spelled("ignore-unsigned-files"),
        action=argparse.BooleanOptionalAction,
        default=False,
        help="let unsigned files lie beside the signed ones",
    )
    parser.add_argument(
        "--digest",
        action="append",
        default=[],
        metavar="[statement:]sha256:HEX",
        help="accept only this root digest or digest of the signed statement; may be repeated",
    )
    parser.add_argument(
        *spelled("allow-legacy"),
        action="store_true",
        help="accept signatures of the predicate before 1.0, which says less",
    )
    add_display(parser)


def request(arguments: argparse.Namespace, verifier: Verifier) -> Request:
    """Return the verification that the command line asks for.

    Raises:
        PolicyError: An option's value makes no sense.
    """
    from validator.verification import Request

    model: str = arguments.model
    return Request(
        model=model,
        signature=arguments.signature or default_signature(model),
        verifiers=(verifier,),
        ignore_paths=tuple(_inside(model, path) for path in arguments.ignore_paths),
        ignore_git_paths=arguments.ignore_git_paths,
        ignore_unsigned_files=arguments.ignore_unsigned_files,
        digests=tuple(_digest(text) for text in arguments.digest),
        allow_legacy=arguments.allow_legacy,
        jobs=arguments.jobs,
    )


def default_signature(model: str) -> str:
    """Return where a model's signature lies by custom."""
    folder = os.path.dirname(model) if os.path.isfile(model) else model
    return os.path.join(folder, "model.sig")


def _inside(model: str, path: str) -> str:
    """Return `path` (against the current directory, as model_signing reads it) below the model."""
    here, root = os.path.abspath(path), os.path.abspath(model)  # no links resolved
    inside = os.path.relpath(here, root)
    if _is_outside(inside):  # or a link leads to the model: what is ignored may be one itself
        folder, name = os.path.split(here)
        inside = os.path.relpath(f"{os.path.realpath(folder)}/{name}", os.path.realpath(model))
    if _is_outside(inside):
        # An absolute path means the same either way, and so does none.
        hint = f"; if it is meant against the model, write {quoted(os.path.join(model, path))}"
        raise PolicyError(
            f"--ignore-paths {quoted(path)} is not inside the model: against the current "
            f"directory it is {quoted(here)}{'' if path.startswith('/') or not path else hint}"
        )
    return inside


def _is_outside(path: str) -> bool:
    return path in {".", ".."} or path.startswith("../")


def _digest(text: str) -> str:
    import re

    if not re.fullmatch("(statement:)?sha256:[0-9a-f]{64}", text):
        raise PolicyError(
            f"--digest {quoted(text)} is not 'sha256:' or 'statement:sha256:', and 64 "
            "lower-case hexadecimal digits"
        )
    return text


def show_unjudged(error: ValidatorError, arguments: argparse.Namespace) -> None:
    """Print why nothing was verified to programs that read verdicts; people get the sentence."""
    from validator.report import Report, Verdict

    if arguments.format != "json":
        return
    verdict = Verdict.REFUSED if isinstance(error, Refused) else Verdict.UNDECIDED
    model = str(arguments.model or "")
    show(Report(verdict=verdict, model=model, code=error.code, reason=str(error)).as_dict())


def run_one(request: Request, arguments: argparse.Namespace) -> ExitCode:
    """Verify, show the verdict, and return the exit code."""
    report = judge(request, display=progress.choose(arguments.progress, sys.stderr))
    show(report.as_dict() if arguments.format == "json" else report.as_text())
    return exit_code(report)


def judge(request: Request, *, display: Progress, memory: Memory | None = None) -> Report:
    """Verify and turn refusals into reports, too."""
    from validator.report import Report, Verdict
    from validator.tree import leases
    from validator.verification import verify

    began = time.monotonic()
    try:
        # A monitor reads slowly, beside a workload.
        if memory is None:
            leases.be_quiet()
        return verify(request._replace(forks=memory is None), progress=display, memory=memory)
    except (Refused, Undecided) as error:
        refused = isinstance(error, Refused)
        return Report(
            verdict=Verdict.REFUSED if refused else Verdict.UNDECIDED,
            model=str(request.model),
            code=error.code,
            reason=str(error),
            mismatches=_mismatches(error),
            is_unsettled=isinstance(error, ModelError) and error.is_unsettled,
            seconds=time.monotonic() - began,
        )
    finally:
        display.close()


def _mismatches(error: ValidatorError) -> tuple[str, ...]:
    # A single one stands in the sentence itself.
    found = error.mismatches if isinstance(error, ModelError) else ()
    return found if len(found) > 1 else ()


def exit_code(report: Report) -> ExitCode:
    """Return the exit code that says the report's verdict."""
    return _CODES.get(str(report.verdict), ExitCode.UNDECIDED)


def show(document: dict[str, Any] | str) -> None:
    """Print a verdict to standard output."""
    text = document if isinstance(document, str) else json.dumps(document)
    # What the terminal's encoding lacks must not turn a verdict into a failure.
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
