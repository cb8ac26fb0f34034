"""The Go operator's label, annotations and finalizer in any manifest, replaced by our label.

Pure. A manifest that names none of them stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from validator import contract
from validator.text import quoted
from webhook.cli import operator_policy
from webhook.cli.templates import shown

if TYPE_CHECKING:
    from webhook.cli.operator_policy import Notes
    from webhook.cli.templates import Document, Place

DOMAIN: Final = contract.OPERATOR_LABEL.rpartition("/")[0]
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"

_FINALIZER: Final = f"{DOMAIN}/finalizer"
_LEFT_OUT: Final = {
    f"{DOMAIN}/injected-at": "the operator wrote it",
    f"{DOMAIN}/auth-method": "the operator wrote it",
    f"{DOMAIN}/config-hash": "the operator wrote it",
    f"{DOMAIN}/continuous-validation": "the operator wrote it",
    f"{DOMAIN}/allow-symlinks": "the signature itself says whether links were followed",
}
"""Annotations of a pod that mean nothing here, each with the reason."""

_POLICYS: Final = {
    f"{DOMAIN}/ignore-paths": "spec.model.ignorePaths",
    f"{DOMAIN}/ignore-git-paths": "spec.model.ignoreGitPaths",
    f"{DOMAIN}/ignore-unsigned-files": "spec.model.ignoreUnsignedFiles",
}
"""Annotations by which a pod overrides its policy, each with the policy's field."""

_FIXED_SELECTORS: Final = frozenset({"DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"})
"""Kinds whose `spec.selector` cannot be changed."""

PLACES_SHOWN: Final = 10
"""Places of one manifest that are named."""


def relabelled(document: Document, notes: Notes) -> Document:
    """Return a manifest with our label in place of the operator's."""
    walk = _Walk(document, notes)
    made: Document = walk.visit(document, ())
    if walk.mentions:
        more = len(walk.mentions) - PLACES_SHOWN
        shown = ", ".join(walk.mentions[:PLACES_SHOWN]) + (f" and {more} more" if more > 0 else "")
        notes.by_hand.append(
            f"the operator's name {operator_policy.GROUP} stands at {shown} as well: write "
            f"{contract.LABEL} or {contract.GROUP} there, where it is meant for these pods or "
            "policies"
        )
    return made


class _Walk:
    """One way through a manifest.

    Attributes:
        mentions: Places that name the operator and are left as they are.
    """

    def __init__(self, document: Document, notes: Notes) -> None:
        self._kind = document["kind"]
        self._notes = notes
        self.mentions: list[str] = []

    def visit(self, value: Any, place: Place) -> Any:
        """Return a value of the manifest as it should be."""
        if isinstance(value, dict):
            pairs = (self._pair(key, each, value, place) for key, each in value.items())
            return dict(pair for pair in pairs if pair is not None)
        if isinstance(value, list):
            return [
                self.visit(each, (*place, index))
                for index, each in enumerate(value)
                if not self._is_finalizer(each)
            ]
        if isinstance(value, str) and operator_policy.GROUP in value:
            self.mentions.append(shown(place))
        return value

    def _pair(self, key: str, value: Any, around: Document, place: Place) -> tuple[str, Any] | None:
        """Return a key and its value as they should be, `None` where they are left out."""
        if key == contract.OPERATOR_LABEL and not isinstance(value, dict | list):
            return self._label(value, around, place)
        if reason := _LEFT_OUT.get(key):
            self._notes.changed.append(f"{key} is left out of {shown(place)}: {reason}")
            return None
        if key == LAST_APPLIED and isinstance(value, str) and operator_policy.GROUP in value:
            self._notes.changed.append(f"{key} is left out: kubectl writes it anew")
            return None
        if theirs := _POLICYS.get(key):
            self._notes.by_hand.append(
                f"the annotation {key} has no effect here, where a pod does not choose what is "
                f"ignored: write it into its policy, {theirs}, or give the pod a policy of its own"
            )
        elif key == f"{DOMAIN}/ignore":
            self._notes.by_hand.append(
                f"the namespace's label {key} has no effect here: a pod without the label "
                f"{contract.LABEL} is left alone; take the label off pods that are not to be "
                "verified"
            )
        elif operator_policy.GROUP in key:
            self.mentions.append(shown((*place, key)))
        return key, self.visit(value, (*place, key))

    def _label(self, value: Any, around: Document, place: Place) -> tuple[str, Any] | None:
        where = shown(place)
        if around.get(contract.LABEL, value) != value:
            self._notes.by_hand.append(
                f"{where} has both labels, and they differ: {contract.OPERATOR_LABEL} "
                f"{quoted(value)} and {contract.LABEL} {quoted(around[contract.LABEL])}: keep one"
            )
            return contract.OPERATOR_LABEL, value
        if value == "":
            self._notes.changed.append(
                f"{contract.OPERATOR_LABEL} is left out of {where}: it is empty, which asks the "
                "operator for nothing"
            )
            return None
        if value in {"true", "false"}:
            self._notes.by_hand.append(
                f"the label at {where} names a policy {quoted(value)}, and no policy can be called "
                "so here: rename it, there and in the label"
            )
        if place[:2] == ("spec", "selector") and self._kind in _FIXED_SELECTORS:
            self._notes.by_hand.append(
                f"{where} selects by the label, and a {self._kind}'s selector cannot be changed: "
                "delete it before you apply this"
            )
        self._notes.changed.append(f"{where}: {contract.LABEL} for {contract.OPERATOR_LABEL}")
        return contract.LABEL, value

    def _is_finalizer(self, value: Any) -> bool:
        if value != _FINALIZER:
            return False
        self._notes.changed.append(
            f"the finalizer {_FINALIZER} is left out: only the operator takes it off"
        )
        return True
