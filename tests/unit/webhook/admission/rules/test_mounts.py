"""Paths of mounts that cannot be compared: the sentence says what is wrong with each."""

from __future__ import annotations

import pytest

from tests.support.pods import claim, mount, pod, run, vllm
from webhook.errors import PodRefused

VOLUMES = [claim(), claim("other", of="other")]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/", "mounts at '/', over the whole image: mount the volume at a path of its own"),
        ("", "mounts at '', over the whole image: mount the volume at a path of its own"),
        ("/data/", "mounts at '/data/', which is not spelled in the one way .* write '/data'"),
        ("/a\0b", r"mounts at '/a\\x00b', a path with control characters, .*: leave them out"),
        ("/a\n", r"mounts at '/a\\n', a path with control characters"),
        ("/a\x85b", r"mounts at '/a\\x85b', a path with control characters"),
    ],
)
def test_says_what_is_wrong_with_a_path(path: str, said: str) -> None:
    """No remedy is what the pod says already."""
    with pytest.raises(PodRefused, match=said):
        run(pod(vllm(mount(), mount("other", path)), volumes=VOLUMES))


def test_a_devices_path_has_no_control_characters_either() -> None:
    """Python and the kernel end it at different places."""
    given = vllm(volumeDevices=[{"name": "other", "devicePath": "/dev/x\0y"}])
    with pytest.raises(PodRefused, match="a path with control characters"):
        run(pod(given, volumes=VOLUMES))
