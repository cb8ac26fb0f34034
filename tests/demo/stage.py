"""The demo's stage: a model, a policy, a webhook on loopback, and a kubelet's part."""

from __future__ import annotations

import json
import os
import shlex
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from certs.issuing import issue, new_authority
from validator import contract

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sigstore.private import PrivateSigstore

ROOT: Final = Path(__file__).parents[2]
REVIEW: Final = Path(__file__).with_name("review.json")
GATE: Final = f"{sys.executable} -I -X utf8 -m validator"
READY_SECONDS: Final = 30
POD_UID: Final = "9f1c0d9e-3a51-4c2b-8f0e-6f6b1f3f4a10"
"""The pod's UID, which a kubelet would set: the gate's environment asks for it."""

GATE_SECONDS: Final = 60
WEIGHTS_BYTES: Final = 4 * 1024 * 1024


def make_model(folder: Path, *, version: int = 2) -> None:
    """Lay out a model as it comes from a hub: weights, configuration, a linked tokenizer."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(
        json.dumps({"architectures": ["GraniteForCausalLM"], "version": version})
    )
    weights = Random(version)  # noqa: S311 — weights, not secrets
    for number in (1, 2):
        name = f"model-0000{number}-of-00002.safetensors"
        (folder / name).write_bytes(weights.randbytes(WEIGHTS_BYTES))
    (folder / "tokenizers").mkdir()
    (folder / "tokenizers" / "v1.json").write_text('{"version": 1}')
    (folder / "tokenizers" / "v2.json").write_text('{"version": 2}')
    (folder / "tokenizer.json").symlink_to("tokenizers/v2.json")


def policy(
    name: str, model: Path, sigstore: PrivateSigstore, *, digests: list[str] | None = None
) -> dict[str, Any]:
    """Return the ModelValidation that accepts what alice@example.com signed."""
    return {
        "apiVersion": contract.API_VERSION,
        "kind": contract.KIND,
        "metadata": {"name": name, "namespace": "llm"},
        "spec": {
            "default": digests is None,
            "model": {"path": str(model)} | ({"digests": digests} if digests else {}),
            "config": {
                "sigstoreConfig": {
                    "certificateIdentity": "alice@example.com",
                    "certificateOidcIssuer": sigstore.issuer,
                }
            },
            "trust": {"trustedRoot": sigstore.trusted_root_json},
        },
    }


def review(models: Path, *, label: str = "true") -> dict[str, Any]:
    """Return a real API server's AdmissionReview of a vLLM pod, its volume mounted at `models`.

    The mount's path is the demo's own folder, so that the gate's command and
    environment run here as they stand.
    """
    text = REVIEW.read_text().replace('"/models', f'"{models}')
    document: dict[str, Any] = json.loads(text)
    document["request"]["object"]["metadata"]["labels"][contract.LABEL] = label
    return document


@dataclass(frozen=True, slots=True)
class Webhook:
    """A running webhook, asked as an API server asks."""

    url: str
    trust: ssl.SSLContext

    def ask(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        """Return the `response` of the webhook's answer."""
        request = urllib.request.Request(  # noqa: S310 — https on loopback
            f"{self.url}{path}",
            data=json.dumps(document).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, context=self.trust, timeout=10) as answer:  # noqa: S310 — as above
            response: dict[str, Any] = json.load(answer)["response"]
        return response


@contextmanager
def webhook(folder: Path, policies: Path) -> Iterator[Webhook]:
    """Run `python -m webhook serve` on loopback while the context lasts."""
    now = datetime.now(UTC)
    authority = new_authority(now=now)
    pair = issue(authority, names=["127.0.0.1"], now=now)
    (folder / "tls.crt").write_bytes(pair.certificate)
    (folder / "tls.key").touch(mode=0o600)
    (folder / "tls.key").write_bytes(pair.key)
    port, probes = _free_ports(2)
    command = [
        *(sys.executable, "-m", "webhook", "serve", "--policies", str(policies)),
        *("--gate-image", "registry.example.com/model-validator:1.0", "--gate-command", GATE),
        *("--tls-cert", str(folder / "tls.crt"), "--tls-key", str(folder / "tls.key")),
        *("--host", "127.0.0.1", "--port", str(port), "--probe-port", str(probes)),
        *("--drain-seconds", "0"),
    ]
    with (folder / "webhook.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        _until_ready(process, f"http://127.0.0.1:{probes}/readyz", folder / "webhook.log")
        trust = ssl.create_default_context(cadata=authority.certificate.decode())
        yield Webhook(f"https://127.0.0.1:{port}", trust)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_ports(count: int) -> list[int]:
    import socket  # noqa: PLC0415 — here only

    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 — http on loopback
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise SystemExit(f"the webhook did not become ready; its log ends with:\n{log.read_text()}")


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a gate's run."""

    code: int
    output: str
    seconds: float


def run_gate(pod: dict[str, Any]) -> Ended:
    """Run the pod's gate as a kubelet does: its command, its environment, nothing else."""
    (gate,) = (
        container
        for container in pod["spec"]["initContainers"]
        if container["name"] == contract.GATE_CONTAINER
    )
    began = time.monotonic()
    ended = subprocess.run(
        gate["command"],
        env={each["name"]: each.get("value", POD_UID) for each in gate["env"]},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=GATE_SECONDS,
        check=False,
    )
    seconds = time.monotonic() - began
    return Ended(ended.returncode, (ended.stdout + ended.stderr).strip(), seconds)


def shown_command(pod: dict[str, Any]) -> str:
    """Return the gate's command as one would type it, the policy shortened."""
    gate = next(c for c in pod["spec"]["initContainers"] if c["name"] == contract.GATE_CONTAINER)
    variables = [
        f"{each['name']}={shlex.quote(each['value'][:48])}…"
        if len(each["value"]) > 96
        else f"{each['name']}={shlex.quote(each['value'])}"
        for each in gate["env"]
        if "value" in each
    ]
    return " ".join(["env", "-i", *variables, shlex.join(gate["command"])])


def with_own_gate(document: dict[str, Any]) -> dict[str, Any]:
    """Return the review of a pod that brings a `model-validation` container of its own."""
    spoofed = deepcopy(document)
    spoofed["request"]["object"]["spec"]["initContainers"] = [
        {
            "name": contract.GATE_CONTAINER,
            "image": "docker.io/library/busybox:1.36",
            "command": ["true"],
        }
    ]
    return spoofed


def colour(code: str, text: str) -> str:
    """Return the text in a colour, where a terminal shows it."""
    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ
    return text if plain else f"\x1b[{code}m{text}\x1b[0m"
