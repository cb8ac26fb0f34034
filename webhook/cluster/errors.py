"""The errors of talking to the API server, split by who is at fault.

    ClusterError
    ├── AccessError   the installation is: no usable credentials, or no address
    └── ApiError      the API server did not answer as it should; `status` is HTTP's
        └── Conflict  another client wrote first: read the object again

Each message is one sentence that a person can act on.
"""

from __future__ import annotations


class ClusterError(Exception):
    """Root of the tree."""


class AccessError(ClusterError):
    """There are no credentials for an API server that can be used."""


class ApiError(ClusterError):
    """The API server did not answer as it should; `status` is `None` where it did not answer."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Conflict(ApiError):
    """The object is no longer the one that was read."""
