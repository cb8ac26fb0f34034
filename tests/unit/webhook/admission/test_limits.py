"""Pods that are larger than any that serves a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.pods import MODEL, claim, container, mount, pod, policy, run, vllm
from validator.contract import ENVIRONMENT_LIMIT
from webhook.admission.reviewer import PATCH_LIMIT, Reviewer
from webhook.admission.wire import ARGUMENTS_LIMIT
from webhook.errors import PodRefused
from webhook.review import Review
from webhook.settings import GateSettings, NamespaceOptions
from webhook.sources.store import Store

if TYPE_CHECKING:
    from tests.support.pods import Document
    from validator.policy.document import ModelValidation


class Known(Store):
    """A source that knows one policy, and learns nothing."""

    ready = True
    stale = False
    gate_images = ()
    server = None

    def __init__(self, chosen: ModelValidation) -> None:
        super().__init__()
        self.put(chosen)
        self.put_namespace(NamespaceOptions(name="team"))

    async def refresh(self, namespace: str) -> None:
        """Find nothing new."""

    async def run(self) -> None:
        """Nothing to follow."""


async def refusal(given: Document) -> str | None:
    """Return why a pod is refused."""
    reviewer = Reviewer(source=Known(policy()), gate=GateSettings(image="validator:1"))
    review = Review(
        uid="1",
        operation="CREATE",
        resource=("", "v1", "pods"),
        subresource="",
        namespace="team",
        name="llm",
        dry_run=False,
        object=given,
        old_object=None,
    )
    return (await reviewer.mutate(review)).refusal


def test_command_lines_have_a_limit() -> None:
    """It is that of all containers together."""
    words = ["word"] * (ARGUMENTS_LIMIT // 2)
    many = container("one", args=words), container("two", args=words)
    with pytest.raises(PodRefused, match="2,055 words in its command lines, and 2,048 are allowed"):
        run(pod(vllm(), *many))


def test_the_paths_that_the_gate_is_told_have_a_limit() -> None:
    """They go into a variable, which the kernel bounds."""
    paths = [f"{MODEL}/{index}/{'x' * 1000}" for index in range(ENVIRONMENT_LIMIT // 1000)]
    adapters = [f"a{index}={path}" for index, path in enumerate(paths)]
    with pytest.raises(PodRefused, match=f"name {len(paths) + 1} paths, too long"):
        run(pod(vllm(args=["--enable-lora", "--lora-modules", *adapters])))


async def test_the_patch_has_a_limit() -> None:
    """Mounts that are made read-only are repeated in it, with all that they hold."""
    mounts = [mount(at=f"/data/{index}/{'x' * 1200}") for index in range(PATCH_LIMIT // 1200)]
    given = pod(vllm(mount(), *mounts), volumes=[claim()])
    said = await refusal(given)
    assert said is not None
    assert said.startswith("the changes that the gate needs are ")
    assert said.endswith("and 1,048,576 are allowed: make the pod smaller")
    assert await refusal(pod(vllm(mount(), *mounts[:10]), volumes=[claim()])) is None


def test_text_that_is_not_unicode_is_refused() -> None:
    """JSON can spell half of a surrogate pair, which no other format holds."""
    given = pod()
    given["spec"]["containers"][0]["\ud800"] = 1
    with pytest.raises(PodRefused, match="holds text that is not Unicode: a lone surrogate"):
        run(given)
