"""Rules on volumes: what may hold a model, and what may hold a trust anchor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from validator.paths import covers
from validator.policy.schema.image_reference import by_digest
from validator.text import quoted
from webhook.admission.injected import gate_mounts
from webhook.admission.policy_volume import holds_trust, is_declared, named
from webhook.admission.volume import KUBERNETES_WRITES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.admission.rules.case import Case
    from webhook.admission.storage import Place

_STORAGE: Final = frozenset(
    {"persistentVolumeClaim", "ephemeral", "emptyDir", "hostPath", "nfs", "csi", "image"}
    | {"iscsi", "fc", "portworxVolume", "azureDisk", "azureFile", "awsElasticBlockStore"}
    | {"gcePersistentDisk", "cinder", "vsphereVolume", "cephfs", "rbd", "flexVolume"}
)
"""Kinds that may hold a model: those of Kubernetes 1.31 and later that a pod's owner fills."""


def unfit_volumes(case: Case) -> Iterator[str]:
    """A model lies on a volume whose content is settled, and which the policy allows."""
    for place in case.storage.places:
        yield from _unfit(place)


def _unfit(place: Place) -> Iterator[str]:
    volume, where = place.volume, f"the model's volume {quoted(place.volume.name)}"
    if volume.kind in KUBERNETES_WRITES:
        yield (
            f"{where} is a {volume.kind}, which changes under a running pod: keep the model on a "
            "persistent volume, in an image or in an emptyDir"
        )
    elif volume.kind not in _STORAGE:
        yield (
            f"{where} is of the kind {quoted(volume.kind)}, which is unknown here: keep the model "
            "on a persistent volume, in an image or in an emptyDir"
        )
    elif volume.kind == "image" and by_digest(volume.place) is None:
        yield (
            f"{where} is the image {quoted(volume.place)}, whose tag can be moved after the "
            "check: refer to it by digest (name@sha256:…)"
        )
    declared = place.model.volume
    if declared is not None and not is_declared(volume, declared):
        yield (
            f"{where} is not the one that the policy demands for {place.model.path}: mount "
            f"{named(declared)}, or leave volume and mount out and have them added"
        )


def supplied_anchors(case: Case) -> Iterator[str]:
    """The pod's author does not choose whom to trust."""
    if case.policy.spec.allow_pod_trust_anchors:
        return
    paths = gate_mounts.anchor_paths(case.policy)
    if not paths:
        return
    volumes = case.storage.volumes
    written = {
        mount.name
        for placed in case.writers
        for mount in placed.mounts
        if not mount.read_only and mount.name in volumes
    }
    writers = [volumes[name] for name in written]
    places = case.storage.places
    trusted = [place.mount.at for place in places if holds_trust(place, writers)]
    remedy = case.policy.remedy("set allowPodTrustAnchors", field="allowPodTrustAnchors")
    for path in paths:
        inside_model = any(covers(place.model.path, path) for place in places)
        if inside_model or not any(covers(at, path) for at in trusted):
            yield (
                f"the policy reads its trust anchor {path} from a volume that the pod supplies or "
                "writes, so that whoever writes the pod chooses whom to trust: put the key or the "
                "certificates into the policy itself (publicKey, certificateAuthorities), or "
                f"{remedy}"
            )
