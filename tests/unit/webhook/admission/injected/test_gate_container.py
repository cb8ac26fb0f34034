"""The gate: what it runs, mounts, may use, and as whom."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.pods import (
    IMAGE,
    MODEL,
    claim,
    container,
    gate_of,
    mount,
    mutated,
    pod,
    policy,
    run,
    vllm,
)
from validator import contract
from validator.policy.document import ModelValidation
from webhook.errors import PodRefused
from webhook.settings import GATE_COMMAND, GATE_USER

if TYPE_CHECKING:
    from tests.support.pods import Document

SCRATCH = {
    "name": contract.SCRATCH_VOLUME,
    "mountPath": contract.SERVICE_ACCOUNT_PATH,
    "readOnly": True,
}


def test_writes_out_every_field_that_the_api_server_would_default() -> None:
    """The gate of a plain pod is exactly this, so that nothing has to be normalised."""
    gate = gate_of(mutated(pod()))
    assert {key: value for key, value in gate.items() if key != "env"} == {
        "name": contract.GATE_CONTAINER,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": [*GATE_COMMAND, "verify", "policy"],
        "resources": {
            "requests": {"cpu": "2", "memory": "256Mi"},
            "limits": {"cpu": "4", "memory": "256Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": GATE_USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [{"name": "model", "mountPath": "/models", "readOnly": True}, SCRATCH],
    }


def test_carries_the_policy_and_what_must_be_covered_as_literal_values() -> None:
    """The environment decodes to the policy and to the paths that the workload opens."""
    chosen = policy()
    *literal, uid = gate_of(mutated(pod()))["env"]
    variables = {entry["name"]: entry["value"] for entry in literal}
    assert ModelValidation.from_environment(variables.pop(contract.POLICY_VARIABLE)) == chosen
    assert MODEL in json.loads(variables.pop(contract.COVER_VARIABLE))
    assert not variables
    assert uid == {
        "name": contract.POD_UID_VARIABLE,
        "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}},
    }


def test_no_dollar_sign_reaches_kubernetes() -> None:
    """Neither the policy nor a covered path is expanded on its way to the gate."""
    given = pod(vllm(args=[f"--chat-template={MODEL}/a$b.jinja"]))
    gate = gate_of(mutated(given, policy(model={"ignorePaths": ["$(PATH)", "$$"]})))
    chosen, cover = (entry["value"] for entry in gate["env"] if "value" in entry)
    assert "$" not in chosen + cover
    assert f"{MODEL}/a$b.jinja" in json.loads(cover)
    assert ModelValidation.from_environment(chosen).spec.all_models[0].ignore_paths[1] == "$$"


def test_mounts_nothing_but_the_model() -> None:
    """Secrets and caches of the workload are none of the gate's business, nor is its token."""
    token = mount("kube-api-access", contract.SERVICE_ACCOUNT_PATH, readOnly=True)
    given = pod(
        vllm(mount(subPath="a/b"), mount("secret", "/secret"), mount("cache", "/cache"), token),
        volumes=[
            claim(),
            {"name": "secret", "secret": {"secretName": "s"}},
            {"name": "cache", "emptyDir": {}},
            {"name": "kube-api-access", "projected": {"sources": []}},
        ],
    )
    assert gate_of(mutated(given))["volumeMounts"] == [
        {"name": "model", "mountPath": "/models", "readOnly": True, "subPath": "a/b"},
        SCRATCH,
    ]


def test_mounts_the_volume_of_a_signature_that_lies_elsewhere() -> None:
    """A signature outside the model's mount brings its mount along."""
    given = pod(
        vllm(mount(), mount("signatures", "/signatures")),
        volumes=[claim(), {"name": "signatures", "configMap": {"name": "signatures"}}],
    )
    chosen = policy(model={"signaturePath": "/signatures/granite.sig"})
    assert [entry["mountPath"] for entry in gate_of(mutated(given, chosen))["volumeMounts"]] == [
        "/models",
        "/signatures",
        contract.SERVICE_ACCOUNT_PATH,
    ]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"secret": {"secretName": "s"}}, "must not read"),
        ({"projected": {"sources": []}}, "must not read"),
        (None, "add a volumeMount"),
    ],
)
def test_a_signature_path_is_no_way_to_secrets(source: Document | None, words: str) -> None:
    """A policy's author cannot have the gate read what only the pod may read."""
    mounts = [mount(), *([mount("other", "/other")] if source else [])]
    volumes = [claim(), *([{"name": "other"} | source] if source else [])]
    with pytest.raises(PodRefused, match=words):
        run(
            pod(vllm(*mounts), volumes=volumes),
            policy(model={"signaturePath": "/other/granite.sig"}),
        )


def test_scratch_is_writable_only_for_a_tuf_mirror() -> None:
    """The one that downloads metadata gets room for it, and is told where that is."""
    tuf = {"tuf": {"url": "https://tuf.example", "root": "{}"}}
    signers = {"sigstoreConfig": {"certificateIdentity": "a", "certificateOidcIssuer": "https://b"}}
    gate = gate_of(mutated(pod(), policy(config=signers, trust=tuf)))
    scratch = gate["volumeMounts"][-1]
    assert "readOnly" not in scratch
    assert {"name": "TMPDIR", "value": scratch["mountPath"]} in gate["env"]


@pytest.mark.parametrize(
    ("of_container", "of_pod", "of_policy", "user", "group"),
    [
        ({"runAsUser": 7}, {"runAsUser": 8, "runAsGroup": 9}, None, 7, 9),
        ({}, {"runAsUser": 8}, None, 8, None),
        ({"runAsUser": 7, "runAsGroup": 0}, {}, {"runAsUser": 5}, 5, 0),
        ({"runAsUser": 0}, {"runAsUser": 8}, None, 0, None),
    ],
)
def test_runs_as_the_user_whose_files_are_read(
    of_container: Document,
    of_pod: Document,
    of_policy: Document | None,
    user: int,
    group: int | None,
) -> None:
    """The policy's user, else the container's, else the pod's; root without capabilities."""
    given = pod(vllm(securityContext=of_container), securityContext=of_pod)
    spec = {"securityContext": of_policy} if of_policy else {}
    context = gate_of(mutated(given, policy(**spec)))["securityContext"]
    assert (context["runAsUser"], context.get("runAsGroup")) == (user, group)
    assert context["runAsNonRoot"] is (user != 0)
    assert context["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize(
    ("amounts", "requests", "limits"),
    [
        ([({"cpu": "500m"}, {}), ({"cpu": "2"}, {"cpu": "8"})], "2", "8"),
        ([({"cpu": "2"}, {"cpu": "8"}), ({"cpu": "2"}, {})], "2", None),
        ([({}, {"cpu": "3"})], "3", "3"),
        ([({"cpu": 0.5}, {"cpu": 1})], "500m", "1"),
        ([({"cpu": "1000m"}, {"cpu": "1.5"})], "1", "1500m"),
        ([({"memory": "1Gi"}, {})], None, None),
    ],
)
def test_has_the_cpu_of_the_largest_container(
    amounts: list[tuple[Document, Document]], requests: str | None, limits: str | None
) -> None:
    """A limit that admits the largest container admits the gate, in the API server's spelling."""
    containers = [
        container(f"c{index}", mount(), resources={"requests": asked, "limits": allowed})
        for index, (asked, allowed) in enumerate(amounts)
    ]
    resources = gate_of(mutated(pod(*containers)))["resources"]
    assert resources["requests"].get("cpu") == requests
    assert resources["limits"].get("cpu") == limits
    assert resources["requests"]["memory"] == resources["limits"]["memory"] == "256Mi"


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (
            {"requests": {"cpu": "0.25"}},
            {
                "requests": {"cpu": "250m", "memory": "256Mi"},
                "limits": {"memory": "256Mi"},
            },
        ),
        (
            {"limits": {"memory": "1024Mi"}},
            {
                "requests": {"cpu": "2", "memory": "1Gi"},
                "limits": {"cpu": "4", "memory": "1Gi"},
            },
        ),
    ],
)
def test_the_policy_overrides_a_resource_as_a_whole(
    resources: Document, expected: Document
) -> None:
    """A request of the policy is not paired with a limit of the pod."""
    assert gate_of(mutated(pod(), policy(resources=resources)))["resources"] == expected


def test_refuses_an_amount_that_is_no_quantity() -> None:
    """The sentence names the container and the amount."""
    given = pod(vllm(resources={"requests": {"cpu": "many"}}))
    with pytest.raises(PodRefused, match=r"containers\[0\] 'vllm': .*'many' is not a quantity"):
        run(given)


def test_keeps_what_kubernetes_changes_between_two_calls() -> None:
    """Its plugins run before each call: what we took back, they would refuse in the end."""
    between = mutated(pod(vllm(resources={})))
    gate = between["spec"]["initContainers"][0]
    gate["imagePullPolicy"] = "Always"
    gate["resources"]["requests"] |= {"cpu": "1", "ephemeral-storage": "1Gi"}
    assert mutated(between) == between


def test_a_gate_that_a_pod_brings_keeps_nothing_else() -> None:
    """No amount that is ours, and no other pull policy."""
    resources = {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "1m"}}
    own = container(
        contract.GATE_CONTAINER, imagePullPolicy="Never", resources=resources, image="evil"
    )
    assert gate_of(mutated(pod(initContainers=[own]))) == gate_of(mutated(pod()))


def test_several_models_share_one_gate() -> None:
    """One gate mounts them all, each once, and holds the one policy with all of them."""
    given = pod(
        vllm(mount(), mount("adapters", "/adapters"), mount("draft", "/draft")),
        volumes=[claim(), claim("adapters", of="adapters"), claim("draft", of="draft")],
    )
    chosen = policy(models=[{"path": MODEL}, {"path": "/models/other"}, {"path": "/adapters/sql"}])
    result: dict[str, Any] = mutated(given, chosen)
    assert [entry["mountPath"] for entry in gate_of(result)["volumeMounts"]] == [
        "/adapters",
        "/models",
        contract.SERVICE_ACCOUNT_PATH,
    ]


def test_refuses_a_policy_that_no_environment_holds() -> None:
    """The policy's own error is the pod's refusal, not a traceback."""
    big = {"pkiConfig": {"certificateAuthorities": "x" * 32_000}}
    with pytest.raises(PodRefused, match="environment variable"):
        run(pod(), policy(config={"anyOf": [big, big, big, big]}))
