"""Print what an image holds as a software bill of materials: CycloneDX 1.6, JSON.

An image's own Python runs it from standard input; the standard library is all that it uses, and it
writes nothing (docs/releasing.md has the command).

Listed are the distributions of Python that are installed, with their licences and what they depend
on, Python itself, and the packages of the base, as Debian's or Alpine's database names them. Two
runs in one image print the same bytes: there is no time and no random number in it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import re
import sys
import uuid
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

Component = dict[str, Any]

OURS: Final = "signed-model-validation"
DEBIAN: Final = Path("/var/lib/dpkg/status")
ALPINE: Final = Path("/lib/apk/db/installed")
RELEASE: Final = Path("/etc/os-release")

NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
"""Start of a requirement (PEP 508)."""

LICENCES: Final = {
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""SPDX's identifier for a classifier that leaves no doubt, where there is no licence expression."""


def bill() -> dict[str, Any]:
    """Return the bill of materials of the environment that this runs in."""
    ours = _python_component(distribution(OURS))
    others = [_python_component(each) for each in distributions() if _key(each) != OURS]
    components = sorted([*others, _interpreter(), *_base()], key=lambda each: str(each["bom-ref"]))
    document: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": ours | {"type": "application"}},
        "components": components,
        "dependencies": sorted(_dependencies(), key=lambda each: str(each["ref"])),
    }
    content = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    serial = uuid.uuid5(uuid.NAMESPACE_URL, f"model-validation:{content}")
    return {**document, "serialNumber": f"urn:uuid:{serial}"}


def _key(found: Distribution) -> str:
    """Return a distribution's name, normalized (PEP 503)."""
    return re.sub(r"[-_.]+", "-", found.name).lower()


def _reference(found: Distribution) -> str:
    """Return a distribution's package URL."""
    return f"pkg:pypi/{_key(found)}@{found.version}"


def _python_component(found: Distribution) -> Component:
    reference = _reference(found)
    return {
        "type": "library",
        "bom-ref": reference,
        "name": _key(found),
        "version": found.version,
        "purl": reference,
        "licenses": _licences(found),
    }


def _licences(found: Distribution) -> list[dict[str, Any]]:
    """Return a distribution's licences: its expression, or its classifiers, or its words."""
    expression = _fields(found, "License-Expression")
    if expression:
        return [{"expression": expression[0]}]
    classified = [
        each.rpartition(" :: ")[2]
        for each in _fields(found, "Classifier")
        if each.startswith("License :: ") and not each.endswith("OSI Approved")
    ]
    if classified:
        return [{"license": _named(each)} for each in classified]
    words = " ".join(_fields(found, "License")).strip().splitlines()
    return [{"license": _named(words[0])}] if words else []


def _fields(found: Distribution, name: str) -> list[str]:
    """Return the values of a field of a distribution's metadata."""
    return [str(each) for each in found.metadata.get_all(name) or []]


def _named(licence: str) -> dict[str, str]:
    known = LICENCES.get(licence)
    return {"id": known} if known else {"name": licence}


def _dependencies() -> Iterator[dict[str, Any]]:
    """Yield what each distribution depends on, as far as it is installed."""
    for found in distributions():
        needed = set()
        for requirement in found.requires or []:
            name = NAME.match(requirement)
            if name and "extra ==" not in requirement:
                needed |= _installed(name[0])
        yield {"ref": _reference(found), "dependsOn": sorted(needed - {_reference(found)})}


def _installed(name: str) -> set[str]:
    try:
        return {_reference(distribution(name))}
    except PackageNotFoundError:
        return set()  # for another platform, or another Python


def _interpreter() -> Component:
    version = platform.python_version()
    return {
        "type": "application",
        "bom-ref": f"pkg:generic/python@{version}",
        "name": "python",
        "version": version,
        "purl": f"pkg:generic/python@{version}",
        "licenses": [{"license": {"id": "PSF-2.0"}}],
    }


def _base() -> Iterator[Component]:
    """Yield the packages of the base, as its package manager's database has them."""
    release = _release()
    system, version = release.get("ID", "linux"), release.get("VERSION_ID", "")
    where = f"distro={system}-{version}" if version else f"distro={system}"
    if DEBIAN.is_file():
        for fields in _paragraphs(DEBIAN, separator=": "):
            if fields.get("Status", "").endswith(" installed"):
                package = fields["Package"], fields["Version"]
                yield _package(
                    f"pkg:deb/{system}", *package, f"arch={fields['Architecture']}&{where}"
                )
    if ALPINE.is_file():
        for fields in _paragraphs(ALPINE, separator=":"):
            if "P" in fields:
                package = fields["P"], fields["V"]
                licence = [{"license": {"name": fields["L"]}}] if "L" in fields else []
                made = _package(f"pkg:apk/{system}", *package, f"arch={fields['A']}&{where}")
                yield made | {"licenses": licence}


def _package(kind: str, name: str, version: str, qualifiers: str) -> Component:
    escaped = version.replace("%", "%25").replace(":", "%3A").replace("+", "%2B")
    reference = f"{kind}/{name.replace('+', '%2B')}@{escaped}?{qualifiers}"
    return {
        "type": "library",
        "bom-ref": reference,
        "name": name,
        "version": version,
        "purl": reference,
    }


def _paragraphs(path: Path, *, separator: str) -> Iterator[dict[str, str]]:
    """Yield the fields of each paragraph of a package database; folded lines are left out."""
    for paragraph in path.read_text(errors="replace").split("\n\n"):
        lines = [line for line in paragraph.splitlines() if not line.startswith((" ", "\t"))]
        yield dict(line.split(separator, 1) for line in lines if separator in line)


def _release() -> dict[str, str]:
    """Return what the base says of itself."""
    if not RELEASE.is_file():
        return {}
    lines = [line for line in RELEASE.read_text().splitlines() if "=" in line]
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}


def main() -> None:
    """Print the bill of materials."""
    argparse.ArgumentParser(
        prog="bill_of_materials.py",
        description="Print what the environment of this Python holds as a software bill of "
        "materials: CycloneDX 1.6, JSON. An image's own Python runs it (docs/releasing.md).",
        allow_abbrev=False,
    ).parse_args()
    json.dump(bill(), sys.stdout, indent=2, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
