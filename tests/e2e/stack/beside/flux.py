"""Flux: its two controllers on the cluster's machine, and what its users bring things from.

That is a Git repository, and a registry with signed artifacts.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import subprocess
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.e2e.api_server.installation.manifests import built
from tests.e2e.api_server.processes import ControlPlaneError, Host, Program
from tests.e2e.node.machine import enter
from tests.e2e.stack import environments, overlay
from tests.e2e.stack.beside import git_server, registry
from tests.e2e.stack.static import manifests
from tests.e2e.stack.static.definitions import SOURCES, definitions
from tests.e2e.stack.static.manifests import FLUX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.e2e.api_server.client import Document
    from tests.e2e.stack.beside.registry import Registry, Signers
    from tests.e2e.stack.stack import Stack

ROOT: Final = Path(__file__).parents[4]
SETTINGS: Final = ROOT / ".sops.yaml"
NAMESPACE: Final = "flux-system"
REPOSITORY: Final = "llm.git"
CLUSTER: Final = "clusters/here"
"""Where the overlay lies in the repository."""
WEBHOOK: Final = "clusters/webhook"
"""Where the webhook's lies: the shipped one, and the component that writes verdicts."""
STORAGE_PORT: Final = 9790


@dataclass(frozen=True, slots=True)
class Sources:
    """Where Flux fetches from.

    Attributes:
        repository: The URL of the Git repository.
        registry: The registry.
        signers: Whom source-controller trusts, in place of Sigstore's public instance.
    """

    repository: str
    registry: Registry
    signers: Signers


@contextmanager
def flux(stack: Stack, programs: Mapping[str, Path]) -> Iterator[Sources]:
    """Run the controllers, and serve what they fetch."""
    stack.cluster.api.apply(definitions((SOURCES,)))
    folder = stack.cluster.folder / "flux"
    for name in ("sources", "repositories", "trusted"):
        (folder / name).mkdir(parents=True)
    host = Host(address=stack.cluster.api.address, enter=enter(stack.machine))
    near = str(ipaddress.ip_address(host.address) - 1)  # this side of the machine's link
    signers = registry.Signers()
    environment = {
        "KUBECONFIG": str(stack.cluster.api.kubeconfig),
        "RUNTIME_NAMESPACE": NAMESPACE,
        **signers.trusted(folder / "trusted"),
    }
    variables = [f"{name}={value}" for name, value in environment.items()]
    with ExitStack() as running:
        url = running.enter_context(git_server.serving(folder / "repositories", address=near))
        artifacts = running.enter_context(registry.serving(address=near))
        for name, flags in _flags(folder).items():
            common = ("--watch-all-namespaces", "--log-level=info")
            command = ["env", *variables, str(programs[name]), *common, *flags]
            program = Program(command, log=folder / f"{name}.log", host=host)
            running.callback(program.close)
            program.start()
        yield Sources(f"{url}/{REPOSITORY}", artifacts, signers)


def _flags(folder: Path) -> dict[str, tuple[str, ...]]:
    return {
        "source-controller": (
            f"--storage-path={folder / 'sources'}",
            f"--storage-addr=127.0.0.1:{STORAGE_PORT}",
            f"--storage-adv-addr=127.0.0.1:{STORAGE_PORT}",
            "--metrics-addr=127.0.0.1:9791",
            "--health-addr=127.0.0.1:9792",
        ),
        "kustomize-controller": (
            "--metrics-addr=127.0.0.1:9793",
            "--health-addr=127.0.0.1:9794",
            "--requeue-dependency=2s",
        ),
    }


def make_repository(stack: Stack, programs: Mapping[str, Path]) -> str:
    """Commit the manifests, and an overlay with encrypted Secrets; return the age key for them."""
    folder = stack.cluster.folder / "flux"
    tree = folder / "tree"
    ignored = shutil.ignore_patterns("__pycache__")
    for part in ("manifests", "tests/e2e/stack/overlay"):
        shutil.copytree(ROOT / part, tree / part, ignore=ignored)
    (tree / CLUSTER).parent.mkdir()
    overlay.write(
        tree / CLUSTER,
        programs={name: environments.find(name) for name in environments.ENVIRONMENTS},
        storage=stack.storage,
        outside=overlay.Outside(stack.sigstore, stack.tavily),
        shared=tree / "tests/e2e/stack/overlay",
    )
    _write(
        tree / WEBHOOK,
        resources=["../../manifests/webhook/overlays/default"],
        components=["../../manifests/webhook/components/observe"],
    )
    key = _run(str(programs["age-keygen"]))
    recipient = re.search(r"age1\w+", key)
    if recipient is None:
        raise ControlPlaneError(f"age-keygen said no public key: {key}")
    settings = tree / SETTINGS.name
    settings.write_text(re.sub(r"age1\w+", recipient[0], SETTINGS.read_text()))
    encrypt = (str(programs["sops"]), "--config", str(settings), "encrypt", "--in-place")
    _run(*encrypt, str(tree / CLUSTER / overlay.ACCOUNT))
    _commit(tree, folder / "repositories" / REPOSITORY)
    return key


def _replaced(kind: str, name: str, path: str, value: str) -> dict[str, Any]:
    operations = [{"op": "replace", "path": path, "value": value}]
    return {"target": {"kind": kind, "name": name}, "patch": json.dumps(operations)}


def write_kustomization(folder: Path, url: str) -> None:
    """Write what is applied by hand: manifests/flux, with what its users set."""
    _write(
        folder,
        resources=[os.path.relpath(FLUX, folder)],
        patches=[
            _replaced("GitRepository", "llm", "/spec/url", url),
            _replaced("Kustomization", "llm", "/spec/path", f"./{CLUSTER}"),
            _replaced("Kustomization", "model-validation-webhook", "/spec/path", f"./{WEBHOOK}"),
        ],
    )


def signed_source(folder: Path, url: str, *, identity: str, issuer: str) -> Document:
    """Return the OCIRepository of manifests/flux/oci, with what its users set.

    `insecure` is the tests' own: their registry speaks HTTP.
    """
    who = "/spec/verify/matchOIDCIdentity/0"
    _write(
        folder,
        resources=[os.path.relpath(FLUX, folder)],
        components=[os.path.relpath(FLUX / "oci", folder)],
        patches=[
            _replaced("OCIRepository", "llm", "/spec/url", url),
            _replaced("OCIRepository", "llm", f"{who}/subject", f"^{re.escape(identity)}$"),
            _replaced("OCIRepository", "llm", f"{who}/issuer", f"^{re.escape(issuer)}$"),
        ],
    )
    source = deepcopy(manifests.named(built(folder), "OCIRepository", "llm"))
    source["spec"]["insecure"] = True
    return source


def _write(folder: Path, **fields: object) -> None:
    """Write a kustomization into a new folder."""
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(json.dumps(fields))


def _commit(tree: Path, repository: Path) -> None:
    who = ("-c", "user.name=tests", "-c", "user.email=tests@example.com")
    _run("git", "-C", str(tree), "init", "--quiet", "--initial-branch=main")
    _run("git", "-C", str(tree), "add", "--all", "--force")
    _run("git", "-C", str(tree), *who, "commit", "--quiet", "--message=Deploy the stack")
    _run("git", "clone", "--quiet", "--bare", str(tree), str(repository))


def _run(*command: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise ControlPlaneError(f"`{' '.join(command)}`: {ran.stderr.strip()}")
    return ran.stdout
