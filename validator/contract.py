"""The contract between the webhook and the gate: names, environment and exit codes.

Belongs here: every string or number that one side writes and the other side
reads. Does not belong here: behaviour. Importing it costs nothing.
"""

from __future__ import annotations

import enum
from typing import Final

GROUP: Final = "rhtas.redhat.com"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "ModelValidation"
PLURAL: Final = "modelvalidations"
CLUSTER_KIND: Final = "ClusterModelValidation"
CLUSTER_PLURAL: Final = "clustermodelvalidations"
EXEMPTION_KIND: Final = "ModelValidationExemption"

LABEL: Final = "validation.rhtas.redhat.com/ml"
"""The pod label that asks for the gate; its value is "true" or a policy's name."""

OPERATOR_LABEL: Final = "validation.ml.sigstore.dev/ml"
"""The same label as the Go operator spells it, honoured where the webhook is told to."""

NAMESPACE_POLICY_LABEL: Final = "validation.rhtas.redhat.com/policy"
"""The namespace label by which a cluster's admin pins one policy, whatever pods say."""

NAMESPACE_HOST_PATH_LABEL: Final = "validation.rhtas.redhat.com/host-path"
"""The namespace label ("true") by which a cluster's admin lets policies name a hostPath."""

NAMESPACE_CSI_LABEL: Final = "csi-driver.validation.rhtas.redhat.com"
"""The prefix of namespace labels ("PREFIX/DRIVER": "true") by which a cluster's admin lets policies
bring a volume of that CSI driver into pods. Each driver's name fits: both have 63 characters."""

AUDIT_ANNOTATION: Final = "validation.rhtas.redhat.com/audit"
"""Annotation that the webhook writes into a pod whose policy is in Audit, with the policy's name.

It takes it out of any other pod. The API server's own policies, which cannot read a
ModelValidation, let a pod that bears it be (decision 0020)."""

EXEMPTION_ANNOTATION: Final = "validation.rhtas.redhat.com/exemption"
"""Annotation that the webhook writes into an exempt pod, with the exemption's name.

It takes it out of any other pod. It is for people: nothing is decided by it (decision 0056)."""

GATE_IMAGE_ANNOTATIONS: Final = (
    "validation.rhtas.redhat.com/gate-image",
    "validation.rhtas.redhat.com/previous-gate-image",
)
"""Annotations of our own namespace: what is injected, and what still counts in an upgrade."""

GATE_CONTAINER: Final = "model-validation"
"""The injected init container. The name is ours: one that a pod brings is replaced."""

MONITOR_CONTAINER: Final = "model-validation-monitor"
"""The injected native sidecar, where the policy asks for re-validation; reserved as the gate is."""

MODEL_VOLUME: Final = "model-validation-model"
"""The model volume (with a number after it from the second on), where the policy adds it."""

SCRATCH_VOLUME: Final = "model-validation-scratch"
"""The emptyDir of gate and monitor, where the service-account token would be mounted."""

SERVICE_ACCOUNT_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where Kubernetes' ServiceAccount admission plugin mounts the token in every container."""

POLICY_VARIABLE: Final = "MODEL_VALIDATION_POLICY"
"""The gate's environment variable with the resolved ModelValidation as canonical JSON."""

COVER_VARIABLE: Final = "MODEL_VALIDATION_COVER"
"""The gate's environment variable with the paths that the workload opens, as a JSON list."""

NESTED_VARIABLE: Final = "MODEL_VALIDATION_NESTED"
"""The gate's environment variable with what the workload mounts within volumes: a JSON object, from
the path that the gate looks at to the workload's, which is the same on a model's own mount."""

OUTER_VOLUMES: Final = "/opt/model-validation/volumes"
"""The folder in which the gate mounts volumes within which the workload mounts something else."""

POD_UID_VARIABLE: Final = "MODEL_VALIDATION_POD_UID"
"""The gate's environment variable with its pod's uid, a UUID: the id of the pod's trace."""

VLLM_PLUGIN: Final = "model_validation"
"""The plugin's entry point in vLLM, by which `VLLM_PLUGINS` lets it in."""

TERMINATION_MESSAGE_PATH: Final = "/dev/termination-log"
TERMINATION_MESSAGE_LIMIT: Final = 4096
"""Bytes of a termination message that the kubelet keeps (MaxContainerTerminationMessageLength)."""

ENVIRONMENT_LIMIT: Final = 96 * 1024
"""Bytes of the resolved policy. The kernel takes 128 KiB for one string of an
environment (MAX_ARG_STRLEN, 32 pages); the rest is left for other variables' sake."""


class ExitCode(enum.IntEnum):
    """The exit codes of `model-validator`."""

    VERIFIED = 0
    REFUSED = 1
    USAGE = 2
    """The command line or the policy is wrong, or names a file that is not there."""
    UNDECIDED = 3
    """The verdict could not be reached: an unreadable file, no usable trust root."""
    STOP = 4
    """The monitor has seen a served model go bad: the pod is to begin again, with its gate."""
