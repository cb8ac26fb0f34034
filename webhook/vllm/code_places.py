"""Places from which vLLM's image runs code: a volume that is mounted there brings its own.

Belongs here: mounts that people should look at under `Check`. `Strict` allows no such mount.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from validator.paths import covers, related
from validator.text import quoted
from validator.vllm.facts import HOOK_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webhook.vllm.covered import Draft, Surroundings

_PACKAGES: Final = frozenset({"dist-packages", "site-packages"})

_PROGRAMS: Final = (
    *("/bin", "/lib", "/lib32", "/lib64", "/opt/venv", "/root/.local", "/sbin", "/usr"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld.so.preload"),
    "/vllm-workspace/vllm",
)
"""Folders from which vLLM's images start programs and load libraries and packages: those of any
distribution, the environments of vLLM's own Dockerfiles, the packages of the user root."""

_DATA: Final = "/usr/share"


def judge_mounts(draft: Draft, surroundings: Surroundings) -> None:
    """Warn of mounts by which a volume brings code that vLLM runs."""
    for at in surroundings.mounts or ():
        if _PACKAGES.intersection(at.split("/")):
            draft.warn(f"the mount at {quoted(at)} brings Python packages; see who writes them")
        elif not covers(_DATA, at) and any(related(at, place) for place in _PROGRAMS):
            draft.warn(
                f"the mount at {quoted(at)} may bring programs, libraries or packages that vLLM "
                "runs; see who writes them"
            )
        if brings_hook(at, surroundings.model_paths):
            draft.warn(
                f"vLLM runs {HOOK_DIRECTORY}/model.py, which may come from the volume that is "
                f"mounted at {quoted(at)} and which no signature covers; mount it somewhere else"
            )


def brings_hook(at: str, model_paths: Sequence[str]) -> bool:
    """Tell whether a mount may bring the script that vLLM's hook for SageMaker runs.

    Not where the script would be a file of a verified model: such a file is signed, or refused.
    """
    script = f"{HOOK_DIRECTORY}/model.py"
    return related(at, script) and not any(covers(model, script) for model in model_paths)
