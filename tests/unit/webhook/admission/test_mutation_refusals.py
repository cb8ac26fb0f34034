"""Pods that cannot be made safe: squatted names, privileges, trust of their own, bad input."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.pods import (
    KEY,
    MODEL,
    claim,
    container,
    gate_of,
    mount,
    mutated,
    names,
    pod,
    policy,
    run,
    vllm,
)
from validator.contract import GATE_CONTAINER, MODEL_VOLUME, SCRATCH_VOLUME, SERVICE_ACCOUNT_PATH
from webhook.admission.wire import (
    ARGUMENTS_LIMIT,
    CONTAINERS_LIMIT,
    MOUNTS_LIMIT,
    PATH_LIMIT,
    VARIABLES_LIMIT,
    VOLUMES_LIMIT,
)
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from tests.support.pods import Document


def test_a_gate_of_the_pods_own_is_replaced_whole() -> None:
    """Neither its image nor a field of it survives, nor does its place."""
    own = container(
        GATE_CONTAINER,
        mount("model", "/m"),
        image="registry.example/yes:1",
        env=[{"name": "PYTHONPATH", "value": "/m"}],
        lifecycle={},
        restartPolicy="Always",
    )
    assert mutated(pod(initContainers=[container("a"), own])) == mutated(
        pod(initContainers=[container("a")])
    )


@pytest.mark.parametrize(
    "given",
    [
        pod(vllm(), container(GATE_CONTAINER)),
        pod(initContainers=[container(GATE_CONTAINER), container(GATE_CONTAINER)]),
        pod(vllm(), container(GATE_CONTAINER), initContainers=[container(GATE_CONTAINER)]),
    ],
)
def test_the_gates_name_is_taken(given: Document) -> None:
    """A container of that name would make the pod invalid, or pass for the gate."""
    with pytest.raises(PodRefused, match="give it another name"):
        run(given)


@pytest.mark.parametrize("name", [SCRATCH_VOLUME, MODEL_VOLUME, f"{MODEL_VOLUME}-2"])
def test_the_gates_volumes_are_taken(name: str) -> None:
    """A volume of the pod's own under our names is refused, not reused."""
    volumes = [claim(), {"name": name, "emptyDir": {}}]
    with pytest.raises(PodRefused, match=f"'{name}' bears a name that is reserved"):
        run(pod(volumes=volumes))


def test_nobody_else_mounts_the_gates_scratch() -> None:
    """Not even under the exact volume that we would add."""
    result = mutated(pod())
    result["spec"]["containers"][0]["volumeMounts"].append(mount(SCRATCH_VOLUME, "/x"))
    with pytest.raises(PodRefused, match=r"containers\[0\] 'vllm' mounts .* the gate's own"):
        run(result)


def test_a_pod_is_created_without_ephemeral_containers() -> None:
    """They come later, and are looked at then."""
    with pytest.raises(PodRefused, match="without ephemeral containers"):
        run(pod(ephemeralContainers=[container("debug")]))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"hostPID": True}, r"spec\.hostPID"),
        ({"shareProcessNamespace": True}, r"spec\.shareProcessNamespace"),
        ({"os": {"name": "windows"}}, r"spec\.os"),
    ],
)
def test_refuses_pods_whose_containers_reach_into_one_another(spec: Document, words: str) -> None:
    """No policy allows these."""
    with pytest.raises(PodRefused, match=words):
        run(pod(**spec), policy(allowPrivileged=True))


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ({"privileged": True}, "is privileged"),
        ({"procMount": "Unmasked"}, "procMount 'Unmasked'"),
        ({"capabilities": {"add": ["NET_ADMIN", "SYS_ADMIN"]}}, "'SYS_ADMIN'"),
        ({"capabilities": {"add": ["cap_sys_ptrace"]}}, "'cap_sys_ptrace'"),
        ({"capabilities": {"add": ["ALL"]}}, "'ALL'"),
        ({"capabilities": {"add": ["BPF"]}}, "'BPF'"),
    ],
)
@pytest.mark.parametrize("field", ["containers", "initContainers"])
def test_refuses_privileges_beside_a_model(context: Document, words: str, field: str) -> None:
    """Before, beside and after the gate; the policy can allow it."""
    strong = container("strong", securityContext=context)
    given = pod(vllm(), strong) if field == "containers" else pod(initContainers=[strong])
    with pytest.raises(PodRefused, match=rf"{field}\[\d\] 'strong' .*{words}"):
        run(given)
    assert gate_of(mutated(given, policy(allowPrivileged=True)))


def test_other_capabilities_are_fine() -> None:
    """A service mesh's init container needs NET_ADMIN."""
    mesh = container("mesh", securityContext={"capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}})
    assert gate_of(mutated(pod(initContainers=[mesh])))


# Bring your own trust.

KEY_FILE = {"privateKeyConfig": {"keyPath": "/models/keys/signer.pem"}}
OWN = {"persistentVolumeClaim": {"claimName": "granite"}, "mountPath": "/models"}


@pytest.mark.parametrize(
    ("given", "model", "config"),
    [
        (pod(), {}, KEY_FILE),
        (pod(), {"volume": {"name": "model"}}, KEY_FILE),
        (pod(), {"volume": OWN}, {"privateKeyConfig": {"keyPath": f"{MODEL}/signer.pem"}}),
        (pod(vllm(mount(subPath="mine"))), {"volume": OWN}, KEY_FILE),
        (pod(initContainers=[container("a", mount(at="/x"))]), {"volume": OWN}, KEY_FILE),
        (
            pod(vllm(mount(at="/srv"), command=["vllm", "serve", "/srv/models/granite"])),
            {"path": "/srv/models/granite", "volume": OWN | {"mountPath": "/srv/models"}},
            {"privateKeyConfig": {"keyPath": "/srv/models/keys/signer.pem"}},
        ),
        (
            pod(),
            {},
            {
                "anyOf": [
                    {"privateKeyConfig": {"publicKey": KEY}},
                    {"pkiConfig": {"certificateAuthority": "/models/ca.pem"}},
                ]
            },
        ),
    ],
)
def test_refuses_trust_anchors_that_the_pod_could_choose(
    given: Document, model: Document, config: Document
) -> None:
    """A path is read only from a volume of the policy, mounted whole, that no container writes."""
    with pytest.raises(PodRefused, match="chooses whom to trust"):
        run(given, policy(model=model, config=config))
    assert gate_of(mutated(given, policy(model=model, config=config, allowPodTrustAnchors=True)))


@pytest.mark.parametrize("given", [pod(), pod(vllm(volumeMounts=[]), volumes=[])])
def test_reads_trust_anchors_from_the_policys_own_volume(given: Document) -> None:
    """Beside the model, not in it."""
    assert gate_of(mutated(given, policy(model={"volume": OWN}, config=KEY_FILE)))


def test_mounts_the_volume_of_an_anchor_by_the_policys_choice_only() -> None:
    """The gate does not mount a refused volume."""
    given = pod(
        vllm(mount(), mount("keys", "/keys")),
        volumes=[claim(), {"name": "keys", "configMap": {"name": "keys"}}],
    )
    config = {"privateKeyConfig": {"keyPath": "/keys/signer.pem"}}
    gate = gate_of(mutated(given, policy(config=config, allowPodTrustAnchors=True)))
    assert names(gate["volumeMounts"]) == ["keys", "model", SCRATCH_VOLUME]
    audited = gate_of(mutated(given, policy(config=config, mode="Audit")))
    assert names(audited["volumeMounts"]) == ["model", SCRATCH_VOLUME]


@pytest.mark.parametrize("at", ["/models/granite/keys", SERVICE_ACCOUNT_PATH, "/srv"])
def test_refuses_mounts_that_cannot_stand_side_by_side(at: str) -> None:
    """Neither within the model nor in the token's place."""
    config = {"privateKeyConfig": {"keyPath": f"{at}/signer.pem"}}
    chosen = policy(
        model={"path": "/srv/models" if at == "/srv" else MODEL},
        config=config,
        allowPodTrustAnchors=True,
    )
    model_at = "/srv/models" if at == "/srv" else MODEL
    given = pod(
        vllm(mount("keys", at), mount(at=model_at), command=["vllm", "serve", model_at]),
        volumes=[claim(), {"name": "keys", "emptyDir": {}}],
    )
    with pytest.raises(PodRefused, match=r"within one another|what is verified"):
        run(given, chosen)


@pytest.mark.parametrize(
    ("path", "at"),
    [
        ("/opt/ml/model", "/opt"),
        ("/etc/models/granite", "/etc"),
        ("/etc/ssl/models/granite", "/etc/ssl/models"),
        ("/usr/share/models/granite", "/usr"),
        ("/lib/models/granite", "/lib"),
        ("/run/models/granite", "/run"),
        ("/dev/shm/granite", "/dev"),  # noqa: S108 — a mount point
    ],
)
def test_refuses_a_mount_over_the_gates_own_program(path: str, at: str) -> None:
    """The pod's author says where the volume is mounted, and so what the gate would run."""
    given = pod(vllm(mount(at=at), command=["vllm", "serve", path]))
    with pytest.raises(PodRefused, match=f"the gate would mount {at} over"):
        run(given, policy(model={"path": path}))


@pytest.mark.parametrize(
    ("path", "at"),
    [("/opt/ml/model", "/opt/ml"), ("/dev/shm/granite", "/dev/shm")],  # noqa: S108 — as above
)
def test_mounts_beside_the_gates_own_program(path: str, at: str) -> None:
    """These are places in which people keep models."""
    given = pod(vllm(mount(at=at), command=["vllm", "serve", path]))
    assert (
        gate_of(mutated(given, policy(model={"path": path})))["volumeMounts"][0]["mountPath"] == at
    )


def test_refuses_a_signature_or_an_anchor_over_the_gates_own_program() -> None:
    """Signature and anchor are mounted in the gate, like the model."""
    volumes = [claim(), {"name": "etc", "emptyDir": {}}]
    given = pod(vllm(mount(), mount("etc", "/etc")), volumes=volumes)
    config = {"privateKeyConfig": {"keyPath": "/etc/keys/signer.pem"}}
    for chosen in (
        policy(model={"signaturePath": "/etc/signatures/model.sig"}),
        policy(config=config, allowPodTrustAnchors=True),
    ):
        with pytest.raises(PodRefused, match="the gate would mount /etc over"):
            run(given, chosen)


# Bad input.

LONG = {"name": "A", "value": "x" * 1000}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "the pod: expected `object`"),
        ({}, "the pod: object missing required field `spec`"),
        ({"spec": {"containers": "vllm"}}, r"spec\.containers: expected `array`"),
        (pod(vllm(volumeMounts=[{"name": "model"}])), r"volumeMounts\[0\]: .* `mountPath`"),
        (pod(vllm(mount(readOnly=1))), r"readOnly: expected `bool"),
        (pod(volumes=[{"emptyDir": {}}]), r"spec\.volumes\[0\]: a volume needs a name"),
        (pod(volumes=[claim(), claim()]), "the name is taken"),
        (pod(volumes=[{"name": "model", "nfs": {"path": 1}}]), r"nfs\.path: expected `str`"),
        (pod(volumes=[{"name": "model", "nfs": []}, 1]), "expected `object`"),
        (pod(volumes=[{"name": "model", "nfs": 1}]), r"nfs: expected `object`"),
        (pod(securityContext={"runAsUser": -1}), "runAsUser"),
    ],
)
def test_says_which_field_is_of_the_wrong_type(given: Any, words: str) -> None:
    """One sentence with the field's place, never a traceback."""
    with pytest.raises(PodRefused, match=words):
        run(given)


@pytest.mark.parametrize(
    "given",
    [
        pod(*(container(str(index)) for index in range(CONTAINERS_LIMIT + 1))),
        pod(volumes=[claim(str(index)) for index in range(VOLUMES_LIMIT + 1)]),
        pod(vllm(*(mount(at=f"/{index}") for index in range(MOUNTS_LIMIT + 1)))),
        pod(
            *(
                container(str(number), *(mount(at=f"/{index}") for index in range(100)))
                for number in range(11)
            )
        ),
    ],
)
def test_refuses_more_than_a_pod_has(given: Document) -> None:
    """Before anything is copied or compared."""
    with pytest.raises(PodRefused, match="are allowed beside a model"):
        run(given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (pod(vllm(env=[{"name": "A"}] * (VARIABLES_LIMIT + 1))), "env has too many entries"),
        (
            pod(*(container(str(n), env=[{"name": "A"}] * 2000) for n in range(3))),
            "6,000 environment variables, and 4,096 are allowed",
        ),
        (pod(vllm(args=["a"] * (ARGUMENTS_LIMIT + 1))), "args has too many entries"),
        (
            pod(*(container(str(n), args=["a"] * 1000) for n in range(3))),
            "3,003 words in its command lines, and 2,048 are allowed",
        ),
        (pod(vllm(mount(at="/" + "a" * PATH_LIMIT))), r"mountPath is longer than 4,095"),
        (
            pod(volumes=[{"name": "model", "hostPath": {"path": "/" * 4096}}]),
            r"hostPath\.path is longer than 4,095",
        ),
        (
            pod(*(vllm(name=str(n), args=["$(A)" * 999], env=[LONG]) for n in range(18))),
            r"up to containers\[16\] '16' have more than 16,777,216 characters",
        ),
    ],
)
def test_refuses_what_is_longer_than_anybody_needs(given: Document, words: str) -> None:
    """The sentence says how much there is, and how much may be."""
    with pytest.raises(PodRefused, match=words):
        run(given)


def test_names_as_many_refusals_as_an_answer_holds() -> None:
    """A pod of a thousand mistakes is told of some, and of their number."""
    given = pod(vllm(mount(), *(mount(at=f"/proc/{number}") for number in range(100))))
    with pytest.raises(PodRefused, match="and 36 more refusals"):
        run(given)


def test_a_name_that_looks_like_a_reserved_one_is_another_and_shown_escaped() -> None:
    """With a Cyrillic letter in it, it is neither dropped nor taken for the gate."""
    alike = container(GATE_CONTAINER.replace("o", "\u043e"), securityContext={"privileged": True})
    with pytest.raises(PodRefused, match=r"'m\\u043edel-validati\\u043en' is privileged"):
        run(pod(initContainers=[alike]))
    del alike["securityContext"]
    made = mutated(pod(initContainers=[alike]))["spec"]["initContainers"]
    assert names(made) == [GATE_CONTAINER, alike["name"]]


def test_names_all_that_is_wrong_at_once() -> None:
    """A person corrects a manifest once."""
    given = pod(vllm(securityContext={"privileged": True}), hostPID=True)
    with pytest.raises(PodRefused, match=r"hostPID.*; containers\[0\] 'vllm' is privileged"):
        run(given)


def test_nothing_on_the_pod_weakens_the_policy() -> None:
    """Annotations and environment of the pod are not read."""
    given = pod()
    plain = mutated(given)
    given["metadata"]["annotations"] = {
        "validation.rhtas.redhat.com/mode": "Audit",
        "validation.ml.sigstore.dev/model-path": "/elsewhere",
    }
    assert mutated(given)["spec"] == plain["spec"]


HOSTILE = "x\x1b[31m\nmodel-validator: Verification succeeded\u202e"


@pytest.mark.parametrize(
    "given",
    [
        pod(vllm(args=["--hf-overrides", json.dumps({HOSTILE: "/x"})])),
        pod(vllm(args=[f"--speculative-config.{HOSTILE}", "/x"])),
        pod(vllm(env=[{"name": f"PYTHON{HOSTILE}", "value": "/x"}])),
        pod(vllm(env=[{"name": f"PYTHON{HOSTILE}", "value": ":" * 100}])),
        pod(volumes=[{"name": "model", HOSTILE: 1}]),
    ],
    ids=["key", "dotted", "variable", "refused variable", "kind"],
)
def test_no_name_in_a_pod_writes_lines_of_its_own(given: Document) -> None:
    """Terminals and Events show the answer, also to other people."""
    try:
        said = " ".join(run(given).warnings)
    except PodRefused as refusal:
        said = str(refusal)
    assert "Verification succeeded" in said
    assert said.isprintable()
