"""Hand this machine's settings of pip to a build, as secrets that leave no trace in the image."""

from __future__ import annotations

import ast
import configparser
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = (
    "index-url",
    "extra-index-url",
    "find-links",
    "trusted-host",
    "proxy",
    "default-timeout",
    "timeout",
    "retries",
)
AUTHORITIES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Where pip looks for authorities when none of its own settings names them; then OpenSSL."""
AUTHORITY_IN_BUILD = "/run/secrets/ca.pem"


@contextmanager
def secrets() -> Iterator[list[str]]:
    """Write the settings into a folder that goes again, and give buildah's options for them."""
    told = _told()
    own = told.get("cert") or next(filter(None, map(os.environ.get, AUTHORITIES)), None)
    settings = {key: told[key] for key in SETTINGS if key in told}
    folders = [Path(link) for link in settings.get("find-links", "").split() if "://" not in link]
    options = [f"--volume={folder}:{folder}:ro" for folder in folders if _filled(folder)]
    if own:
        settings["cert"] = AUTHORITY_IN_BUILD
        options.append(f"--secret=id=ca.pem,src={own}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pip.conf")
        config = configparser.RawConfigParser()
        config["global"] = settings
        with path.open("w") as file:
            config.write(file)
        yield [*options, f"--secret=id=pip.conf,src={path}"]


def _told() -> dict[str, str]:
    """Return what pip's files and environment say, in pip's own order of precedence."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    pairs = [line.partition("=") for line in listed.stdout.splitlines()]
    # `global.cert='…'`, `install.cert='…'`, and last `:env:.cert='…'`.
    order = sorted(pairs, key=lambda pair: pair[0].startswith(":env:"))
    return {key.rpartition(".")[2]: ast.literal_eval(value) for key, _, value in order}


def _filled(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())
