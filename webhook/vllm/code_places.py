"""Places from which vLLM's image runs code: a volume that is mounted there brings its own.

Belongs here: mounts that people should look at under `Check`. `Strict` allows no such mount.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Final

from validator.paths import Places, canonical, covers, related
from validator.text import quoted
from validator.vllm.facts import HOOK_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webhook.vllm.covered import Draft, Surroundings

_PACKAGES: Final = frozenset({"dist-packages", "site-packages"})

_PROGRAMS: Final = Places(
    (
        *("/bin", "/lib", "/lib32", "/lib64", "/opt/venv", "/root/.local", "/sbin", "/usr"),
        *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld.so.preload"),
        "/vllm-workspace/vllm",
    )
)
"""Folders from which vLLM's images start programs and load libraries and packages: those of any
distribution, the environments of vLLM's own Dockerfiles, the packages of the user root."""

_DATA: Final = "/usr/share"

_HOOK: Final = f"{HOOK_DIRECTORY}/model.py"

_COMPILED: Final = re.compile(r"/(?:\.cache(?:/(?:flashinfer|vllm)(?:/.*)?)?|\.triton(?:/.*)?)$")
"""Folders of a home in which vLLM, FlashInfer and Triton keep the code that they compile, by
default, and look for it at the next start."""


def judge_mounts(draft: Draft, surroundings: Surroundings) -> None:
    """Warn of mounts by which a volume brings code that vLLM runs."""
    for at, kind in (surroundings.mounts or {}).items():
        if _PACKAGES.intersection(at.split("/")):
            draft.warn(f"the mount at {quoted(at)} brings Python packages; see who writes them")
        elif not covers(_DATA, at) and _PROGRAMS.related(at):
            draft.warn(
                f"the mount at {quoted(at)} may bring programs, libraries or packages that vLLM "
                "runs; see who writes them"
            )
        if kind != "emptyDir" and _COMPILED.search(at):
            draft.warn(
                f"vLLM runs compiled code that it finds below {quoted(at)}, where a volume is "
                "mounted; see who writes it, or mount an emptyDir there"
            )
        if brings_hook(at, surroundings.model_paths):
            draft.warn(
                f"vLLM runs {HOOK_DIRECTORY}/model.py, which may come from the volume that is "
                f"mounted at {quoted(at)} and which no signature covers; mount it somewhere else"
            )


def judge_program(draft: Draft, program: str, surroundings: Surroundings) -> None:
    """Warn of a volume that brings the program itself, or the modules that Python finds first."""
    start = surroundings.working_dir if isinstance(surroundings.working_dir, str) else ""
    places = [posixpath.join(start, program)] if "/" in program else []
    if start and posixpath.basename(program).startswith("python"):
        places.append(start)
    for place in places:
        if surroundings.volume_kind(canonical(place)) is not None:
            draft.warn(
                f"{quoted(program)} starts at {quoted(place)}, which lies on a volume, and so may "
                "bring code of its own; see who writes there, or start the image's vLLM"
            )


def brings_hook(at: str, model_paths: Sequence[str]) -> bool:
    """Tell whether a mount may bring the script that vLLM's hook for SageMaker runs.

    Not where the script would be a file of a verified model: such a file is signed, or refused.
    """
    return related(at, _HOOK) and not any(covers(model, _HOOK) for model in model_paths)
