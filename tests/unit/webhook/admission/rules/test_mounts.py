"""Paths of mounts that cannot be compared: the sentence says what is wrong with each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.pods import claim, container, gate_of, mount, mutated, pod, run, vllm
from webhook.errors import PodRefused

if TYPE_CHECKING:
    from tests.support.pods import Document

VOLUMES = [claim(), claim("other", of="other")]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/", "mounts at '/', over the whole image: mount the volume at a path of its own"),
        ("", "mounts at '', over the whole image: mount the volume at a path of its own"),
        ("data", "mounts at 'data', which is not spelled in the one way .* write '/data'"),
        ("//data", "mounts at '//data', which is not spelled in the one way"),
        ("/data//", "mounts at '/data//', which is not spelled in the one way"),
        ("/data/./", "mounts at '/data/./', which is not spelled in the one way"),
        ("/x/../data", r"mounts at '/x/\.\./data', which is not spelled in the one way"),
        ("/a\0b", r"mounts at '/a\\x00b', a path with control characters, .*: leave them out"),
        ("/a\n", r"mounts at '/a\\n', a path with control characters"),
        ("/a\x85b", r"mounts at '/a\\x85b', a path with control characters"),
    ],
)
def test_says_what_is_wrong_with_a_path(path: str, said: str) -> None:
    """No remedy is what the pod says already."""
    with pytest.raises(PodRefused, match=said):
        run(pod(vllm(mount(), mount("other", path)), volumes=VOLUMES))


def test_a_slash_at_the_end_says_nothing() -> None:
    """Charts write it; what is mounted there is compared as if it were not there."""
    result = mutated(pod(vllm(mount(at="/models/"), mount("other", "/data/")), volumes=VOLUMES))
    assert gate_of(result)["volumeMounts"][0]["mountPath"] == "/models"
    assert mutated(result) == result
    second = container("second", mount(), mount("other", "/models/granite/"))
    with pytest.raises(PodRefused, match="but what is verified at /models/granite is the volume"):
        run(pod(vllm(), second, volumes=VOLUMES))


@pytest.mark.parametrize(
    ("mounts", "said"),
    [
        ([mount(), mount("other", "/models/granite/x")], "mount it at another path"),
        ([mount("other", "/models")], "mount that one alone there"),
    ],
)
def test_says_what_to_do_about_another_mount(mounts: list[Document], said: str) -> None:
    """By where it lies."""
    second = container("second", *mounts)
    with pytest.raises(PodRefused, match=rf"containers\[1\] 'second' mounts .*: .*{said}"):
        run(pod(vllm(), second, volumes=VOLUMES))


def test_a_devices_path_has_no_control_characters_either() -> None:
    """Python and the kernel end it at different places."""
    given = vllm(volumeDevices=[{"name": "other", "devicePath": "/dev/x\0y"}])
    with pytest.raises(PodRefused, match="a path with control characters"):
        run(pod(given, volumes=VOLUMES))
