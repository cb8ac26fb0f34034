"""The library as others import it; docs/api.md has its example, which test_api_page.py runs."""

from __future__ import annotations

import pytest

import validator
from tests.support.desk import loaded
from validator import errors, report, verification


@pytest.mark.parametrize("name", validator.__all__)
def test_each_name_leads_to_its_own(name: str) -> None:
    """They are the library's own, not copies."""
    found = getattr(validator, name)
    assert any(getattr(home, name, None) is found for home in (errors, report, verification))


def test_another_name_is_an_error() -> None:
    """As it is for any module."""
    with pytest.raises(AttributeError, match="has no attribute 'open'"):
        validator.open  # noqa: B018 — that it is looked up is the point


def test_the_door_itself_loads_no_cryptography() -> None:
    """Only the first use of a name does."""
    assert "cryptography" not in loaded("import validator")
