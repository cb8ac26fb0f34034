"""Changes of other webhooks and plugins to our containers, and which of them are kept.

Kubernetes' plugins run again after a webhook, and then the webhook once more: what it took
back each time, AlwaysPullImages and a quota would refuse. Other people's webhooks do the same.
Kept is what cannot weaken a verdict; all else is written anew, and refused where it comes back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from webhook.admission.injected import quantities

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.admission.wire import JSON


def as_others_left_it(wanted: JSON, given: JSON) -> JSON:
    """Return an injected container with what others may change of it.

    Args:
        wanted: As it is built.
        given: The container of its name that came with the pod; empty, if there was none.
    """
    for entry in ENTRIES:
        wanted = entry(wanted, given)
    return wanted


def pulled_always(wanted: JSON, given: JSON) -> JSON:
    """Let AlwaysPullImages have the image pulled each time."""
    if given.get("imagePullPolicy") == "Always":
        return {**wanted, "imagePullPolicy": "Always"}
    return wanted


def further_resources(wanted: JSON, given: JSON) -> JSON:
    """Let a LimitRange or a cloud add resources that we say nothing of, and raise those that we do.

    With more CPU, memory or storage the gate does the same.
    """
    resources = dict(wanted.get("resources", {}))
    for kind in ("requests", "limits"):
        amounts = _mapping(_mapping(given.get("resources")).get(kind))
        if amounts:
            own = resources.get(kind, {})
            raised = {name: amounts[name] for name in own if _is_more(amounts.get(name), own[name])}
            resources[kind] = {**amounts, **own, **raised}
    return {**wanted, "resources": resources}


def further_drops(wanted: JSON, given: JSON) -> JSON:
    """Let OpenShift drop capabilities by name beside ALL."""
    context = wanted["securityContext"]
    dropped = _mapping(_mapping(given.get("securityContext")).get("capabilities")).get("drop")
    own = context["capabilities"]["drop"]
    if not isinstance(dropped, list) or any(each not in dropped for each in own):
        return wanted
    return {**wanted, "securityContext": {**context, "capabilities": {"drop": dropped}}}


ENTRIES: Final[tuple[Callable[[JSON, JSON], JSON], ...]] = (
    pulled_always,
    further_resources,
    further_drops,
)
"""Each names what it keeps, and why that cannot weaken a verdict."""


def _mapping(value: Any) -> JSON:
    return value if isinstance(value, dict) else {}


def _is_more(given: Any, own: str) -> bool:
    """Tell whether an amount is a quantity larger than ours, spelled as the API server does."""
    try:
        return (
            isinstance(given, str)
            and quantities.canonical(given) == given
            and quantities.value(given) > quantities.value(own)
        )
    except ValueError:
        return False
