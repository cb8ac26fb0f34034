"""The bill of materials of an image is what is installed in it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.images.building import ROOT
from tests.e2e.images.running import PYTHON

if TYPE_CHECKING:
    from tests.e2e.images.fixtures import ImageFactory

SCRIPT: Final = ROOT / "scripts" / "bill_of_materials.py"

UNSAID: Final = {"sigstore-models"}
"""Distributions whose metadata has no licence."""


@pytest.mark.parametrize("target", ["validator", "webhook", "debug"])
def test_it_lists_what_is_locked_and_the_base(image: ImageFactory, target: str) -> None:
    """Each locked version, with a licence; Python; and the base's packages."""
    there = "/bill_of_materials.py"
    ended = image(target).run("-I", there, entrypoint=[PYTHON], read={there: SCRIPT})
    assert (ended.code, ended.err) == (0, "")
    found: dict[str, Any] = json.loads(ended.out)
    listed = {each["purl"]: each for each in found["components"]}
    lock = (ROOT / "requirements" / f"{target}.txt").read_text()
    locked = {
        f"pkg:pypi/{name}@{version}"
        for name, version in re.findall(r"^(\S+)==([^\s\\]+)", lock, re.MULTILINE)
    }
    python = {purl for purl in listed if purl.startswith("pkg:pypi/")}
    assert python == locked
    assert {listed[purl]["name"] for purl in python if not listed[purl]["licenses"]} <= UNSAID
    assert any(purl.startswith("pkg:generic/python@3.") for purl in listed)
    assert any(purl.startswith(("pkg:deb/", "pkg:apk/")) for purl in listed)
    assert found["metadata"]["component"]["name"] == "signed-model-validation"
