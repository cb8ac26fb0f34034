"""The API server's way to the webhook, tried by a pod that is created as a dry run."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from validator import contract
from webhook.cluster.errors import ApiError
from webhook.cluster.paths import NAMESPACES
from webhook.doctor import configurations
from webhook.doctor.finding import error, warning
from webhook.doctor.objects import CONFIGURATION, NAMESPACE, SERVICE, Object

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from webhook.doctor.finding import Finding
    from webhook.doctor.objects import Api

ENTRY: Final = configurations.entry_name(configurations.MUTATING, contract.LABEL)
SUBJECT: Final = f"Service {SERVICE}"

POD: Final[Object] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "model-validation-doctor",
        # A label's value, and no name that a policy can have. So the webhook refuses the pod,
        # wherever it is created, unless the namespace pins a policy by its own label.
        "labels": {contract.LABEL: "Doctor"},
    },
    "spec": {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "probe",
                "image": "registry.invalid/probe",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    },
}


async def reach(api: Api, *, namespace: str) -> AsyncGenerator[Finding]:
    """Find a webhook that the API server does not reach, or does not ask.

    Args:
        api: The client.
        namespace: In which the pod would be created.

    Raises:
        ApiError: The account may not create pods there.
    """
    try:
        made = await api.try_creation(f"{NAMESPACES}/{namespace}/pods", POD, Object)
    except ApiError as refusal:
        finding = _judged(refusal, namespace=namespace)
        if finding:
            yield finding
        return
    gates = [each["name"] for each in made["spec"].get("initContainers", ())]
    if contract.GATE_CONTAINER not in gates:
        yield _not_asked("a labelled pod is admitted without a gate")


def _judged(refusal: ApiError, *, namespace: str) -> Finding | None:
    """Return the finding that a refusal shows, `None` where it is the webhook's own.

    Raises:
        ApiError: It is about the account's rights.
    """
    sentence = str(refusal)
    if f'admission webhook "{ENTRY}" denied' in sentence:
        return None
    if f'calling webhook "{ENTRY}"' in sentence:
        return error(
            "webhook-not-reached",
            SUBJECT,
            f"the API server cannot ask the webhook ({sentence}): let the control plane connect "
            f"to port 8443 of the pods in the namespace {NAMESPACE}, by firewall and NetworkPolicy",
        )
    if "ValidatingAdmissionPolicy" in sentence:
        return _not_asked(sentence)
    if refusal.status == HTTPStatus.NOT_FOUND:
        return warning(
            "webhook-not-tried",
            f"Namespace {namespace}",
            "it is not there, so that no pod was tried in it: name another one with "
            "--probe-namespace",
        )
    if refusal.status == HTTPStatus.FORBIDDEN and "cannot create resource" in sentence:
        raise refusal
    return warning(
        "webhook-not-tried",
        SUBJECT,
        f"a labelled pod was refused before the webhook was asked ({sentence}): name another "
        "namespace with --probe-namespace",
    )


def _not_asked(what: str) -> Finding:
    return error(
        "webhook-not-asked",
        SUBJECT,
        f"the API server does not ask the webhook ({what}): look at the selectors of "
        f"{configurations.MUTATING} {CONFIGURATION}, and at the flags "
        "--disable-admission-plugins of the API server",
    )
