"""The judge: whether an engine may open what it is about to open, by one policy.

All models of the policy are verified for the first question, and each path that is opened must
lie in one of them, and be signed. Belongs here: one method for each kind of question that the
guard's doors put (`validator.vllm.plugin.doors`).
"""

from __future__ import annotations

import functools
import hashlib
import os
import posixpath
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from validator import contract
from validator.errors import PolicyError, Refused, Undecided
from validator.files import read_anchor
from validator.from_policy import requests
from validator.policy.files import read_policy
from validator.text import printable, quoted, size
from validator.verification import verify
from validator.vllm.plugin import engine_arguments, hosting_hook, inherited_verdicts, model_files
from validator.vllm.plugin.engine_arguments import NamedPath

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, MutableMapping

    from validator.policy.document import ModelValidation


class Judge:
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
        self._followed: set[tuple[frozenset[str], bool]] = set()
        self._verifying = threading.Lock()
        self._let_pass = False

    def start(self) -> None:
        """Check what is known before there are arguments.

        Raises:
            PolicyError: The policy is not valid.
            Refused: A variable lets vLLM load what no signature covers.
        """
        self._enforce(lambda: engine_arguments.refuse_variables(self._environment))

    def engine(self, arguments: Any) -> None:
        """Check what an engine opens by its `EngineArgs`, or by a `ModelConfig`."""
        self._check(engine_arguments.of_engine(arguments), arguments)

    def server(self, arguments: Any, command_line: Any) -> None:
        """Check what a server opens: its engine, files of its own, and scripts that it runs."""
        opened = [
            *engine_arguments.of_engine(arguments),
            *engine_arguments.of_server(command_line),
        ]
        if engine_arguments.is_server(command_line):
            opened += hosting_hook.scripts(self._environment)
        self._enforce(lambda: engine_arguments.refuse_requests(command_line))
        self._check(opened, arguments)

    def weights(self, load_config: Any, config: Any | None, source: object) -> None:
        """Check where a loader takes weights from.

        Args:
            load_config: vLLM's `LoadConfig`.
            config: vLLM's `ModelConfig`, if the loader is given one.
            source: A path, if the loader is given one.
        """
        opened = [] if config is None else [*engine_arguments.of_engine(config)]
        if source is not None:
            opened.append(NamedPath(option="the weights' source", value=source))
        self._check(opened, load_config, config)

    def path(self, what: str, path: object) -> None:
        """Check a single path; `what` says whose it is."""
        value = str(path) if isinstance(path, Path) else path
        self._check([NamedPath(option=what, value=value)])

    def workers(self, parallel: Any) -> None:
        """Refuse workers on other machines.

        Args:
            parallel: vLLM's `ParallelConfig`.
        """
        self._enforce(lambda: _refuse_ray(parallel))

    def snapshot(self) -> None:
        """Refuse a process image: the weights in its memory come from no file that is verified."""

        def refuse() -> None:
            raise Refused(
                "a snapshot brings weights that no signature covers; serve the model itself"
            )

        self._enforce(refuse)

    def _check(self, opened: Iterable[NamedPath], *settings: Any) -> None:
        """Verify the policy's models, and that what is opened lies in them.

        Args:
            opened: What is opened.
            settings: vLLM's objects that decide how it is opened.

        Raises:
            PolicyError: The policy or one of its trust anchors is not valid.
            Refused: A model must not be served, or something else would be opened.
            Undecided: The verdict could not be reached.
        """

        def decide() -> None:
            engine_arguments.refuse_variables(self._environment)
            for each in settings:
                engine_arguments.refuse_another_vllm(each)
                engine_arguments.refuse_remote(each)
            paths = frozenset(_path_in_a_model(self._policy, named) for named in opened)
            self._verify(paths)
            trusts = any(getattr(each, "trust_remote_code", False) for each in settings)
            self._follow(paths, trusts_code=trusts)

        self._enforce(decide)

    def _follow(self, paths: frozenset[str], *, trusts_code: bool) -> None:
        """Check what verified files name: they may be read now, and may name more."""
        if (paths, trusts_code) in self._followed:
            return
        also = model_files.named(sorted(paths), trusts_code=trusts_code)
        self._verify(paths | {_path_in_a_model(self._policy, named) for named in also})
        self._followed.add((paths, trusts_code))

    @functools.cached_property
    def _policy(self) -> ModelValidation:
        """The policy.

        Raises:
            PolicyError: It is not valid.
            Undecided: Its file cannot be read.
        """
        text, source = os.fsencode(self._text), f"${contract.POLICY_VARIABLE}"
        if self._text.startswith("/"):
            source = self._text
            text = read_anchor(Path(source), what="policy")
        return read_policy(text, source=source)

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
        with self._verifying:  # the second of two threads takes the first one's verdict
            if paths <= self._verified | inherited_verdicts.inherited(
                self._environment, policy=key
            ):
                return
            reports = [verify(request) for request in requests(policy, cover=tuple(sorted(paths)))]
            for report in reports:
                self._say(
                    f"Verification succeeded: {printable(report.model)}, {report.files} files, "
                    f"{size(report.bytes)}, in {report.seconds:.1f} s"
                )
            self._verified |= paths
            inherited_verdicts.leave(self._environment, policy=key, paths=sorted(self._verified))

    def _say(self, sentence: str) -> None:
        """Tell good news; in a program of its own, vLLM sets up its log only later."""
        if self._log.hasHandlers():
            self._log.info("%s", sentence)
        else:
            sys.stderr.write(f"{sentence}\n")


def _path_in_a_model(policy: ModelValidation, named: NamedPath) -> str:
    """Return the path that an engine opens, canonical.

    Raises:
        Refused: It is not a path, or lies in no model of the policy.
    """
    models = [model.path for model in policy.spec.all_models]
    told = f"{named.option} {quoted(str(named.value))}"  # as Python has it, as vLLM is
    instead = named.instead or f"name one under {' or '.join(models)}"
    if not isinstance(named.value, str) or not named.value.startswith("/"):
        raise Refused(f"{told} is not an absolute path, and may be anything; {instead}")
    if ".." in named.value.split("/"):
        raise Refused(f"{told} goes up by '..', past links too; write the path out")
    path = posixpath.normpath(f"/{named.value.lstrip('/')}")
    if not any(f"{path}/".startswith(f"{model}/") for model in models):
        raise Refused(f"{told} lies in no model that the policy verifies; {instead}")
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
