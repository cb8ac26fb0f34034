"""Fixtures of the tests of the check inside vLLM."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fakes import fake_vllm
from validator import contract
from validator.vllm.plugin import register

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tests.support.signed_model import Site


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the process' variables, of which the test may change all."""
    variables = {"HF_HUB_OFFLINE": "1"}
    monkeypatch.setattr(os, "environ", variables)
    return variables


@pytest.fixture
def policy(site: Site) -> dict[str, Any]:
    """Return a policy of the honest model, with all that may stand beside it."""
    return {
        "apiVersion": contract.API_VERSION,
        "kind": contract.KIND,
        "metadata": {"name": "granite"},
        "spec": {
            "model": {"path": str(site.model)},
            "config": {"privateKeyConfig": {"publicKey": site.signer.public_pem.decode()}},
        },
    }


@pytest.fixture
def vllm(
    environment: dict[str, str], policy: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> dict[str, ModuleType]:
    """Return the modules of a vLLM under the policy, into which nothing has been loaded."""
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    modules = fake_vllm.package()
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    environment[contract.POLICY_VARIABLE] = json.dumps(policy)
    return modules


@pytest.fixture
def load(
    vllm: dict[str, ModuleType],
    environment: dict[str, str],
    policy: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., ModuleType]:
    """Return a function that loads the plugin into a fresh vLLM and returns its `arg_utils`."""

    def loaded(text: str | None = None, **replaced: Any) -> ModuleType:
        vllm.update(fake_vllm.package(**replaced))
        for name, module in vllm.items():
            monkeypatch.setitem(sys.modules, name, module)
        environment[contract.POLICY_VARIABLE] = json.dumps(policy) if text is None else text
        register.register()
        return vllm["vllm.engine.arg_utils"]

    return loaded
