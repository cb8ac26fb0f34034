"""Other projects' resource definitions, from the Go modules that they publish.

They lie beside the code, and the module proxy serves them: nothing of theirs is committed here,
and what is read is what the checksum database knows, which `Module.sum` repeats.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.e2e.api_server.control_plane import Document

FETCH_SECONDS: Final = 300
CHART: Final = "charts/gateway-helm/charts/crds/crds"


class DefinitionsMissingError(Exception):
    """A module could not be fetched, or is not the one that was pinned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A Go module at a version.

    Attributes:
        path: The module and its version, as Go names them.
        sum: Its content's hash, as in a go.sum.
        files: Those with definitions, as patterns.
    """

    path: str
    sum: str
    files: tuple[str, ...]


MODULES: Final = (
    Module(
        path="github.com/envoyproxy/gateway@v1.9.1",
        sum="h1:vAVp6/AlBXJ1aOhp1mxL7fNEzVEfjADUguUhm2wzxQY=",
        files=(
            f"{CHART}/gatewayapi-crds.yaml",  # the Gateway API, as this release brings it
            f"{CHART}/generated/gateway.envoyproxy.io_backendtrafficpolicies.yaml",
        ),
    ),
    Module(
        path="github.com/prometheus-operator/prometheus-operator@v0.85.0",
        sum="h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        files=("example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",),
    ),
    Module(
        path="github.com/fluxcd/kustomize-controller@v1.7.3",
        sum="h1:SzNnGn/4ObAPEHHleM5U7y/AKxKXph3Vj6ZhteeXw8M=",
        files=("config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml",),
    ),
    Module(
        path="github.com/fluxcd/source-controller@v1.7.0",
        sum="h1:/fBgS4CSmT5Jj/fjQDF92y+pC3gst1GJjgNSzY8Ff9I=",
        files=(
            "config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml",
            "config/crd/bases/source.toolkit.fluxcd.io_ocirepositories.yaml",
        ),
    ),
)


GATEWAY: Final = replace(MODULES[0], files=(f"{CHART}/generated/*.yaml",))
"""The resources that configure Envoy Gateway itself, such as EnvoyProxy."""
SOURCES: Final = replace(MODULES[3], files=("config/crd/bases/*.yaml",))
"""All that Flux's controllers watch, whether or not there is any."""


def definitions(modules: Sequence[Module] = MODULES) -> list[Document]:
    """Return the resource definitions, fetching what Go's module cache lacks.

    Raises:
        DefinitionsMissingError: There is no Go, no proxy, or another content than was pinned.
    """
    found = []
    for module in modules:
        folder = _fetched(module)
        for file in (file for pattern in module.files for file in sorted(folder.glob(pattern))):
            found += [each for each in yaml.safe_load_all(file.read_text()) if each]
    return [each for each in found if each["kind"] == "CustomResourceDefinition"]


def _fetched(module: Module) -> Path:
    if shutil.which("go") is None:
        raise DefinitionsMissingError("Go is not installed: it fetches the resource definitions.")
    ran = subprocess.run(
        ["go", "mod", "download", "-json", module.path],
        capture_output=True,
        text=True,
        check=False,
        timeout=FETCH_SECONDS,
    )
    told = json.loads(ran.stdout or "{}")
    if told.get("Error") or ran.returncode != 0:
        raise DefinitionsMissingError(
            f"{module.path} could not be fetched: {told.get('Error') or ran.stderr.strip()}; "
            "is the Go module proxy (`go env GOPROXY`) reachable?"
        )
    if told["Sum"] != module.sum:
        raise DefinitionsMissingError(f"{module.path} is {told['Sum']}, not {module.sum}.")
    return Path(told["Dir"])
