"""The errors of `certs`, split by who is at fault.

    CertsError
    ├── SetupError    the installation is: an option, or no way to the API server
    └── ApiError      the API server did not answer as it should
        └── Conflict  because somebody else wrote first: look again

Each message is one sentence that a person can act on.
"""

from __future__ import annotations


class CertsError(Exception):
    """Root of the tree."""


class SetupError(CertsError):
    """An option is not what it should be, or there is no way to the API server."""


class ApiError(CertsError):
    """The API server did not answer as it should."""


class Conflict(ApiError):  # noqa: N818 — an outcome, not a malfunction
    """The object is not the one that was looked at any more."""


def missing(*paths: str) -> ApiError:
    """Return the error of objects that the manifests ship and that are not there."""
    return ApiError(f"missing: {', '.join(paths)}: apply the webhook's manifests again")
