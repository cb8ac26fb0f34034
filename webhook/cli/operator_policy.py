"""The Go operator's ModelValidation (sigstore/model-validation-operator), written as ours.

Pure. Belongs here: each field of the operator's API versions, `ml.sigstore.dev/v1alpha1` and the
earlier `rhtas.redhat.com/v1alpha1`. What cannot be written as ours is kept, so that it is refused
when it is applied and not lost.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from validator import contract
from validator.errors import PolicyError
from validator.paths import canonical, covers
from validator.policy.document import ModelValidation
from validator.text import quoted

if TYPE_CHECKING:
    from webhook.cli.templates import Document

GROUP: Final = "ml.sigstore.dev"
API_VERSION: Final = f"{GROUP}/v1alpha1"

_SERVER_WRITES: Final = ("creationTimestamp", "generation", "managedFields", "resourceVersion")
_SERVER_WRITES_TOO: Final = ("selfLink", "uid")
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([mh])")
"""A part of an interval, as the operator's definition allows it."""

_SECONDS: Final = {"m": 60, "h": 3600}
_LONGEST: Final = 24 * 3600
_PULLS: Final = {
    "Always": "it is the operator's default, and gates have IfNotPresent",
    "IfNotPresent": "all gates have it",
}


@dataclass(slots=True)
class Notes:
    """Sentences about one manifest.

    Attributes:
        changed: What is written otherwise, with the same meaning.
        by_hand: What has no equivalent, and what to do about it.
    """

    changed: list[str] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)


def converted(document: Document, notes: Notes) -> Document:
    """Return a ModelValidation of the operator as ours; one of ours as it is."""
    if document.get("apiVersion") != API_VERSION and not _of_the_first_version(document):
        return document
    made = dict(document)
    if document["apiVersion"] != contract.API_VERSION:
        notes.changed.append(f"apiVersion is {contract.API_VERSION}")
        made["apiVersion"] = contract.API_VERSION
    _metadata(made, notes)
    spec = made.get("spec")
    if isinstance(spec, dict):
        made["spec"] = spec = dict(spec)
        _model(spec, notes)
        _signer(spec, notes)
        _again(spec, notes)
        _image(spec, notes)
    _judge(made, notes)
    return made


def _of_the_first_version(document: Document) -> bool:
    """Tell whether a resource of our group has only the fields that the operator had in it.

    One of ours with these fields alone would be of no use: it admits no pod, since it reads its
    anchor from the pod and does not say so.
    """
    spec = document.get("spec")
    return (
        document.get("apiVersion") == contract.API_VERSION
        and isinstance(spec, dict)
        and set(spec) == {"model", "config"}
        and isinstance(spec["model"], dict)
        and set(spec["model"]) <= {"path", "signaturePath"}
        and bool(_anchors(spec))
    )


def _metadata(made: Document, notes: Notes) -> None:
    left = ["status"] if made.pop("status", None) else []
    metadata = made.get("metadata")
    if isinstance(metadata, dict):
        theirs = [key for key in (*_SERVER_WRITES, *_SERVER_WRITES_TOO) if key in metadata]
        made["metadata"] = {key: metadata[key] for key in metadata if key not in theirs}
        left += [f"metadata.{key}" for key in theirs]
    if left:
        notes.changed.append(f"left out, since the cluster wrote it: {', '.join(left)}")


def _model(spec: Document, notes: Notes) -> None:
    if not isinstance(spec.get("model"), dict):
        return
    spec["model"] = model = dict(spec["model"])
    for key in ("path", "signaturePath"):
        _spell(model, key, f"spec.model.{key}", notes)
    if model.pop("allowSymlinks", None) is not None:
        notes.changed.append(
            "spec.model.allowSymlinks is left out: the signature itself says whether links were "
            "followed"
        )
    ignored, path = model.get("ignorePaths"), model.get("path")
    if isinstance(ignored, list) and isinstance(path, str):
        kept = [_relative(each, path, notes) for each in ignored]
        model["ignorePaths"] = [each for each in kept if each is not None]


def _relative(path: Any, model: str, notes: Notes) -> Any:
    """Return an ignored path relative to the model, as it is where that cannot be said.

    Returns:
        `None` where it lies outside of the model, so that it ignored nothing.
    """
    if not isinstance(path, str) or ".." in path.split("/"):
        return path
    made = canonical(path) if path.startswith("/") else posixpath.normpath(path)
    if made.startswith("/"):
        if not covers(model, made):
            notes.changed.append(
                f"{quoted(path)} is left out of spec.model.ignorePaths: it is not in the model"
            )
            return None
        made = made.removeprefix(model).lstrip("/") or path
    if made != path:
        notes.changed.append(f"spec.model.ignorePaths: {quoted(made)} for {quoted(path)}")
    return made


def _spell(part: Document, key: str, where: str, notes: Notes) -> None:
    """Write a path in its one spelling, unless it climbs."""
    path = part.get(key)
    if not isinstance(path, str) or not path.startswith("/") or ".." in path.split("/"):
        return
    part[key] = canonical(path)
    if part[key] != path:
        notes.changed.append(f"{where}: {quoted(part[key])} for {quoted(path)}")


def _anchors(spec: Document) -> list[tuple[str, str]]:
    """Return the method and the field of each trust anchor that is a path."""
    config = spec.get("config")
    paths = [
        ("publicKeyConfig", "keyPath"),
        ("privateKeyConfig", "keyPath"),
        ("pkiConfig", "certificateAuthority"),
    ]
    return [
        (method, key)
        for method, key in paths
        if isinstance(config, dict)
        and isinstance(config.get(method), dict)
        and isinstance(config[method].get(key), str)
    ]


def _signer(spec: Document, notes: Notes) -> None:
    if not isinstance(spec.get("config"), dict):
        return
    spec["config"] = config = dict(spec["config"])
    keyless = config.get("sigstoreConfig")
    keyless = keyless if isinstance(keyless, dict) else {}
    identity = keyless.get("certificateIdentity")
    if isinstance(identity, str) and identity.startswith("email:"):
        bare = identity.removeprefix("email:")
        config["sigstoreConfig"] = keyless | {"certificateIdentity": bare}
        notes.changed.append(
            "spec.config.sigstoreConfig.certificateIdentity is without 'email:', as certificates "
            "have it"
        )
    for method, key in _anchors(spec):
        config[method] = dict(config[method])
        _spell(config[method], key, f"spec.config.{method}.{key}", notes)
        spec["allowPodTrustAnchors"] = True
        inline = "certificateAuthorities" if method == "pkiConfig" else "publicKey"
        notes.changed.append(
            "spec.allowPodTrustAnchors is true, as it always is with the operator: whoever writes "
            f"the pod's volume at {config[method][key]} chooses the signer. Better write the PEM "
            f"text into spec.config.{method}.{inline}, and leave out {key} and "
            "allowPodTrustAnchors"
        )
    _trust(spec, config, notes)


def _trust(spec: Document, config: Document, notes: Notes) -> None:
    if "clientTrustConfig" not in config:
        return
    trust = config.pop("clientTrustConfig")
    if "sigstoreConfig" not in config:
        notes.changed.append(
            "spec.config.clientTrustConfig is left out: keys and certificates do not use it"
        )
        return
    path = trust.get("trustConfigPath") if isinstance(trust, dict) else None
    spec["trust"] = {}
    notes.by_hand.append(
        f"spec.config.clientTrustConfig is a file of the pod, {quoted(path)}, and here the policy "
        "holds the root of trust itself: write the file's field trustedRoot, as JSON text, into "
        "spec.trust.trustedRoot. spec.trust is empty until then, which is refused"
    )


def _again(spec: Document, notes: Notes) -> None:
    asked = spec.get("continuousValidation")
    if not isinstance(asked, dict):
        return
    del spec["continuousValidation"]
    if asked.get("enabled") is not True:
        notes.changed.append("spec.continuousValidation is left out: it is not enabled")
        return
    given = asked.get("interval") or "5m"
    interval = _interval(given, notes)
    spec["revalidation"] = {"interval": interval}
    notes.changed.append(
        f"spec.revalidation.interval is {interval}, for spec.continuousValidation. A changed model "
        "makes the pod unready here, and the operator only logs it: to have it logged, set "
        "spec.revalidation.action to Report"
    )


def _interval(given: Any, notes: Notes) -> Any:
    """Return an interval of the operator as ours; other text as it is."""
    if not isinstance(given, str) or not re.fullmatch(f"(?:{_PART.pattern})+", given):
        return given
    seconds = int(sum(float(part[1]) * _SECONDS[part[2]] for part in _PART.finditer(given)))
    if seconds > _LONGEST:
        notes.by_hand.append(
            f"the interval {quoted(given)} is longer than a day: spec.revalidation.interval is "
            "24h, the longest"
        )
        return "24h"
    for unit in ("h", "m"):
        if seconds % _SECONDS[unit] == 0:
            return f"{seconds // _SECONDS[unit]}{unit}"
    return f"{seconds}s"


def _image(spec: Document, notes: Notes) -> None:
    pull = spec.pop("imagePullPolicy", None)
    if isinstance(pull, str) and pull in _PULLS:
        notes.changed.append(f"spec.imagePullPolicy is left out: {_PULLS[pull]}")
    elif pull is not None:
        notes.by_hand.append(
            f"spec.imagePullPolicy {quoted(pull)} has no equivalent: all gates have IfNotPresent, "
            "so let the nodes pull the gate's image, or have it there already"
        )


def _judge(made: Document, notes: Notes) -> None:
    """Say what our parser says of the result."""
    judged = made
    if isinstance(made.get("spec"), dict) and made["spec"].get("trust") == {}:
        spec = {key: value for key, value in made["spec"].items() if key != "trust"}
        judged = made | {"spec": spec}
    try:
        ModelValidation.from_object(judged, source="as it is, it is refused")
    except PolicyError as error:
        notes.by_hand.append(str(error))
