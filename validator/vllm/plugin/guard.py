"""The guard: nothing is opened by an engine before the policy's models are verified.

vLLM reads config.json, tokenizer and code of the model long before its weights:
a loader's hook would come too late. So the guard stands before the three methods
of `EngineArgs` from which all of these reads start, in each process that makes
an engine. It decides anew at each of them, since the arguments change on the
way: a signed config.json may name another model to be opened.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from validator import contract
from validator.errors import PolicyError, Refused, Undecided
from validator.files import read_anchor
from validator.policy.document import ModelValidation
from validator.text import printable, quoted, size
from validator.vllm.plugin import engine_arguments, inherited_verdicts, model_files

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, MutableMapping

    from validator.vllm.plugin.engine_arguments import NamedPath

READERS: Final = ("create_engine_config", "create_model_config", "create_speculative_config")
"""The methods of `EngineArgs` that read the model, or have it read."""

_GUARDED: Final = "_model_validation_guard"
"""The attribute by which a guarded class is known."""


class Guard:
    """Verifies under one policy, once, and refuses what lies outside of it."""

    def __init__(
        self, text: str, *, environment: MutableMapping[str, str], log: logging.Logger
    ) -> None:
        """Remember the policy; it is read when it is needed.

        Args:
            text: The policy as JSON or YAML, or the absolute path of its file.
            environment: The process' own variables.
            log: Where verdicts are told.
        """
        self._text = text
        self._environment = environment
        self._log = log
        self._verified: frozenset[str] = frozenset()
        self._let_pass = False

    def install(self, engine_args: type[Any]) -> None:
        """Stand before the methods of vLLM's `EngineArgs`, unless a guard does already.

        Raises:
            Undecided: It is not the class that we know.
        """
        if _GUARDED in vars(engine_args):
            return
        known = {field.name for field in dataclasses.fields(engine_args)} | vars(engine_args).keys()
        missing = sorted({*engine_arguments.FIELDS, *READERS, "from_cli_args"} - known)
        if missing:
            raise Undecided(
                f"this vLLM cannot be guarded: its EngineArgs has no {', '.join(missing)}; use a "
                "release of vLLM and of model-validation that fit together"
            )
        for name in READERS:
            setattr(engine_args, name, self._guarded(getattr(engine_args, name)))
        made = vars(engine_args)["from_cli_args"].__func__
        engine_args.from_cli_args = classmethod(self._guarded_command_line(made))
        setattr(engine_args, _GUARDED, self)

    def check_start(self) -> None:
        """Check what is known before there are arguments.

        Raises:
            PolicyError: The policy is none.
            Refused: A variable lets vLLM load what no signature covers.
        """
        self._enforce(lambda: engine_arguments.refuse_variables(self._environment))

    def check(self, arguments: Any, opened: Iterable[NamedPath]) -> None:
        """Verify the policy's models, and that what is opened lies in them.

        Args:
            arguments: vLLM's `EngineArgs`.
            opened: What it opens.

        Raises:
            PolicyError: The policy is none, or one of its trust anchors.
            Refused: A model must not be served, or something else would be opened.
            Undecided: The verdict could not be reached.
        """

        def decide() -> None:
            engine_arguments.refuse_variables(self._environment)
            engine_arguments.refuse_remote(arguments)
            paths = frozenset(_path_in_a_model(self._policy, named) for named in opened)
            self._verify(paths)
            # What is verified may be read, and may name more.
            also = model_files.named(sorted(paths), trusts_code=bool(arguments.trust_remote_code))
            self._verify(paths | {_path_in_a_model(self._policy, named) for named in also})

        self._enforce(decide)

    def _guarded(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def guarded(arguments: Any, *others: Any, **named: Any) -> Any:
            self.check(arguments, engine_arguments.of_engine(arguments))
            made = method(arguments, *others, **named)
            parallel = getattr(made, "parallel_config", None)
            if parallel is not None:
                self._enforce(lambda: _refuse_ray(parallel))
            return made

        return guarded

    def _guarded_command_line(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def guarded(kind: type[Any], command_line: Any, *others: Any, **named: Any) -> Any:
            arguments = method(kind, command_line, *others, **named)
            opened = [
                *engine_arguments.of_engine(arguments),
                *engine_arguments.of_server(command_line),
            ]
            self.check(arguments, opened)
            return arguments

        return guarded

    @functools.cached_property
    def _policy(self) -> ModelValidation:
        """The policy.

        Raises:
            PolicyError: There is none.
            Undecided: Its file cannot be read.
        """
        text, source = os.fsencode(self._text), f"${contract.POLICY_VARIABLE}"
        if self._text.startswith("/"):
            source = self._text
            text = read_anchor(Path(source), what="policy")
        return ModelValidation.from_yaml(text, source=source)

    def _enforce(self, decide: Callable[[], None]) -> None:
        """Let a decision be told; in Audit mode the first refusal is, and has no effect."""
        policy = self._policy
        if self._let_pass:
            return
        try:
            decide()
        except (PolicyError, Refused, Undecided) as error:
            self._log.error("Verification failed: %s", printable(str(error)))
            if policy.spec.mode != "Audit":
                raise
            self._log.warning("%s is in Audit mode: let pass all the same", policy.reference)
            self._let_pass = True

    def _verify(self, paths: frozenset[str]) -> None:
        """Verify the models of the policy, unless that was done for these paths."""
        policy = self._policy
        key = hashlib.sha256(msgspec.json.encode(policy)).hexdigest()
        if paths <= self._verified | inherited_verdicts.inherited(self._environment, policy=key):
            return
        try:
            # Here, where it is no import of ours: cryptography may be missing.
            from validator.from_policy import requests
            from validator.verification import verify

            reports = [verify(request) for request in requests(policy, cover=tuple(sorted(paths)))]
        except ImportError as error:
            raise Undecided(
                f"nothing can be verified without {quoted(error.name)}: run "
                "`pip install '.[vllm]'` in a checkout of this project, with the pip of vLLM"
            ) from error
        for report in reports:
            self._log.info(
                "Verification succeeded: %s, %d files, %s, in %.1f s",
                printable(report.model),
                report.files,
                size(report.bytes),
                report.seconds,
            )
        self._verified |= paths
        inherited_verdicts.leave(self._environment, policy=key, paths=sorted(self._verified))


def _path_in_a_model(policy: ModelValidation, named: NamedPath) -> str:
    """Return the path that an engine opens, canonical.

    Raises:
        Refused: It is none, or lies in no model of the policy.
    """
    models = [model.path for model in policy.spec.all_models]
    told, instead = f"{named.option} {quoted(named.value)}", " or ".join(models)
    if not isinstance(named.value, str) or not named.value.startswith("/"):
        raise Refused(
            f"{told} is not an absolute path, and may be anything; name one under {instead}"
        )
    if ".." in named.value.split("/"):
        raise Refused(f"{told} goes up by '..', past links too; write the path out")
    path = posixpath.normpath(f"/{named.value.lstrip('/')}")
    if not any(f"{path}/".startswith(f"{model}/") for model in models):
        raise Refused(f"{told} lies in no model that the policy verifies; name one under {instead}")
    return path


def _refuse_ray(parallel: Any) -> None:
    """Refuse workers on other machines.

    Args:
        parallel: vLLM's `ParallelConfig`.

    Raises:
        Refused: Ray starts workers, anywhere.
    """
    if parallel.use_ray or parallel.data_parallel_backend == "ray":
        raise Refused(
            "Ray starts workers that may read the model on machines where it was not verified; "
            "use the executor mp, which starts a vLLM with this check on each"
        )
