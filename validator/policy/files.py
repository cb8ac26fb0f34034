"""Policy files: one ModelValidation, and what counts beside it.

That is the TrustRoots that it names, the cluster's rules (ClusterModelValidations), and the
Namespace, by whose labels the rules select it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from validator import contract
from validator.errors import PolicyError
from validator.policy import trust_root
from validator.policy.cluster_rules import resolution
from validator.policy.cluster_rules.rule import ClusterModelValidation
from validator.policy.document import FILE_LIMIT, ModelValidation
from validator.policy.trust_root import TrustRoot
from validator.policy.yaml_documents import load_all
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable


class _Metadata(msgspec.Struct, frozen=True):
    name: str
    labels: dict[str, str] = {}


class _Namespace(msgspec.Struct, frozen=True):
    metadata: _Metadata


def read_policy(text: bytes, *, source: str) -> ModelValidation:
    """Return the policy in the text of a file, YAML or JSON, with what counts beside it.

    Raises:
        PolicyError: See `read_policies`.
    """
    return read_policies([(text, source)])


def read_policies(files: Iterable[tuple[bytes, str]]) -> ModelValidation:
    """Return the policy in the texts of files, with what counts beside it.

    Args:
        files: Texts, YAML or JSON, each with where it comes from.

    Raises:
        PolicyError: One is too large or not YAML, there is not one policy, what it names is missing
            or wrong, or it is not known whether a rule holds.
    """
    documents = _Documents()
    for text, source in files:
        documents.sources.append(source)
        for document in load_all(text, source=source, limit=FILE_LIMIT):
            documents.add(document, source=source)
    return documents.policy()


@dataclass(slots=True)
class _Documents:
    """The documents of all files, by kind."""

    sources: list[str] = field(default_factory=list)
    policies: list[ModelValidation] = field(default_factory=list)
    roots: dict[str, TrustRoot] = field(default_factory=dict)
    rules: dict[str, ClusterModelValidation] = field(default_factory=dict)
    namespaces: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def add(self, document: object, *, source: str) -> None:
        """Take a decoded document in: a policy, unless it says another kind."""
        kind = document.get("kind") if isinstance(document, Mapping) else None
        if kind == trust_root.KIND:
            root = TrustRoot.from_object(document, source=source)
            _put(self.roots, root.metadata.name, root, kind=kind, source=source)
        elif kind == contract.CLUSTER_KIND:
            rule = ClusterModelValidation.from_object(document, source=source)
            _put(self.rules, rule.metadata.name, rule, kind=kind, source=source)
        elif kind == "Namespace":
            metadata = _namespace(document, source=source)
            _put(self.namespaces, metadata.name, metadata.labels, kind=kind, source=source)
        elif kind == contract.EXEMPTION_KIND:
            raise PolicyError(
                f"{source}: a {kind} is about pods and does not count here: leave it out"
            )
        else:
            self.policies.append(ModelValidation.from_object(document, source=source))

    def policy(self) -> ModelValidation:
        """Return the one policy, with all that counts beside it."""
        source = ", ".join(self.sources)
        policies = self.policies
        if len(policies) > 1 or not (policies or self.rules):
            raise PolicyError(f"{source}: expected one {contract.KIND}, found {len(policies)}")
        namespace = policies[0].metadata.namespace if policies else None
        if namespace is None and len(self.namespaces) == 1:
            (namespace,) = self.namespaces
        try:
            holding = [
                trust_root.resolve(rule, self._root)
                for rule in self.rules.values()
                if resolution.holds(rule, namespace, self.namespaces.get(namespace or ""))
            ]
            if policies:
                return resolution.resolve(trust_root.resolve(policies[0], self._root), holding)
            return resolution.stand_in(_the_default(holding), holding)
        except PolicyError as error:
            named = f"{policies[0].reference}: " if policies else ""
            raise PolicyError(f"{source}: {named}{error}") from error

    def _root(self, name: str) -> TrustRoot:
        if name not in self.roots:
            where = "this file" if len(self.sources) == 1 else "these files"
            raise PolicyError(
                f"the {trust_root.KIND} {quoted(name)} is not in {where}: put it there, after a "
                "line ---, or give a file that has it, too"
            )
        return self.roots[name]


def _the_default(holding: list[ClusterModelValidation]) -> ClusterModelValidation:
    defaults = [rule for rule in holding if rule.spec.default]
    if len(defaults) != 1:
        raise PolicyError(
            f"expected one {contract.KIND}, or in its place one {contract.CLUSTER_KIND} with "
            f"default: true that holds, found {len(defaults)}"
        )
    return defaults[0]


def _put(known: dict[str, Any], name: str, value: object, *, kind: str, source: str) -> None:
    if name in known:
        raise PolicyError(f"{source}: the {kind} {quoted(name)} is there twice: keep one")
    known[name] = value


def _namespace(document: object, *, source: str) -> _Metadata:
    try:
        return msgspec.convert(document, _Namespace).metadata
    except msgspec.ValidationError as error:
        raise PolicyError(
            f"{source}: the Namespace has no name, or labels that are not all text: put them in "
            "quotes"
        ) from error
