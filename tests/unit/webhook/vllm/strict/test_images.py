"""Images that may run under `Strict` are those that the policy names."""

from __future__ import annotations

import pytest

from webhook.vllm.strict import images

DIGEST = f"sha256:{'a' * 64}"
OTHER = f"sha256:{'b' * 64}"


def refusal(image: object, allowed: list[str], *, field: str = "workload.images") -> str | None:
    """Return why an image must not run; the policy alone says which may."""
    return images.refusal(image, allowed, field=field, remedy=lambda what: f"{what} in the policy")


@pytest.mark.parametrize("image", [f"q.io/x/vllm@{DIGEST}", f"q.io:5000/x/vllm:v1@{DIGEST}"])
def test_an_image_that_is_named_passes(image: str) -> None:
    """By its digest alone, or with its repository; a tag beside the digest says nothing."""
    repository = image.partition("@")[0].removesuffix(":v1")
    assert refusal(image, [DIGEST]) is None
    assert refusal(image, [OTHER, f"{repository}@{DIGEST}"]) is None


@pytest.mark.parametrize(
    "image",
    [
        f"q.io/x/vllm@{OTHER}",
        f"q.io/other/vllm@{DIGEST}",
        "q.io/x/vllm:v1",
        f"q.io/x/vllm@{DIGEST[:-1]}",
        f"q.io/x/vllm@{DIGEST}x",
        f"@{DIGEST}",
        f"q.io/x@sha256:1/vllm@{DIGEST}",
        DIGEST,
        "",
        None,
        7,
    ],
)
def test_any_other_image_is_refused(image: object) -> None:
    """A reference is parsed: a digest somewhere in it is none."""
    assert refusal(image, [f"q.io/x/vllm@{DIGEST}"])


def test_the_sentence_says_what_to_add() -> None:
    """Whoever owns the policy can copy it."""
    sentence = refusal(f"q.io/x/vllm:v1@{DIGEST}", [], field="workload.otherImages")
    assert sentence is not None
    assert sentence.endswith(f"add q.io/x/vllm@{DIGEST} to workload.otherImages in the policy")
