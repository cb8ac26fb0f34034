"""A private Sigstore where pods reach it: on an address of the cluster's machine.

    python -m tests.e2e.stack.beside.sigstore ADDRESS FOLDER

serves until it is ended, and leaves in the folder what signers and verifiers need.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from tests.e2e.api_server.processes import Host, Program
from tests.sigstore.authority import ISSUER, Identity
from tests.sigstore.private import ALICE, PrivateSigstore

if TYPE_CHECKING:
    from types import TracebackType

ROOT: Final = Path(__file__).parents[4]
MALLORY: Final = Identity("mallory@example.com")
"""Somebody with an identity as good as anybody's, whom the policy does not name."""

LIFETIME: Final = timedelta(hours=12)
"""Of the tokens: longer than anybody looks at a cluster."""
START_SECONDS: Final = 60
MODULE: Final = "tests.e2e.stack.beside.sigstore"
"""This module, which is `__main__` where it serves."""


@dataclass(frozen=True, slots=True)
class SigstoreFiles:
    """The files that the service writes into its folder."""

    folder: Path

    identity: str = ALICE.name
    issuer: str = ISSUER

    @property
    def trust_config(self) -> Path:
        """The file for `model_signing … --trust_config`."""
        return self.folder / "trust_config.json"

    @property
    def trusted_root(self) -> Path:
        """The root of trust, as a policy has it inline."""
        return self.folder / "trusted_root.json"

    @property
    def address(self) -> tuple[str, int]:
        """The service's address and port."""
        config = json.loads(self.trust_config.read_text())
        url = urlsplit(config["signingConfig"]["caUrls"][0]["url"])
        return str(url.hostname), int(url.port or 0)

    def token(self, who: Identity = ALICE) -> str:
        """Return an identity token, for `--identity_token`."""
        return (self.folder / who.name).read_text()


class SigstoreOnMachine:
    """A context manager: the service runs in the machine inside the block."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.files = SigstoreFiles(folder / "sigstore")
        command = ["env", f"--chdir={ROOT}", sys.executable, "-m", MODULE]
        command += [host.address, str(self.files.folder)]
        self._program = Program(command, log=folder / "sigstore.log", host=host)

    def __enter__(self) -> Self:
        self.files.folder.mkdir()
        self._program.start()
        self._program.wait_until(self.files.trust_config.exists, seconds=START_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._program.close()


def main(address: str, folder: Path) -> None:
    """Serve, and say where by files: the last one is there when all is."""
    with PrivateSigstore.start(address=address) as sigstore:
        files = SigstoreFiles(folder)
        for who in (ALICE, MALLORY):
            token = sigstore.services.provider.token(who, lifetime=LIFETIME)
            (folder / who.name).write_text(token)
        shutil.copy(sigstore.trusted_root_path, files.trusted_root)
        partial = folder / "partial"
        shutil.copy(sigstore.trust_config_path, partial)
        partial.replace(files.trust_config)
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
