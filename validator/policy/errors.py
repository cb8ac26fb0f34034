"""The sentence for a field that is not what the schema says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from validator import contract
from validator.policy.schema import PATH_FORM
from validator.text import printable

if TYPE_CHECKING:
    import msgspec

_CHOICES: Final = {
    "apiVersion": contract.API_VERSION,
    "kind": contract.KIND,
    "spec.mode": "Enforce or Audit",
    "spec.workload.arguments": "Check or Strict",
    "spec.revalidation.action": "Unready or Report",
    "spec.revalidation.interval": "a number and s, m or h, such as 10m",
    "spec.revalidation.bytesPerSecond": "a number and M, Mi, G or Gi, such as 100Mi",
}
"""What stands where only certain words or forms may stand, for the sentence."""


def sentence(error: msgspec.ValidationError) -> str:
    """Turn msgspec's message into ours: the place first, as a person writes it in YAML."""
    message, _, place = str(error).partition(" - at `$")
    if "matching regex" in message and r"\x00" in message:
        form = PATH_FORM if "'^(?:/" in message else "relative, without '..', '.', '//'"
        message = f"the path must be {form}"
    message = message[0].lower() + message[1:]
    where = place.rstrip("`").lstrip(".")
    if where in _CHOICES and ("invalid enum value" in message or "matching regex" in message):
        message = f"{message}: write {_CHOICES[where]}"
    # Names of unknown fields are in there, as they were written.
    return printable(f"{where}: {message}" if where else message)
