"""Proof that an init container is the gate that our webhook injects, and of its policy.

The name alone proves nothing: where the webhook's configuration was missing when a pod was
created, the API server's own policy has looked at the name and the image only. A container of
our image with another command, or with a volume over its program, can say what its author likes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from validator import contract
from validator.paths import is_canonical, related
from validator.text import quoted
from webhook.admission.injected.gate_mounts import PROGRAM
from webhook.observe.pod.wire import NAME_LIMIT
from webhook.settings import GATE_COMMAND

if TYPE_CHECKING:
    from collections.abc import Collection

    from webhook.observe.pod.wire import Container, Mount, Pod

COMMAND: Final = [*GATE_COMMAND, "verify", "policy"]

VARIABLES: Final = frozenset(
    {
        *(contract.POLICY_VARIABLE, contract.COVER_VARIABLE, contract.NESTED_VARIABLE),
        *(contract.POD_UID_VARIABLE, "TMPDIR"),
    }
)
"""All that the webhook writes. By another, such as LD_PRELOAD, a library could give the verdict."""

POLICIES_REMEMBERED: Final = 256
"""Texts of policies that are read once: a policy's pods all have the same."""


class Unproven(Exception):
    """The pod has no gate that is ours; the text is one sentence for a person."""


_Name = Annotated[str, msgspec.Meta(max_length=NAME_LIMIT)]


class _Metadata(msgspec.Struct, frozen=True):
    name: _Name
    uid: _Name
    namespace: _Name = ""
    generation: int = 0


class _Model(msgspec.Struct, frozen=True):
    path: str


class _Spec(msgspec.Struct, frozen=True):
    mode: str = "Enforce"
    model: _Model | None = None
    models: list[_Model] | None = None


class _Exemption(msgspec.Struct, frozen=True):
    name: _Name
    expires: _Name


class _Resolved(msgspec.Struct, frozen=True):
    exemption: _Exemption | None = None


class _Policy(msgspec.Struct, frozen=True, rename="camel"):
    metadata: _Metadata
    spec: _Spec
    resolved: _Resolved | None = None
    of_cluster: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePolicy:
    """The policy in a gate's environment.

    Attributes:
        paths: Of its models.
        audit: Whether it stops nothing.
        of_cluster: Whether it is a ClusterModelValidation, in place of a policy that the namespace
            does not have.
        exemption: The exemption by which it stops nothing, and its end; "" for none.
    """

    name: str
    namespace: str
    uid: str
    generation: int
    paths: frozenset[str]
    audit: bool
    of_cluster: bool
    exemption: str

    @property
    def reference(self) -> str:
        """Its name in the gate's report."""
        if self.of_cluster:
            return f"{contract.CLUSTER_KIND} {self.name}"
        return f"{contract.KIND} {self.namespace}/{self.name}"


def proven(pod: Pod, *, images: Collection[str]) -> GatePolicy:
    """Return the policy under which a pod's gate verifies.

    Args:
        pod: As the API server has it.
        images: The images that a gate may have.

    Raises:
        Unproven: There is no gate, or one that is not as we inject it.
    """
    if len(pod.gates) != 1:
        raise Unproven(
            f"the pod has no init container {quoted(contract.GATE_CONTAINER)}: it was created "
            "under Audit, or where the webhook was not asked"
        )
    (gate,) = pod.gates
    if gate.image not in images:
        raise Unproven(
            f"the gate has the image {quoted(gate.image)}, which is not one of ours: where it is "
            "an earlier release's, start the pod anew or name the image by --gate-image"
        )
    if (
        gate.command != COMMAND
        or gate.args
        or gate.lifecycle
        or gate.restart_policy == "Always"
        or gate.termination_message_path != contract.TERMINATION_MESSAGE_PATH
        or gate.termination_message_policy != "File"
    ):
        raise Unproven("the gate does not run the command that the webhook injects")
    if gate.env_from or any(each.name not in VARIABLES for each in gate.env or ()):
        raise Unproven("the gate has variables that the webhook does not inject")
    if not all(map(_harmless, gate.volume_mounts or ())):
        raise Unproven("the gate has a volume over its own program")
    if pod.spec.host_pid or pod.spec.share_process_namespace:
        raise Unproven("other processes of the pod or the node can reach into the gate's")
    return _policy(pod, gate)


def _harmless(mount: Mount) -> bool:
    """Tell whether a mount hides nothing that the gate runs on."""
    path = mount.mount_path
    if mount.name == contract.SCRATCH_VOLUME:
        return path == contract.SERVICE_ACCOUNT_PATH
    if path.startswith(f"{contract.OUTER_VOLUMES}/"):
        return is_canonical(path)
    return is_canonical(path) and not any(related(path, own) for own in (*PROGRAM, "/var/run"))


def _policy(pod: Pod, gate: Container) -> GatePolicy:
    texts = [each.value for each in gate.env or () if each.name == contract.POLICY_VARIABLE]
    policy = None
    # What is too long is not remembered, either.
    if len(texts) == 1 and len(texts[0] or "") <= contract.ENVIRONMENT_LIMIT:
        policy = read(texts[0] or "")
    if policy is None:
        raise Unproven("the gate's policy is not in the form that the webhook injects")
    if policy.namespace != ("" if policy.of_cluster else pod.metadata.namespace):
        raise Unproven("the gate's policy is another namespace's")
    return policy


@lru_cache(POLICIES_REMEMBERED)
def read(text: str) -> GatePolicy | None:
    """Return the policy in a gate's variable; `None` where it holds no policy."""
    try:
        policy = msgspec.json.decode(text, type=_Policy)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    models = policy.spec.models or ([policy.spec.model] if policy.spec.model else [])
    named, exemption = policy.metadata, policy.resolved and policy.resolved.exemption
    return GatePolicy(
        name=named.name,
        namespace=named.namespace,
        uid=named.uid,
        generation=named.generation,
        paths=frozenset(model.path for model in models),
        audit=policy.spec.mode == "Audit",
        of_cluster=policy.of_cluster,
        exemption=f"{exemption.name} until {exemption.expires}" if exemption else "",
    )
