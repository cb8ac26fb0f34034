"""Command lines are read by the tables of several releases at once."""

from __future__ import annotations

import pytest

from tests.unit.validator.vllm.test_options import release
from validator.vllm.option_kinds import KINDS, Kind
from validator.vllm.options import merged
from webhook.vllm.parser import UnreadableError, parse


def test_an_option_of_the_oldest_and_one_of_the_newest_release_are_read() -> None:
    """Each has its value, though no release has both."""
    parsed = parse(["--no-enable-mamba-fine-grained-prefix-cache", "--log-level=info"], serve=False)
    assert [given.option.dest for given in parsed.given] == [
        "enable_mamba_fine_grained_prefix_cache",
        "log_level",
    ]
    assert parsed.unknown == ()


@pytest.mark.parametrize("flag", ["--disable-prefix-caching", "--enable-uvicorn-access-log"])
def test_the_newest_release_has_an_opposite_for_each_switch(flag: str) -> None:
    """VLLM 0.33 takes `--disable-x` for `--enable-x`, and the other way about."""
    parsed = parse([flag, "/models/granite"], serve=True)
    assert [given.values for given in parsed.given] == [(), ("/models/granite",)]


@pytest.mark.parametrize("word", ["--mode", "--mode=/models/granite", "--mod"])
def test_a_flag_that_releases_read_in_different_ways_is_refused(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One takes the word for the option's value, and the other for the model."""
    monkeypatch.setitem(KINDS, "mode", Kind.SAFE)
    table = merged([release("1.0", "--mode", mode=0), release("1.1", "--mode", mode="?")])
    with pytest.raises(UnreadableError, match="read --mode in different ways") as error:
        parse([word], serve=True, table=table)
    assert "(of 1.0, 1.1)" in str(error.value)
    assert error.value.remedy == "leave it out"


@pytest.mark.parametrize(
    "word", ['--logging-config={"log_level": "info"}', "--logging_conf=a b", "--log-level=a b"]
)
def test_a_word_that_an_older_release_takes_for_the_model_is_refused(word: str) -> None:
    """Python takes an option that it does not know for a value, where its word has a space."""
    for arguments in ([word], [word, "--model", "/models/granite"], ["/models/granite", word]):
        with pytest.raises(UnreadableError, match="some take it for the model") as error:
            parse(arguments, serve=True)
        assert error.value.remedy == "write its value as a word of its own"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--logging-config", '{"log_level": "info"}'],
        ["--logging-config.log_level", "a b"],
        ["--logging-config={}", "--served-model-name=a b"],
        ['--compilation-config={"mode": 3}'],
    ],
    ids=repr,
)
def test_a_space_elsewhere_is_none(arguments: list[str]) -> None:
    """In a word of its own, or with an option that all releases have."""
    assert parse(["/models/granite", *arguments], serve=True).unknown == ()
