"""What the person who installs the webhook decides, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

GATE_COMMAND: Final = ("/opt/model-validation/bin/python", "-I", "-m", "validator")
"""The validator in its image: isolated from HOME, the working directory and PYTHON* variables."""

GATE_USER: Final = 65532
"""The validator image's own numeric user, for pods that name none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """The gate's image and how it is started.

    Attributes:
        image: Image reference of the validator.
        accepted_images: Further references that the validating side accepts in a
            pod, such as the previous release's during a rollout.
        command: The program, by absolute path, without the subcommand.
        user: The image's numeric user.
    """

    image: str
    accepted_images: tuple[str, ...] = ()
    command: tuple[str, ...] = GATE_COMMAND
    user: int = GATE_USER


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceOptions:
    """A namespace, as far as its labels steer us (they belong to the cluster's admin)."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
