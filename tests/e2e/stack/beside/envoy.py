"""The stack's way in: Envoy Gateway, Envoy, and a certificate."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from tests.e2e.api_server.processes import ControlPlaneError

if TYPE_CHECKING:
    from tests.e2e.api_server.client import ApiServer
    from tests.e2e.stack.environments import Installed

MANIFEST: Final = Path(__file__).parent / "gateway" / "envoy-gateway.yaml"
NAMESPACE: Final = "envoy-gateway-system"
START_SECONDS: Final = 180
FILES: Final = {"cert": "route.crt", "key": "route.key"}
"""Of the route's certificate."""


def program(visitor: Installed) -> Path:
    """Return Envoy itself, which a package of the environment carries.

    Raises:
        ControlPlaneError: It is not there.
    """
    found = next(visitor.path.glob("lib/python*/site-packages/envoy/_bin/envoy"), None)
    if found is None:
        raise ControlPlaneError(f"there is no Envoy in {visitor.path}")
    return found


def install(api: ApiServer) -> None:
    """Install Envoy Gateway, whose definitions are there; it becomes ready while others do."""
    api.kubectl("apply", "-f", str(MANIFEST))


def wait_until_ready(api: ApiServer) -> None:
    """Return when Envoy Gateway is ready.

    Raises:
        ControlPlaneError: It is not in time.
    """
    wait = ("rollout", "status", "deployment/envoy-gateway", f"--timeout={START_SECONDS}s")
    api.kubectl("-n", NAMESPACE, *wait, seconds=START_SECONDS + 10)


def make_certificate(folder: Path, host: str) -> None:
    """Make a certificate for a host name, and leave its `FILES` in a folder."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", f"/CN={host}"]
    command += ["-addext", f"subjectAltName=DNS:{host}"]
    _run([*command, "-keyout", str(folder / FILES["key"]), "-out", str(folder / FILES["cert"])])


def fingerprint(certificate_file: Path) -> str:
    """Return what Chromium trusts a certificate by: the hash of its public key, base64."""
    public = _run(["openssl", "x509", "-in", str(certificate_file), "-pubkey", "-noout"])
    der = _run(["openssl", "pkey", "-pubin", "-outform", "DER"], given=public)
    return base64.b64encode(_run(["openssl", "dgst", "-sha256", "-binary"], given=der)).decode()


def deploy_beside_gateways(api: ApiServer) -> None:
    """Have Envoy Gateway run Envoy in each Gateway's own namespace: its mode GatewayNamespace."""
    documents = list(yaml.safe_load_all(MANIFEST.read_text()))
    (config,) = (each for each in documents if each["kind"] == "ConfigMap")
    settings = yaml.safe_load(config["data"]["envoy-gateway.yaml"])
    settings["provider"]["kubernetes"]["deploy"] = {"type": "GatewayNamespace"}
    config["data"]["envoy-gateway.yaml"] = yaml.safe_dump(settings)
    api.apply([config])
    api.kubectl("-n", NAMESPACE, "rollout", "restart", "deployment/envoy-gateway")
    wait_until_ready(api)


def address(api: ApiServer, gateway: str, *, namespace: str = NAMESPACE) -> str:
    """Return the address of the Service that Envoy Gateway has made for a Gateway.

    Raises:
        ValueError: It has not made it yet.
    """
    selector = f"gateway.envoyproxy.io/owning-gateway-name={gateway}"
    listed = api.kubectl("-n", namespace, "get", "services", "-l", selector, "-o", "json")
    (service,) = json.loads(listed.stdout)["items"]
    return str(service["spec"]["clusterIP"])


def _run(command: list[str], *, given: bytes = b"") -> bytes:
    ran = subprocess.run(command, input=given, capture_output=True, check=False)
    if ran.returncode != 0:
        raise ControlPlaneError(f"`{command[0]} {command[1]}`: {ran.stderr.decode().strip()}")
    return ran.stdout
