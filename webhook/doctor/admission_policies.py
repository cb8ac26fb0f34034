"""The API server's own policies (ValidatingAdmissionPolicies) and their bindings.

Each is compared by a digest with what this release installs: their expressions are not in our
image, and whatever somebody changed in one weakens what it decides.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Final

from webhook.doctor.finding import error
from webhook.doctor.objects import ADMISSION, APPLY_AGAIN, CERTS, NAMESPACE, found

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from webhook.doctor.finding import Finding
    from webhook.doctor.objects import Api, Object

POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
PLURALS: Final = {
    POLICY: "validatingadmissionpolicies",
    BINDING: "validatingadmissionpolicybindings",
}
CODES: Final = {POLICY: "admission-policy", BINDING: "admission-binding"}

INSTALLED: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    (POLICY, "model-validation-certs"): ("fb8f8d9bc179d1d2",),
    (POLICY, "model-validation-exec"): ("2d3141485aef0078",),
    (POLICY, "model-validation-new-pods"): ("2c09f6a8d0cd48f2",),
    (POLICY, "model-validation-pods"): ("5dbc3e5f76874d03",),
    (POLICY, "model-validation-require"): (
        "e369bb15142f2eae",
        "ffb1f4a9aabfdbf1",
    ),
    (BINDING, "model-validation-certs"): ("477848b5f593dbbf",),
    (BINDING, "model-validation-exec"): ("74864e816761c28f",),
    (BINDING, "model-validation-new-pods"): ("3f89ff7842d0761e",),
    (BINDING, "model-validation-pods"): ("dda3a1e08d3cc64c",),
    (BINDING, "model-validation-require"): ("6e5e37d3d32aaac4",),
}
"""Digest of each `spec` in the manifests, and another one with components/operator-compat. A test
compares them with the manifests, and says the digest to write here."""

OF_CERTS: Final = CERTS
"""Name of the policy that is there only beside model-validation-certs."""


def digest(spec: Object) -> str:
    """Return what tells one specification from another, whatever the white space in its texts.

    Tools that write YAML anew fold the lines of an expression in other places.
    """
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    text = re.sub(r"( |\\n)+", " ", text)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


async def admission_policies(api: Api) -> AsyncGenerator[Finding]:
    """Find policies and bindings that are missing or changed."""
    with_certs = await _has_certs(api)
    for (kind, name), digests in INSTALLED.items():
        if name == OF_CERTS and not with_certs:
            continue
        stored = await found(api, f"{ADMISSION}/{PLURALS[kind]}/{name}")
        subject = f"{kind} {name}"
        if stored is None:
            yield error(
                f"{CODES[kind]}-missing",
                subject,
                f"it is not there, so that the API server does not decide it by itself: "
                f"{APPLY_AGAIN}",
            )
        elif digest(stored["spec"]) not in digests:
            yield error(
                f"{CODES[kind]}-differs",
                subject,
                f"its spec is not this release's: {APPLY_AGAIN}",
            )


async def _has_certs(api: Api) -> bool:
    """Tell whether the certificate is our own program's to renew."""
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{CERTS}"
    return await found(api, path) is not None
