"""The end of the stack, but not of what is people's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.e2e.stack.overlay import CLAIMS

if TYPE_CHECKING:
    from tests.e2e.stack.stack import Stack

KEEPING = ("-l", "app.kubernetes.io/component!=storage")
DELETING_SECONDS = 180


def test_deleting_the_stack_leaves_the_volumes(stack: Stack) -> None:
    """All that was applied goes, but for the namespace and three claims that stay bound."""
    api = stack.cluster.api
    deleting = ("delete", "-k", str(stack.overlay), *KEEPING, "--wait", "--timeout=170s")
    api.kubectl(*deleting, seconds=DELETING_SECONDS)
    left = api.kubectl("get", "-k", str(stack.overlay), "--ignore-not-found", "-o", "json").stdout
    kept = {(each["kind"], each["metadata"]["name"]): each for each in json.loads(left)["items"]}
    claims = {("PersistentVolumeClaim", name) for name in CLAIMS}
    assert set(kept) == claims | {("Namespace", "llm")}
    assert all(kept[claim]["status"]["phase"] == "Bound" for claim in claims)
    assert not any(stack.pods(name) for name in ("vllm", "llamastack", "open-webui"))
    assert (stack.model / "model.sig").exists()
