"""The images do what they are for, as locked down as the manifests run them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.e2e.images.building import ROOT
from tests.e2e.images.running import PYTHON, USER
from tests.support.signed_model import FILES, Signer, Site, statement, write
from validator import contract

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.images.fixtures import ImageFactory
    from tests.sigstore import PrivateSigstore
    from tests.support.ended import Ended

AT: Final = "/models/granite"
GATE: Final = (PYTHON, "-I", "-m", "validator")
ALICE: Final = "alice@example.com"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of three files, not signed yet, that the image's user can read."""
    return write(tmp_path / "granite", FILES)


@pytest.fixture
def key(tmp_path: Path, model: Path) -> Path:
    """The public key of who signed the model."""
    signer = Signer()
    Site(model, model / "model.sig", signer).sign(statement())
    path = tmp_path / "keys" / "key.pub"
    path.parent.mkdir()
    path.write_bytes(signer.public_pem)
    return path


def by_key(image: ImageFactory, model: Path, key: Path) -> Ended:
    """Run the standalone check of the README."""
    options = ("verify", "key", AT, "--public-key", f"/keys/{key.name}")
    return image("validator").run(*options, read={AT: model, "/keys": key.parent})


def keyless(sigstore: PrivateSigstore) -> dict[str, Any]:
    """Return a policy that trusts Alice, as the private Sigstore knows her."""
    identity = {"certificateIdentity": ALICE, "certificateOidcIssuer": sigstore.issuer}
    return {
        "apiVersion": contract.API_VERSION,
        "kind": contract.KIND,
        "metadata": {"name": "granite", "namespace": "team"},
        "spec": {
            "model": {"path": AT},
            "config": {"sigstoreConfig": identity},
            "trust": {"trustedRoot": sigstore.trusted_root_json},
        },
    }


def test_a_signed_model_is_verified(image: ImageFactory, model: Path, key: Path) -> None:
    """The image alone is the standalone check."""
    ended = by_key(image, model, key)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Verification succeeded: {AT}\n")


def test_a_changed_byte_is_refused(image: ImageFactory, model: Path, key: Path) -> None:
    """With exit code 1, and a sentence that names the file."""
    (model / "weights/a.bin").write_bytes(b"b" + b"a" * 999)
    ended = by_key(image, model, key)
    assert ended.code == 1
    assert "Verification failed" in ended.text
    assert "weights/a.bin" in ended.text


def test_the_gate_verifies_a_keyless_signature_without_network(
    image: ImageFactory, model: Path, private_sigstore: PrivateSigstore
) -> None:
    """The policy in the environment carries all trust; no file, no home, no network is needed."""
    private_sigstore.sign_model(model, model / "model.sig")
    policy = {contract.POLICY_VARIABLE: json.dumps(keyless(private_sigstore))}

    def gate() -> Ended:
        run = image("validator").run
        return run("verify", "policy", entrypoint=GATE, environment=policy, read={AT: model})

    assert (gate().code, gate().err) == (0, "")
    (model / "added.bin").touch()
    refused = gate()
    assert refused.code == 1
    assert "added.bin" in refused.text


def test_the_validator_runs_the_gate_that_the_webhook_injects(
    image: ImageFactory, tmp_path: Path, model: Path, private_sigstore: PrivateSigstore
) -> None:
    """Command and environment come from the webhook's image, and fit the validator's."""
    private_sigstore.sign_model(model, model / "model.sig")
    desk = tmp_path / "desk"
    (desk / "policies").mkdir(parents=True)
    (desk / "policies/granite.yaml").write_text(json.dumps(keyless(private_sigstore)))
    (desk / "pod.yaml").write_text(json.dumps(vllm_pod()))
    mutated = image("webhook").run(
        *("webhook", "mutate", "/mnt/pod.yaml", "--policies", "/mnt/policies", "--output", "yaml"),
        read={"/mnt": desk},
    )
    assert mutated.code == 0, mutated.text
    (gate,) = yaml.safe_load(mutated.out)["spec"]["initContainers"]
    ended = image("validator").run(
        *gate.get("args", []),
        entrypoint=gate["command"],
        environment={entry["name"]: entry.get("value", "") for entry in gate["env"]},
        read={AT: model},
    )
    assert ended.code == 0, ended.text


def vllm_pod() -> dict[str, Any]:
    """Return a labelled pod that serves the model."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "vllm", "namespace": "team", "labels": {contract.LABEL: "true"}},
        "spec": {
            "containers": [
                {
                    "name": "vllm",
                    "image": "docker.io/vllm/vllm-openai:v0.11.0",
                    "args": ["--model", AT],
                    "volumeMounts": [{"name": "models", "mountPath": "/models"}],
                }
            ],
            "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}],
        },
    }


@pytest.mark.parametrize("package", ["webhook", "certs"])
def test_every_module_of_the_webhooks_image_can_be_imported(
    image: ImageFactory, package: str
) -> None:
    """Nothing that they import was left out of the image."""
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__main__.py"
    )
    script = f"import importlib\nfor name in {modules}: importlib.import_module(name)"
    ended = image("webhook").run("-I", "-c", script, entrypoint=[PYTHON])
    assert ended.code == 0, ended.err


def test_the_debug_image_signs_and_verifies_with_the_reference_command(
    image: ImageFactory, tmp_path: Path, model: Path, private_sigstore: PrivateSigstore
) -> None:
    """`kubectl exec POD -- model_signing sign|verify sigstore /models/…`, as the pod's user."""
    os.chown(model, USER, USER)
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, USER, USER)

    def model_signing(action: str, *options: str) -> Ended:
        return image("debug").run(
            *(action, "sigstore", AT, "--signature", f"{AT}/model.sig"),
            *("--trust_config", "/trust_config.json", *options),
            entrypoint=["model_signing"],
            read={"/trust_config.json": private_sigstore.trust_config_path},
            write={AT: model, "/tmp": home},  # noqa: S108 — the pod's emptyDir
            loopback_of_host=True,
        )

    signed = model_signing("sign", "--identity_token", private_sigstore.identity_token())
    assert signed.code == 0, signed.text
    expected = ("--identity", ALICE, "--identity_provider", private_sigstore.issuer)
    assert model_signing("verify", *expected).code == 0
    (model / "config.json").write_text("{ }")
    assert model_signing("verify", *expected).code == 1
