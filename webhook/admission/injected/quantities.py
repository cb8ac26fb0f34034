"""Kubernetes quantities: their values, and the one spelling that the API server gives them.

What we write must be spelled as the server spells it, or the validating side
would see a change where there is none. The rules are those of
`k8s.io/apimachinery/pkg/api/resource`, `Quantity.CanonicalizeBytes`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from validator.text import quoted

TEXT_LIMIT: Final = 32
"""Characters of a quantity; the server's own largest, 2^63-1 in nano units, has 28."""

NANO: Final = 10**9
"""The smallest amounts that the server counts, in one."""

REMEMBERED: Final = 512
"""Amounts that are read once, of `TEXT_LIMIT` characters: 200 KiB. Pods ask for round ones."""

_FORM: Final = re.compile(
    r"\+?(?=\.?[0-9])(?P<whole>[0-9]*)(?:\.(?P<part>[0-9]*))?"
    r"(?:[eE](?P<exponent>[+-]?[0-9]{1,2})|(?P<suffix>[numkMGTPE]|[KMGTPE]i)?)"
)
_DECIMAL_SUFFIX: Final = dict(zip(range(-9, 19, 3), ["n", "u", "m", "", *"kMGTPE"], strict=True))
_DECIMAL: Final = {suffix: power for power, suffix in _DECIMAL_SUFFIX.items()}
_BINARY: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_KIBI: Final = 1024


def value(amount: str | float) -> int:
    """Return what a quantity amounts to in nano units, rounded up as the server does.

    Raises:
        ValueError: It is not a quantity, or a negative one.
    """
    return _read(str(amount))[0]


def canonical(amount: str | float) -> str:
    """Return the server's spelling of a quantity, once it has read its own spelling back.

    Raises:
        ValueError: It is not a quantity, or a negative one.
    """
    return _read(str(amount))[1]


@lru_cache(REMEMBERED)
def _read(text: str) -> tuple[int, str]:
    """Return what a quantity amounts to in nano units, and the server's spelling.

    Raises:
        ValueError: It is not a quantity, or a negative one.
    """
    match = _match(text)
    nano = _value(match)
    if nano == 0:
        return nano, "0"
    if (match["suffix"] or "").endswith("i") and nano % (_KIBI * NANO) == 0:
        return nano, _binary(nano // NANO)
    # What has no binary suffix left is decimal when the server reads it back, as it does each time.
    return nano, _decimal(nano, exponent=match["exponent"] is not None)


def _match(text: str) -> re.Match[str]:
    match = _FORM.fullmatch(text) if len(text) <= TEXT_LIMIT else None
    if match is None:
        raise ValueError(f"{quoted(text)} is not a quantity")
    return match


def _value(match: re.Match[str]) -> int:
    whole, part, exponent, suffix = match.groups(default="")
    number, power = int(whole + part), 9 - len(part)
    if suffix.endswith("i"):
        number *= _KIBI ** _BINARY.index(suffix)
    else:
        power += int(exponent or _DECIMAL[suffix])
    nano: int = number * 10**power if power >= 0 else -(-number // 10**-power)
    return nano


def _binary(number: int) -> str:
    power = 0
    while number % _KIBI == 0 and power < len(_BINARY) - 1:
        number //= _KIBI
        power += 1
    return f"{number}{_BINARY[power]}"


def _decimal(nano: int, *, exponent: bool) -> str:
    power = -9
    while nano % 1000 == 0 and (exponent or power < max(_DECIMAL_SUFFIX)):
        nano //= 1000
        power += 3
    if exponent:
        return f"{nano}e{power}" if power else str(nano)
    return f"{nano}{_DECIMAL_SUFFIX[power]}"
