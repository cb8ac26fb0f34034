"""`Check`, whatever it is given: it answers, it answers the same, and nothing slips through."""

from __future__ import annotations

import json
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from validator.vllm.option_kinds import Kind
from validator.vllm.options import TABLE
from validator.vllm.variable_kinds import Variable
from webhook.vllm.check import check
from webhook.vllm.reading import Reading
from webhook.vllm.recognition import recognised
from webhook.vllm.strict import container as strict

MODEL: Final = "/models/granite"
FLAGS: Final = tuple(flag for option in TABLE.options for flag in option.flags)

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "value", "valueFrom", "mountPath"]) | st.text(max_size=5),
            inner,
        )
    ),
    max_leaves=12,
)
words = st.one_of(
    st.sampled_from(FLAGS),
    st.sampled_from(
        ["vllm", "serve", "python3", "-m", "sh", "-c", "--", MODEL, "$(A)", "org/name"]
    ),
    st.text(max_size=30),
    st.builds("{}={}".format, st.sampled_from(FLAGS), st.text(max_size=10)),
    st.builds("{}.{}".format, st.sampled_from(FLAGS), st.text(max_size=10)),
)
containers = st.fixed_dictionaries(
    {},
    optional={
        "name": anything,
        "image": anything,
        "command": st.lists(words, max_size=6) | anything,
        "args": st.lists(words, max_size=12) | anything,
        "env": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["A", *TABLE.environment]), "value": words}
            ),
            max_size=4,
        )
        | anything,
        "envFrom": anything,
        "workingDir": anything,
        "volumeMounts": anything,
        "lifecycle": anything,
        "livenessProbe": anything,
    },
)


@given(container=containers, mounts_model=st.booleans())
def test_any_container_is_judged_and_each_time_the_same(
    *, container: dict[str, Any], mounts_model: bool
) -> None:
    """No input raises; what is said depends on nothing but the container."""
    before = json.dumps(container, default=repr)
    first, again = (
        (
            check(reading, mounts_model=mounts_model, model_paths=(MODEL,)),
            strict.refusals(reading, model_paths=(MODEL,)),
        )
        for reading in (Reading(container=container), Reading(container=container))
    )
    assert first == again
    assert isinstance(recognised(Reading(container=container)), bool)
    assert json.dumps(container, default=repr) == before


paths = st.from_regex(r"/(?:elsewhere|models)(?:/[a-z.]{1,5}){0,3}", fullmatch=True)
held = [
    option
    for option in TABLE.options
    if option.flags
    and option.kind in (Kind.MODEL, Kind.TOKENIZER, Kind.CONFIG, Kind.DRAFT, Kind.CACHE)
]


@st.composite
def lines_with_another_path(draw: st.DrawFn) -> list[str]:
    """Return arguments of which one opens a path outside of the model."""
    option, path = draw(st.sampled_from(held)), draw(paths)
    flag = option.flags[0]
    if draw(st.booleans()):
        flag = "--" + flag[2:].replace("-", "_")
    others = st.lists(st.sampled_from(["--enforce-eager", "-tp=2", "--port=80"]), max_size=2)
    opened = [f"{flag}={path}"] if draw(st.booleans()) else [flag, path]
    overriding = [option.flags[0], MODEL] if draw(st.booleans()) else []
    return [*draw(others), *opened, *draw(others), *overriding]


@given(arguments=lines_with_another_path())
def test_no_path_outside_of_the_model_passes(arguments: list[str]) -> None:
    """In any spelling, anywhere on the line, and even where a later value overrides it."""
    container = {"command": ["vllm", "serve", MODEL], "args": arguments}
    assert check(Reading(container=container), mounts_model=True, model_paths=(MODEL,)).refusals


@given(arguments=st.lists(words, max_size=12), path=st.sampled_from([MODEL, "/elsewhere"]))
def test_what_is_covered_is_canonical_and_in_the_model(arguments: list[str], path: str) -> None:
    """The gate is handed nothing that it would have to interpret."""
    container = {"command": ["vllm", "serve", path], "args": arguments}
    judgement = check(Reading(container=container), mounts_model=True, model_paths=(MODEL,))
    for covered in judgement.cover:
        assert covered == MODEL or covered.startswith(f"{MODEL}/")
        assert not {"", ".", ".."} & set(covered.split("/")[1:])


def test_the_table_is_whole() -> None:
    """Every kind is some option's or variable's, and no flag is that of two options."""
    assert {option.kind for option in TABLE.options} == set(Kind)
    assert set(TABLE.environment.values()) == set(Variable)
    assert len({flag for option in TABLE.options for flag in option.flags}) == len(FLAGS)
    assert {option.dest for option in TABLE.options if option.kind is Kind.MODEL} == {
        "model",
        "model_tag",
    }
