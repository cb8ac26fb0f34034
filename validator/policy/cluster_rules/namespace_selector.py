"""The selector of namespaces by their labels, with the meaning that Kubernetes gives it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from validator.policy.schema.fields import Part, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME_LABEL: Final = "kubernetes.io/metadata.name"
"""The label with a namespace's name, which the API server writes and nobody can change."""

REQUIREMENTS_LIMIT: Final = 32
VALUES_LIMIT: Final = 64

_NAME: Final = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_DOMAIN: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*"

KEY_FORM: Final = f"^({_DOMAIN}/)?{_NAME}$"
"""The form of a label's key (IsQualifiedName in Kubernetes' validation). A key that no label can
have would select nothing, and so hold nobody back."""

VALUE_FORM: Final = f"^({_NAME})?$"
"""The form of a label's value (IsValidLabelValue)."""

_KEY: Final = re.compile(KEY_FORM)
_VALUE: Final = re.compile(VALUE_FORM)

_NO_LABEL: Final = "what cannot be a label: write keys and values as the namespaces have them"

_LabelKey = Annotated[str, Meta(min_length=1, max_length=317)]
_LabelValue = Annotated[str, Meta(max_length=63)]


def _is_cel(form: str, name: str) -> str:
    return f"{name}.matches('{form}')"


def _is(form: re.Pattern[str], text: str) -> bool:
    return form.fullmatch(text) is not None


class LabelRequirement(Part, frozen=True, kw_only=True):
    """One demand on a namespace's labels."""

    key: Annotated[_LabelKey, Meta(description="The label's key.")]
    operator: Annotated[
        Literal["In", "NotIn", "Exists", "DoesNotExist"],
        Meta(description="NotIn also holds for a namespace without the label."),
    ]
    values: Annotated[
        tuple[_LabelValue, ...],
        Meta(max_length=VALUES_LIMIT, description="For In and NotIn, at least one."),
    ] = ()

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "matchExpressions: In and NotIn need values, Exists and DoesNotExist take none",
            "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
            lambda self: (self.operator in {"In", "NotIn"}) == bool(self.values),
        ),
        Rule(
            f"matchExpressions has {_NO_LABEL}",
            f"{_is_cel(KEY_FORM, 'self.key')} && (!has(self.values) || "
            f"self.values.all(value, {_is_cel(VALUE_FORM, 'value')}))",
            lambda self: _is(_KEY, self.key) and all(_is(_VALUE, value) for value in self.values),
        ),
    )

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels are as demanded."""
        match self.operator:
            case "In":
                return self.key in labels and labels[self.key] in self.values
            case "NotIn":
                return self.key not in labels or labels[self.key] not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels


class NamespaceSelector(Part, frozen=True, kw_only=True):
    """Namespaces by their labels: all demands hold; without any, all namespaces are selected."""

    match_labels: Annotated[
        dict[str, _LabelValue],
        Meta(max_length=REQUIREMENTS_LIMIT, description="Labels with exactly these values."),
    ] = msgspec.field(default_factory=dict)
    match_expressions: Annotated[
        tuple[LabelRequirement, ...],
        Meta(max_length=REQUIREMENTS_LIMIT, description="Further demands on labels."),
    ] = ()

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"matchLabels has {_NO_LABEL}",
            "!has(self.matchLabels) || self.matchLabels.all(key, "
            f"{_is_cel(KEY_FORM, 'key')} && {_is_cel(VALUE_FORM, 'self.matchLabels[key]')})",
            lambda self: all(
                _is(_KEY, key) and _is(_VALUE, value) for key, value in self.match_labels.items()
            ),
        ),
    )

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the labels that it looks at."""
        return frozenset((*self.match_labels, *(each.key for each in self.match_expressions)))

    def selects_namespace(self, name: str | None, labels: Mapping[str, str] | None) -> bool | None:
        """Tell whether a namespace is selected, `None` where that is not known.

        Args:
            name: Of the namespace, which is a label of it, too.
            labels: Its other labels; `None` where they are not known.
        """
        known = {} if name is None else {NAME_LABEL: name}
        if labels is None and not self.keys <= known.keys():
            return None
        return self.selects({**(labels or {}), **known})

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a namespace with these labels is selected."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            demand.holds(labels) for demand in self.match_expressions
        )
