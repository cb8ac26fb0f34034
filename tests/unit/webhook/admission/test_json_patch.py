"""Patches: right, few, small."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.pods import container, mount, pod, policy, run, vllm
from webhook.admission.json_patch import patch

_SCALARS = st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "a", "~", "/", "é"])
_KEYS = st.sampled_from(["name", "mountPath", "a", "a/b", "~", "~1", "0", "-", ""])
_JSON = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4)
)
_OBJECTS = st.dictionaries(_KEYS, _JSON, max_size=5)


def applied(before: dict[str, Any], operations: list[dict[str, Any]]) -> Any:
    """Apply a patch by another implementation."""
    return jsonpatch.JsonPatch(operations).apply(copy.deepcopy(before))


@given(_OBJECTS, _OBJECTS)
def test_applied_to_one_object_it_gives_the_other(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Whatever the two are; and booleans are not numbers."""
    result = applied(before, patch(before, after))
    assert repr(_sorted(result)) == repr(_sorted(after))


@given(_OBJECTS)
def test_there_is_nothing_to_patch_in_what_is_the_same(document: dict[str, Any]) -> None:
    """Also where nothing is shared."""
    assert patch(document, copy.deepcopy(document)) == []


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([1, 2], [1, 2, 3], [("add", "/l/2")]),
        (["b"], ["a", "b"], [("add", "/l/0")]),
        (["a", "b", "c"], ["a", "c"], [("remove", "/l/1")]),
        (["a", "b", "c"], ["c"], [("remove", "/l/0"), ("remove", "/l/0")]),
        ([{"name": "a", "x": 1}], [{"name": "b"}, {"name": "a", "x": 2}],
         [("add", "/l/0"), ("replace", "/l/1/x")]),
        ([{"name": "m"}], [{"name": "m", "a": 1, "b": 2}], [("replace", "/l/0")]),
        ([{"name": "m"}], [{"name": "m", "a": 1}], [("add", "/l/0/a")]),
        ([{"name": "m", "d": {}}], [{"name": "m", "d": {}, "a": 1, "b": 1}],
         [("add", "/l/0/a"), ("add", "/l/0/b")]),
    ],
)  # fmt: skip
def test_few_operations_at_the_right_places(
    before: list[Any], after: list[Any], expected: list[tuple[str, str]]
) -> None:
    """An insertion is one operation; a flat object that changes in two fields is one too."""
    operations = patch({"l": before}, {"l": after})
    assert [(each["op"], each["path"]) for each in operations] == expected


def test_a_plain_pod_takes_three_operations() -> None:
    """The gate, the scratch volume, and the model's mount."""
    given_pod = pod(initContainers=[container("fetch", mount()), container("b")])
    operations = patch(given_pod, run(given_pod).pod)
    assert [(each["op"], each["path"]) for each in operations] == [
        ("replace", "/spec/containers/0/volumeMounts/0"),
        ("add", "/spec/volumes/1"),
        ("add", "/spec/initContainers/1"),
    ]


def test_the_models_volume_is_added_by_small_operations() -> None:
    """No container is replaced whole."""
    bare = pod(vllm(volumeMounts=[]), volumes=[])
    chosen = policy(model={"volume": {"persistentVolumeClaim": {"claimName": "granite"}}})
    operations = patch(bare, run(bare, chosen).pod)
    assert [each["path"] for each in operations] == [
        "/spec/containers/0/volumeMounts/0",
        "/spec/volumes/0",
        "/spec/volumes/1",
        "/spec/initContainers",
    ]
