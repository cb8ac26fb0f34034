"""The distribution that pyproject.toml describes, built as a release builds it."""

import email
import re
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMAGE_TAG: Final = re.compile(
    r"(?:image: |name: )model-validation/\w+(?:[^:\n]*\n +newTag: |:)([\w.-]+)"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build the wheel from the checkout, with the build tool of the lock."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)),
        ],
        check=True,
        timeout=120,
    )
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_it_has_the_packages_and_their_types(wheel: zipfile.ZipFile) -> None:
    """Type checkers read our annotations, and no test is installed."""
    names = set(wheel.namelist())
    packages = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert packages == {"validator", "webhook", "certs"}
    assert {"validator/py.typed", "validator/vllm/releases/0.33.json"} <= names


def test_it_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    """An index shows the name, the version, the licence, and where to read more."""
    found = _metadata(wheel)
    assert found["Name"] == PROJECT["name"]
    assert found["Version"] == PROJECT["version"]
    assert found["License-Expression"] == "Apache-2.0"
    assert found.get_all("Project-URL")
    assert "Typing :: Typed" in (found.get_all("Classifier") or [])


def test_its_extras_ask_for_no_distribution_of_a_similar_name(wheel: zipfile.ZipFile) -> None:
    """`model-validation` on the package index is somebody else's: no extra installs it."""
    required = _metadata(wheel).get_all("Requires-Dist", [])
    assert "sigstore" in {re.split(r"[\[ ;<>=]", each)[0] for each in required}
    assert [each for each in required if "model-validation" in each] == []


def test_the_version_has_one_place() -> None:
    """Programs read the version of pyproject.toml at run time."""
    assert metadata.version(PROJECT["name"]) == PROJECT["version"]


@pytest.mark.parametrize("dockerfile", ["Dockerfile.validator", "Dockerfile.webhook"])
def test_an_image_that_is_built_by_hand_has_the_version(dockerfile: str) -> None:
    """The default of the Dockerfiles' argument becomes the image's label."""
    text = (ROOT / dockerfile).read_text()
    assert re.findall(r"^ARG VERSION=(.*)$", text, re.MULTILINE) == [PROJECT["version"]]


def test_the_manifests_ask_for_images_of_this_version() -> None:
    """`make images` tags them with it."""
    tags = {
        tag
        for path in (ROOT / "manifests").rglob("*.yaml")
        for tag in IMAGE_TAG.findall(path.read_text())
    }
    version = PROJECT["version"]
    assert tags == {version, f"{version}-debug"}


def _metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (each for each in wheel.namelist() if each.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name))
