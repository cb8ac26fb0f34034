"""The places of the workload's mounts within volumes: no link is there, and none hides a model."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from validator.errors import Refused, Undecided
from validator.tree import nests

if TYPE_CHECKING:
    from pathlib import Path


class Volumes:
    """Two volumes as a gate has them: the model's, and one within which something is mounted."""

    def __init__(self, folder: Path) -> None:
        self.models = folder / "models"
        self.home = folder / "volumes/0"
        self.model = self.models / "granite"
        for made in (self.model, self.models / "shared/deep", self.home / "vllm"):
            made.mkdir(parents=True)
        self.points = {"/", str(self.models), str(self.home)}

    def hidden(self, path: Path, shown: str | None = None) -> frozenset[str]:
        """Look at one place."""
        nested = {str(path): shown or str(path)}
        return nests.places(nested, [self.model], points=self.points)


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    """Volumes, on this disk."""
    return Volumes(tmp_path)


def test_folders_stay_where_they_are(volumes: Volumes) -> None:
    """Only what lies on a model's own mount could hide a part of the model."""
    place = volumes.models / "shared/deep"
    assert volumes.hidden(place) == {str(place)}
    assert volumes.hidden(volumes.home / "vllm", "/root/.cache/vllm") == frozenset()


def test_a_runtime_makes_what_is_missing_where_it_may_write(volumes: Volumes) -> None:
    """A new cache is empty; the model's volume is read-only."""
    assert volumes.hidden(volumes.home / "a/b", "/root/.cache/a/b") == frozenset()
    (volumes.home / "file").touch()
    assert volumes.hidden(volumes.home / "file/b", "/root/.cache/file/b") == frozenset()
    with pytest.raises(Refused, match=r"nothing at .*absent.*: create a folder there"):
        volumes.hidden(volumes.models / "absent")


@pytest.mark.parametrize("target", ["../models/granite", "{}/granite", "granite", "absent", "."])
@pytest.mark.parametrize("part", ["link", "link/below", "folder/link"])
def test_a_link_on_the_way_is_refused_wherever_it_leads(
    volumes: Volumes, target: str, part: str
) -> None:
    """In the workload it may lead elsewhere than here, and tomorrow elsewhere than today."""
    for volume, shown in ((volumes.models, None), (volumes.home, "/root/.cache/x")):
        (volume / "folder").mkdir(exist_ok=True)
        for link in ("link", "folder/link"):
            (volume / link).symlink_to(target.format(volumes.models))
        with pytest.raises(Refused, match="there is a link on the way to"):
            volumes.hidden(volume / part, shown)


def test_links_of_the_image_are_followed(volumes: Volumes, tmp_path: Path) -> None:
    """As /var/run is one."""
    (tmp_path / "run").symlink_to(volumes.models)
    shown = str(tmp_path / "run/shared")
    found = nests.places({shown: shown}, [tmp_path / "run/granite"], points=volumes.points)
    assert found == {str(volumes.models / "shared")}


def test_a_volume_that_is_not_here_is_undecided(volumes: Volumes) -> None:
    """A volume that is not mounted here was not looked at."""
    with pytest.raises(Undecided, match="the volume around the workload's mount '/x/y' is not"):
        nests.places({"/nowhere/0/y": "/x/y"}, [volumes.model], points=volumes.points)


@pytest.mark.parametrize("shown", ["models", "."])
def test_nothing_lies_where_a_models_volume_is_mounted(
    volumes: Volumes, tmp_path: Path, shown: str
) -> None:
    """Also where it is mounted deeper: who moves the folder away would uncover what lies below."""
    place, at = volumes.home / "place", os.path.normpath(tmp_path / shown)
    assert volumes.hidden(place, at) == frozenset()
    place.mkdir()
    assert volumes.hidden(place, at) == frozenset()
    (place / "granite").mkdir()
    with pytest.raises(Refused, match=r"there are files at .* on the volume around it"):
        volumes.hidden(place, at)


def test_a_file_in_the_models_place_is_empty(volumes: Volumes) -> None:
    """A runtime makes an empty one to mount a single file on."""
    place = volumes.home / "place"
    place.touch()
    assert volumes.hidden(place, str(volumes.models)) == frozenset()
    place.write_text("x")
    with pytest.raises(Refused, match="there are files at"):
        volumes.hidden(place, str(volumes.models))


def test_the_models_own_files_may_lie_in_its_place(
    volumes: Volumes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a claim is mounted, and a part of it once more at its own path."""
    (volumes.home / "models/granite").mkdir(parents=True)
    # Only a mount, which takes root, makes two paths of one folder.
    monkeypatch.setattr(os.path, "samefile", lambda *_: True)
    assert volumes.hidden(volumes.home / "models", str(volumes.models)) == frozenset()


def test_a_place_that_cannot_be_listed_is_undecided(
    volumes: Volumes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may list everything: the error is the disk's."""

    def failing(path: str) -> None:
        raise OSError(5, os.strerror(5), path)

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(Undecided, match=r"the place of the mount .* cannot be read"):
        volumes.hidden(volumes.home / "vllm", str(volumes.models))


@pytest.mark.parametrize("path", ["/a\0b", "/a/\ud800"])
def test_what_is_no_path_is_undecided(volumes: Volumes, path: str) -> None:
    """JSON holds more texts than there are paths."""
    with pytest.raises(Undecided, match="is not a path"):
        nests.places({path: path}, [volumes.model], points=volumes.points)


def test_a_place_that_cannot_be_looked_at_is_undecided(volumes: Volumes) -> None:
    """A name that is too long stands for all that a disk may say."""
    with pytest.raises(Undecided, match="the place of the mount '/x/y' cannot be read"):
        volumes.hidden(volumes.home / ("x" * 300) / "y", "/x/y")


@pytest.mark.parametrize(
    ("place", "apart"),
    [
        ("other", True),
        ("granite2", True),
        ("granite", False),
        ("granite/cache", False),
        (".", False),
    ],
)
def test_nothing_is_mounted_over_the_model(volumes: Volumes, place: str, *, apart: bool) -> None:
    """By the real path: the model may be reached by a link on its volume."""
    link = volumes.models / "current"
    link.symlink_to("granite")
    hidden = [os.path.normpath(volumes.models / place)]
    for model in (volumes.model, link):
        if apart:
            nests.check_apart(model, hidden)
        else:
            with pytest.raises(Refused, match="within or above what the model"):
                nests.check_apart(model, hidden)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    ("place", "hides"),
    [
        ("hub/blobs", "shared"),
        (f"hub/blobs/00/{'0' * 64}", "shared"),
        ("hub/other", "shared"),
        ("hub/models--a--b/blobs", "always"),
        ("hub/models--a--b/blobs/x", "always"),
        ("hub/models--a--b/refs", "always"),
        ("xet", "never"),
    ],
)
def test_nothing_is_mounted_over_blobs_of_the_models_cache(
    volumes: Volumes, place: str, hides: str, *, shared: bool
) -> None:
    """The folder that a snapshot's links may lead to is the hub's where it has shared blobs."""
    hub = volumes.models / "hub"
    snapshot = hub / "models--a--b/snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    if shared:
        (hub / "blobs").mkdir()
        (hub / "blobs/.huggingface-shared-blobs").touch()
    link = volumes.models / "current"
    link.symlink_to(snapshot.relative_to(volumes.models))
    hidden = [str(volumes.models / place)]
    if hides == "always" or (hides == "shared" and shared):
        with pytest.raises(Refused, match=r"within or above what the model .*: mount it outside"):
            nests.check_apart(link, hidden)
    else:
        nests.check_apart(link, hidden)
