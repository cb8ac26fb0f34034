"""The sentence for a field that is not what the schema says."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

import msgspec
import msgspec.inspect

from validator import contract
from validator.policy.schema.fields import PATH_FORM
from validator.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHOICES: Final = {
    "apiVersion": contract.API_VERSION,
    "spec.mode": "Enforce or Audit",
    "spec.workload.arguments": "Check or Strict",
    "spec.onRestart": "Verify or Keep",
    "spec.revalidation.action": "Unready, Report or Stop",
    "spec.revalidation.interval": "a number and s, m or h, such as 10m",
    "spec.revalidation.bytesPerSecond": "a number and M, Mi, G or Gi, such as 100Mi",
}
"""Words or forms that a field may have where only certain ones are allowed, for the sentence."""


_OPERATORS: Final = {
    "spec.continuousValidation": "here it is spec.revalidation, with the interval in it; a policy "
    "without it verifies once",
    "spec.imagePullPolicy": "leave it out: the webhook decides it for all gates",
    "spec.model.allowSymlinks": "leave it out: the signer has decided it",
    "spec.config.clientTrustConfig": "here it is spec.trust.trustedRoot, with the text of "
    "trusted_root.json (the file's field trustedRoot) and not its path",
}
"""Fields of the Sigstore project's model-validation-operator that have another form here."""

_OPERATORS_GROUP: Final = "'ml.sigstore.dev/"

_UNKNOWN: Final = re.compile("object contains unknown field `(.*)`", re.DOTALL)

_OF_AN_IMAGE: Final = "(?::[0-9]+)?/)?"
"""A part of the patterns in `image_reference`: the port of a registry."""

_IMAGE_FORM: Final = "REGISTRY/NAME@sha256:… (64 hexadecimal digits), the name in small letters"


def sentence(error: msgspec.ValidationError, *, root: type[msgspec.Struct], kind: str) -> str:
    """Turn msgspec's message into ours: the place first, as a person writes it in YAML.

    Args:
        error: Its message has the place at its end.
        root: The type of the whole document.
        kind: The document's kind.
    """
    message, _, place = str(error).partition(" - at `$")
    if "matching regex" in message and r"\x00" in message:
        form = PATH_FORM if "'^(?:/" in message else "relative, without '..', '.', '//'"
        message = f"the path must be {form}"
    elif "matching regex" in message and _OF_AN_IMAGE in message:
        message = f"not an image by its digest: write {_IMAGE_FORM}"
    message = message[0].lower() + message[1:]
    where = place.rstrip("`").lstrip(".")
    choices = _CHOICES | {"kind": kind}
    if where in choices and ("invalid enum value" in message or "matching regex" in message):
        message = f"{message}: write {choices[where]}"
        if where == "apiVersion" and _OPERATORS_GROUP in message:
            message += ", or have `python -m webhook convert` write it"
    elif unknown := _UNKNOWN.fullmatch(message):
        message += _advice(unknown[1], where, root)
    # Names of unknown fields are in there, as they were written.
    return printable(f"{where}: {message}" if where else message)


def _advice(name: str, where: str, root: type[msgspec.Struct]) -> str:
    """Return a colon and the field that was probably meant; nothing, if none is like it."""
    place = re.sub(r"\[[^]]*\]", "", where)
    if known := _OPERATORS.get(f"{place}.{name}".replace("models.", "model.")):
        return f": {known}"
    fields = list(_fields(msgspec.inspect.type_info(root), ""))
    here = {path.rpartition(".")[2] for path in fields if path.rpartition(".")[0] == place}
    lower = {each.lower(): each for each in here}
    if same := lower.get(name.lower()):
        return f": {same} was probably meant"
    if close := difflib.get_close_matches(name.lower(), lower, n=2):
        return f": {' or '.join(lower[each] for each in close)} was probably meant"
    for path in fields:
        if path.rpartition(".")[2] == name:
            return f": it belongs at {path}"
    return ""


def _fields(kind: msgspec.inspect.Type, place: str) -> Iterator[str]:
    """Yield the paths of all fields of a type, those of its parts included."""
    match kind:
        case msgspec.inspect.StructType(fields=fields):
            for field in fields:
                path = f"{place}.{field.encode_name}".lstrip(".")
                yield path
                yield from _fields(field.type, path)
        case msgspec.inspect.UnionType(types=types):
            for each in types:
                yield from _fields(each, place)
        case msgspec.inspect.VarTupleType(item_type=item):
            yield from _fields(item, place)
        case msgspec.inspect.Metadata(type=inner):
            yield from _fields(inner, place)
