"""The lists of a pod's fields: whole, and closed to what Kubernetes adds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from webhook.vllm.strict.fields import (
    DEFINITIONS,
    OF_KUBERNETES,
    Within,
    refused,
    refused_annotations,
)

RELEASES: Final[dict[str, dict[str, list[str]]]] = json.loads(
    Path(__file__).with_name("pod_fields.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("definition", DEFINITIONS)
def test_each_field_of_each_release_has_been_thought_about(release: str, definition: str) -> None:
    """Somebody has read it, and put it on the list as allowed, refused, or judged by its own."""
    published = RELEASES[release][OF_KUBERNETES.get(definition, definition)]
    assert set(published) - DEFINITIONS[definition].keys() == set()


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_no_entry_is_of_a_field_that_there_is_not(definition: str) -> None:
    """A misspelt entry would allow nothing, and look as if it did."""
    name = OF_KUBERNETES.get(definition, definition)
    known = {field for release in RELEASES.values() for field in release[name]}
    assert DEFINITIONS[definition].keys() - known == set()


def test_each_definition_that_is_led_to_has_a_list() -> None:
    """And each list is led to."""
    led_to = {
        entry.definition
        for entries in DEFINITIONS.values()
        for entry in entries.values()
        if isinstance(entry, Within)
    }
    assert led_to | {"PodSpec", "ServingContainer"} == DEFINITIONS.keys()


@pytest.mark.parametrize(
    ("value", "definition", "path"),
    [
        ({"brandNew": 1}, "PodSpec", "spec.brandNew"),
        ({"hostNetwork": True}, "PodSpec", "spec.hostNetwork"),
        ({"hostIPC": True}, "PodSpec", "spec.hostIPC"),
        ({"hostAliases": [{"ip": "127.0.0.1"}]}, "PodSpec", "spec.hostAliases"),
        ({"securityContext": {"sysctls": [{}]}}, "PodSpec", "spec.securityContext.sysctls"),
        ({"volumeDevices": [{"name": "raw"}]}, "Container", "spec.volumeDevices"),
        ({"stdin": True}, "Container", "spec.stdin"),
        ({"ports": [{"hostPort": 1}]}, "Container", "spec.ports[0].hostPort"),
        ({"ports": [{}, {"hostIP": "::"}]}, "Container", "spec.ports[1].hostIP"),
        ({"securityContext": {"privileged": True}}, "Container", "spec.securityContext.privileged"),
        ({"securityContext": {"procMount": "Unmasked"}}, "Container", "procMount 'Unmasked'"),
        (
            {"securityContext": {"capabilities": {"add": ["CHOWN", "NET_ADMIN"]}}},
            "Container",
            "spec.securityContext.capabilities.add 'NET_ADMIN'",
        ),
        ({"terminationMessagePath": "/usr/x"}, "Container", "terminationMessagePath '/usr/x'"),
        ({"volumeMounts": [{"subPathExpr": "$(X)"}]}, "Container", "volumeMounts[0].subPathExpr"),
        (
            {"volumeMounts": [{"mountPropagation": "Bidirectional"}]},
            "Container",
            "mountPropagation",
        ),
        ({"envFrom": [{}]}, "ServingContainer", "spec.envFrom"),
        ({"workingDir": "/x"}, "ServingContainer", "spec.workingDir"),
        ({"lifecycle": {"postStart": {"sleep": {}}}}, "ServingContainer", "lifecycle.postStart"),
        ({"lifecycle": {"preStop": {"exec": {"command": []}}}}, "ServingContainer", "preStop.exec"),
        ({"livenessProbe": {"exec": {"command": ["x"]}}}, "ServingContainer", "livenessProbe.exec"),
        ({"hostPath": {"path": "/"}}, "Volume", "spec.hostPath"),
        ({"csi": {"driver": "x"}}, "Volume", "spec.csi"),
        ({"brandNew": {"a": 1}}, "Volume", "spec.brandNew"),
        (["x"], "Volume", "spec is not an object"),
    ],
    ids=repr,
)
def test_what_is_not_allowed_is_named_with_its_path(value: Any, definition: str, path: str) -> None:
    """One sentence for each, which says where and what to do."""
    (sentence,) = refused(value, definition, path="spec")
    assert path in sentence
    assert "remove it" in sentence or "as Kubernetes defines it" in sentence


def test_what_is_not_set_is_not_judged() -> None:
    """The API server writes some fields with the value that they have anyway."""
    value: dict[str, Any] = {"hostNetwork": False, "hostPID": None, "brandNew": [], "other": {}}
    assert list(refused(value, "PodSpec", path="spec")) == []


@pytest.mark.parametrize(
    "name",
    [
        *("cdi.k8s.io/vendor", "io.kubernetes.cri-o.Devices", "devices.cri-o.io/x"),
        *("io.katacontainers.config.hypervisor.path", "run.oci.handler"),
        *("nvidia.cdi.k8s.io/gpu", "dev.gvisor.spec.mount.model.source"),
        *("ulimits.nri.containerd.io/x", "io.kubernetes.cri.x"),
        *("k8s.v1.cni.cncf.io/networks", "v1.multus-cni.io/default-network"),
    ],
)
def test_annotations_that_runtimes_read_are_refused(name: str) -> None:
    """They bring devices, mounts, hooks and networks."""
    assert list(refused_annotations({name: "x"}))
    assert not list(refused_annotations({"prometheus.io/scrape": "true"}))
