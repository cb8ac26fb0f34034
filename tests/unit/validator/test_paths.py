"""The one spelling of a container's paths, and which lies above which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.paths import Places, canonical, covers, is_canonical, nearest, related


@pytest.mark.parametrize(
    ("path", "one"),
    [
        ("/models", "/models"),
        ("/models/", "/models"),
        ("//models//a", "/models/a"),
        ("models", "/models"),
        ("/a/./b/../c", "/a/c"),
        ("/..", "/"),
        ("", "/"),
        ("/...", "/..."),
    ],
)
def test_a_path_has_one_spelling(path: str, one: str) -> None:
    """As the kubelet joins it to the container's root."""
    assert canonical(path) == one
    assert is_canonical(path) == (path == one and one != "/")


def test_a_path_with_a_nul_is_not_canonical() -> None:
    """The kernel would read it up to there."""
    assert not is_canonical("/models\0/x")


@given(st.text(alphabet="/.a", max_size=12))
def test_the_one_spelling_is_its_own(path: str) -> None:
    """Made canonical twice is made canonical once."""
    assert canonical(canonical(path)) == canonical(path)
    assert is_canonical(canonical(path)) or canonical(path) == "/"


def test_which_path_lies_above_which() -> None:
    """By whole names, and the root lies above all."""
    assert covers("/models", "/models/granite")
    assert covers("/models", "/models")
    assert covers("/", "/models")
    assert not covers("/models", "/modelsx")
    assert not covers("/models/granite", "/models")
    assert related("/models/granite", "/models")
    assert not related("/models/a", "/models/b")


def test_the_nearest_path_above() -> None:
    """The longest one counts, and there may be none."""
    paths = {"/models", "/models/granite", "/modelsx"}
    assert nearest("/models/granite/config.json", paths) == "/models/granite"
    assert nearest("/models/other", paths) == "/models"
    assert nearest("/models", paths) == "/models"
    assert nearest("/data", paths) is None
    assert nearest("/data", {"/"}) == "/"


paths = st.lists(st.sampled_from(["a", "b", "ab"]), max_size=3).map(
    lambda names: "/" + "/".join(names)
)


@given(st.lists(paths, max_size=4), paths)
def test_a_path_is_related_to_places_as_to_one_of_them(places: list[str], path: str) -> None:
    """Asked together or one by one."""
    assert Places(places).related(path) == any(related(path, place) for place in places)
