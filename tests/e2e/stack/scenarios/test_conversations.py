"""Conversations outlive a pod."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.stack.beside.webui import QUESTION, Session

if TYPE_CHECKING:
    from tests.e2e.stack.stack import Stack


def test_a_conversation_survives_the_pod(stack: Stack) -> None:
    """The browser's chat is in the next pod, to the letter, and its session holds there."""
    session = Session.begin(stack)
    before = session.conversations()
    assert any(QUESTION in said for said in before.values())
    (old,) = stack.ready("open-webui")
    stack.kubectl("delete", "pod", old)
    stack.rolled_out("open-webui")
    assert stack.ready("open-webui") != [old]
    assert session.conversations() == before
