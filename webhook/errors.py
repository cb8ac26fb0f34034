"""The webhook's errors, split by who is at fault.

    WebhookError
    ├── PodRefused     the pod is wrong: `allowed: false`, with the sentence
    ├── RequestError   the request is wrong: 400, 413 or 415
    ├── NotReady       we are: 503, and the API server's failurePolicy decides
    └── SetupError     the installation is: a file or an option we were started with

Errors of the API server have a tree of their own, `webhook.cluster.errors`, and are
converted before they reach a review. Each message is one sentence that a person can act on.
"""

from __future__ import annotations

from validator.text import printable


class WebhookError(Exception):
    """Root of the tree."""


class PodRefused(WebhookError):
    """The pod must not be admitted as it is."""

    def __init__(self, message: str) -> None:
        # It may repeat names from the pod, which are foreign text.
        super().__init__(printable(message))


class RequestError(WebhookError):
    """The HTTP request is not an AdmissionReview that this webhook answers."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class NotReady(WebhookError):
    """No answer can be given now: the policies are not known, or too much is under way."""


class SetupError(WebhookError):
    """A file or an option that the webhook was started with is not what it should be."""
