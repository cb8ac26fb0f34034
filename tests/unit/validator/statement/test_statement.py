from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.signed_model import (
    FILES,
    PAYLOAD_TYPE,
    Document,
    legacy_statement,
    resource,
    root_of,
    sharded,
    statement,
    statement_of,
)
from validator.errors import StatementError
from validator.limits import DEFAULT, Limits
from validator.statement import Statement, parse_statement
from validator.statement.signed_files import Hash

if TYPE_CHECKING:
    from collections.abc import Callable


def parsed(
    document: object,
    *,
    payload_type: str = PAYLOAD_TYPE,
    limits: Limits = DEFAULT,
    allow_legacy: bool = False,
) -> Statement:
    """Return what a document says as a signed payload."""
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse_statement(
        payload, payload_type=payload_type, limits=limits, allow_legacy=allow_legacy
    )


def named(*names: str) -> Document:
    """Return a statement over files of these names."""
    return statement_of([resource(name, name.encode("utf-8", "replace")) for name in names])


def test_an_honest_statement_says_what_was_signed() -> None:
    """Names, digests and serialization come out as they were signed."""
    made = parsed(statement(ignore_paths=["b", "a"], allow_symlinks=True))
    assert {item.name for item in made.resources} == FILES.keys()
    assert made.ignore_paths == ("a", "b")
    assert made.allow_symlinks
    assert made.model_name == "granite"
    assert made.root_digest == root_of(statement()["predicate"]["resources"])


def test_the_number_of_values_is_limited() -> None:
    """Also in fields that a verifier ignores; a long list of resources may have more."""
    honest = statement()
    limits = Limits(bundle_values=1_000)
    assert parsed({**honest, "more": [0] * 900}, limits=limits)
    with pytest.raises(StatementError, match="the signed statement has more than 1,"):
        parsed({**honest, "more": [0] * 2_000}, limits=limits)


@pytest.mark.parametrize("name", ["granite", "", None, 3, {"a": 1}, "x" * 100_000])
def test_the_subjects_name_decides_nothing(name: object) -> None:
    """OMS 6.5: any will do; and in-toto has readers ignore fields that they do not know."""
    honest = statement()
    (subject,) = honest["subject"]
    made = parsed({**honest, "more": 1, "subject": [{**subject, "name": name, "uri": "x"}]})
    assert made.files.name(0) in FILES


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../x", "leads out of the model"),
        ("a/../../x", "leads out of the model"),
        ("a/..", "leads out of the model"),
        ("..", "leads out of the model"),
        ("/etc/passwd", "is absolute"),
        ("//x", "is absolute"),
        ("a\0b", "contains a NUL"),
        ("", "it is empty"),
        ("a//b", "not in its shortest form"),
        ("a/", "not in its shortest form"),
        ("./a", "not in its shortest form"),
        ("a/./b", "not in its shortest form"),
        ("a/.", "not in its shortest form"),
        ("\ud800", "not valid UTF-8"),
        ("a/\udcff", "not valid UTF-8"),
        ("x" * 4097, "longer than 4,096 bytes"),
        ("é" * 2049, "longer than 4,096 bytes"),
    ],
)
def test_names_that_are_no_plain_relative_paths_are_refused(name: str, reason: str) -> None:
    """A signed name can lead nowhere but below the model, and has one spelling."""
    with pytest.raises(StatementError, match=reason):
        parsed(named("ok", name))


@pytest.mark.parametrize(
    "name",
    [
        "..a",
        "a..b",
        "...",
        ".hidden",
        "a b",
        "ü",
        "u\u0308",
        "\U0001f600",
        "a:b",
        "a\\b",
        "x" * 255,
    ],
)
def test_odd_names_are_names(name: str) -> None:
    """Every name that a file system accepts is a valid name, byte for byte."""
    assert [item.name for item in parsed(named(name)).resources] == [name]


def test_a_surrogate_pair_is_one_character() -> None:
    """JSON's escape of a character beyond the first plane is that character."""
    document = json.dumps(named("\U0001f600"))
    assert r"\ud83d\ude00" in document
    assert parsed(document.encode()).resources[0].name == "\U0001f600"


def test_composed_and_decomposed_names_are_two_files() -> None:
    """Names are compared as bytes: no normalization makes two of them one."""
    made = parsed(named("\u00fc", "u\u0308"))
    assert len({item.name for item in made.resources}) == 2


def test_one_name_stands_once() -> None:
    """With two digests for one name, one of them would go unseen."""
    with pytest.raises(StatementError, match="names 'a' twice"):
        parsed(statement_of([resource("a", b"1"), resource("b", b"2"), resource("a", b"3")]))


def test_both_orders_of_the_wild_are_read() -> None:
    """The order is the signed one: by name, as specified, or by path component."""
    for names in (["x.md", "x/y"], ["x/y", "x.md"]):
        assert [item.name for item in parsed(named(*names)).resources] == names


def test_the_root_digest_follows_the_signed_order() -> None:
    """Resources in another order than the subject's digest are refused."""
    document = named("a", "b")
    document["predicate"]["resources"].reverse()
    with pytest.raises(StatementError, match="contradicts itself"):
        parsed(document)


def test_a_dot_alone_is_a_single_file() -> None:
    """The name '.' stands for a model that is a file, and stands alone."""
    assert parsed(named(".")).is_single_file
    assert not parsed(named("a")).is_single_file
    with pytest.raises(StatementError, match="beside other files"):
        parsed(named(".", "a"))


def bent(change: Callable[[Document], object], document: Document | None = None) -> Document:
    """Return an honest statement after a change."""
    made = document or statement()
    change(made)
    return made


def serialized(**changes: Any) -> Document:
    """Return a statement whose serialization says something else."""
    return bent(lambda made: made["predicate"]["serialization"].update(changes))


def listed(**changes: Any) -> Document:
    """Return a statement whose first resource says something else."""
    return bent(lambda made: made["predicate"]["resources"][0].update(changes))


def topped(**changes: Any) -> Document:
    """Return a statement that says something else at its top."""
    return statement() | changes


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"\xff", "signed statement is not JSON: byte 0 is not UTF-8"),
        (b'{"_type": 1, "_type": 2}', "the key '_type' stands twice"),
        (b"[" * 9_000 + b"]" * 9_000, "nested deeper than 32 levels"),
        ([], "is not an in-toto statement"),
        (topped(_type="https://in-toto.io/Statement/v0.1"), "is not an in-toto statement"),
        (topped(_type=[]), "is not an in-toto statement"),
        (topped(subject=None), "no list of subjects"),
        (topped(subject=["x"]), "subject is not an object"),
        (topped(subject=[None]), "subject is not an object"),
        (topped(subject=[]), "has 0 subjects"),
        (topped(subject=statement()["subject"] * 2), "has 2 subjects"),
        (topped(subject=[{"name": "x"}]), "subject has no sha256 digest"),
        (topped(subject=[{"digest": {"sha512": "0" * 64}}]), "subject has no sha256 digest"),
        (topped(subject=[{"digest": {"sha256": "A" * 64}}]), "lower-case"),
        (topped(subject=[{"digest": {"sha256": "0" * 64}}]), "do not add up"),
        (topped(predicateType="https://slsa.dev/provenance/v1"), "predicate is 'https://slsa"),
        (topped(predicateType="https://model_signing/signature/v1.1"), "v1.0 is expected"),
        (topped(predicateType={}), "predicate is '{}'"),
        (topped(predicate=None), "has no predicate"),
        (topped(predicate={}), "does not say how the model was serialized"),
        (serialized(hash_type="md5"), "uses the hash 'md5', and sha256, blake2b, blake3 are known"),
        (serialized(hash_type=None), "uses the hash 'null'"),
        (serialized(hash_type=["sha256"]), "uses the hash"),
        (serialized(method="tree"), "serialization method 'tree', and files and shards are known"),
        (serialized(method=None), "serialization method 'null'"),
        (serialized(allow_symlinks="no"), "neither true nor false"),
        (serialized(allow_symlinks=1), "neither true nor false"),
        (serialized(allow_symlinks=None), "neither true nor false"),
        (serialized(ignore_paths="a"), "not a list of paths"),
        (serialized(ignore_paths=[1]), "not a list of paths"),
        (serialized(ignore_paths=["../a"]), r"ignores '\.\./a', and it leads out of the model"),
        (serialized(ignore_paths=["/a"]), "ignores '/a', and it is absolute"),
        (serialized(ignore_paths=["."]), r"ignores '\.', and it is not in its shortest form"),
        (serialized(ignore_paths=["./a"]), r"ignores '\./a', and it is not in its shortest form"),
        (serialized(ignore_paths=["a/"]), "ignores 'a/', and it is not in its shortest form"),
        (serialized(ignore_paths=[""]), "ignores '', and it is empty"),
        (bent(lambda made: made["predicate"].update(resources=[])), "an empty model is refused"),
        (bent(lambda made: made["predicate"].update(resources=None)), "an empty model is refused"),
        (bent(lambda made: made["predicate"].update(resources={"a": 1})), "an empty model"),
        (bent(lambda made: made["predicate"].update(resources=["a"])), "without a name"),
        (listed(name=None), "without a name"),
        (listed(name=7), "without a name"),
        (listed(algorithm="blake2b"), "hashed by 'blake2b', and the statement says sha256"),
        (listed(algorithm=None), "hashed by 'null'"),
        (listed(algorithm=[]), r"hashed by '\[\]'"),
        (listed(algorithm="sha256-sharded-100"), "hashed by 'sha256-sharded-100'"),
        (listed(digest=resource("x", b"x")["digest"].upper()), "lower-case"),
        (listed(digest="0" * 63), "64 lower-case hexadecimal digits"),
        (listed(digest="0" * 64 + "\n"), "64 lower-case hexadecimal digits"),
        (listed(digest=None), "has no sha256 digest"),
        (listed(digest="0" * 64), "do not add up"),
    ],
)
def test_what_is_no_statement_is_refused_by_its_reason(document: object, said: str) -> None:
    """Each way in which a signed payload is not a model's has its sentence."""
    with pytest.raises(StatementError, match=said):
        parsed(document)


@pytest.mark.parametrize("payload_type", ["text/plain", "", "application/vnd.in-toto+json "])
def test_only_an_in_toto_payload_is_a_statement(payload_type: str) -> None:
    """The payload's type is signed, and must be the right one."""
    with pytest.raises(StatementError, match="payload is of type"):
        parsed(statement(), payload_type=payload_type)


def test_the_number_of_resources_is_limited() -> None:
    """A statement with more resources than the limit is refused before they are read."""
    with pytest.raises(StatementError, match="lists 3 resources, and 2 are accepted"):
        parsed(statement(), limits=Limits(resources=2))


def test_each_hash_has_its_length() -> None:
    """BLAKE2b digests have 64 bytes, and the root digest stays SHA-256."""
    made = parsed(statement(hash_="blake2b"))
    assert made.hash is Hash.BLAKE2B
    assert len(made.resources[0].digest) == 128
    assert len(made.root_digest) == 64
    with pytest.raises(StatementError, match="128 lower-case hexadecimal digits"):
        parsed(statement_of([resource("a", b"") | {"algorithm": "blake2b"}], hash_type="blake2b"))


def test_a_null_list_of_ignores_is_refused_and_an_absent_one_is_not() -> None:
    """The specification lets ignore_paths be absent."""
    document = statement()
    del document["predicate"]["serialization"]["ignore_paths"]
    assert parsed(document).ignore_paths == ()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda predicate: predicate.update(extra=1), "predicate has a field 'extra'"),
        (
            lambda predicate: predicate["serialization"].update(extra=None),
            "serialization has a field 'extra'",
        ),
        (
            lambda predicate: predicate["serialization"].pop("allow_symlinks"),
            "allow_symlinks is neither true nor false",
        ),
        (
            lambda predicate: predicate["serialization"].update(shard_size=1000),
            "says shard_size, and that whole files",
        ),
        (
            lambda predicate: predicate["serialization"].update(shard_size=None),
            "says shard_size, and that whole files",
        ),
        *(
            (
                lambda predicate, path=path: predicate["serialization"].update(ignore_paths=[path]),
                "an ignored path is exact",
            )
            for path in ("*.bin", "cache/?", "a/[bc]")
        ),
        (
            lambda predicate: predicate["serialization"].update(ignore_paths=[""]),
            "it is empty",
        ),
    ],
)
def test_a_predicate_outside_of_its_schema_is_refused(
    edit: Callable[[Document], object], said: str
) -> None:
    """OMS 8.3 (3): unknown fields and contradictions say something that nobody reads."""
    document = statement()
    edit(document["predicate"])
    with pytest.raises(StatementError, match=said):
        parsed(document)


def test_further_fields_of_a_resource_are_ignored() -> None:
    """OMS 5.2.1: descriptors may say more."""
    document = statement()
    document["predicate"]["resources"][0] |= {"uri": "x", "annotations": {"a": [1]}}
    assert parsed(document).resources


CONTENT = bytes(range(250))
EMPTY = {"name": "empty:0:0", "algorithm": "sha256", "digest": resource("", b"")["digest"]}


@pytest.mark.parametrize("size", [100, 100.0])
@pytest.mark.parametrize("algorithm", ["sha256", "sha256-sharded-100"])
def test_both_spellings_of_shards_are_read(size: float, algorithm: str) -> None:
    """The specification's integers, and the reference's floats and algorithm names."""
    shards = [item | {"algorithm": algorithm} for item in sharded("a:b", CONTENT, 100)]
    made = parsed(statement_of([*shards, EMPTY], method="shards", shard_size=size))
    assert made.shard_size == 100
    assert [(item.name, item.start, item.end) for item in made.resources] == [
        ("a:b", 0, 100),
        ("a:b", 100, 200),
        ("a:b", 200, 250),
        ("empty", 0, 0),
    ]


@pytest.mark.parametrize(
    "size", [0, -1, 0.5, True, None, "100", 2**63, 1e300, [], 10**400, float("1e400")]
)
def test_a_shard_size_that_is_none_is_refused(size: object) -> None:
    """Only a positive whole number of bytes is a shard's size."""
    # The decoder reads 1e400 as infinity.
    text = json.dumps(
        statement_of(sharded("a", CONTENT, 100), method="shards", shard_size=size)
    ).replace("Infinity", "1e400")
    with pytest.raises(StatementError, match=r"shard_size is .* not a size"):
        parsed(text.encode())


def shard(start: object, end: object, name: str = "a") -> Document:
    """Return a resource that claims to be a shard."""
    return resource(f"{name}:{start}:{end}", b"")


@pytest.mark.parametrize(
    "shards",
    [
        pytest.param([(100, 200)], id="without its start"),
        pytest.param([(0, 100), (200, 250)], id="with a gap"),
        pytest.param([(0, 100), (50, 150)], id="overlapping"),
        pytest.param([(0, 50), (50, 150)], id="short in the middle"),
        pytest.param([(0, 200)], id="larger than a shard"),
        pytest.param([(0, 100), (100, 100)], id="an empty one at the end"),
        pytest.param([(100, 0)], id="backwards"),
    ],
)
def test_shards_that_are_no_whole_file_are_refused(shards: list[tuple[int, int]]) -> None:
    """Bytes between or after the shards would not be covered."""
    listed = [shard(start, end) for start, end in shards]
    with pytest.raises(StatementError, match="do not add up to a file"):
        parsed(statement_of(listed, method="shards", shard_size=100))


@pytest.mark.parametrize("ends", [(0, 0), (0, 100), (100, 50)])
def test_shards_of_one_start_are_a_name_that_stands_twice(ends: tuple[int, int]) -> None:
    """Empty or not: which of them counts would be a guess."""
    listed = [shard(0, end) for end in ends]
    with pytest.raises(StatementError, match="names 'a' twice"):
        parsed(statement_of(listed, method="shards", shard_size=100))


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "a:0",
        "a:0:",
        ":0:5",
        "a:-1:5",
        "a:00:5",
        "a:+0:5",
        "a:0:5 ",
        "a:\u0660:5",
        "a:0:1" + "0" * 19,
    ],
)
def test_a_shards_name_says_where_it_lies(name: str) -> None:
    """Only path:start:end in plain decimals is a shard's name."""
    document = statement_of([resource(name, b"")], method="shards", shard_size=100)
    with pytest.raises(StatementError, match="is not named as path:start:end"):
        parsed(document)


def test_a_shard_cannot_lead_out_either() -> None:
    """The path in a shard's name obeys the same rules as a whole file's."""
    with pytest.raises(StatementError, match="leads out of the model"):
        parsed(statement_of([shard(0, 5, "../a")], method="shards", shard_size=100))


def test_shards_may_be_signed_in_any_order() -> None:
    """Only their sum has to be the signed one."""
    shards = sharded("a", CONTENT, 100)[::-1]
    assert len(parsed(statement_of(shards, method="shards", shard_size=100)).resources) == 3


def test_a_single_file_may_be_sharded() -> None:
    """'.' is a shard's path, too."""
    made = parsed(statement_of(sharded(".", CONTENT, 100), method="shards", shard_size=100))
    assert made.is_single_file


def test_the_older_predicate_is_accepted_only_when_asked_for() -> None:
    """It covers less than today's, so it must be allowed explicitly."""
    with pytest.raises(StatementError, match="accept it with --allow-legacy"):
        parsed(legacy_statement())
    made = parsed(legacy_statement(), allow_legacy=True)
    assert made.legacy
    assert {item.name for item in made.resources} == FILES.keys()
    assert not made.allow_symlinks


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        ([], "lists no resources"),
        ([{"digest": {"sha256": "0" * 64}}], "without a name"),
        ([{"name": "../x", "digest": {"sha256": "0" * 64}}], "leads out of the model"),
        ([{"name": "x", "digest": {"sha256": "F" * 64}}], "lower-case"),
        ([{"name": "x", "digest": {"sha256": "0" * 64}}] * 2, "twice"),
        ([{"name": "x", "digest": {"sha256": "0" * 64}}, "y"], "no list of subjects"),
    ],
)
def test_the_older_predicate_obeys_the_same_rules(subject: list[object], said: str) -> None:
    """Names and digests are judged there as here."""
    with pytest.raises(StatementError, match=said):
        parsed(legacy_statement() | {"subject": subject}, allow_legacy=True)


def test_asking_for_the_older_predicate_takes_nothing_from_todays() -> None:
    """With --allow-legacy, today's statements are judged as strictly as without."""
    with pytest.raises(StatementError, match="do not add up"):
        parsed(listed(digest="0" * 64), allow_legacy=True)
