"""The corpus, replayed and changed a little: nothing but our own errors comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

CORPUS: Final = Path(__file__).parent / "corpus"

_BYTES: Final = st.sampled_from(b'"{}[],:\\ \n-*&!|AZaz09+/=_$\x00\x02\x30\x7f\x80\xff')


def known(target: str) -> list[bytes]:
    """Return a target's inputs; there are some."""
    found = [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]
    assert found
    return found


@pytest.mark.filterwarnings("ignore")  # of cryptography, on broken certificates
@pytest.mark.parametrize("target", sorted(TARGETS))
def test_what_was_found_once_ends_in_our_own_errors(target: str) -> None:
    """Every input of the corpus."""
    for content in known(target):
        TARGETS[target](content)


@pytest.mark.filterwarnings("ignore")  # as above
@pytest.mark.parametrize("target", sorted(TARGETS))
def test_changes_of_it_end_in_our_own_errors(target: str) -> None:
    """One byte changed, a piece doubled or taken out."""
    contents = known(target)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(contents), st.floats(0, 1), st.integers(0, 40), _BYTES)
    def changed(content: bytes, place: float, length: int, byte: int) -> None:
        at = int(place * len(content))
        piece = content[at : at + length]
        for bent in (
            content[:at] + bytes([byte]) + content[at + 1 :],
            content[:at] + piece + content[at:],
            content[:at] + content[at + length :],
        ):
            TARGETS[target](bent)

    changed()
