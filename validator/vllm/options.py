"""The table of vLLM's options and variables: what each of them opens.

Belongs here: the table's form, and what its words mean. The table itself is
`options.json`, which `scripts/generate_vllm_options.py` writes. The webhook reads
command lines by it, and the check inside vLLM the engine's arguments.
"""

from __future__ import annotations

from enum import StrEnum
from importlib import resources
from typing import Final

import msgspec


class Kind(StrEnum):
    """The kind of thing that an option opens; the table describes it."""

    SAFE = "safe"
    PEER = "peer"
    MODEL = "model"
    TOKENIZER = "tokenizer"
    CONFIG = "config"
    ADAPTER = "adapter"
    DRAFT = "draft"
    TEMPLATE = "template"
    REVISION = "revision"
    CACHE = "cache"
    ARGUMENTS = "arguments"
    CODE = "code"
    WATCHED = "watched"
    PATHS = "paths"
    OPAQUE = "opaque"
    REMOTE = "remote"


class Variable(StrEnum):
    """The kind of thing that an environment variable decides; the table describes it."""

    SAFE = "safe"
    CODE = "code"
    PATH = "path"
    REMOTE = "remote"
    CACHE = "cache"


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key of a JSON option that opens something, and values with which it does not."""

    kind: Kind
    known: tuple[str, ...] = ()


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """An option: its spellings, how many values it takes, what they open.

    Attributes:
        dest: argparse's name for it, which is its field in vLLM's `EngineArgs`.
        flags: Its spellings; none for the positional argument.
        arity: argparse's `nargs`.
        kind: What its values open.
        json: Whether a value is JSON.
        known: Values that open nothing.
        keys: For JSON: the keys that open something, at any depth.
    """

    dest: str
    flags: tuple[str, ...]
    arity: int | str | None
    kind: Kind
    json: bool = False
    known: tuple[str, ...] = ()
    keys: dict[str, Key] = {}


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """All options and variables of one release of vLLM.

    Attributes:
        vllm: The release.
        kinds: The meaning of each `Kind` and each `Variable`, in words.
        environment: What each variable decides.
        options: In the order of vLLM's parser.
    """

    vllm: str
    kinds: dict[str, dict[str, str]]
    environment: dict[str, Variable]
    options: tuple[Option, ...]

    def variables(self, *kinds: Variable) -> frozenset[str]:
        """Return the names of the variables of some kinds."""
        return frozenset(name for name, kind in self.environment.items() if kind in kinds)


TABLE: Final = msgspec.json.decode(
    resources.files("validator.vllm").joinpath("options.json").read_bytes(), type=Table
)
OPTIONS: Final = {option.dest: option for option in TABLE.options}
"""The options by argparse's name."""

MODEL_KEYS: Final = frozenset(
    key for key, rule in OPTIONS["hf_overrides"].keys.items() if rule.kind is Kind.DRAFT
)
"""Fields of a model's configuration by which vLLM loads another model."""
