"""Namespaces by their labels, as Kubernetes selects them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.policy.cluster_rules.namespace_selector import NamespaceSelector

LABELS = {"team": "red", "stage": "prod", "example.com/x": ""}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    """Return one demand."""
    return {"key": key, "operator": operator, "values": list(values)}


def selector(*expressions: dict[str, Any], **labels: str) -> NamespaceSelector:
    """Return a selector."""
    document = {"matchLabels": labels, "matchExpressions": list(expressions)}
    return msgspec.convert(document, NamespaceSelector)


@pytest.mark.parametrize(
    ("made", "selected"),
    [
        (selector(), True),
        (selector(team="red"), True),
        (selector(team="red", stage="prod"), True),
        (selector(team="red", stage="test"), False),
        (selector(owner="red"), False),
        (selector(expression("team", "In", "blue", "red")), True),
        (selector(expression("team", "In", "blue")), False),
        (selector(expression("owner", "In", "blue")), False),
        (selector(expression("team", "NotIn", "blue")), True),
        (selector(expression("team", "NotIn", "blue", "red")), False),
        (selector(expression("owner", "NotIn", "blue")), True),
        (selector(expression("example.com/x", "Exists")), True),
        (selector(expression("owner", "Exists")), False),
        (selector(expression("owner", "DoesNotExist")), True),
        (selector(expression("team", "DoesNotExist")), False),
        (selector(expression("team", "Exists"), team="blue"), False),
        (selector(expression("team", "Exists"), expression("owner", "Exists")), False),
    ],
)
def test_each_operator(made: NamespaceSelector, *, selected: bool) -> None:
    """All demands hold; an empty selector selects all; NotIn holds without the label, too."""
    assert made.selects(LABELS) is selected


@given(st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "x", "y"])))
def test_an_operator_and_its_opposite_never_agree(labels: dict[str, str]) -> None:
    """Whatever the labels are."""
    for one, other, values in (("In", "NotIn", ("x", "")), ("Exists", "DoesNotExist", ())):
        demands = (selector(expression("a", each, *values)) for each in (one, other))
        assert sorted(each.selects(labels) for each in demands) == [False, True]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"matchExpressions": [expression("a", "In")]}, "need values"),
        ({"matchExpressions": [expression("a", "NotIn")]}, "need values"),
        ({"matchExpressions": [expression("a", "Exists", "x")]}, "take none"),
        ({"matchExpressions": [expression("a", "DoesNotExist", "x")]}, "take none"),
        ({"matchExpressions": [expression("a", "Gt", "1")]}, "Invalid enum value"),
        ({"matchExpressions": [expression("a\n", "Exists")]}, "cannot be a label"),
        ({"matchExpressions": [expression("a", "In", "x\n")]}, "cannot be a label"),
        ({"matchExpressions": [expression("/a", "Exists")]}, "cannot be a label"),
        ({"matchExpressions": [expression("a" * 64, "Exists")]}, "cannot be a label"),
        ({"matchLabels": {"a b": "x"}}, "cannot be a label"),
        ({"matchLabels": {"a": "x y"}}, "cannot be a label"),
        ({"matchLabels": {"a": 1}}, "Expected `str`"),
        ({"matchlabels": {"a": "x"}}, "unknown field"),
    ],
)
def test_what_could_never_select_is_refused(document: object, said: str) -> None:
    """A typing error would select nothing, and so hold nobody back."""
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert(document, NamespaceSelector)


def test_the_keys_that_it_looks_at() -> None:
    """Of labels and expressions."""
    assert selector(expression("a", "Exists"), b="x").keys == {"a", "b"}
