"""The core and the API server agree on generated pods: what one makes, the other stores."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jsonpatch
import pytest
from hypothesis import HealthCheck, assume, event, given, settings

from tests.e2e.api_server.admission.serving import GATE_IMAGE
from tests.e2e.api_server.workloads import policy as manifest
from tests.support.generated_pods import pods, policies
from validator.contract import LABEL
from validator.policy.document import ModelValidation
from webhook.admission.json_patch import patch
from webhook.admission.mutation import mutate
from webhook.admission.pod import Manifest
from webhook.admission.validation import check_created
from webhook.errors import PodRefused
from webhook.settings import GateSettings, NamespaceOptions

if TYPE_CHECKING:
    from tests.e2e.api_server.control_plane import ControlPlane, Document
    from tests.e2e.api_server.fixtures import NamespaceFactory

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("webhook_in_force")]


class Stored:
    """The generated policies, each stored once under a name of its own.

    Attributes:
        gate: The settings of the webhook in force, which has asked the server for its version.
    """

    def __init__(self, control_plane: ControlPlane, namespace: str) -> None:
        self._control_plane = control_plane
        self._namespace = namespace
        self._known: dict[str, ModelValidation] = {}
        told = control_plane.call("GET", "/version").document
        server = int(told["major"]), int(told["minor"].rstrip("+"))
        self.gate = GateSettings(image=GATE_IMAGE, server=server)

    def of(self, generated: ModelValidation) -> ModelValidation:
        """Return the policy as the server has it."""
        key = generated.to_environment()
        if key not in self._known:
            spec = json.loads(key)["spec"]
            document = manifest(self._namespace, name=f"p{len(self._known)}", **spec)
            made = self._control_plane.created(document)
            self._known[key] = ModelValidation.from_object(made, source="test")
        return self._known[key]


@pytest.fixture
def here(namespace: NamespaceFactory) -> str:
    """A namespace, one for all examples."""
    return namespace()


@pytest.fixture
def stored(control_plane: ControlPlane, here: str) -> Stored:
    """The store of policies there."""
    return Stored(control_plane, here)


def without_tokens(pod: Document) -> Document:
    """Return a stored pod's spec without the mounts that ServiceAccount makes, at random names."""
    spec: Document = copy.deepcopy(pod["spec"])
    for each in (*spec.get("initContainers", ()), *spec["containers"]):
        kept = [
            mount
            for mount in each.get("volumeMounts", ())
            if not mount["name"].startswith("kube-api-access-")
        ]
        each["volumeMounts"] = kept
    kept = [each for each in spec["volumes"] if not each["name"].startswith("kube-api-access-")]
    return spec | {"volumes": kept}


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[
        HealthCheck.filter_too_much,
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,  # one namespace and its policies serve all examples
    ],
)
@given(pods(), policies)
def test_the_api_server_takes_what_mutation_makes(
    control_plane: ControlPlane,
    here: str,
    stored: Stored,
    pod: Document,
    policy: ModelValidation,
) -> None:
    """Refused with the core's sentence, or stored as the core makes it, by patch and again."""
    chosen = stored.of(policy)
    pod = copy.deepcopy(pod)
    pod["metadata"] |= {"namespace": here, "labels": {LABEL: chosen.metadata.name}}
    bare = copy.deepcopy(pod)
    bare["metadata"]["labels"] = {}
    plain = control_plane.create(bare, dry_run=True)
    event(f"Kubernetes takes the pod itself: {plain.status == 201}")
    assume(plain.status == 201)
    answer = control_plane.create(pod, dry_run=True)

    # What the webhook sees has the server's defaults and the token's mounts.
    seen = plain.document
    seen["metadata"]["labels"] = pod["metadata"]["labels"]
    core = _Core(chosen, NamespaceOptions(name=here), stored.gate)
    mutated, refusal = core.mutated(seen)
    event("refused" if refusal else "admitted")
    if refusal:
        assert answer.status == 403
        assert refusal in answer.message
        return
    assert answer.status == 201, answer.message
    assert without_tokens(answer.document) == without_tokens(mutated)

    operations = json.loads(json.dumps(patch(seen, mutated)))
    assert jsonpatch.JsonPatch(operations).apply(copy.deepcopy(seen)) == mutated
    assert core.mutated(answer.document) == (answer.document, "")
    check_created(Manifest(raw=answer.document), chosen, gate=core.gate, namespace=core.namespace)


@dataclass(frozen=True, slots=True)
class _Core:
    """The decision of `/mutate`, without the server."""

    policy: ModelValidation
    namespace: NamespaceOptions
    gate: GateSettings

    def mutated(self, pod: Document) -> tuple[Document, str]:
        """Return the mutated pod, and why it is refused."""
        try:
            result = mutate(
                Manifest(raw=pod), self.policy, gate=self.gate, namespace=self.namespace
            )
        except PodRefused as refusal:
            return pod, str(refusal)
        return result.pod, ""
