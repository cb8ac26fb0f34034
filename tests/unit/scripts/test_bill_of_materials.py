from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scripts import bill_of_materials

if TYPE_CHECKING:
    from importlib.metadata import Distribution

SCRIPT = Path(bill_of_materials.__file__)
DPKG = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2:2.36-9+deb12u10
Description: library
 of folded lines

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
APK = "C:Q1\nP:musl\nV:1.2.5-r9\nA:x86_64\nL:MIT\n\nP:libstdc++\nV:14\nA:x86_64\n"


def run() -> str:
    """Return what the script prints in this environment."""
    return subprocess.run(
        [sys.executable, "-I", "-"],
        input=SCRIPT.read_text(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_two_runs_print_the_same() -> None:
    """And each reference leads to a component."""
    text = run()
    assert run() == text
    document: dict[str, Any] = json.loads(text)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    references = [each["bom-ref"] for each in document["components"]]
    assert len(references) == len(set(references))
    known = {*references, document["metadata"]["component"]["bom-ref"]}
    for each in document["dependencies"]:
        assert {each["ref"], *each["dependsOn"]} <= known
    needed = {each["ref"]: each["dependsOn"] for each in document["dependencies"]}
    aiohttp = f"pkg:pypi/aiohttp@{metadata.version('aiohttp')}"
    assert f"pkg:pypi/yarl@{metadata.version('yarl')}" in needed[aiohttp]


@pytest.mark.parametrize(
    ("database", "content", "expected"),
    [
        (
            "DEBIAN",
            DPKG,
            ["pkg:deb/debian/libc6@2%3A2.36-9%2Bdeb12u10?arch=amd64&distro=debian-12"],
        ),
        (
            "ALPINE",
            APK,
            [
                "pkg:apk/debian/musl@1.2.5-r9?arch=x86_64&distro=debian-12",
                "pkg:apk/debian/libstdc%2B%2B@14?arch=x86_64&distro=debian-12",
            ],
        ),
    ],
)
def test_the_base_is_read_from_its_database(
    database: str,
    content: str,
    expected: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is installed, of the system that the base says it is."""
    for name in ("DEBIAN", "ALPINE", "RELEASE"):
        monkeypatch.setattr(bill_of_materials, name, tmp_path / name)
    (tmp_path / database).write_text(content)
    (tmp_path / "RELEASE").write_text('ID=debian\nVERSION_ID="12"\n# comment\n')
    found = [
        each["purl"]
        for each in bill_of_materials.bill()["components"]
        if each["purl"].startswith(("pkg:deb", "pkg:apk"))
    ]
    assert found == sorted(expected)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("License-Expression: MIT OR Apache-2.0", [{"expression": "MIT OR Apache-2.0"}]),
        ("Classifier: License :: OSI Approved :: MIT License", [{"license": {"id": "MIT"}}]),
        ("License: Own", [{"license": {"name": "Own"}}]),
        ("Classifier: License :: OSI Approved", []),
    ],
)
def test_a_licence_is_what_the_distribution_says(
    fields: str, expected: list[object], tmp_path: Path
) -> None:
    """By its expression, its classifiers, or its words."""
    folder = tmp_path / "thing-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: Thing_x\nVersion: 1\n{fields}\n"
    )
    (found,) = _distributions(tmp_path)
    component = bill_of_materials._python_component(found)
    assert (component["purl"], component["licenses"]) == ("pkg:pypi/thing-x@1", expected)


def _distributions(folder: Path) -> list[Distribution]:
    return list(metadata.distributions(path=[str(folder)]))
