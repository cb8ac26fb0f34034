"""The links of the documents, and the pages that files name."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
FOLDERS: Final = ("docs", "manifests", "benchmarks", "tests")
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
ADDRESS: Final = re.compile(r"[a-z]+:")
HEADING: Final = re.compile(r"^#+ (.*)$", re.MULTILINE)
CODE: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
PAGE: Final = re.compile(r"(?<![\w./-])docs/[\w/-]+\.md")
"""A page of the documents, named anywhere: in a comment, in a sentence that a program says."""


def documents() -> list[str]:
    """List our pages, from the root."""
    paths = [
        *ROOT.glob("*.md"),
        *(path for name in FOLDERS for path in ROOT.glob(f"{name}/**/*.md")),
    ]
    return sorted(str(path.relative_to(ROOT)) for path in paths)


@cache
def headings(path: Path) -> set[str]:
    """Return the anchors of this page, as a link has them after `#`."""
    titles = HEADING.findall(CODE.sub("", path.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", documents())
def test_each_link_leads_somewhere(document: str) -> None:
    """To a file or a folder of the tree, and to a heading that it has."""
    page = ROOT / document
    for link in LINK.findall(CODE.sub("", page.read_text())):
        if ADDRESS.match(link):
            continue
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{document}: {link}: there is no {target}"
        assert not heading or heading in headings(target), f"{document}: {link}: no such heading"


def test_each_page_is_in_the_index() -> None:
    """A reader who begins at docs/README.md finds all of them."""
    index = ROOT / "docs" / "README.md"
    linked = {link.partition("#")[0] for link in LINK.findall(index.read_text())}
    pages = {path.name for path in index.parent.glob("*.md")} - {index.name}
    assert pages - linked == set()


def test_each_page_that_is_named_is_there() -> None:
    """Also in programs, manifests and build files, which name it from the root."""
    command = [
        "git",
        "-C",
        str(ROOT),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        pytest.skip("needs a git checkout, to know which files are ours")
    missing = []
    for name in filter(None, ran.stdout.split("\0")):
        try:
            pages = PAGE.findall((ROOT / name).read_text())
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        missing += [f"{name} names {page}" for page in pages if not (ROOT / page).exists()]
    assert missing == []
