"""The roots of trust as the webhook knows them: usable, or broken with a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from validator.errors import PolicyError
from validator.policy import trust_root
from validator.policy.document import ModelValidation
from validator.policy.trust_root import KIND, TrustRoot
from validator.text import quoted
from webhook.policies.broken import Broken, metadata_of
from webhook.policies.choice import BrokenPolicy, LeftOut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from webhook.policies.choice import Policy

PREVIOUS_LIMIT: Final = 16
"""Pairs of a policy's generation and a state of the roots that are tried on one pod."""


Roots = tuple[TrustRoot | Broken, ...] | LeftOut
"""All that are known at one moment; pods whose policies name a broken one are refused."""


def read(document: Mapping[str, Any]) -> TrustRoot | Broken:
    """Return the root that a document holds, usable or broken.

    Raises:
        PolicyError: It does not even say which root it is.
    """
    try:
        return TrustRoot.from_object(document, source="as the API server has it")
    except PolicyError as error:
        return Broken(metadata=metadata_of(document, otherwise=error), reason=str(error))


def among(known: Iterable[object] | LeftOut) -> Roots:
    """Return the roots among objects of the cluster."""
    if isinstance(known, LeftOut):
        return known
    return tuple(each for each in known if isinstance(each, TrustRoot | Broken))


def resolved(policy: Policy, roots: Roots) -> Policy:
    """Return a policy with the texts of the roots that it names; broken, where that fails."""
    if not isinstance(policy, ModelValidation):
        return policy
    try:
        made = trust_root.resolve(policy, finder(roots))
        if made is not policy:
            made.to_environment()  # with the roots' texts it may be too long
    except PolicyError as error:
        named = policy.metadata
        return BrokenPolicy(
            name=named.name,
            namespace=named.namespace,
            reason=str(error),
            remedy="",
            default=policy.spec.default,
            deleted=named.deletion_timestamp is not None,
            uid=named.uid,
            generation=named.generation,
        )
    return made


def previous(
    present: Policy | None,
    replaced: Iterable[ModelValidation],
    *,
    roots: Roots,
    earlier: Iterable[Roots],
) -> tuple[ModelValidation, ...]:
    """Return what a policy said until a moment ago, with the roots of now and of then.

    A generation that names a root which is gone now says nothing any more.

    Args:
        present: The policy as it was written last.
        replaced: Its generations before that, latest first.
        roots: As they are known.
        earlier: As they were known until a moment ago, latest first.
    """
    states = (roots, *earlier)
    said: list[Policy] = []
    for generation in (present, *replaced):
        if not isinstance(generation, ModelValidation):
            continue
        now = resolved(generation, roots)
        if now is generation:
            said.append(generation)
        elif isinstance(now, ModelValidation):
            said += [resolved(generation, state) for state in states]
    # The first one is what it says now, if it says anything.
    usable = [each for each in said if isinstance(each, ModelValidation)]
    says = isinstance(present, ModelValidation) and isinstance(
        resolved(present, roots), ModelValidation
    )
    return tuple(usable[int(says) : PREVIOUS_LIMIT])


def finder(roots: Roots) -> Callable[[str], TrustRoot]:
    """Return the function that finds a root by its name."""
    by_name = {} if isinstance(roots, LeftOut) else {each.metadata.name: each for each in roots}

    def find(name: str) -> TrustRoot:
        if isinstance(roots, LeftOut):
            raise PolicyError(roots.reason)
        root, named = by_name.get(name), f"the {KIND} {quoted(name)}"
        if root is None:
            raise PolicyError(f"{named} does not exist: create it, or name another")
        if root.metadata.deletion_timestamp is not None:
            raise PolicyError(f"{named} is being deleted: create it anew, or name another")
        if isinstance(root, Broken):
            raise PolicyError(f"{named} cannot be used: {root.reason}")
        return root

    return find
