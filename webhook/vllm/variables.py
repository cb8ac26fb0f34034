"""Variables of a container by which vLLM would load unverified files or run code.

Belongs here: one variable after the other, by the table of options. Does not belong
here: `Strict`, which has a list of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from validator import contract
from validator.paths import canonical, covers
from validator.vllm.facts import is_off
from validator.vllm.options import TABLE
from validator.vllm.variable_kinds import Variable
from webhook.vllm.command_line import is_known
from webhook.vllm.covered import is_plain

if TYPE_CHECKING:
    from webhook.vllm.covered import Draft, Surroundings

PLACES_LIMIT: Final = 64
"""Parts of a search path that are read; a reference that is repeated makes millions of them out
of a kilobyte."""

_PLUGINS: Final = "VLLM_PLUGINS"
"""Which plugins vLLM loads, separated by commas; all, if it is not set."""

_CODE_PREFIXES: Final = ("CUSTOM_FASTAPI_", "LD_", "PYTHON", "SAGEMAKER_")
"""Variables of the loader, of Python and of vLLM's hook for SageMaker, which runs what they name:
those that the table does not have count as code."""

_HOMES: Final = {
    "HOME": "Python looks for packages of its user, and vLLM for compiled code; see who writes "
    'there, and set PYTHONNOUSERSITE to "1"',
    "XDG_CACHE_HOME": "vLLM looks for compiled code; see who writes there",
}
"""Directories below which code is loaded: what it is, for a sentence."""


def judge_variables(draft: Draft, surroundings: Surroundings) -> None:
    """Judge a container's variables."""
    environment = surroundings.environment
    names = environment.values.keys() | environment.unknown
    for name in sorted(filter(_is_looked_at, names)):
        value = environment.values.get(name)
        _judge(draft, name, value if value is None or is_known(value) else None, surroundings)


def _is_looked_at(name: str) -> bool:
    """Tell whether a variable has a meaning to vLLM, as few of a pod's own have."""
    return name in TABLE.environment or name in _HOMES or name.startswith(_CODE_PREFIXES)


def _judge(draft: Draft, name: str, value: str | None, surroundings: Surroundings) -> None:
    """Judge a variable; `value` is None where it cannot be known."""
    kind = _kind(name)
    if kind is Variable.REMOTE:
        if value is None or not is_off(value):
            draft.refuse(f"{name} lets vLLM load what no signature covers; remove it")
    elif kind in (Variable.PATH, Variable.CODE):
        if (value or "").count(":") >= PLACES_LIMIT:
            draft.refuse(f"{name} names more than {PLACES_LIMIT} places; name fewer")
            return
        inside = _inside(value or "", surroundings)
        if kind is Variable.PATH:
            _judge_path(draft, name, value, surroundings, inside=bool(inside))
        else:
            _judge_code(draft, name, value)
        draft.cover += inside
    elif name in _HOMES and value is not None and _on_a_volume(value, surroundings):
        draft.warn(f"{name} lies on a volume, where {_HOMES[name]}")


def _kind(name: str) -> Variable:
    if name not in TABLE.environment and name.startswith(_CODE_PREFIXES):
        return Variable.CODE
    return TABLE.environment.get(name, Variable.SAFE)


def _judge_path(
    draft: Draft, name: str, value: str | None, surroundings: Surroundings, *, inside: bool
) -> None:
    if value != "" and (not inside or ":" in (value or "")):
        draft.refuse(
            f"{name} names what vLLM loads, and is not seen to lie under "
            f"{surroundings.verified}; remove it"
        )


def _judge_code(draft: Draft, name: str, value: str | None) -> None:
    if name == _PLUGINS and value is not None and contract.VLLM_PLUGIN not in value.split(","):
        draft.refuse(
            f"{name} leaves out the check inside vLLM; add {contract.VLLM_PLUGIN}, or remove it"
        )
    else:
        draft.warn(f"{name} decides which code runs; see that it is the image's own")


def _inside(value: str, surroundings: Surroundings) -> list[str]:
    """Return the parts of a search path that lie in a model."""
    paths = [canonical(part) for part in value.split(":") if is_plain(part)]
    return [path for path in paths if any(covers(at, path) for at in surroundings.model_paths)]


def _on_a_volume(value: str, surroundings: Surroundings) -> bool:
    """Tell whether a directory lies on a volume that is not the pod's own."""
    if not is_plain(value):
        return False
    kind = surroundings.volume_kind(canonical(value))
    return kind not in (None, "emptyDir")
