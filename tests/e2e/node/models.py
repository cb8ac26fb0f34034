"""Models on the node's disk, signed by a key of the test, and pods that serve them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing, signing

from tests.e2e.api_server.workloads import MODEL, policy, workload
from tests.support.differential.signers import KeyPair

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.api_server.client import Document

WORKLOAD_IMAGE: Final = "docker.io/test/python:1"
"""Debian with Python: the image that our own ones are built on here."""

WEIGHTS: Final = "model-00001-of-00002.safetensors"

RESTRICTED: Final = {
    "securityContext": {
        "runAsNonRoot": True,
        "runAsUser": 1001,
        "fsGroup": 1001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
}
"""As Pod Security "restricted" wants a pod, whose volumes the user may write."""

FILES: Final = {
    "config.json": b'{"model_type": "granite"}',
    WEIGHTS: b"a" * 4096,
    "model-00002-of-00002.safetensors": b"b" * 4096,
    "tokenizer/vocabulary.txt": b"hello\n",
}


@dataclass(frozen=True, slots=True)
class ModelStore:
    """A volume's folder with one model, `granite`, in it.

    Attributes:
        folder: Of the volume.
        key: The signer's.
    """

    folder: Path
    key: KeyPair

    @classmethod
    def new(cls, folder: Path) -> ModelStore:
        """Make a signed model in a fresh folder that every user may read."""
        keys, volume = folder / "keys", folder / "volume"
        keys.mkdir(parents=True)
        store = cls(volume, KeyPair.new(keys, ec.SECP256R1()))
        for name, content in FILES.items():
            file = store.model / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        store.sign()
        return store

    @property
    def model(self) -> Path:
        """The model's folder."""
        return self.folder / "granite"

    @property
    def public_key(self) -> str:
        """The key that policies name, PEM."""
        return self.key.public_path.read_text()

    @property
    def digest(self) -> str:
        """The signed root digest, as policies pin it."""
        bundle = json.loads((self.model / "model.sig").read_text())
        statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
        return f"sha256:{statement['subject'][0]['digest']['sha256']}"

    def sign(self, *, key: KeyPair | None = None) -> None:
        """Sign the model as it is now, by the store's key or another one."""
        sign(self.model, key or self.key)

    def policy(self, namespace: str, **changes: Any) -> Document:
        """Return a ModelValidation that accepts the store's signer."""
        accepted = {"privateKeyConfig": {"publicKey": self.public_key}}
        return policy(namespace, **({"config": accepted} | changes))


def sign(model: Path, key: KeyPair, *, links: bool = False) -> None:
    """Sign a model as it is now, into its `model.sig`; links are followed where they may be."""
    signature = model / "model.sig"
    signature.unlink(missing_ok=True)
    how = hashing.Config().set_allow_symlinks(links).set_ignored_paths(paths=[signature])
    config = signing.Config().use_elliptic_key_signer(private_key=key.private_path)
    config.set_hashing_config(how).sign(model, signature)


def server(**changes: Any) -> Document:
    """Return a container that "serves" the model: it shows by a file that it has started."""
    container = {
        "name": "server",
        "image": WORKLOAD_IMAGE,
        "imagePullPolicy": "Never",
        "command": ["python3", "-m", "http.server", "--directory", MODEL, "8000"],
        "resources": {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"cpu": "1", "memory": "128Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "model", "mountPath": "/models"}],
    }
    return container | changes


def serving_spec(**changes: Any) -> Document:
    """Return the spec of a pod that serves the model of the claim `granite`."""
    spec = {
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [server()],
        "volumes": [{"name": "model", "persistentVolumeClaim": {"claimName": "granite"}}],
    }
    return spec | changes


def serving(kind: str, namespace: str, **spec: Any) -> Document:
    """Return a labelled workload of any kind that serves the model; its name is `vllm`."""
    return workload(kind, namespace, spec=serving_spec(**spec))


def downloading(volume: Document) -> Document:
    """Return what makes a pod's spec bring the model of the claim `granite` to another volume."""
    copy = "import shutil; shutil.copytree('/store/granite', '/models/granite')"
    mounts = [
        {"name": volume["name"], "mountPath": "/models"},
        {"name": "store", "mountPath": "/store", "readOnly": True},
    ]
    source = {"name": "store", "persistentVolumeClaim": {"claimName": "granite"}}
    download = server(name="download", command=["python3", "-c", copy], volumeMounts=mounts)
    return {"initContainers": [download], "volumes": [volume, source]}
