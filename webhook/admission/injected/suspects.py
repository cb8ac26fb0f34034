"""The webhooks that are known to change other people's containers, and how each leaves ours alone.

By what they leave in a container: variables, mounts. Each way out is in its own documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from validator import contract

if TYPE_CHECKING:
    from webhook.admission.wire import JSON

_NAMES: Final = (contract.GATE_CONTAINER, contract.MONITOR_CONTAINER)

_EKS: Final = (
    "EKS' pod identity webhook does this: annotate the pod "
    f"eks.amazonaws.com/skip-containers: {','.join(_NAMES)}"
)
_AZURE: Final = (
    "Azure Workload Identity does this: annotate the pod "
    f"azure.workload.identity/skip-containers: {';'.join(_NAMES)}"
)
_TIMEZONE: Final = 'a time zone injector does this: annotate the pod k8tz.io/inject: "false"'
_DATADOG: Final = 'Datadog\'s does this: label the pod admission.datadoghq.com/enabled: "false"'
_PROXY: Final = (
    "an injector of proxies does this: have it leave the namespace or these containers out"
)

_VARIABLES: Final = {
    "AWS_": _EKS,
    "AZURE_": _AZURE,
    "DD_": _DATADOG,
    "TZ": _TIMEZONE,
    "HTTP_PROXY": _PROXY,
    "HTTPS_PROXY": _PROXY,
    "NO_PROXY": _PROXY,
}
"""By the start of a variable's name."""

_MOUNTS: Final = {
    "/var/run/secrets/eks.amazonaws.com/": _EKS,
    "/var/run/secrets/pods.eks.amazonaws.com/": _EKS,
    "/var/run/secrets/azure/": _AZURE,
    "/etc/localtime": _TIMEZONE,
    "/usr/share/zoneinfo": _TIMEZONE,
}
"""By the start of a mount's path."""

UNKNOWN: Final = (
    "another webhook changed it after this one: have it leave the containers "
    f"{' and '.join(_NAMES)} out, by its own annotations, or by a namespace or object selector"
)


def suspect(entry: JSON) -> str:
    """Return who probably added an entry of `env` or `volumeMounts`, and what to set."""
    for field, known in (("name", _VARIABLES), ("mountPath", _MOUNTS)):
        text = str(entry.get(field) or "")
        for start, sentence in known.items():
            if text.upper().startswith(start.upper()):
                return sentence
    return UNKNOWN
