"""The signature log: entries in a Merkle tree, and three signatures that say so.

Shaped like Rekor v1: an entry comes back with its inclusion proof (RFC 9162, 2.1.3),
a signed checkpoint of the tree, and a signed entry timestamp over its canonical JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from tests.sigstore.keys import LogKey

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

ORIGIN: Final = "rekor.private.sigstore.test"

EARLIER_ENTRIES: Final = tuple(b'{"kind":"earlier","number":%d}' % number for number in range(5))
"""The log's entries before the tests'; a proof in a tree of one entry would prove nothing."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One logged body, with what the log says about it."""

    body: bytes
    kind: str
    version: str
    index: int
    integrated_time: int
    key_id: bytes
    signed_entry_timestamp: bytes
    tree_size: int
    root_hash: bytes
    path: tuple[bytes, ...]
    checkpoint: str

    def in_bundle(self) -> dict[str, Any]:
        """Return the entry as a bundle holds it (`TransparencyLogEntry`, protobuf JSON)."""
        return {
            "logIndex": str(self.index),
            "logId": {"keyId": b64(self.key_id)},
            "kindVersion": {"kind": self.kind, "version": self.version},
            "integratedTime": str(self.integrated_time),
            "inclusionPromise": {"signedEntryTimestamp": b64(self.signed_entry_timestamp)},
            "inclusionProof": {
                "logIndex": str(self.index),
                "rootHash": b64(self.root_hash),
                "treeSize": str(self.tree_size),
                "hashes": [b64(sibling) for sibling in self.path],
                "checkpoint": {"envelope": self.checkpoint},
            },
            "canonicalizedBody": b64(self.body),
        }

    def in_response(self) -> dict[str, Any]:
        """Return the entry as the log's API answers it."""
        return {
            leaf_hash(self.body).hex(): {
                "body": b64(self.body),
                "integratedTime": self.integrated_time,
                "logID": self.key_id.hex(),
                "logIndex": self.index,
                "verification": {
                    "inclusionProof": {
                        "checkpoint": self.checkpoint,
                        "hashes": [sibling.hex() for sibling in self.path],
                        "logIndex": self.index,
                        "rootHash": self.root_hash.hex(),
                        "treeSize": self.tree_size,
                    },
                    "signedEntryTimestamp": b64(self.signed_entry_timestamp),
                },
            }
        }


@dataclass(slots=True)
class Log:
    """An append-only log; may be used from several threads."""

    key: LogKey
    _leaves: list[bytes] = field(default_factory=lambda: [*map(leaf_hash, EARLIER_ENTRIES)])
    _lock: Lock = field(default_factory=Lock)

    @classmethod
    def new(cls) -> Self:
        """Make a log with a key of its own."""
        return cls(LogKey.new())

    def impersonated(self) -> Self:
        """Return a log that goes by this one's name but signs with another key."""
        return type(self)(self.key.impersonated())

    def add(self, proposed: dict[str, Any]) -> Entry:
        """Log a proposed entry of kind dsse 0.0.1, as clients post it."""
        content = proposed["spec"]["proposedContent"]
        return self.append(dsse_body(content["envelope"], content["verifiers"]))

    def append(self, body: bytes) -> Entry:
        """Log a canonical body, whatever it says."""
        with self._lock:
            self._leaves.append(leaf_hash(body))
            leaves = tuple(self._leaves)
        index, when = len(leaves) - 1, int(time.time())
        root = tree_hash(leaves)
        stated = json.loads(body)
        return Entry(
            body=body,
            kind=stated["kind"],
            version=stated["apiVersion"],
            index=index,
            integrated_time=when,
            key_id=self.key.key_id,
            signed_entry_timestamp=promise(self.key, body=body, when=when, index=index),
            tree_size=len(leaves),
            root_hash=root,
            path=inclusion_path(index, leaves),
            checkpoint=self._checkpoint(len(leaves), root),
        )

    def _checkpoint(self, size: int, root: bytes) -> str:
        # A signed note (golang.org/x/mod/sumdb/note), with Rekor's own key hint.
        note = f"{ORIGIN}\n{size}\n{b64(root)}\n"
        signature = b64(self.key.key_id[:4] + self.key.sign(note.encode()))
        return f"{note}\n\N{EM DASH} {ORIGIN} {signature}\n"


def promise(key: LogKey, *, body: bytes, when: int, index: int) -> bytes:
    """Return the signed entry timestamp: the key's word that the body is or will be logged."""
    said = {"body": b64(body), "integratedTime": when, "logID": key.key_id.hex(), "logIndex": index}
    return key.sign(canonical(said))


def dsse_body(envelope: str, verifiers: Sequence[str]) -> bytes:
    """Return the canonical body that Rekor keeps of an envelope: hashes and signatures."""
    parsed = json.loads(envelope)
    payload = base64.b64decode(parsed["payload"])
    pairs = zip(parsed["signatures"], verifiers, strict=True)
    spec = {
        "envelopeHash": {"algorithm": "sha256", "value": sha256(envelope.encode())},
        "payloadHash": {"algorithm": "sha256", "value": sha256(payload)},
        "signatures": [{"signature": one["sig"], "verifier": by} for one, by in pairs],
    }
    return canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})


def canonical(document: dict[str, Any]) -> bytes:
    """Return RFC 8785 JSON, for documents of ASCII text and integers."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def b64(data: bytes) -> str:
    """Return standard base64 as text."""
    return base64.b64encode(data).decode()


def sha256(data: bytes) -> str:
    """Return the digest in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def leaf_hash(body: bytes) -> bytes:
    """Return the hash of a leaf (RFC 9162, 2.1.1)."""
    return hashlib.sha256(b"\0" + body).digest()


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes; at least one."""
    if len(leaves) == 1:
        return leaves[0]
    middle = _split(leaves)
    both = tree_hash(leaves[:middle]) + tree_hash(leaves[middle:])
    return hashlib.sha256(b"\1" + both).digest()


def inclusion_path(index: int, leaves: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the siblings on the way from a leaf to the root, lowest first."""
    if len(leaves) == 1:
        return ()
    middle = _split(leaves)
    if index < middle:
        return *inclusion_path(index, leaves[:middle]), tree_hash(leaves[middle:])
    return *inclusion_path(index - middle, leaves[middle:]), tree_hash(leaves[:middle])


def _split(leaves: Sequence[bytes]) -> int:
    # The largest power of two below the number of leaves.
    return 1 << ((len(leaves) - 1).bit_length() - 1)
