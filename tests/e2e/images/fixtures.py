"""The built images as fixtures; whatever uses them is marked `images`."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.e2e.images import building
from tests.e2e.images.buildah import ImagesMissingError, check_machine
from tests.e2e.images.unpacking import unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.e2e.images.running import Unpacked

REQUIRE = "MODEL_VALIDATION_REQUIRE_IMAGES"
"""Set to 1 in CI: a lane that cannot run is then a failure, not a skip."""


class ImageFactory(Protocol):
    """The type of the fixture `image`."""

    def __call__(self, target: str) -> Unpacked:
        """Return the image of this target, unpacked once a session."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the tests that need the images."""
    if "built_images" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.images)


@pytest.fixture(scope="session")
def built_images() -> Mapping[str, building.Image]:
    """The images by target, built from this tree."""
    try:
        check_machine("buildah", "runc")
        return building.find()
    except ImagesMissingError as error:
        missing = str(error)
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{REQUIRE}=1, but: {missing}", pytrace=False)
    pytest.skip(missing)


@pytest.fixture(scope="session")
def image(built_images: Mapping[str, building.Image]) -> Iterator[ImageFactory]:
    """Unpack images; all of them are removed after the session."""
    with ExitStack() as stack:
        made: dict[str, Unpacked] = {}

        def make(target: str) -> Unpacked:
            if target not in made:
                archive = f"docker-archive:{built_images[target].archive}"
                made[target] = stack.enter_context(unpacked(archive))
            return made[target]

        yield make
