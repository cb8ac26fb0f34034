"""The model's volume: one content at one path, and the volume that a policy adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.pods import (
    DIGEST,
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
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from tests.support.pods import Document

PVC = {"persistentVolumeClaim": {"claimName": "granite"}}


def test_the_longest_prefix_holds_the_model() -> None:
    """`/models/granite` is on the mount at /models, not on that at /model or /modelsx."""
    given = pod(
        vllm(mount("b", "/model"), mount(), mount("b", "/modelsx")),
        volumes=[claim(), {"name": "b", "emptyDir": {}}],
    )
    assert gate_of(mutated(given))["volumeMounts"][0]["name"] == "model"


def test_refuses_a_pod_without_a_volume_for_the_path() -> None:
    """The sentence says what to add."""
    given = pod(vllm(mount(at="/elsewhere")))
    with pytest.raises(PodRefused, match=r"no container mounts .* /models/granite: add a volume"):
        run(given)


@pytest.mark.parametrize("path", ["/models//", "//models", "/models/../models", "/./models"])
def test_refuses_another_spelling_of_a_mount_path(path: str) -> None:
    """Kubernetes accepts `//a` beside `/a`; here there is one spelling."""
    with pytest.raises(PodRefused, match="write '/models'"):
        run(pod(vllm(mount(at=path))))


@pytest.mark.parametrize(
    "other",
    [
        mount("evil", "/models/granite"),
        mount("evil", "/models/granite/tokenizer.json", subPath="t.json"),
        mount("evil", "/models"),
        mount(subPath="other"),
        mount(at=MODEL),
    ],
)
@pytest.mark.parametrize("as_sidecar", [False, True])
def test_refuses_other_content_at_above_or_below_the_model(
    other: Document, *, as_sidecar: bool
) -> None:
    """Neither a mount over a part of the model nor another content in a second container."""
    volumes = [claim(), {"name": "evil", "emptyDir": {}}]
    if as_sidecar:
        given = pod(
            vllm(),
            initContainers=[container("proxy", other, restartPolicy="Always")],
            volumes=volumes,
        )
    else:
        given = pod(vllm(), container("second", other), volumes=volumes)
    with pytest.raises(PodRefused, match="what is verified at /models/granite is"):
        run(given)


def test_refuses_a_mount_above_the_verified_one_that_another_container_writes() -> None:
    """A writable directory above could be renamed, and the verified mount with it."""
    given = pod(
        vllm(mount("cache", "/models"), mount(at=MODEL)),
        container("x", mount("cache", "/x")),
        volumes=[claim(), {"name": "cache", "emptyDir": {}}],
    )
    with pytest.raises(PodRefused, match=r"containers\[1\] 'x' may place a link there"):
        run(given)


SNAPSHOT = f"/models/hub/models--a--b/snapshots/{'0' * 40}"


@pytest.mark.parametrize(
    "at",
    [
        "/models/hub/models--a--b/blobs",
        "/models/hub/blobs",
        "/models/hub/blobs/00",
        f"/models/hub/blobs/00/{'0' * 64}",
        "/models/hub",
    ],
)
@pytest.mark.parametrize(
    "own",
    [
        mount(),
        mount(at="/models/hub/models--a--b", subPath="hub/models--a--b"),
        mount(at=SNAPSHOT, subPath="x"),
    ],
    ids=["the cache", "the repository", "the snapshot"],
)
def test_refuses_a_mount_over_blobs_of_the_models_cache(own: Document, at: str) -> None:
    """A snapshot's files are links to them; also where the cache is mounted in part."""
    serving = vllm(own, command=["vllm", "serve", SNAPSHOT])
    other = container("other", mount("evil", at))
    volumes = [claim(), {"name": "evil", "emptyDir": {}}]
    with pytest.raises(PodRefused, match="but what is verified at"):
        run(pod(serving, other, volumes=volumes), policy(model={"path": SNAPSHOT}))


def test_two_models_of_one_cache_may_lie_on_two_volumes() -> None:
    """Neither reads what lies in the other's folder."""
    paths = [f"/hub/models--{name}/snapshots/{'0' * 40}" for name in ("a--b", "a--c")]
    own = [mount("one", "/hub/models--a--b"), mount("two", "/hub/models--a--c")]
    volumes = [claim("one", of="one"), claim("two", of="two")]
    chosen = policy(models=[{"path": path} for path in paths])
    serving = vllm(*own, command=["vllm", "serve", paths[0]])
    assert len(gate_of(mutated(pod(serving, volumes=volumes), chosen))["volumeMounts"]) == 3


def test_the_models_folder_alone_leaves_room_beside_it() -> None:
    """The way out that a refusal names under Strict."""
    shared = mount("shared", "/models/shared")
    volumes = [claim(), claim("shared", of="shared")]
    alone = vllm(mount(at=MODEL, subPath="granite"), shared)
    result = run(pod(alone, volumes=volumes))
    assert not result.warnings
    assert [each["mountPath"] for each in gate_of(result.pod)["volumeMounts"]] == [
        MODEL,
        contract.SERVICE_ACCOUNT_PATH,
    ]


@pytest.mark.parametrize(
    "path",
    [
        *(MODEL, "/models", "/models/granite/config.json", "/models/v2/config.json"),
        *("/proc/self/root/models/granite/config.json", "/dev/../models/granite/config.json"),
        "models/granite/config.json",
    ],
)
def test_refuses_a_termination_message_on_the_models_volume(path: str) -> None:
    """The kubelet mounts an empty file there that the container writes, whatever lies below."""
    with pytest.raises(PodRefused, match="terminationMessagePath"):
        run(pod(vllm(terminationMessagePath=path)))


def test_a_termination_message_elsewhere_is_nobodys_business() -> None:
    """The API server's default, and a path of one's own."""
    for path in ("/dev/termination-log", "/tmp/last-words"):  # noqa: S108 — a mount point
        assert gate_of(mutated(pod(vllm(terminationMessagePath=path))))


def test_refuses_another_name_of_the_container_root() -> None:
    """A runtime that follows links mounts at /models/granite."""
    volumes = [claim(), {"name": "evil", "emptyDir": {}}]
    with pytest.raises(PodRefused, match="below /proc"):
        run(pod(vllm(mount(), mount("evil", f"/proc/self/root{MODEL}")), volumes=volumes))
    device = {"name": "evil", "devicePath": f"/proc/self/root{MODEL}/x"}
    with pytest.raises(PodRefused, match="below /proc"):
        run(pod(vllm(volumeDevices=[device]), volumes=[claim(), claim("evil", of="other")]))


def test_an_init_container_before_the_gate_may_mount_what_it_likes() -> None:
    """A container that ended before the verdict cannot show other content to the workload."""
    given = pod(
        initContainers=[
            container("fetch", mount(at="/out/"), mount("tmp", MODEL)),
        ],
        volumes=[claim(), {"name": "tmp", "emptyDir": {}}],
    )
    assert gate_of(mutated(given))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"configMap": {"name": "m"}}, "changes under a running pod"),
        ({"secret": {"secretName": "m"}}, "changes under a running pod"),
        ({"projected": {"sources": []}}, "changes under a running pod"),
        ({"downwardAPI": {"items": []}}, "changes under a running pod"),
        ({"image": {"reference": "registry.example/granite:1"}}, "by digest"),
        ({"image": {"reference": "registry.example/granite@sha256:latest"}}, "by digest"),
        ({"image": {"reference": f"registry.example/a@{DIGEST}/granite:1"}}, "by digest"),
        ({"teleport": {}}, "unknown here"),
        ({"emptyDir": {}, "hostPath": {"path": "/m"}}, "several sources"),
    ],
)
def test_refuses_volumes_whose_content_is_not_settled(source: Document, words: str) -> None:
    """A verdict on what changes by itself says nothing."""
    with pytest.raises(PodRefused, match=words):
        run(pod(volumes=[{"name": "model"} | source]))


@pytest.mark.parametrize(
    "source",
    [
        PVC,
        {"hostPath": {"path": "/srv/models", "type": ""}},
        {"nfs": {"server": "nfs", "path": "/models"}},
        {"csi": {"driver": "models.example"}},
        {"image": {"reference": f"registry.example/granite@{DIGEST}"}},
        {"ephemeral": {"volumeClaimTemplate": {}}},
        {"emptyDir": {}},
        {},
    ],
)
def test_admits_the_volumes_that_models_lie_on(source: Document) -> None:
    """Each kind that a pod's owner fills is fine."""
    assert gate_of(mutated(pod(volumes=[{"name": "model"} | source])))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"subPathExpr": "$(NAME)"}, "subPathExpr"),
        ({"mountPropagation": "HostToContainer"}, "mountPropagation"),
    ],
)
def test_refuses_mounts_that_cannot_be_repeated(changes: Document, words: str) -> None:
    """The gate cannot verify content that another container may see differently."""
    with pytest.raises(PodRefused, match=words):
        run(pod(vllm(mount(**changes))))


def test_refuses_a_mount_of_an_undeclared_volume() -> None:
    """The API server would say so too, but only after us."""
    with pytest.raises(PodRefused, match="which the pod does not declare"):
        run(pod(volumes=[]))


@pytest.mark.parametrize(
    ("at", "other"),
    [
        ("/run/models", "/var/run/models"),
        ("/var/run/models", "/run/models"),
        ("/run/lock/models", "/var/lock"),
    ],
)
def test_refuses_a_mount_where_a_usual_image_has_a_link(at: str, other: str) -> None:
    """/var/run is /run, and /var/lock is /run/lock: the second mount lands on the first."""
    path = f"{at}/granite"
    serving = vllm(mount(at=at), mount("evil", other), command=["vllm", "serve", path])
    volumes = [claim(), claim("evil", of="evil")]
    with pytest.raises(PodRefused, match=f"but what is verified at {path}"):
        run(pod(serving, volumes=volumes), policy(model={"path": path}))


def test_refuses_a_device_within_the_models_volume() -> None:
    """Its links are somebody else's as well."""
    device = {"name": "raw", "devicePath": "/models/x"}
    with pytest.raises(PodRefused, match="has a block device at '/models/x'"):
        run(pod(vllm(volumeDevices=[device]), volumes=[claim(), claim("raw", of="raw")]))


def test_refuses_the_models_claim_as_a_block_device() -> None:
    """Past the file system, no mount is read-only; not even of an init container."""
    device = {"name": "raw", "devicePath": "/dev/model"}
    given = pod(
        initContainers=[container("format", volumeDevices=[device])],
        volumes=[claim(), claim("raw")],
    )
    with pytest.raises(PodRefused, match=r"initContainers\[0\] 'format' .* block device"):
        run(given)


# The policy's own volume.

OWN: dict[str, tuple[Document, Document]] = {
    "claim": (PVC, PVC),
    "image": (
        {"image": {"reference": f"registry.example/granite@{DIGEST}"}},
        {
            "image": {
                "reference": f"registry.example/granite@{DIGEST}",
                "pullPolicy": "IfNotPresent",
            }
        },
    ),
    "nfs": (
        {"nfs": {"server": "nfs", "path": "/m"}},
        {"nfs": {"server": "nfs", "path": "/m", "readOnly": True}},
    ),
    "csi": (
        {"csi": {"driver": "d.example", "volumeAttributes": {"share": "m"}}},
        {"csi": {"driver": "d.example", "readOnly": True, "volumeAttributes": {"share": "m"}}},
    ),
}


ALLOWED = {
    f"{contract.NAMESPACE_CSI_LABEL}/{driver}": "true"
    for driver in ("d.example", "csi.juicefs.com")
}


@pytest.mark.parametrize("kind", OWN)
def test_adds_the_policys_volume_where_the_pod_declares_none(kind: str) -> None:
    """Volume and mount are added, and once they are there they are what the policy demands."""
    declared, written = OWN[kind]
    bare = pod(vllm(volumeMounts=[]), volumes=[])
    result = run(bare, policy(model={"volume": declared}), labels=ALLOWED).pod
    assert result["spec"]["volumes"][0] == {"name": contract.MODEL_VOLUME} | written
    added = {
        "name": contract.MODEL_VOLUME,
        "mountPath": MODEL,
        "readOnly": True,
        "recursiveReadOnly": "IfPossible",
    }
    assert result["spec"]["containers"][0]["volumeMounts"] == [added]
    assert mutated(result, policy(model={"volume": declared})) == result


def test_keeps_the_policys_image_as_always_pull_images_leaves_it() -> None:
    """The plugin runs again after the webhook, and the webhook once more."""
    chosen = policy(model={"volume": OWN["image"][0]})
    pulled = mutated(pod(vllm(volumeMounts=[]), volumes=[]), chosen)
    pulled["spec"]["volumes"][0]["image"]["pullPolicy"] = "Always"
    assert mutated(pulled, chosen) == pulled
    pulled["spec"]["volumes"][0]["image"]["pullPolicy"] = "Never"
    with pytest.raises(PodRefused, match="bears a name that is reserved"):
        run(pulled, chosen)


@pytest.mark.parametrize("kind", OWN)
def test_the_pods_own_volume_must_be_the_policys(kind: str) -> None:
    """The same source under another name is fine, another source is not."""
    declared, written = OWN[kind]
    chosen = policy(model={"volume": declared})
    assert gate_of(mutated(pod(volumes=[{"name": "model"} | written]), chosen))
    with pytest.raises(PodRefused, match="not the one that the policy demands"):
        run(pod(volumes=[claim(of="other")]), chosen)
    with pytest.raises(PodRefused, match="not the one that the policy demands"):
        run(pod(vllm(mount(at=MODEL)), volumes=[{"name": "model", "emptyDir": {}}]), chosen)


def test_mounts_it_where_the_policy_says() -> None:
    """`mountPath` above the model's path is the volume's place."""
    chosen = policy(model={"volume": PVC | {"mountPath": "/models"}})
    result = mutated(pod(vllm(volumeMounts=[]), volumes=[]), chosen)
    assert result["spec"]["containers"][0]["volumeMounts"][0]["mountPath"] == "/models"
    wrong = policy(model={"volume": PVC | {"mountPath": "/data"}})
    with pytest.raises(PodRefused, match=r"correct model\.volume\.mountPath"):
        run(pod(vllm(volumeMounts=[]), volumes=[]), wrong)


def test_two_sources_become_two_volumes_and_one_source_one() -> None:
    """The names depend on the policy alone."""
    other = {"persistentVolumeClaim": {"claimName": "other"}}
    chosen = policy(
        models=[
            {"path": "/m/a", "volume": PVC | {"mountPath": "/m"}},
            {"path": "/m/b", "volume": PVC | {"mountPath": "/m"}},
            {"path": "/n/c", "volume": other},
        ]
    )
    result = mutated(pod(vllm(command=["vllm", "serve", "/m/a"], volumeMounts=[])), chosen)
    assert [volume["name"] for volume in result["spec"]["volumes"]] == [
        "model",
        contract.MODEL_VOLUME,
        f"{contract.MODEL_VOLUME}-2",
        contract.SCRATCH_VOLUME,
    ]
    assert len(result["spec"]["containers"][0]["volumeMounts"]) == 2


def test_only_vllm_gets_the_mount_among_several_containers() -> None:
    """The proxy beside it does not."""
    given = pod(container("proxy"), vllm(volumeMounts=[]), volumes=[])
    result = mutated(given, policy(model={"volume": PVC}))
    assert ["volumeMounts" in each for each in result["spec"]["containers"]] == [False, True]


def test_asks_which_of_several_containers_serves() -> None:
    """If no container shows that it serves, the pod must name one."""
    given = pod(container("one"), container("two"), volumes=[])
    with pytest.raises(PodRefused, match="declare the volumeMount"):
        run(given, policy(model={"volume": PVC}))


def test_a_named_volume_is_the_pods_to_declare() -> None:
    """`volume.name` adds the mount, demands the volume, and accepts no other."""
    chosen = policy(model={"volume": {"name": "model"}})
    result = mutated(pod(vllm(volumeMounts=[])), chosen)
    assert result["spec"]["containers"][0]["volumeMounts"][0]["name"] == "model"
    with pytest.raises(PodRefused, match=r"'model': add it to spec\.volumes"):
        run(pod(vllm(volumeMounts=[]), volumes=[]), chosen)
    with pytest.raises(PodRefused, match="mount the volume 'model'"):
        run(pod(vllm(mount("mine")), volumes=[claim("mine")]), chosen)


def test_a_directory_of_the_node_needs_the_namespaces_leave() -> None:
    """Only a cluster's admin can label the namespace."""
    bare = pod(vllm(volumeMounts=[]), volumes=[])
    chosen = policy(model={"volume": {"hostPath": {"path": "/srv/models"}}})
    with pytest.raises(PodRefused, match=contract.NAMESPACE_HOST_PATH_LABEL):
        run(bare, chosen)
    result = run(bare, chosen, labels={contract.NAMESPACE_HOST_PATH_LABEL: "true"})
    assert result.pod["spec"]["volumes"][0]["hostPath"] == {
        "path": "/srv/models",
        "type": "Directory",
    }


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {f"{contract.NAMESPACE_CSI_LABEL}/secrets-store.csi.k8s.io": "false"},
        {f"{contract.NAMESPACE_CSI_LABEL}/d.example": "true"},
        {contract.NAMESPACE_HOST_PATH_LABEL: "true"},
    ],
)
def test_a_policy_brings_no_csi_driver_that_the_namespace_does_not_allow(
    labels: dict[str, str],
) -> None:
    """It would act in the name of other people's pods: deliver their Secrets, mount their data."""
    secrets = {
        "driver": "secrets-store.csi.k8s.io",
        "volumeAttributes": {"secretProviderClass": "x"},
    }
    bare = pod(vllm(volumeMounts=[]), volumes=[])
    with pytest.raises(
        PodRefused,
        match=f'{contract.NAMESPACE_CSI_LABEL}/secrets-store.csi.k8s.io: "true", or the pod can',
    ):
        run(bare, policy(model={"volume": {"csi": secrets}}), labels=labels)


def test_a_pod_brings_its_own_csi_volume_everywhere() -> None:
    """Its author has chosen the driver, whether the policy demands it or not."""
    volume = {"name": "model", "csi": {"driver": "d.example", "volumeAttributes": {"share": "m"}}}
    for declared in (OWN["csi"][0], {"name": "model"}, None):
        chosen = policy(model={"volume": declared} if declared else {})
        assert gate_of(mutated(pod(vllm(mount(at=MODEL)), volumes=[volume]), chosen))


def test_an_ephemeral_claim_is_not_the_policys() -> None:
    """The pod's author fills it, from a snapshot or a clone, and may name the pod after a claim."""
    source = {"persistentVolumeClaim": {"claimName": "llm-model"}, "mountPath": "/models"}
    template = {"spec": {"dataSource": {"kind": "VolumeSnapshot", "name": "evil"}}}
    given = pod(
        volumes=[{"name": "model", "ephemeral": {"volumeClaimTemplate": template}}],
    )
    with pytest.raises(PodRefused, match="not the one that the policy demands"):
        run(given, policy(model={"volume": source}))


CSI: Document = {"driver": "csi.juicefs.com", "volumeAttributes": {"volume": "m"}}
SECRET: Document = {"nodePublishSecretRef": {"name": "juicefs"}}


@pytest.mark.parametrize(
    ("demanded", "given", "admitted"),
    [
        ({}, {}, True),
        ({}, SECRET, True),
        ({}, {"fsType": "ext4"}, True),
        (SECRET, SECRET, True),
        ({"fsType": "ext4"}, {"fsType": "ext4"}, True),
        (SECRET, {}, False),
        (SECRET, {"nodePublishSecretRef": {"name": "another"}}, False),
        ({"fsType": "ext4"}, {"fsType": "xfs"}, False),
        ({}, {"volumeAttributes": {"volume": "another"}}, False),
    ],
)
def test_a_csi_drivers_secret_is_the_policys_where_it_names_one(
    demanded: Document, given: Document, *, admitted: bool
) -> None:
    """Else the pod's: with many drivers it is the namespace's credentials, and nothing more."""
    chosen = policy(model={"volume": {"csi": CSI | demanded, "mountPath": "/models"}})
    made = pod(volumes=[{"name": "model", "csi": CSI | given}])
    if admitted:
        run(made, chosen)
    else:
        with pytest.raises(PodRefused, match="is not the one that the policy demands"):
            run(made, chosen)


def test_a_csi_volume_is_added_with_its_secret() -> None:
    """As the API server writes it."""
    chosen = policy(model={"volume": {"csi": CSI | SECRET | {"fsType": "ext4"}}})
    made = run(pod(vllm(volumeMounts=[]), volumes=[]), chosen, labels=ALLOWED).pod
    (volume,) = (each for each in made["spec"]["volumes"] if "csi" in each)
    assert volume["csi"] == CSI | SECRET | {"fsType": "ext4", "readOnly": True}


def test_a_csi_volume_with_the_pods_own_secret_holds_no_trust() -> None:
    """With some drivers the Secret says which storage it is."""
    chosen = policy(
        model={"path": "/models/granite", "volume": {"csi": CSI, "mountPath": "/models"}},
        config={"privateKeyConfig": {"keyPath": "/models/keys/pub.pem"}},
    )
    run(pod(volumes=[{"name": "model", "csi": CSI}]), chosen)
    with pytest.raises(PodRefused, match="allowPodTrustAnchors"):
        run(pod(volumes=[{"name": "model", "csi": CSI | SECRET}]), chosen)
