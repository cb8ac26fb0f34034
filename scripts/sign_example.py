"""Sign the model in manifests/examples/labelled-pod.yaml with a new key, which is thrown away.

`python scripts/sign_example.py` is to be run when the model in that file has changed: it writes
the signature and the public key into the file.
"""

from __future__ import annotations

import base64
import re
import sys
import tempfile
from pathlib import Path
from typing import Final

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import signing

EXAMPLE: Final = Path(__file__).parents[1] / "manifests" / "examples" / "labelled-pod.yaml"
SIGNATURE: Final = "model.sig"


def main() -> None:
    """Sign, and write."""
    text = EXAMPLE.read_text()
    key = ec.generate_private_key(ec.SECP256R1())
    with tempfile.TemporaryDirectory() as folder:
        private, model = Path(folder, "key.pem"), Path(folder, "tiny")
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        model.mkdir()
        write_model(model)
        config = signing.Config().use_elliptic_key_signer(private_key=private)
        config.sign(model, model / SIGNATURE)
        signature = (model / SIGNATURE).read_text()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    text = _replaced(text, "publicKey", public.decode())
    EXAMPLE.write_text(_replaced(text, re.escape(SIGNATURE), signature))


def write_model(folder: Path) -> None:
    """Write the files of the example's model, but for the signature."""
    (model,) = [
        document
        for document in yaml.safe_load_all(EXAMPLE.read_text())
        if document["kind"] == "ConfigMap"
    ]
    for name, content in model["data"].items():
        if name != SIGNATURE:
            (folder / name).write_text(content)
    for name, content in model["binaryData"].items():
        (folder / name).write_bytes(base64.b64decode(content))


def _replaced(text: str, key: str, content: str) -> str:
    """Return the text with another block scalar under a key."""
    block = re.compile(rf"^( *)({key}: \|)\n(?:\1  .*\n)+", re.MULTILINE)
    match = block.search(text)
    if match is None:
        sys.exit(f"{EXAMPLE} has no block {key}")
    lines = "".join(f"{match[1]}  {line}\n" for line in content.strip().splitlines())
    return text[: match.start()] + f"{match[1]}{match[2]}\n{lines}" + text[match.end() :]


if __name__ == "__main__":
    main()
