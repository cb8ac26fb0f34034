"""The API server's version, and the definitions of our kinds that it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from validator import contract
from validator.policy.crd import DEFINITIONS
from validator.text import quoted
from webhook.doctor.finding import error, warning
from webhook.doctor.objects import APPLY_AGAIN, READ_SECONDS, found
from webhook.sources.server_version import ANSWER_LIMIT, OLDEST, PATH, Version

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from webhook.doctor.finding import Finding
    from webhook.doctor.objects import Api, Object

TRIED: Final = (1, 33), (1, 37)
"""The oldest and the newest Kubernetes on which the tests run: docs/compatibility.md."""

CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


async def version(api: Api) -> AsyncGenerator[Finding]:
    """Find a server that is too old, or that the tests have not run on."""
    said = await api.read(PATH, Version, seconds=READ_SECONDS, limit=ANSWER_LIMIT)
    name = f"Kubernetes {said.major}.{said.minor}"
    try:
        numbers = said.numbers
    except ValueError:
        yield warning(
            "server-untried",
            "API server",
            f"its version {quoted(name)} is not a number: compare it with docs/compatibility.md",
        )
        return
    if numbers < OLDEST:
        yield error(
            "server-old",
            "API server",
            f"it is {name}, which drops recursiveReadOnly from the mounts of gated pods: upgrade "
            f"the cluster to {OLDEST[0]}.{OLDEST[1]} or newer",
        )
    elif not TRIED[0] <= numbers <= TRIED[1]:
        yield warning(
            "server-untried",
            "API server",
            f"it is {name}, and this release was tried on {_shown(TRIED[0])} to "
            f"{_shown(TRIED[1])}: see whether there is a newer release",
        )


async def resource_definitions(api: Api) -> AsyncGenerator[Finding]:
    """Find definitions that are missing, not served, or another release's."""
    for definition in DEFINITIONS.values():
        made = definition()
        stored = await found(api, f"{CRDS}/{made['metadata']['name']}")
        for finding in _differences(made, stored):
            yield finding
        for finding in _stored_versions(made, stored or {}):
            yield finding


def _differences(made: Object, stored: Object | None) -> Iterator[Finding]:
    """Yield what is wrong with a definition, as it is compared with this release's."""
    subject = f"CustomResourceDefinition {made['metadata']['name']}"
    if stored is None:
        yield error("crd-missing", subject, f"it is not there: {APPLY_AGAIN}")
        return
    (ours,) = made["spec"]["versions"]
    served = [each for each in stored["spec"]["versions"] if each["name"] == ours["name"]]
    if not served or not served[0]["served"]:
        yield error(
            "crd-not-served", subject, f"it does not serve {contract.VERSION}: {APPLY_AGAIN}"
        )
    elif served[0].get("schema") != ours["schema"]:
        yield error(
            "crd-differs",
            subject,
            f"its schema is not this release's, so that its objects are read in two ways: "
            f"{APPLY_AGAIN}, with the same release as the webhook's image",
        )
    elif trouble := _not_established(stored):
        yield error("crd-not-served", subject, f"the API server does not serve it: {trouble}")


def _stored_versions(made: Object, stored: Object) -> Iterator[Finding]:
    """Yield a version in which objects may be stored that this release does not store.

    Decision 0057: a definition cannot drop a version for as long as it is in that list.
    """
    now = {each["name"] for each in made["spec"]["versions"] if each["storage"]}
    listed = stored.get("status", {}).get("storedVersions") or ()
    for other in sorted({*listed} - now):
        yield warning(
            "crd-stored-versions",
            f"CustomResourceDefinition {made['metadata']['name']}",
            f"its status.storedVersions has {quoted(other)}, in which objects may still be stored: "
            "have them written anew and take it out of that list (docs/upgrading.md, API versions)",
        )


def _not_established(stored: Object) -> str | None:
    """Return why the API server does not serve the kind; `None` where it does."""
    conditions: list[dict[str, Any]] = stored.get("status", {}).get("conditions", [])
    for each in conditions:
        if each["type"] == "Established" and each["status"] == "True":
            return None
    said = [each.get("message", "") for each in conditions if each["status"] == "False"]
    reason = quoted(said[0])[1:-1] if said else "it says no reason"
    return f"{reason}: mend that, or delete another definition of the same kind"


def _shown(numbers: tuple[int, int]) -> str:
    return f"{numbers[0]}.{numbers[1]}"
