"""References to images are those of the distribution project's grammar, with a digest."""

from __future__ import annotations

import re

import pytest

from validator.policy.schema.image_reference import (
    ALLOWED,
    BY_DIGEST,
    PATH_LIMIT,
    REFERENCE_LIMIT,
    by_digest,
)

DIGEST = f"sha256:{'a' * 64}"

REPOSITORIES = [
    "x",
    "a/b_c/d__e/f-g/h---i/j.k",
    "docker.io/vllm/vllm-openai",
    "localhost:5000/x",
    "Registry.Example/x",
    "UPPER/x",  # which is a registry, as in distribution
    "127.0.0.1:5000/x",
    "[2001:db8::1]:5000/x",
    "xn--n3h.example/x",
    "a" * PATH_LIMIT,
]


@pytest.mark.parametrize("repository", REPOSITORIES)
@pytest.mark.parametrize("tag", ["", ":v1", ":_", f":{'A' * 128}", ":1.2-x_y"])
def test_a_reference_has_its_parts(repository: str, tag: str) -> None:
    """A tag beside the digest says nothing."""
    text = f"{repository}{tag}@{DIGEST}"
    found = by_digest(text)
    assert found is not None
    assert (found.repository, found.digest) == (repository, DIGEST)
    assert re.search(BY_DIGEST, text)
    assert bool(re.search(ALLOWED, text)) == (tag == "")


@pytest.mark.parametrize(
    "text",
    [
        f"x:@{DIGEST}",
        f"x:{'a' * 129}@{DIGEST}",
        f"x:-a@{DIGEST}",
        f"x:a:b@{DIGEST}",
        f"Repository@{DIGEST}",
        f"q.io/Upper@{DIGEST}",
        f"q.io//x@{DIGEST}",
        f"/x@{DIGEST}",
        f"q.io/x/@{DIGEST}",
        f":5000/x@{DIGEST}",
        f"q.io:/x@{DIGEST}",
        f"q.io:port/x@{DIGEST}",
        f"-q.io/x@{DIGEST}",
        f"q..io/x@{DIGEST}",
        f"https://q.io/x@{DIGEST}",
        f"q.io/a..b@{DIGEST}",
        f"q.io/a___b@{DIGEST}",
        f"q.io/-a@{DIGEST}",
        f"q.io/ä@{DIGEST}",
        f"x @{DIGEST}",
        f"x@{DIGEST}@{DIGEST}",
        f"@{DIGEST}",
        f"x@sha256:{'A' * 64}",
        f"x@sha256:{'a' * 63}",
        f"x@{DIGEST}a",
        f"x@sha512:{'a' * 64}",
        f"x@sha512:{'a' * 128}",
        f"x@{DIGEST[7:]}",
        "x:v1",
        "x",
        "",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    """A runtime would refuse it, or choose the image by something else than its SHA-256."""
    assert by_digest(text) is None
    assert not re.search(BY_DIGEST, text)


@pytest.mark.parametrize(
    "text", [DIGEST, f"x@{DIGEST}\n", f"{'a' * 256}@{DIGEST}", None, 7, [DIGEST]]
)
def test_so_is_what_is_too_long_or_no_text(text: object) -> None:
    """A digest alone is for lists of images."""
    assert by_digest(text) is None
    assert re.search(ALLOWED, DIGEST)


def test_a_long_text_is_read_in_no_time() -> None:
    """What comes close to a reference costs no more than what is one."""
    assert by_digest("a-" * (REFERENCE_LIMIT // 2)) is None
    assert by_digest("a." * (REFERENCE_LIMIT // 2)) is None
    assert by_digest("a" * 10_000_000) is None
