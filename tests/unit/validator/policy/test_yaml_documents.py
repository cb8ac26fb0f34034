from __future__ import annotations

import pytest
import yaml

from validator.errors import PolicyError
from validator.policy.yaml_documents import DEPTH_LIMIT, DOCUMENTS_LIMIT, dump, load_all


def load(text: bytes | str, *, limit: int = 10_000, aliases: bool = False) -> list[object]:
    """Return the documents of a text."""
    raw = text.encode() if isinstance(text, str) else text
    return load_all(raw, source="file.yaml", limit=limit, aliases=aliases)


def test_documents_come_in_their_order_without_empty_ones() -> None:
    """Separators alone are no documents."""
    assert load("---\na: 1\n---\n---\n[b]\n...\n") == [{"a": 1}, ["b"]]
    assert load("") == []
    assert load("# nothing\n") == []


def test_json_is_yaml() -> None:
    """The output of `kubectl -o json` is read by the same function."""
    assert load('{"a": [1, true, null, "x"]}') == [{"a": [1, True, None, "x"]}]


def test_dates_stay_text() -> None:
    """Kubernetes knows no dates in manifests."""
    assert load("a: 2026-11-23\nb: 2026-11-23T10:00:00Z") == [
        {"a": "2026-11-23", "b": "2026-11-23T10:00:00Z"}
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", r"the key 'a' stands twice \(line 3, column 1\)"),
        ("x: {b: 1, b: 1}", "the key 'b' stands twice"),
        ('x: {b: 1, "b": 1}', "the key 'b' stands twice"),
        ("1: a", r"a key must be text: quote it \(line 1, column 1\)"),
        ("yes: a", "a key must be text: quote it"),
        ("null: a", "a key must be text: quote it"),
        ("? [a]\n: b", "a key must be text: quote it"),
        ("a: &x 1", "anchors and aliases are not accepted"),
        ("a: *x", "anchors and aliases are not accepted"),
        ("a: {<<: {b: 1}}", "a key must be text: quote it"),
        ("a: !!python/name:os.system x", "could not determine a constructor"),
        ("a: !custom x", "could not determine a constructor"),
        ("a: [1", "not YAML that is accepted"),
        ("a: b: c", "not YAML that is accepted"),
        ("a:\n\t- b", "not YAML that is accepted"),
        ("%YAML 9.9\n---\na: 1", "not YAML"),
        (b"\xff\xfea", "not YAML in UTF-8"),
        ("a: \x00", "not YAML in UTF-8"),
        ("a: 1" + "1" * 5000, "not YAML in UTF-8"),
    ],
)
def test_what_a_reviewer_would_not_see_is_refused(text: bytes | str, said: str) -> None:
    """With the place where it stands."""
    with pytest.raises(PolicyError, match=said):
        load(text)


def test_a_few_lines_cannot_grow() -> None:
    """The billion laughs need anchors."""
    laughs = "a: &a [x, x]\n" + "\n".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]" for n in range(20)
    )
    with pytest.raises(PolicyError, match="anchors and aliases"):
        load(laughs)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: &x {b: 1}\nc: {<<: *x, b: 2}", {"a": {"b": 1}, "c": {"b": 2}}),
        (
            "a: &x {b: 1, c: 1}\nd: &y {<<: *x, c: 2}\ne: {<<: [*y, {f: 3}], b: 4}\ng: *y",
            {
                "a": {"b": 1, "c": 1},
                "d": {"b": 1, "c": 2},
                "e": {"b": 4, "c": 2, "f": 3},
                "g": {"b": 1, "c": 2},
            },
        ),
        ("a: &x 1\nb: &x 2\nc: *x", {"a": 1, "b": 2, "c": 2}),
        ("a: &x\nb: [*x, *x]", {"a": None, "b": [None, None]}),
        ("\ufeffa: &x 1\r\n# b\r\nc: *x\r\n", {"a": 1, "c": 1}),
    ],
)
def test_manifests_may_have_aliases(text: str, read: object) -> None:
    """As charts and overlays have them; a later anchor replaces an earlier one of its name."""
    assert load(text, aliases=True) == [read]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x [*x]", r"an alias stands within what it names \(line 1, column 8\)"),
        ("a: &x {b: {c: *x}}", "an alias stands within what it names"),
        ("a: *x", "found undefined alias 'x'"),
        ("a: &x 1\n---\nb: *x", "found undefined alias 'x'"),
        ("a: {b: 1, b: 2}", "the key 'b' stands twice"),
        ("a: &x b\nc: {*x : 1, b: 2}", "the key 'b' stands twice"),
        ("a: &x {b: 1}\nc: {<<: *x, <<: *x}", "the key '<<' stands twice"),
        ("a: {<<: 1}", "expected a mapping or list of mappings for merging"),
    ],
)
def test_an_alias_is_no_way_round(text: str, said: str) -> None:
    """What is refused elsewhere is refused there."""
    with pytest.raises(PolicyError, match=said):
        load(text, aliases=True)


def test_aliases_stay_within_the_files_limit() -> None:
    """The billion laughs end at the alias that is too much, and so does one long text."""
    laughs = "a0: &a0 [x, x]\n" + "\n".join(
        f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]" for n in range(60)
    )
    long = f"a: &a {'x' * 5_000}\nb: [*a, *a]"
    for text in (laughs, long):
        with pytest.raises(PolicyError, match=r"written out, the file is larger than 10,000 bytes"):
            load(text, aliases=True)
    assert load(long, limit=20_000, aliases=True)
    with pytest.raises(PolicyError, match="larger than 20,000 bytes"):
        load(long + "\n---\n" + long, limit=20_000, aliases=True)


def test_aliases_stay_within_the_depth() -> None:
    """Anchors within anchors nest as deep as what they stand for."""
    nest = "[" * (DEPTH_LIMIT // 2)
    text = f"a: &a {nest}1{nest.replace('[', ']')}\nb: &b [*a]\n"
    assert load(text, aliases=True)
    with pytest.raises(PolicyError, match=f"nested deeper than {DEPTH_LIMIT} levels"):
        load(f"{text}c: {nest}*b{nest.replace('[', ']')}", aliases=True)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a: ", "}")])
def test_depth_is_limited(opening: str, closing: str) -> None:
    """The deepest allowed nest is read, one more and a thousand more are not."""
    depth = DEPTH_LIMIT - 1
    assert load(opening * depth + "1" + closing * depth)
    for more in (depth + 1, 20 * depth):
        with pytest.raises(PolicyError, match=f"nested deeper than {DEPTH_LIMIT} levels"):
            load(opening * more + "1" + closing * more, limit=100_000)


def test_size_is_limited() -> None:
    """A byte over the limit is refused before it is parsed."""
    assert load("a: 1", limit=4)
    with pytest.raises(PolicyError, match=r"file\.yaml: larger than 3 bytes"):
        load("a: 1", limit=3)


def test_the_number_of_documents_is_limited() -> None:
    """Many small documents are refused as a whole."""
    assert len(load("a\n---\n" * DOCUMENTS_LIMIT)) == DOCUMENTS_LIMIT
    with pytest.raises(PolicyError, match="more than 1000 documents"):
        load("a\n---\n" * (DOCUMENTS_LIMIT + 1))


NUMBERS = ["1e3", "123e456", "1E-3", ".5e3", "0o17", "012", "1_000", "1.", "+1", "0x1f", "1:20"]
WORDS = ["y", "N", "yes", "off", "true", "~", "null", "=", "<<", ".inf", "2026-01-01"]


@pytest.mark.parametrize("value", NUMBERS + WORDS)
def test_what_some_reader_takes_for_something_else_is_quoted(value: str) -> None:
    """A commit such as 123e456, as a label or in an annotation, stays text for kubectl."""
    assert dump({"a": value}) == f"a: '{value}'\n"


@pytest.mark.parametrize("value", ["vllm", "v1.2", "1.2.3", "no-such", "a1e3", "10.0.0.1", "0of"])
def test_other_text_is_written_as_people_write_it(value: str) -> None:
    """Without quotes."""
    assert dump({"a": value}) == f"a: {value}\n"


@pytest.mark.parametrize(
    "sign", ["\x85", "\u2028", "\u202e", "\u200b", "\x1b", "\ufeff", "\r", "\U0001f642"], ids=ascii
)
def test_what_a_reader_would_not_see_is_escaped(sign: str) -> None:
    """Some of it ends a line for some parsers, and some turns what follows around."""
    for text in (sign + "x", f"one\n{sign}two\n", f"é{sign}"):
        written = dump({"a": text})
        assert written.isascii()
        assert written.count("\n") == 1
        assert yaml.safe_load(written) == {"a": text}


def test_numbers_and_words_of_yaml_stay_what_they_are() -> None:
    """A value that is no text gets no quotes."""
    document = {"replicas": 2, "ratio": 0.5, "on": True, "none": None}
    written = dump(document)
    assert yaml.safe_load(written) == document
    assert "ratio: 0.5\n" in written
