"""A container's command line and environment, each read once and kept.

Several rules ask the same things of a container, and reading is the dearest part of a review.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from webhook.vllm import command_line, parser, recognition
from webhook.vllm.command_line import CommandLine, Environment, Form, MalformedError

if TYPE_CHECKING:
    from webhook.vllm.parser import Parsed


class Reading(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A container, and what it starts.

    Attributes:
        container: Its JSON, as it will run.
    """

    container: Mapping[str, Any]

    def remounted(self, container: Mapping[str, Any]) -> Reading:
        """Return the reading of the same container with other mounts, of which nothing is read."""
        made = Reading(container=container)
        vars(made).update({**vars(self), "container": container})
        return made

    @cached_property
    def environment(self) -> Environment:
        """Its variables.

        Raises:
            MalformedError: `env` is not a list of named variables, or too long.
        """
        return command_line.environment(self.container)

    @cached_property
    def line(self) -> CommandLine:
        """Its command line, expanded.

        Raises:
            MalformedError: `command` or `args` is not a list of texts, or too long; or `env` is.
        """
        return command_line.read(self.container, self.environment.values)

    @cached_property
    def length(self) -> int:
        """Characters of its variables and its command line, expanded.

        One that cannot be read, which may be for its length, counts as the longest.
        """
        try:
            values, line = self.environment.values, self.line
        except MalformedError:
            return 2 * command_line.EXPANSION_LIMIT
        return sum(map(len, values.values())) + sum(map(len, line.arguments))

    @cached_property
    def is_vllm(self) -> bool:
        """Whether it is seen to start vLLM.

        Raises:
            MalformedError: As of `line`.
        """
        return recognition.is_vllm(self)

    @cached_property
    def parsed(self) -> Parsed:
        """Its arguments, read as vLLM reads them.

        Raises:
            MalformedError: As of `line`.
            UnreadableError: vLLM would not read them either.
        """
        return parser.parse(self.line.arguments, serve=self.line.form is Form.SERVE)
