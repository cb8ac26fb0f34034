"""Mounts within mounts: none can be led over the model, and the gate is told where to look."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.pods import (
    DIGEST,
    MODEL,
    claim,
    container,
    gate_of,
    monitor_of,
    mount,
    mutated,
    names,
    pod,
    policy,
    run,
    strict_policy,
    vllm,
)
from validator import contract
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from tests.support.pods import Document

AT = contract.OUTER_VOLUMES
HOME, INNER = mount("home", "/root/.cache"), mount("inner", "/root/.cache/vllm")
VOLUMES = [claim(), claim("home", of="home"), claim("inner", of="inner")]
STRICT = strict_policy()


def nested_of(given: Document) -> dict[str, str]:
    """Return what a mutated pod's gate is told to look at."""
    (text,) = (
        variable["value"]
        for variable in gate_of(given)["env"]
        if variable["name"] == contract.NESTED_VARIABLE
    )
    found: dict[str, str] = json.loads(text)
    return found


def outer_of(given: Document) -> list[Document]:
    """Return the gate's mounts of outer volumes."""
    return [each for each in gate_of(given)["volumeMounts"] if each["mountPath"].startswith(AT)]


# A claim within the model's own


def test_a_claim_beside_the_model_within_its_volume_is_admitted() -> None:
    """The gate has the volume already; the folder must be there, since the volume is read-only."""
    shared = mount("inner", "/models/shared")
    result = run(pod(vllm(mount(), shared), volumes=VOLUMES))
    assert nested_of(result.pod) == {"/models/shared": "/models/shared"}
    assert outer_of(result.pod) == []
    (warning,) = result.warnings
    assert "must exist on the volume, which is mounted read-only" in warning


@pytest.mark.parametrize("at", ["/models/shared", "/models/x/y/z", "/models/granite2"])
@pytest.mark.parametrize("extra", [{}, {"subPath": "a/b"}, {"subPathExpr": "$(POD)"}])
def test_any_mount_beside_the_model_is_looked_at(at: str, extra: Document) -> None:
    """Its depth, and the part of its volume that it shows, do not matter to the model."""
    result = mutated(pod(vllm(mount(), mount("inner", at, **extra)), volumes=VOLUMES))
    assert nested_of(result) == {at: at}


def test_each_container_may_have_something_else_there() -> None:
    """All that is known of each is where a link must not be."""
    second = container("second", mount(), mount("home", "/models/shared"))
    sidecar = container("third", mount(), mount("home", "/models/other"), restartPolicy="Always")
    given = pod(
        vllm(mount(), mount("inner", "/models/shared")),
        second,
        initContainers=[sidecar],
        volumes=VOLUMES,
    )
    assert nested_of(mutated(given)) == {path: path for path in ("/models/other", "/models/shared")}


def test_the_path_is_spelled_as_the_pod_spells_it() -> None:
    """/var/run is a link in most images; the gate's own image may have it or not."""
    path = "/var/run/models/granite"
    given = vllm(
        mount(at="/var/run/models"),
        mount("inner", "/run/models/x"),
        command=["vllm", "serve", path],
    )
    result = mutated(pod(given, volumes=VOLUMES), policy(model={"path": path}))
    assert nested_of(result) == {"/var/run/models/x": "/var/run/models/x"}


def test_a_folder_that_images_link_is_one_place() -> None:
    """/lib is /usr/lib in most images: the second volume lies within the first."""
    given = vllm(mount(), mount("home", "/lib"), mount("inner", "/usr/lib/x"))
    result = mutated(pod(given, volumes=VOLUMES))
    assert nested_of(result) == {f"{AT}/0/x": "/usr/lib/x"}


@pytest.mark.parametrize("at", [f"{MODEL}/cache", f"{MODEL}/a/b"])
@pytest.mark.parametrize("aside", [False, True])
def test_a_mount_over_the_model_is_refused_as_ever(at: str, *, aside: bool) -> None:
    """In the container that serves, and in another one."""
    inner = mount("inner", at)
    containers = [vllm(), container("x", mount(), inner)] if aside else [vllm(mount(), inner)]
    with pytest.raises(PodRefused, match="but what is verified at /models/granite is"):
        run(pod(*containers, volumes=VOLUMES))


@pytest.mark.parametrize("path", [MODEL, "/models/a/granite"])
def test_a_mount_that_one_container_alone_has_above_the_model_is_refused(path: str) -> None:
    """The longest prefix holds the model: who lacks that mount would see another one."""
    inner = mount("inner", "/models/a" if "/a/" in path else path)
    given = pod(vllm(command=["vllm", "serve", path]), container("x", mount(), inner))
    given["spec"]["volumes"] = VOLUMES
    with pytest.raises(PodRefused, match=f"but what is verified at {path} is"):
        run(given, policy(model={"path": path}))


def test_another_model_within_the_models_volume_has_no_gate() -> None:
    """The gate would have to mount one volume within the other."""
    chosen = policy(models=[{"path": MODEL}, {"path": "/models/lora/a"}])
    given = pod(vllm(mount(), mount("inner", "/models/lora")), volumes=VOLUMES)
    with pytest.raises(
        PodRefused,
        match=r"at /models/lora/a is the volume 'inner' .* each model alone, side by side",
    ):
        run(given, chosen)


# The model's volume within another one

CACHED = f"/root/.cache/huggingface/hub/models--x--y/snapshots/{'a' * 40}"
HUGGING_FACE = mount(at="/root/.cache/huggingface")
IN_A_CACHE = policy(model={"path": CACHED})
FRESH = [claim(), {"name": "home", "emptyDir": {}}]


def serving(*mounts: Document) -> Document:
    """Return a vLLM that serves the model of a cache."""
    return vllm(*mounts, command=["vllm", "serve", CACHED])


def test_the_model_within_an_emptydir_of_the_containers_own_is_admitted() -> None:
    """Nobody but the container itself can move the folder that the model is mounted on."""
    result = run(pod(serving(HOME, HUGGING_FACE), volumes=FRESH), IN_A_CACHE)
    assert gate_of(result.pod)["volumeMounts"][0] == HUGGING_FACE | {"readOnly": True}
    assert outer_of(result.pod) == []
    (warning,) = result.warnings
    assert "after a restart" in warning


def test_the_policys_volume_is_added_within_an_emptydir() -> None:
    """As of a chart that gives a writable cache; no policy names an emptyDir as the model's."""
    source = {"persistentVolumeClaim": {"claimName": "granite"}}
    path = "/root/.cache/huggingface"
    chosen = policy(model={"path": CACHED, "volume": source | {"mountPath": path}})
    result = run(pod(serving(HOME), volumes=FRESH[1:]), chosen)
    assert gate_of(result.pod)["volumeMounts"][0]["mountPath"] == path
    added = result.pod["spec"]["containers"][0]["volumeMounts"][1]
    assert (added["mountPath"], added["readOnly"]) == (path, True)
    assert run(result.pod, chosen).pod == result.pod
    with pytest.raises(PodRefused, match="is not the one that the policy demands"):
        run(pod(serving(HOME), volumes=[claim("home", of="home")]), chosen)


@pytest.mark.parametrize("volumes", [VOLUMES, [claim(), claim("home")]])
def test_the_model_within_another_volume_is_looked_at(volumes: list[Document]) -> None:
    """Also one of the same claim: what is below the model's mount must not take its place."""
    inner = HUGGING_FACE | {"subPath": "hf"}
    result = run(pod(serving(HOME, inner), volumes=volumes), IN_A_CACHE)
    assert nested_of(result.pod) == {f"{AT}/0/huggingface": "/root/.cache/huggingface"}
    assert "put another folder there later" in result.warnings[0]


def test_the_model_within_two_volumes_is_looked_at_on_both() -> None:
    """Whoever moves the outer one's folder moves the inner one with the model."""
    volumes = [*VOLUMES, claim("root", of="root")]
    given = pod(serving(mount("root", "/root"), HOME, HUGGING_FACE), volumes=volumes)
    result = run(given, IN_A_CACHE)
    assert nested_of(result.pod) == {
        f"{AT}/0/huggingface": "/root/.cache/huggingface",
        f"{AT}/1/.cache": "/root/.cache",
    }


def test_nobody_else_writes_what_is_around_the_model() -> None:
    """Another container could rename the folder, and the model's mount would go with it."""
    given = pod(serving(HOME, HUGGING_FACE), container("x", mount("home", "/x")), volumes=FRESH)
    with pytest.raises(PodRefused, match=r"containers\[1\] 'x' may place a link there"):
        run(given, IN_A_CACHE)
    given["spec"]["containers"][1]["volumeMounts"][0]["readOnly"] = True
    assert nested_of(mutated(given, IN_A_CACHE))


def test_a_container_without_the_model_has_nothing_in_its_place() -> None:
    """It could serve what the outer volume has at the model's path."""
    second = container("x", HOME | {"readOnly": True})
    with pytest.raises(PodRefused, match="mount that one here too, within this one, or"):
        run(pod(serving(HOME, HUGGING_FACE), second, volumes=FRESH), IN_A_CACHE)


def test_kubernetes_does_not_write_around_the_model() -> None:
    """It replaces the folders of a ConfigMap, and what is mounted on them goes."""
    volumes = [claim(), {"name": "home", "configMap": {"name": "any"}}]
    with pytest.raises(PodRefused, match="whose folders Kubernetes replaces"):
        run(pod(serving(HOME, HUGGING_FACE), volumes=volumes), IN_A_CACHE)


@pytest.mark.parametrize("volumes", [FRESH, VOLUMES])
def test_strict_takes_nothing_around_the_model(volumes: list[Document]) -> None:
    """Not even where nothing of the image's lies."""
    given = pod(vllm(mount("home", "/models"), mount(at=MODEL)), volumes=volumes)
    assert run(given).warnings
    with pytest.raises(PodRefused, match="Strict does not allow, since") as said:
        run(given, STRICT)
    assert "could lead it over the model" not in str(said.value)


# A cache within a cache


def test_a_cache_within_a_caches_claim_is_admitted() -> None:
    """The gate mounts the outer one alone, read-only; the inner one it never sees."""
    result = run(pod(vllm(mount(), HOME, INNER), volumes=VOLUMES))
    assert outer_of(result.pod) == [{"name": "home", "mountPath": f"{AT}/0", "readOnly": True}]
    assert nested_of(result.pod) == {f"{AT}/0/vllm": "/root/.cache/vllm"}
    assert "who can write that volume could place one later" in result.warnings[0]
    assert gate_of(result.pod)["volumeMounts"][0]["name"] == "model"


def test_three_volumes_within_one_another_are_each_looked_at() -> None:
    """Each place by the innermost volume around it: there the link would lie."""
    volumes = [*VOLUMES, claim("deep", of="deep")]
    given = pod(
        vllm(
            mount("deep", "/root/.cache/vllm/a/b"),
            mount("inner", "/root/.cache/vllm", subPath="s"),
            HOME,
            mount(),
            mount("home", "/models/home"),
        ),
        volumes=volumes,
    )
    result = mutated(given)
    assert outer_of(result) == [
        {"name": "home", "mountPath": f"{AT}/0", "readOnly": True},
        {"name": "inner", "mountPath": f"{AT}/1", "readOnly": True, "subPath": "s"},
    ]
    assert nested_of(result) == {
        "/models/home": "/models/home",
        f"{AT}/0/vllm": "/root/.cache/vllm",
        f"{AT}/1/a/b": "/root/.cache/vllm/a/b",
    }


def test_different_mounts_in_two_containers_are_each_looked_at() -> None:
    """Two outer volumes at one path."""
    volumes = [*VOLUMES, claim("other", of="other")]
    second = container("second", mount(), mount("other", "/root/.cache"), INNER)
    result = mutated(pod(vllm(mount(), HOME, INNER), second, volumes=volumes))
    assert [each["name"] for each in outer_of(result)] == ["home", "other"]
    assert nested_of(result) == {
        f"{AT}/0/vllm": "/root/.cache/vllm",
        f"{AT}/1/vllm": "/root/.cache/vllm",
    }


def test_the_models_claim_by_another_name_is_looked_at_where_the_gate_has_it() -> None:
    """A mount within its other mount is not at the model's path."""
    given = pod(
        vllm(mount(), mount(at="/again"), mount("inner", "/again/granite")), volumes=VOLUMES
    )
    assert nested_of(mutated(given)) == {"/models/granite": "/again/granite"}


def test_the_monitor_looks_as_the_gate_does() -> None:
    """It has the same mounts and the same paths."""
    result = mutated(pod(vllm(mount(), HOME, INNER), volumes=VOLUMES), policy(revalidation={}))
    gate, monitor = gate_of(result), monitor_of(result)
    assert [each for each in gate["env"] if each["name"] == contract.NESTED_VARIABLE] == [
        each for each in monitor["env"] if each["name"] == contract.NESTED_VARIABLE
    ]
    assert all(each in monitor["volumeMounts"] for each in outer_of(result))


def test_done_twice_it_is_done_once() -> None:
    """The gate's own mounts are not taken for the workload's."""
    once = mutated(pod(vllm(mount(), HOME, INNER), volumes=VOLUMES))
    assert mutated(once) == once


WITHIN: dict[str, Document] = {
    "a mount": vllm(mount(), HOME, INNER),
    "a device": vllm(
        mount(), HOME, volumeDevices=[{"name": "inner", "devicePath": "/root/.cache/vllm"}]
    ),
    "a termination message": vllm(mount(), HOME, terminationMessagePath="/root/.cache/vllm"),
}


@pytest.mark.parametrize("what", WITHIN)
def test_whatever_lies_within_is_looked_at(what: str) -> None:
    """A link leads all of them."""
    result = mutated(pod(WITHIN[what], volumes=VOLUMES))
    assert nested_of(result) == {f"{AT}/0/vllm": "/root/.cache/vllm"}


@pytest.mark.parametrize("what", WITHIN)
def test_strict_has_nothing_within_anothers_volume(what: str) -> None:
    """Whoever writes the outer volume later is not known."""
    with pytest.raises(PodRefused, match="a link could lead it over the model: mount the two side"):
        run(pod(WITHIN[what], volumes=VOLUMES), STRICT)


def test_strict_has_nothing_within_the_models_volume() -> None:
    """The sentence gives the way out, once."""
    shared = mount("inner", "/models/shared")
    with pytest.raises(PodRefused) as refusal:
        run(pod(vllm(mount(), shared), volumes=VOLUMES), STRICT)
    assert "alone, at /models/granite with subPath 'granite'" in str(refusal.value)
    assert "mount the two side by side" not in str(refusal.value)


# Who could place a link after the gate has looked


def init(**changes: object) -> Document:
    """Return a pod whose init container writes the outer volume."""
    fill = container("fill", mount("home", "/h")) | changes
    return pod(vllm(mount(), HOME, INNER), initContainers=[fill], volumes=list(VOLUMES))


WRITERS: dict[str, Document] = {
    "another container": pod(
        vllm(mount(), HOME, INNER), container("fill", mount("home", "/h")), volumes=VOLUMES
    ),
    "a native sidecar": init(restartPolicy="Always"),
    "an init container after the gate": init(
        volumeMounts=[mount("home", "/h"), mount(readOnly=True)]
    ),
    "another entry of the claim": pod(
        vllm(mount(), HOME, INNER),
        container("fill", mount("again", "/h")),
        volumes=[*VOLUMES, claim("again", of="home")],
    ),
    "a block device": pod(
        vllm(mount(), HOME, INNER),
        container("fill", volumeDevices=[{"name": "home", "devicePath": "/dev/h"}]),
        volumes=VOLUMES,
    ),
    "a second one with the same mounts": pod(
        vllm(mount(), HOME, INNER), container("fill", mount(), HOME, INNER), volumes=VOLUMES
    ),
    "a directory of the node above": pod(
        vllm(mount(), HOME, INNER),
        container("fill", mount("node", "/h")),
        volumes=[
            claim(),
            {"name": "home", "hostPath": {"path": "/srv/home"}},
            {"name": "node", "hostPath": {"path": "/srv"}},
            claim("inner", of="inner"),
        ],
    ),
    "a shared emptyDir": pod(
        vllm(mount(), HOME, INNER),
        container("fill", mount("home", "/h")),
        volumes=[claim(), {"name": "home", "emptyDir": {}}, claim("inner", of="inner")],
    ),
}


@pytest.mark.parametrize("who", WRITERS)
def test_refuses_what_another_container_could_lead_over_the_model(who: str) -> None:
    """It runs when the gate has looked."""
    with pytest.raises(
        PodRefused, match=r"'(fill|vllm)' may place a link there that leads it over"
    ):
        run(WRITERS[who])


def test_another_container_that_only_reads_places_no_link() -> None:
    """Nor does one that writes another part of the pod's storage."""
    reader = container("reader", mount("home", "/h", readOnly=True), mount("else", "/e"))
    given = pod(
        vllm(mount(), HOME, INNER), reader, volumes=[*VOLUMES, {"name": "else", "emptyDir": {}}]
    )
    assert nested_of(mutated(given))


@pytest.mark.parametrize(
    "outer",
    [
        {"persistentVolumeClaim": {"claimName": "home"}},
        {"emptyDir": {}},
        {"nfs": {"server": "s", "path": "/"}},
        {"hostPath": {"path": "/srv/cache"}},
        {"image": {"reference": f"x@{DIGEST}"}},
        {"gitRepo": {"repository": "x"}},
        {"ephemeral": {"volumeClaimTemplate": {}}},
    ],
    ids=lambda outer: next(iter(outer)),
)
def test_the_gate_looks_after_an_init_container_has_filled_the_volume(outer: Document) -> None:
    """It ends before the gate starts, where it does not have the model."""
    given = init()
    given["spec"]["volumes"][1] = {"name": "home"} | outer
    result = mutated(given)
    assert names(result["spec"]["initContainers"]) == ["fill", contract.GATE_CONTAINER]
    assert nested_of(result) == {f"{AT}/0/vllm": "/root/.cache/vllm"}


def test_the_gate_does_not_wait_for_it_beyond_one_that_reads_the_model() -> None:
    """The model is verified before anybody reads it, whatever else is to be looked at."""
    warm = container("warm", mount(readOnly=True))
    fill = container("fill", mount("home", "/h"))
    given = pod(vllm(mount(), HOME, INNER), initContainers=[warm, fill], volumes=VOLUMES)
    with pytest.raises(PodRefused, match=r"initContainers\[1\] 'fill' may place a link"):
        run(given)


def test_warns_of_mounts_within_an_empty_dir_that_a_restart_finds_full() -> None:
    """A link that the first run left leads the inner mount over the model."""
    volumes = [claim(), {"name": "home", "emptyDir": {}}, claim("inner", of="inner")]
    result = run(pod(vllm(mount(), HOME, INNER), volumes=volumes))
    warning, compiled = result.warnings
    assert "after a restart, a link that the first run left there could lead it" in warning
    assert "compiled code" in compiled
    assert outer_of(result.pod) == []


@pytest.mark.parametrize(
    "outer",
    [{"configMap": {"name": "settings"}}, {"projected": {"sources": []}}],
    ids=["a ConfigMap", "a projected volume"],
)
def test_nobody_places_a_link_in_what_kubernetes_writes(outer: Document) -> None:
    """Settings beside settings: nothing to look at, and nothing to say."""
    volumes = [claim(), {"name": "home"} | outer, claim("inner", of="inner")]
    other = container("other", mount("home", "/x"))
    settings, inner = mount("home", "/settings"), mount("inner", "/settings/x")
    result = run(pod(vllm(mount(), settings, inner), other, volumes=volumes))
    assert not result.warnings
    assert outer_of(result.pod) == []


def test_a_container_without_the_model_mounts_as_it_likes() -> None:
    """It has nothing that could be hidden."""
    result = mutated(pod(vllm(), container("other", HOME, INNER), volumes=VOLUMES))
    assert outer_of(result) == []


# What cannot be looked at


@pytest.mark.parametrize("at", ["/dev", "/etc"])
def test_refuses_a_volume_where_the_runtime_has_files_of_its_own(at: str) -> None:
    """Those that are known are few of those that there are."""
    with pytest.raises(PodRefused, match="the runtime puts files and devices of its own"):
        run(pod(vllm(mount(), mount("home", at)), volumes=VOLUMES))


def test_refuses_a_mount_within_a_volume_by_expression() -> None:
    """The gate may have another value."""
    home = mount("home", "/root/.cache", subPathExpr="$(POD)")
    with pytest.raises(PodRefused, match="by subPathExpr, where nobody can look for links"):
        run(pod(vllm(mount(), home, INNER), volumes=VOLUMES))


@pytest.mark.parametrize("path", ["/", "/var/lib", "/proc/1/root"])
def test_refuses_a_mount_within_the_nodes_own_directories(path: str) -> None:
    """The gate would have to see the node."""
    volumes = [claim(), {"name": "home", "hostPath": {"path": path}}, VOLUMES[2]]
    with pytest.raises(PodRefused, match="the directory of the node is too much to look for links"):
        run(pod(vllm(mount(), HOME, INNER), volumes=volumes))


def test_refuses_more_places_than_an_environment_holds() -> None:
    """The limit of one variable."""
    inner = [mount("inner", f"/root/.cache/{index}{'x' * 1000}") for index in range(100)]
    with pytest.raises(PodRefused, match="has 100 mounts within other volumes, too long"):
        run(pod(vllm(mount(), HOME, *inner), volumes=VOLUMES))
