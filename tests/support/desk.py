"""The `model-validator` command in a process of its own, and a signed model to try it on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.support.ended import Ended
from tests.support.signed_model import (
    Signer,
    statement,
)
from validator import contract

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.sigstore import PrivateSigstore
    from tests.support.signed_model import (
        Document,
        Site,
    )


COMMAND: Final = (sys.executable, "-I", "-m", "validator")


TIMEOUT_SECONDS: Final = 60


def run(
    *arguments: object,
    prefix: tuple[str, ...] = COMMAND,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Ended:
    """Run the command; whatever it is given, it never ends in a traceback."""
    done = subprocess.run(
        [*prefix, *map(os.fsencode, map(str, arguments))],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=TIMEOUT_SECONDS,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
    )
    ended = Ended(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in ended.text
    assert "please report it" not in ended.text
    assert ended.code in set(contract.ExitCode)
    return ended


@dataclass(frozen=True, slots=True)
class Desk:
    """A model, signed by a key, with all that is needed to verify it."""

    folder: Path
    site: Site
    key: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.folder / "key.pub")
        self.key.write_bytes(self.site.signer.public_pem)

    def verify(self, *arguments: object, **how: Any) -> Ended:
        """Verify the model by its key."""
        return run("verify", "key", self.site.model, "--public-key", self.key, *arguments, **how)

    def policy(self, **spec: Any) -> Document:
        """Return a policy for the model."""
        made = {
            "model": {"path": str(self.site.model)},
            "config": {"privateKeyConfig": {"publicKey": self.key.read_text()}},
        } | spec
        return {
            "apiVersion": contract.API_VERSION,
            "kind": contract.KIND,
            "metadata": {"name": "granite", "namespace": "team", "generation": 3},
            "spec": {name: value for name, value in made.items() if value is not None},
        }

    def gate(self, *arguments: object, cover: object = None, **spec: Any) -> Ended:
        """Run what the webhook injects: the policy in the environment, what to cover beside it."""
        environment = {contract.POLICY_VARIABLE: json.dumps(self.policy(**spec))}
        if cover is not None:
            environment[contract.COVER_VARIABLE] = (
                cover if isinstance(cover, str) else json.dumps(cover)
            )
        return run("verify", "policy", *arguments, environment=environment)


def keyless(sigstore: PrivateSigstore, model: Path, *arguments: object, **how: Any) -> Ended:
    """Verify a model that Alice should have signed."""
    return run(
        *("verify", "sigstore", model, "--identity", "alice@example.com"),
        *("--identity-provider", sigstore.issuer),
        *(arguments or ("--trusted-root", sigstore.trusted_root_path)),
        **how,
    )


HEAVY: Final = ("pydantic", "click", "rich", "sigstore", "aiohttp", "yaml", "tuf", "requests")


def loaded(code: str, *arguments: object) -> set[str]:
    """Run code in an isolated interpreter and return the names of the modules that it loaded."""
    # `make test COVERAGE=1` would load its own modules into the interpreter.
    environment = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    tail = "\nimport sys; print('\\n' + ' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code + tail, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT_SECONDS,
    )
    return set(done.stdout.splitlines()[-1].split())


def edited(**changes: Any) -> bytes:
    """Return a bundle's text with parts replaced."""
    document = json.loads(Signer().bundle(statement()))
    return json.dumps(document | changes).encode()
