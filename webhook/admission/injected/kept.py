"""Changes of other webhooks and plugins to our containers, and which of them are kept.

Kubernetes' plugins run again after a webhook, and then the webhook once more: what it took
back each time, AlwaysPullImages and a quota would refuse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webhook.admission.wire import JSON


def as_kubernetes_left_it(gate: JSON, given: JSON) -> JSON:
    """Return the gate, or its monitor, with what Kubernetes changes after us.

    Its plugins run again after a webhook, and then the webhook once more: what it took back
    each time, AlwaysPullImages and a quota would refuse.

    Args:
        gate: As it is built.
        given: The container of its name that came with the pod; empty, if there was none.
    """
    for kept in (_pulled_always, _amounts_by_default):
        gate = kept(gate, given)
    return gate


def _pulled_always(gate: JSON, given: JSON) -> JSON:
    """AlwaysPullImages."""
    if given.get("imagePullPolicy") == "Always":
        return {**gate, "imagePullPolicy": "Always"}
    return gate


def _amounts_by_default(gate: JSON, given: JSON) -> JSON:
    """LimitRanger: defaults for resources of which we say nothing."""
    resources = dict(gate["resources"])
    for kind in ("requests", "limits"):
        if amounts := (given.get("resources") or {}).get(kind):
            resources[kind] = {**amounts, **resources.get(kind, {})}
    return {**gate, "resources": resources}
