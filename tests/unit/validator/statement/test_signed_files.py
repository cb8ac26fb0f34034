"""The signed files below some paths, however many of both there are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from validator.statement.signed_files import whole

# "!" comes before "/" and "0" after it, so that a neighbour's name sorts beside a folder's.
PATHS = st.lists(st.text("a!0é", min_size=1, max_size=2), min_size=1, max_size=3).map("/".join)


@given(st.lists(PATHS, unique=True), st.sets(PATHS))
def test_each_file_at_or_below_a_path_is_found_once(names: list[str], paths: set[str]) -> None:
    """And no other file."""
    files = whole([name.encode() for name in names], bytes(32 * len(names)), width=32)
    below = [
        name for name in names if any(name == path or name.startswith(f"{path}/") for path in paths)
    ]
    assert sorted(files.below(paths)) == sorted(below)


def test_many_paths_and_many_files_end_soon() -> None:
    """Each path compared with each name would not end before the test's time is over."""
    names = [b"f%d" % number for number in range(50_000)]
    files = whole(names, bytes(32 * len(names)), width=32)
    assert not list(files.below({f"i{number}" for number in range(50_000)}))
