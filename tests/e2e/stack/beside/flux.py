"""Flux: its two controllers on the cluster's machine, and a repository as its users have one."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.e2e.api_server.processes import ControlPlaneError, Host, Program
from tests.e2e.node.machine import enter
from tests.e2e.stack import environments, overlay
from tests.e2e.stack.beside import git_server
from tests.e2e.stack.static.definitions import SOURCES, definitions
from tests.e2e.stack.static.manifests import FLUX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.e2e.stack.stack import Stack

ROOT: Final = Path(__file__).parents[4]
SETTINGS: Final = ROOT / ".sops.yaml"
NAMESPACE: Final = "flux-system"
REPOSITORY: Final = "llm.git"
CLUSTER: Final = "clusters/here"
"""Where the overlay lies in the repository."""
STORAGE_PORT: Final = 9790


@contextmanager
def flux(stack: Stack, programs: Mapping[str, Path]) -> Iterator[str]:
    """Run the controllers and serve the repository; yield the repository's URL."""
    stack.cluster.api.apply(definitions((SOURCES,)))
    folder = stack.cluster.folder / "flux"
    for name in ("sources", "repositories"):
        (folder / name).mkdir(parents=True)
    host = Host(address=stack.cluster.api.address, enter=enter(stack.machine))
    near = str(ipaddress.ip_address(host.address) - 1)  # this side of the machine's link
    with ExitStack() as running:
        url = running.enter_context(git_server.serving(folder / "repositories", address=near))
        for name, flags in _flags(folder).items():
            common = ("--watch-all-namespaces", "--log-level=info")
            kubeconfig = f"KUBECONFIG={stack.cluster.api.kubeconfig}"
            namespace = f"RUNTIME_NAMESPACE={NAMESPACE}"
            command = ["env", kubeconfig, namespace, str(programs[name]), *common, *flags]
            program = Program(command, log=folder / f"{name}.log", host=host)
            running.callback(program.close)
            program.start()
        yield f"{url}/{REPOSITORY}"


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
    """Write what is applied by hand: manifests/flux, with the two things that its users set."""
    folder.mkdir()
    kustomization = {
        "resources": [os.path.relpath(FLUX, folder)],
        "patches": [
            _replaced("GitRepository", "llm", "/spec/url", url),
            _replaced("Kustomization", "llm", "/spec/path", f"./{CLUSTER}"),
        ],
    }
    (folder / "kustomization.yaml").write_text(json.dumps(kustomization))


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
