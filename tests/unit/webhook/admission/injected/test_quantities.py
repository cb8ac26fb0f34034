"""Quantities as the API server spells them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.admission.injected import quantities


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("0", "0"),
        ("0Ki", "0"),
        (4, "4"),
        (0.5, "500m"),
        ("0.1", "100m"),
        (".5", "500m"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("2000", "2k"),
        ("1000000", "1M"),
        ("+1", "1"),
        ("0.1n", "1n"),
        ("1.5Gi", "1536Mi"),
        ("1048576Ki", "1Gi"),
        ("1024", "1024"),
        ("1Ki", "1Ki"),
        ("0.5Ki", "512"),
        ("0.3Mi", "314572800m"),
        ("1e3", "1e3"),
        ("10E2", "1e3"),
        ("1E", "1E"),
        ("123456789n", "123456789n"),
    ],
)
def test_spells_as_the_api_server_does(written: str | float, spelled: str) -> None:
    """Pairs as `resource.ParseQuantity(…).String()` of Kubernetes 1.36 gives them."""
    assert quantities.canonical(written) == spelled


@pytest.mark.parametrize(
    "text", ["", "m", ".", "-1", "1 Gi", "1ki", "1KI", "\uff11", "1e999", "9" * 40]
)
def test_refuses_what_is_no_amount(text: str) -> None:
    """An error that says so, not a number of a million digits."""
    with pytest.raises(ValueError, match="is not a quantity"):
        quantities.canonical(text)


def test_spells_as_the_api_server_does_in_the_end() -> None:
    """It reads its own `1488000` back as a decimal number, and spells that `1488k`."""
    assert quantities.canonical("1453.125Ki") == "1488k"


@given(
    st.integers(0, 10**6),
    st.sampled_from(["", ".5", ".25", ".125", ".001"]),
    st.sampled_from(["", "n", "u", "m", "k", "M", "G", "Ki", "Mi", "Gi", "Ti", "e3", "E-2"]),
)
def test_a_spelling_is_spelled_as_it_is(whole: int, part: str, suffix: str) -> None:
    """The canonical form is one, and is worth the same."""
    written = f"{whole}{part}{suffix}"
    spelled = quantities.canonical(written)
    assert quantities.canonical(spelled) == spelled
    assert quantities.value(spelled) == quantities.value(written)
