"""Links on the way to a model: on its volume, or out of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from validator.errors import Undecided
from validator.limits import DEFAULT
from validator.tree import mounts
from validator.tree.mounts import leaves_its_volume, mount_points

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """Two volumes, `models` and `sigs`, each with a model in it."""
    for name in ("models/real", "models/deep/real", "sigs/real"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def leaves(volumes: Path, path: str = "models/granite") -> bool:
    """Tell whether a path leaves its volume."""
    points = {"/", str(volumes / "models"), str(volumes / "sigs")}
    return leaves_its_volume(volumes / path, points=points, limits=DEFAULT)


@pytest.mark.parametrize("target", ["real", "./real", "deep/../real", "deep//real/", "absent"])
def test_links_on_the_volume_are_followed(volumes: Path, target: str) -> None:
    """`current -> v2` is how people switch models."""
    (volumes / "models/granite").symlink_to(target)
    assert not leaves(volumes)


@pytest.mark.parametrize("target", ["../sigs/real", "../models/real", "..", "/etc", "{}/sigs/real"])
def test_links_out_of_the_volume_are_told(volumes: Path, target: str) -> None:
    """Also those that come back: what lies between is not the same everywhere."""
    (volumes / "models/granite").symlink_to(target.format(volumes))
    assert leaves(volumes)


def test_a_link_above_the_model_and_one_after_another_count(volumes: Path) -> None:
    """Every component of the path is looked at, and every link's target."""
    (volumes / "models/above").symlink_to("../sigs")
    assert leaves(volumes, "models/above/real")
    (volumes / "models/first").symlink_to("above/real")
    assert leaves(volumes, "models/first")


def test_a_link_that_is_not_on_a_volume_is_the_images(volumes: Path) -> None:
    """As /var/run is: it belongs to the image, and not to the model's writer."""
    (volumes / "granite").symlink_to("models/real")
    assert not leaves(volumes, "granite")
    (volumes / "models/circle").symlink_to("circle")
    assert not leaves(volumes, "models/circle")


def test_the_kernel_says_what_is_mounted() -> None:
    """The root is, and whatever else a path can be asked of."""
    points = mount_points()
    assert {"/", "/proc"} <= points
    assert all(os.path.lexists(point) for point in points if point.startswith("/proc"))


@pytest.mark.parametrize("text", [None, "22 1 8:1 /\n"])
def test_without_the_kernels_list_there_is_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    """Where /proc is missing or says something else, no path is believed to stay on its volume."""
    listed = tmp_path / "mountinfo"
    if text is not None:
        listed.write_text(text)
    monkeypatch.setattr(mounts, "_MOUNTINFO", str(listed))
    with pytest.raises(Undecided, match="the mounted volumes cannot be read from"):
        mount_points()
