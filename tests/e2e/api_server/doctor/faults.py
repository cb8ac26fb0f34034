"""Faults that people make, planted in a whole installation, each with the finding that names it."""

from __future__ import annotations

import datetime as dt
import json
from base64 import b64encode
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from certs.issuing import new_authority
from tests.e2e.api_server.doctor.whole import (
    ADMISSION,
    DEPLOYMENTS,
    MUTATING,
    NAMESPACE,
    SECRET,
    SLICE,
    SLICES,
    VALIDATING,
    Whole,
    encoded,
    serving_pair,
)
from tests.e2e.api_server.webhook_registration import Endpoint, mutating_all
from tests.e2e.api_server.workloads import policy, workload
from tests.support.policies import policy_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.e2e.api_server.client import Document

    Fault = Callable[[Whole], AbstractContextManager[object]]

SCHEMA = json.loads((Path(__file__).parents[4] / "docs" / "doctor.schema.json").read_text())
PODS_POLICY = f"{ADMISSION}/validatingadmissionpolicies/model-validation-pods"
PODS_BINDING = f"{ADMISSION}/validatingadmissionpolicybindings/model-validation-pods"
NEW_PODS_BINDING = f"{ADMISSION}/validatingadmissionpolicybindings/model-validation-new-pods"
DEFINITION = (
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/modelvalidations.rhtas.redhat.com"
)
POLICIES = "/apis/rhtas.redhat.com/v1alpha1/namespaces/default/modelvalidations"
OWN_NAMESPACE = f"/api/v1/namespaces/{NAMESPACE}"
WEBHOOK = f"{DEPLOYMENTS}/model-validation-webhook"


def field(path: str, **fields: Any) -> Fault:
    """Return the fault of an object of which parts of the specification are others."""
    return lambda whole: whole.changed(path, lambda document: document["spec"].update(fields))


def entry(path: str, **fields: Any) -> Fault:
    """Return the fault of a configuration of which fields of its first entry are others."""
    return lambda whole: whole.changed(path, lambda each: each["webhooks"][0].update(fields))


def another_authority(whole: Whole) -> AbstractContextManager[None]:
    """Have the API server trust somebody else."""
    bundle = b64encode(new_authority(now=dt.datetime.now(dt.UTC)).certificate).decode()
    return whole.changed(
        VALIDATING, lambda each: each["webhooks"][0]["clientConfig"].update(caBundle=bundle)
    )


def other_definition(whole: Whole) -> AbstractContextManager[None]:
    """Have the definition of another release."""

    def change(document: Document) -> None:
        schema = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        del schema["properties"]["spec"]["properties"]["revalidation"]

    return whole.changed(DEFINITION, change)


def certificate(*, days_ago: int) -> Fault:
    """Return the fault of a certificate that was issued long ago."""

    def planted(whole: Whole) -> AbstractContextManager[None]:
        data = encoded(serving_pair(whole.authority, days_ago=days_ago))
        return whole.changed(SECRET, lambda each: each.update(data=data))

    return planted


def status(path: str, **counts: int) -> Fault:
    """Return the fault of a Deployment with other replicas."""
    return lambda whole: whole.changed(
        f"{path}/status", lambda document: document["status"].update(counts)
    )


def another_webhook(whole: Whole) -> AbstractContextManager[None]:
    """Have a webhook that sorts after ours, for a namespace that nobody has."""
    configuration = mutating_all(
        Endpoint("127.0.0.1:1", b""), name="zzz-injector", namespace="nobody-has-it"
    )
    del configuration["webhooks"][0]["clientConfig"]["caBundle"]
    return whole.beside(configuration, f"{ADMISSION}/mutatingwebhookconfigurations")


def former_name(whole: Whole) -> AbstractContextManager[None]:
    """Have the configuration of an earlier release beside ours, without its entries."""
    document = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "model-validation"},
    }
    return whole.beside(document, f"{ADMISSION}/mutatingwebhookconfigurations")


def placeholder(whole: Whole) -> AbstractContextManager[None]:
    """Have the policy of the example as it is shipped."""
    signer = {
        "certificateIdentity": "signer@example.invalid",
        "certificateOidcIssuer": "https://issuer.example.invalid",
    }
    document = policy_document(namespace="default", config={"sigstoreConfig": signer})
    return whole.beside(document, POLICIES)


@contextmanager
def orphan(whole: Whole) -> Iterator[None]:
    """Have a pod whose policy is gone."""
    with whole.beside(policy("default"), POLICIES):
        pod = whole.cluster.created(workload("Pod", "default"))
    try:
        yield
    finally:
        path = f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}"
        assert whole.cluster.call("DELETE", f"{path}?gracePeriodSeconds=0").status == 200


def namespace_label(whole: Whole) -> AbstractContextManager[None]:
    """Have a label that does not say what its author meant."""
    label = {"validation.rhtas.redhat.com/require": "yes"}
    return whole.changed(
        "/api/v1/namespaces/default", lambda each: each["metadata"]["labels"].update(label)
    )


def gate_image(whole: Whole) -> AbstractContextManager[None]:
    """Have another image accepted than the one that is injected."""
    annotation = {"validation.rhtas.redhat.com/gate-image": "registry.example/validator:1"}
    return whole.changed(
        OWN_NAMESPACE, lambda each: each["metadata"]["annotations"].update(annotation)
    )


def other_release(whole: Whole) -> AbstractContextManager[None]:
    """Have the webhook of another release."""

    def change(document: Document) -> None:
        for each in document["spec"]["template"]["spec"]["containers"]:
            each["image"] = "model-validation/webhook:9.9.9"

    return whole.changed(WEBHOOK, change)


@contextmanager
def stopped(whole: Whole) -> Iterator[None]:
    """Have nobody where the Service leads."""
    port = whole.proxy.port
    whole.proxy.lead_to(1)
    try:
        yield
    finally:
        whole.proxy.lead_to(port)


FAULTS: dict[str, tuple[Fault, str, str]] = {
    "configuration deleted": (
        lambda whole: whole.without(VALIDATING),
        "error configuration-missing",
        "ValidatingWebhookConfiguration zz-model-validation",
    ),
    "failurePolicy": (
        entry(MUTATING, failurePolicy="Ignore"),
        "error configuration-differs",
        "failurePolicy of its entry mutate.validation.rhtas.redhat.com is Ignore and not Fail",
    ),
    "selector": (
        entry(VALIDATING, objectSelector={"matchLabels": {"nobody": "has-it"}}),
        "error configuration-differs",
        "objectSelector",
    ),
    "another authority": (another_authority, "error certificate-untrusted", "caBundle"),
    "policy changed": (
        field(PODS_POLICY, failurePolicy="Ignore"),
        "error admission-policy-differs",
        "model-validation-pods",
    ),
    "binding deleted": (
        lambda whole: whole.without(NEW_PODS_BINDING),
        "error admission-binding-missing",
        "model-validation-new-pods",
    ),
    "binding warns": (
        field(PODS_BINDING, validationActions=["Warn"]),
        "error admission-binding-differs",
        "model-validation-pods",
    ),
    "definition": (other_definition, "error crd-differs", "schema"),
    "certificate ended": (
        certificate(days_ago=91),
        "error certificate-expired",
        "ended on",
    ),
    "certificate ends": (
        certificate(days_ago=87),
        "warning certificate-ends-soon",
        "was not renewed",
    ),
    "no certificate": (
        lambda whole: whole.changed(SECRET, lambda each: each.pop("data")),
        "error certificate-missing",
        "holds no certificate",
    ),
    "no replica": (
        status(WEBHOOK, readyReplicas=0),
        "error replicas-not-ready",
        "none of its replicas is ready",
    ),
    "a replica less": (
        status(WEBHOOK, readyReplicas=1),
        "warning replicas-not-ready",
        "of 2 replicas 1 are ready",
    ),
    "no endpoints": (
        lambda whole: whole.without(f"{SLICES}/{SLICE['metadata']['name']}"),
        "error no-endpoints",
        "leads to no pod",
    ),
    "another webhook": (another_webhook, "warning another-webhook-is-last", "zzz-injector"),
    "former name": (former_name, "warning configuration-former", "delete it"),
    "placeholder": (placeholder, "warning signer-placeholder", "default/granite"),
    "orphan": (orphan, "warning pods-without-policy", "has no ModelValidation"),
    "namespace label": (namespace_label, "warning namespace-label", "'yes'"),
    "gate image": (gate_image, "error gate-image-differs", "registry.example/validator:1"),
    "other release": (other_release, "warning version-differs", "9.9.9"),
    "webhook away": (stopped, "error webhook-not-reached", "port 8443"),
}
