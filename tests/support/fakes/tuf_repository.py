"""A TUF repository on loopback, with keys of its own."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from tests.support.served import http_served

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def tuf_repository(folder: Path, *, targets: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Serve a repository with these targets; yield its address and its initial root.json."""
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    signer = CryptoSigner.generate_ecdsa()
    (folder / "targets").mkdir(parents=True)
    listed = {}
    for name, content in targets.items():
        listed[name] = TargetFile.from_data(name, content)
        digest = listed[name].hashes["sha256"]
        (folder / "targets" / f"{digest}.{name}").write_bytes(content)
    root = Root(expires=ends, consistent_snapshot=True)
    for role in ("root", "timestamp", "snapshot", "targets"):
        root.add_key(signer.public_key, role)
    documents: dict[str, Any] = {
        "1.root": root,
        "timestamp": Timestamp(expires=ends, snapshot_meta=MetaFile(1)),
        "1.snapshot": Snapshot(expires=ends, meta={"targets.json": MetaFile(1)}),
        "1.targets": Targets(expires=ends, targets=listed),
    }
    for name, signed in documents.items():
        metadata = Metadata(signed)
        metadata.sign(signer)
        (folder / f"{name}.json").write_text(json.dumps(metadata.to_dict()))
    with http_served(partial(_Quiet, directory=str(folder))) as url:
        yield url, (folder / "1.root.json").read_bytes()
