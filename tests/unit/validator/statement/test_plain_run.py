"""Resources that are written alike say the same, whether they are read together or one by one."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.signed_model import PAYLOAD_TYPE, resource, statement_of
from validator.errors import StatementError
from validator.limits import DEFAULT
from validator.statement import parse_statement, plain_run
from validator.statement.plain_run import cut

if TYPE_CHECKING:
    from collections.abc import Iterator

WINDOW = 700
"""Some three resources."""


@contextmanager
def windows(size: int) -> Iterator[None]:
    """Look at so many bytes together, and so also at statements that are a little longer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_run, "_WINDOW", size)
        yield


def read(payload: bytes) -> object:
    """Return what a statement says, or why it is refused."""
    try:
        return parse_statement(
            payload, payload_type=PAYLOAD_TYPE, limits=DEFAULT, allow_legacy=False
        )
    except StatementError as error:
        return str(error)


def check_alike(payload: bytes) -> object:
    """Demand that a statement is read alike in both ways."""
    with windows(len(payload)):
        expected = read(payload)
    with windows(WINDOW):
        assert read(payload) == expected
    return expected


def run_of(payload: bytes) -> int:
    """Return how many resources are read together."""
    with windows(WINDOW):
        found = cut(payload, name_bytes=DEFAULT.name_bytes)
    return len(found.run.names) if found else 0


NAMES = [f"folder/{number}.bin" for number in range(40)]

STYLES: list[dict[str, Any]] = [
    {"indent": 2},
    {"indent": "\t"},
    {"separators": (",", ":")},
    {"separators": (" , ", " : ")},
    {"ensure_ascii": False},
]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("keys", [("name", "digest", "algorithm"), ("algorithm", "digest", "name")])
@pytest.mark.parametrize("hash_", ["sha256", "blake2b"])
def test_resources_of_each_style_are_read_together(
    style: dict[str, Any], keys: tuple[str, ...], hash_: str
) -> None:
    """Whatever the order of their keys, and the spaces between them."""
    listed = [resource(name, name.encode(), hash_=hash_) for name in NAMES]
    ordered = [{key: item[key] for key in keys} for item in listed]
    digests = b"".join(bytes.fromhex(item["digest"]) for item in listed)
    document = statement_of(ordered, hash_type=hash_)
    payload = json.dumps(document, **style).encode()
    assert run_of(payload) > len(NAMES) - 4
    statement: Any = check_alike(payload)
    assert [statement.files.name(number) for number in range(len(NAMES))] == NAMES
    assert statement.files.digests == digests


ODD = [
    *("../up", "/root", "a//b", "a/./b", "a/..", ".", "", "\u00e9\U0001f600", 'quo"te', "back\\"),
    *("nul\0", "tab\t", "a" * 4097, "ends/", "...", "..a/.b", "},{", '"},{"name":"x"', "\udc80"),
]


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("place", [0, 17, 39])
@pytest.mark.parametrize("style", STYLES)
def test_a_name_that_is_odd_is_judged_as_it_is_alone(
    name: str, place: int, style: dict[str, Any]
) -> None:
    """Wherever it stands among others."""
    listed = [resource(each, b"") for each in NAMES]
    listed[place]["name"] = name
    payload = json.dumps(statement_of(listed), **style).encode(errors="surrogatepass")
    check_alike(payload)


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "A" * 64},
        {"digest": "a" * 63},
        {"digest": "a" * 128},
        {"algorithm": "sha512"},
        {"algorithm": 7},
        {"name": NAMES[3]},
        {"name": None},
        {"more": "is ignored"},
        {"more": [{}]},
    ],
)
@pytest.mark.parametrize("place", [0, 20, 39])
def test_a_resource_that_is_odd_is_judged_as_it_is_alone(
    change: dict[str, Any], place: int
) -> None:
    """Its value, its number of fields, or its name, which another one has, too."""
    listed = [resource(each, b"") for each in NAMES]
    document = statement_of(listed)
    listed[place] |= change
    document["predicate"]["resources"] = listed
    check_alike(json.dumps(document, indent=2).encode())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"name": "folder/9.bin"', '"name": "x", "name": "folder/9.bin"'),
        ('"name": "folder/9.bin"', '"name": "folder/9.bin", "\\u006eame": "x"'),
        ('"resources"', '"other": [1], "resources"'),
        ('"resources"', '"resources": [], "resources"'),
        ('"predicate"', '"x \\"resources": [{}], "predicate"'),
        ('"predicate"', '"resources": [{"name": 1}], "predicate"'),
        ('"folder/9.bin"', '"folder/9\udcff.bin"'),
        ('"folder/9.bin"', '"folder/9.bin",'),
        ('"folder/9.bin"', '"folder/9.bin" "'),
        ("}, {", "} {"),
        ("}, {", "},, {"),
        ("}, {", "}, [], {"),
        ('"allow_symlinks": false', '"allow_symlinks": NaN'),
        ('"method": "files"', '"method": "shards", "shard_size": 3'),
        ("]}}", "]}"),
        ("]}}", "]}} x"),
    ],
)
def test_text_that_is_odd_is_judged_as_if_all_were_read_one_by_one(old: str, new: str) -> None:
    """Other keys of the same name, and what is no JSON."""
    listed = [resource(each, b"") for each in NAMES]
    text = json.dumps(statement_of(listed))
    assert old in text
    check_alike(text.replace(old, new, 1).encode(errors="surrogateescape"))


@pytest.mark.parametrize("text", ["sha\n256", "sha\x01256"])
def test_an_algorithm_that_no_json_may_have_is_judged_as_it_is_alone(text: str) -> None:
    """As that of all resources but the last: a text with a control character, not escaped."""
    listed = [resource(each, b"") for each in NAMES]
    old, new = 'm": "sha256"', f'm": "{text}"'
    payload = json.dumps(statement_of(listed)).replace(old, new, len(NAMES) - 1).encode()
    assert "is not JSON" in str(check_alike(payload))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'{"name": "folder/0.bin"', b'{ %b"name": "folder/0.bin"'),
        (b'"algorithm": "sha256"', b'"algorithm": "sha256%b"'),
        (b'"}, {"name": "folder/1.bin"', b'"%b}, {"name": "folder/1.bin"'),
    ],
)
def test_no_expression_is_made_from_a_first_resource_of_any_length(
    old: bytes, new: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take a hundred times the memory, and is of no use: no window has such an entry."""
    monkeypatch.setattr(plain_run, "_windows", lambda *_, **__: pytest.fail("made one"))
    listed = [resource(each, b"") for each in NAMES]
    payload = json.dumps(statement_of(listed)).encode()
    assert old in payload
    long = payload.replace(old, new % (b" " * WINDOW), 1)
    with windows(WINDOW):
        assert cut(long, name_bytes=DEFAULT.name_bytes) is None


def test_resources_count_only_where_they_belong() -> None:
    """A list of that name elsewhere is none of the model's files."""
    listed = [resource(each, b"") for each in NAMES]
    document = {"other": {"resources": listed}} | statement_of(listed[:1])
    payload = json.dumps(document).encode()
    assert run_of(payload)
    statement: Any = check_alike(payload)
    assert len(statement.files) == 1


def test_too_many_resources_are_refused_together_too() -> None:
    """The limit counts all."""
    listed = [resource(each, b"") for each in NAMES]
    payload = json.dumps(statement_of(listed)).encode()
    limits = DEFAULT._replace(resources=len(NAMES) - 1)
    with windows(WINDOW), pytest.raises(StatementError, match="40 resources, and 39 are accepted"):
        parse_statement(payload, payload_type=PAYLOAD_TYPE, limits=limits, allow_legacy=False)


@given(
    st.lists(st.text(min_size=1, max_size=30), min_size=8, max_size=30),
    st.sampled_from(STYLES),
)
def test_any_names_are_read_alike(names: list[str], style: dict[str, Any]) -> None:
    """Good or bad."""
    listed = [resource(name, b"") for name in names]
    text = json.dumps(statement_of(listed), **style)
    check_alike(text.encode(errors="surrogatepass"))
