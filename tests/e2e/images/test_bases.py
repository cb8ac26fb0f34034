"""The Dockerfiles on other bases than the one that the lanes use."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.e2e.images import base
from tests.e2e.images.buildah import buildah, container
from tests.e2e.images.building import build_on
from tests.e2e.images.running import PYTHON
from tests.e2e.images.unpacking import unpacked
from tests.support.caching import cache, shared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.e2e.images.building import Image
    from tests.e2e.images.fixtures import ImageFactory


def without_a_shell(validator: str) -> str:
    """Make a base of Python and nothing else, like the distroless ones, and return its id."""
    with container(validator) as (made, root):
        shutil.rmtree(root / "opt/model-validation")
        buildah("config", "--env=PATH=/usr/local/bin:/usr/bin:/bin", "--entrypoint=[]", made)
        return buildah("commit", "--quiet", made)


def test_the_final_stage_needs_no_shell(
    image: ImageFactory, built_images: Mapping[str, Image]
) -> None:
    """BASE may be distroless where BUILDER is not."""
    identity = image("validator").identity
    with shared(cache("images")):
        bare = without_a_shell(identity)
        built = build_on(built_images["validator"], bare, builder=base.name())
    with unpacked(built) as on_bare:
        assert on_bare.run("--help").code == 0
        script = "import validator.signatures.keyless"
        assert on_bare.run("-I", "-c", script, entrypoint=[PYTHON]).code == 0
