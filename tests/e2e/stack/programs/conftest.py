"""Fixtures of the tests in a real vLLM: it, a signed model, and policies."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.e2e.stack import environments, models
from tests.e2e.stack.engines import Installation
from tests.support.differential.signers import KeyPair, quiet
from validator import contract

if TYPE_CHECKING:
    from collections.abc import Callable

    Policies = Callable[..., dict[str, str]]
    Sign = Callable[[Path], None]

ROOT: Final = Path(__file__).parents[4]


@pytest.fixture(scope="session")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Return a vLLM with this project installed beside it, as `pip install` does."""
    site = tmp_path_factory.mktemp("site")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    offline = ("--no-deps", "--no-build-isolation", "--no-index")
    subprocess.run([*pip, *offline, "--target", site, ROOT], check=True)
    return Installation(python=environments.find("vllm").python, site=site)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    """Return the keys of who signs."""
    return KeyPair.new(tmp_path_factory.mktemp("keys"), ec.SECP256R1())


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory, sign: Sign) -> Path:
    """Return a signed model."""
    model = tmp_path_factory.mktemp("models") / "tiny"
    shutil.copytree(models.tiny(environments.find("vllm")), model)
    sign(model)
    return model


@pytest.fixture
def model(signed: Path, tmp_path: Path) -> Path:
    """Return a copy of the signed model, for the test to change."""
    return Path(shutil.copytree(signed, tmp_path / "tiny"))


@pytest.fixture
def policy(keys: KeyPair) -> Policies:
    """Return a function that gives the variables with a policy for some models."""

    def made(*models: Path, **others: str) -> dict[str, str]:
        document: dict[str, Any] = {
            "apiVersion": contract.API_VERSION,
            "kind": contract.KIND,
            "metadata": {"name": "tiny"},
            "spec": {
                "models": [{"path": str(model)} for model in models],
                "config": {"privateKeyConfig": {"keyPath": str(keys.public_path)}},
            },
        }
        return {contract.POLICY_VARIABLE: json.dumps(document), **others}

    return made


@pytest.fixture(scope="session")
def sign(keys: KeyPair) -> Sign:
    """Return a function that signs a model again, by the reference implementation."""
    from model_signing import signing  # noqa: PLC0415 — slow, and other tests need it not

    def signed(model: Path) -> None:
        (model / "model.sig").unlink(missing_ok=True)
        with quiet():
            signer = signing.Config().use_elliptic_key_signer(private_key=keys.private_path)
            signer.sign(model, model / "model.sig")

    return signed
