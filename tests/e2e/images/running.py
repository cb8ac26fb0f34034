"""Run an image's container with runc, as locked down as the manifests run it."""

from __future__ import annotations

import json
import secrets
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.support.ended import Ended

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT_SECONDS: Final = 60
USER: Final = 65532
PYTHON: Final = "/opt/model-validation/bin/python"
NAMESPACES: Final = ("pid", "ipc", "uts", "mount", "network")
HIDDEN: Final = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware")


@dataclass(frozen=True, slots=True)
class Unpacked:
    """An image as a runtime sees it.

    Attributes:
        identity: Its id in buildah's storage.
        root: Its root file system, mounted here.
        config: The `config` object of its OCI image configuration.
    """

    identity: str
    root: Path
    config: Mapping[str, Any]

    def run(
        self,
        *arguments: str,
        entrypoint: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        read: Mapping[str, Path] | None = None,
        write: Mapping[str, Path] | None = None,
        loopback_of_host: bool = False,
    ) -> Ended:
        """Run a container to its end: read-only root, no capability, no network, the image's user.

        Args:
            arguments: The arguments after the entrypoint.
            entrypoint: Instead of the image's.
            environment: Beside the image's.
            read: Folders and files here, by where they are mounted, read-only.
            write: The same, writable.
            loopback_of_host: Share this machine's network, to reach what listens on 127.0.0.1.
        """
        variables = [f"{name}={value}" for name, value in (environment or {}).items()]
        mounts = [_bind(source, at, "ro") for at, source in (read or {}).items()]
        mounts += [_bind(source, at, "rw") for at, source in (write or {}).items()]
        kinds = [kind for kind in NAMESPACES if not (loopback_of_host and kind == "network")]
        user, group = map(int, self.config["User"].split(":"))
        specification = {
            "ociVersion": "1.0.2",
            "process": {
                "terminal": False,
                "user": {"uid": user, "gid": group},
                "args": [*(entrypoint or self.config["Entrypoint"]), *arguments],
                "env": [*self.config["Env"], *variables],
                "cwd": "/",
                "capabilities": {},
                "noNewPrivileges": True,
            },
            "root": {"path": str(self.root), "readonly": True},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
                *mounts,
            ],
            "linux": {
                "namespaces": [{"type": kind} for kind in kinds],
                "maskedPaths": HIDDEN,
            },
        }
        return _runc(specification)


def _bind(source: Path, at: str, mode: str) -> dict[str, Any]:
    options = ["rbind", mode, "nosuid", "nodev"]
    return {"destination": at, "type": "bind", "source": str(source), "options": options}


def _runc(specification: dict[str, Any]) -> Ended:
    name = f"model-validation-{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory() as bundle:
        Path(bundle, "config.json").write_text(json.dumps(specification))
        try:
            ran = subprocess.run(
                ["runc", "run", "--bundle", bundle, name],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=TIMEOUT_SECONDS,
            )
        finally:
            subprocess.run(["runc", "delete", "--force", name], capture_output=True, check=False)
    return Ended(ran.returncode, ran.stdout, ran.stderr)
