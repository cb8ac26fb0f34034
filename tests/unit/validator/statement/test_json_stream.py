"""JSON that is read entry by entry says the same as JSON that is read as a whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.errors import BundleError
from validator.statement import json_stream
from validator.statement.json_stream import Listed, entries, outline

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTS = (("list",), ("object", "list"))


@pytest.fixture(autouse=True, scope="module")
def _small_windows() -> Iterator[None]:
    """Each document has several windows, so that names, numbers and characters are cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_WINDOW", 7)
        patch.setattr(json_stream, "_VALUE_LIMIT", 10_000)
        yield


def outlined(content: bytes) -> Any:
    """Return a document's outline."""
    return outline(content, lists=LISTS, what="file", depth=32)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
DOCUMENTS = st.fixed_dictionaries(
    {"list": st.lists(VALUES), "object": st.fixed_dictionaries({"list": st.lists(VALUES)})}
    | {"other": VALUES}
)


@pytest.fixture(params=[7, 60], ids=["short windows", "windows of several entries"])
def _windows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is decoded at once is cut within an entry, a text, or after some entries."""
    monkeypatch.setattr(json_stream, "_WINDOW", request.param)


@pytest.mark.usefixtures("_windows")
@pytest.mark.parametrize("text", ["", "},", '"},{"', "}, {", "]}, [", "\\"])
@pytest.mark.parametrize("indent", [None, 1])
def test_entries_that_look_like_the_end_of_others_are_read_as_they_are(
    text: str, indent: int | None
) -> None:
    """However many of them are decoded at once."""
    listed: list[Any] = [{"a": text * n, text: [{}, text]} for n in range(9)]
    listed += [text, {}, [{"b": text}, {}], 1e5, {"c": {"d": {}}}]
    document = {"object": {"list": listed, "x": [{}, {}]}, "list": listed, "other": [{}, {}]}
    content = json.dumps(document, indent=indent).encode()
    assert list(entries(content, ("list",), what="file", depth=32)) == listed
    assert list(entries(content, ("object", "list"), what="file", depth=32)) == listed
    assert outlined(content)["list"] == Listed(len(listed), listed[0])


@pytest.mark.usefixtures("_windows")
@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": 1},', r"it goes wrong at ',"),
        ('{"a": 1} 2', "it goes wrong at '2"),
        ('{"a": ' + "[" * 32 + "]" * 32 + "}", "nested deeper than 32 levels"),
    ],
)
def test_what_is_wrong_among_entries_that_are_read_together_is_refused(bad: str, said: str) -> None:
    """As it is where they are read one by one."""
    good = ['{"b": 1}'] * 12
    content = f'{{"list": [{", ".join([*good, bad, *good])}]}}'
    with pytest.raises(BundleError, match=said):
        outlined(content.encode())


@given(DOCUMENTS, st.sampled_from([False, True]), st.sampled_from([None, 1]))
def test_every_document_is_read_as_the_library_reads_it(
    document: dict[str, Any], ascii_only: object, indent: int | None
) -> None:
    """Whatever stands at the edge of a window."""
    text = json.dumps(document, ensure_ascii=bool(ascii_only), indent=indent)
    try:
        content = text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which is no UTF-8
        return
    read = outlined(content)
    for path, listed in ((("list",), document["list"]), (LISTS[1], document["object"]["list"])):
        assert list(entries(content, path, what="file", depth=32)) == listed
        outer = read if len(path) == 1 else read["object"]
        assert outer["list"] == Listed(len(listed), listed[0] if listed else None)
    assert read["other"] == document["other"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it ends too early"),
        (b'{"list": [1, 2', "it ends too early"),
        (b'{"list": [1 2]}', "it goes wrong at '2"),
        (b'{"list": [1,]}', r"it goes wrong at '\]}'"),
        (b'{"list": []', "it ends too early"),
        (b'{"list" []}', r"it goes wrong at '\[\]}'"),
        (b"{list: []}", "it goes wrong at 'list: "),
        (b'{"list": [], 7: 7}', "it goes wrong at '7'"),
        (b'{"list": [],}', "it goes wrong at '}'"),
        (b'{"list": []} {}', "it goes wrong at '{"),
        (b'{"list": [], "list": []}', "the key 'list' stands twice"),
        (b'{"list": [{"a": 1, "a": 1}]}', "the key 'a' stands twice"),
        (b'{"list": [NaN]}', "NaN is not a JSON number"),
        (b'{"list": [' + b"1" * 5000 + b"]}", "a number in it has too many digits"),
        (b'{"list": ["0123\xff"]}', "byte 15 is not UTF-8"),
        (b'{"list": ["\xc3"]}', "byte 11 is not UTF-8"),
        (b'{"list": ["\xc3', "byte 11 is not UTF-8"),
        (b'{"list": [' + b"[" * 40 + b"]" * 40 + b"]}", "nested deeper than 32 levels"),
        (b'{"list": ["' + b"x" * 20_000 + b'"]}', "a value of more than 10,000 characters"),
        (b'{"x": ["' + b"x" * 20_000 + b'"]}', "a value of more than 10,000 characters"),
    ],
)
def test_what_is_no_json_of_one_reading_is_refused(content: bytes, said: str) -> None:
    """With a sentence that shows where."""
    with pytest.raises(BundleError, match=f"the file .*{said}"):
        outlined(content)


def test_a_list_is_found_after_other_values() -> None:
    """However long they are, they are passed entry by entry."""
    content = json.dumps({"object": {"list": ["y" * 900] * 50, "x": {"y": [1]}}, "list": [3]})
    assert list(entries(content.encode(), ("list",), what="file", depth=32)) == [3]
