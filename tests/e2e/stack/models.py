"""The tiny model in the cache: trained once for each state of its script and each vLLM."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.stack import tiny_model
from tests.support.caching import cache, exclusive, say

if TYPE_CHECKING:
    from tests.e2e.stack.environments import Installed


def tiny(vllm: Installed) -> Path:
    """Return the model's folder, which is not to be changed; it is made if it is missing."""
    script = Path(tiny_model.__file__).read_bytes()
    key = hashlib.sha256(script + vllm.path.name.encode()).hexdigest()[:16]
    folder = cache("models") / f"tiny-{key}"
    with exclusive(cache("models")):
        if not folder.is_dir():
            say("the tiny model: training ...")
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            tiny_model.make(partial, python=vllm.python).replace(folder)
    return folder
