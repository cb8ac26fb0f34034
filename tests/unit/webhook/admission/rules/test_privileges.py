"""What a container could do to its node, and so to the verdict."""

from __future__ import annotations

import pytest

from tests.support.pods import claim, container, mount, pod, policy, run, vllm
from webhook.admission.rules.privileges import CAPABILITIES
from webhook.errors import PodRefused


@pytest.mark.parametrize("name", sorted(CAPABILITIES))
@pytest.mark.parametrize("spelled", ["{}", "CAP_{}"])
def test_a_capability_that_could_undo_the_verdict_is_refused(name: str, spelled: str) -> None:
    """Also one that reaches it by the kernel or by the node's clock; the policy may allow it."""
    added = {"capabilities": {"add": ["CHOWN", spelled.format(name)]}}
    given = pod(vllm(), container("x", securityContext=added))
    with pytest.raises(PodRefused, match=f"'x' adds the capability '{spelled.format(name)}'"):
        run(given)
    assert run(given, policy(allowPrivileged=True))


@pytest.mark.parametrize(
    ("path", "warned"),
    [
        ("/var/run/docker.sock", True),
        ("/run/containerd/containerd.sock", True),
        ("/var/run/", True),
        ("/run/k3s", True),
        ("/var/lib/containers/storage", True),
        ("/var/run/datadog", False),
        ("/var/log", False),
        ("/dev/kfd", False),
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_the_runtimes_socket_is_warned_of(path: str, *, warned: bool, read_only: bool) -> None:
    """A read-only mount takes commands too; who does not mount the volume gives none."""
    volumes = [claim(), {"name": "node", "hostPath": {"path": path}}]
    agent = container("agent", mount("node", "/node", readOnly=read_only))
    said = run(pod(vllm(), agent, volumes=volumes)).warnings
    assert any(
        "'agent' has" in each and "command the container runtime" in each for each in said
    ) == (warned)
    assert run(pod(volumes=volumes)).warnings == ()
