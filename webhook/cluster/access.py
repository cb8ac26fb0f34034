"""The API server's address, and the credentials to present to it.

A pod has a ServiceAccount: three files and two variables, which are read here. A kubeconfig
has many forms; for one, and for nothing else, the Kubernetes client is imported, which
takes half a second and 60 MiB.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from validator.text import quoted
from webhook.cluster.errors import AccessError, ApiError

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
HOST_VARIABLE: Final = "KUBERNETES_SERVICE_HOST"
PORT_VARIABLE: Final = "KUBERNETES_SERVICE_PORT"

Authorize = Callable[[], Awaitable[str | None]]
"""Returns the value of the Authorization header, `None` where a client certificate suffices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The way to one API server.

    Attributes:
        server: URL, without a slash at its end.
        tls: Trusts the cluster's authority, and holds the client certificate if there is one.
        authorize: Asked before each request: tokens change while we run.
        server_name: The name in the server's certificate, where it is not the URL's host.
        proxy: URL of the proxy that the kubeconfig names.
        proxy_from_environment: Whether `HTTPS_PROXY` and the like are honoured.
    """

    server: str
    tls: ssl.SSLContext = field(repr=False)
    authorize: Authorize = field(repr=False)
    server_name: str | None = None
    proxy: str | None = None
    proxy_from_environment: bool = False


async def access(kubeconfig: Path | None) -> Access:
    """Return the access that a kubeconfig describes, without one that of the pod.

    Raises:
        AccessError: There are no credentials that can be used.
    """
    try:
        return in_cluster() if kubeconfig is None else await _outside(kubeconfig)
    except Exception as error:  # the client's loader fails on a bad file in many ways
        where = f"the kubeconfig {kubeconfig}" if kubeconfig else "the pod's ServiceAccount"
        raise AccessError(
            f"there is no access to the API server by {where}: {quoted(error)[1:-1]}"
        ) from error


def in_cluster(folder: Path = SERVICE_ACCOUNT) -> Access:
    """Return the access of the pod's ServiceAccount.

    Proxies of the environment are ignored: the API server is inside the cluster, and Python
    does not understand the address ranges that `NO_PROXY` often holds.

    Raises:
        ValueError: The variables are not set.
        OSError: A file cannot be read, or the authority's is not PEM.
    """
    host, port = os.environ.get(HOST_VARIABLE), os.environ.get(PORT_VARIABLE)
    if not host or not port:
        raise ValueError(f"{HOST_VARIABLE} and {PORT_VARIABLE} are not set: this is not a pod")
    token = folder / "token"

    async def authorize() -> str:
        # The kubelet replaces the file before the token expires. It is small and in memory.
        return f"Bearer {_token(token)}"

    _token(token)
    address = f"[{host}]" if ":" in host else host
    return Access(
        server=f"https://{address}:{port}",
        tls=trusting(folder / "ca.crt"),
        authorize=authorize,
    )


def trusting(authority: Path | None) -> ssl.SSLContext:
    """Return the client's side of TLS, trusting one authority alone; without one, the system's.

    Raises:
        OSError: The file cannot be read, or is not PEM.
    """
    context = ssl.create_default_context(cafile=authority)
    if authority is not None:
        # From 3.13 on Python also judges a certificate's form, and EKS' API servers present one
        # without an Authority Key Identifier. Chain, dates and names are checked as before.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _token(path: Path) -> str:
    """Return the token of a ServiceAccount.

    Raises:
        ApiError: The file has none.
    """
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ApiError(f"the token in {path} cannot be read: {error}") from error
    if not token or not token.isprintable():
        raise ApiError(f"the token in {path} is empty or not a token")
    return token


async def _outside(kubeconfig: Path) -> Access:
    """Return the access that a kubeconfig describes."""
    from kubernetes_asyncio.client import Configuration  # noqa: PLC0415 — see the module's text
    from kubernetes_asyncio.config import load_kube_config  # noqa: PLC0415 — see the module's text

    found = Configuration()
    await load_kube_config(
        config_file=_existing(kubeconfig), client_configuration=found, persist_config=False
    )
    tls = trusting(Path(found.ssl_ca_cert) if found.ssl_ca_cert else None)
    if found.cert_file:
        tls.load_cert_chain(found.cert_file, keyfile=found.key_file)
    if not found.verify_ssl:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE

    async def authorize() -> str | None:
        token = (await found.auth_settings()).get("BearerToken")
        return token and str(token["value"])

    return Access(
        server=str(found.host).rstrip("/"),
        tls=tls,
        authorize=authorize,
        server_name=found.tls_server_name,
        proxy=found.proxy,
        proxy_from_environment=True,
    )


def _existing(kubeconfig: Path) -> str:
    """Return the name of a file that is there.

    Raises:
        FileNotFoundError: It is not. The loader would log that in a line of its own, and then
            take the file for an empty one.
    """
    if not kubeconfig.exists():
        raise FileNotFoundError("no such file")
    return str(kubeconfig)
