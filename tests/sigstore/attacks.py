"""The ways in which the other side lies: each makes a bundle that no one may believe.

An attack is a small edit of an honest part: a log that signs with another key, an
authority that nobody named, a bundle put together from two. `refusal` is a fragment
of what sigstore-python says to it, so that a bundle which is refused for another
reason than the lie is noticed. A path such as `dsseEnvelope.signatures.0.sig` names
a place in a bundle's document.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from tests.sigstore.authority import Authority, Identity, LeafProfile
from tests.sigstore.log import Log, b64, canonical, leaf_hash, promise
from tests.sigstore.private import ALICE
from tests.sigstore.timestamps import TimestampAuthority

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sigstore.private import PrivateSigstore

    Bundle = dict[str, Any]
    Edit = Callable[[Bundle], object]
    Forge = Callable[[PrivateSigstore, bytes], str]

MALLORY: Final = Identity("mallory@example.com")
FOREIGN_ISSUER: Final = Identity(ALICE.name, "https://accounts.example.org")

OTHER_PAYLOAD: Final = b'{"_type": "https://in-toto.io/Statement/v1", "subject": []}'

CERTIFICATE: Final = "verificationMaterial.certificate"
STAMPS: Final = "verificationMaterial.timestampVerificationData"
ENTRIES: Final = "verificationMaterial.tlogEntries"
ENTRY: Final = f"{ENTRIES}.0"
PROMISE: Final = f"{ENTRY}.inclusionPromise"
PROOF: Final = f"{ENTRY}.inclusionProof"
CHECKPOINT: Final = f"{PROOF}.checkpoint"


@dataclass(frozen=True, slots=True)
class Attack:
    """A lie: `forge` makes the bundle over a statement, `refusal` is why it fails.

    Where the supported releases of sigstore-python and cryptography say it in different words,
    those are separated by " | ".
    """

    name: str
    forge: Forge
    refusal: str

    def __str__(self) -> str:
        return self.name

    @property
    def expression(self) -> str:
        """A regular expression for the refusal."""
        return "|".join(map(re.escape, self.refusal.split(" | ")))


def at(document: Any, path: str) -> Any:
    """Return what is at a path."""
    for step in path.split("."):
        document = document[int(step) if step.isdigit() else step]
    return document


def changed(path: str, change: Callable[[Any], Any]) -> Edit:
    """Change what is at a path."""
    holder, _, key = path.rpartition(".")

    def edit(bundle: Bundle) -> None:
        place: Any = at(bundle, holder) if holder else bundle
        step: Any = int(key) if key.isdigit() else key
        place[step] = change(place[step])

    return edit


def put(path: str, value: Any) -> Edit:
    """Replace what is at a path."""
    return changed(path, lambda _: value)


def without(path: str) -> Edit:
    """Take away what is at a path."""
    holder, _, key = path.rpartition(".")
    return lambda bundle: at(bundle, holder).pop(int(key) if key.isdigit() else key)


def flipped(path: str) -> Edit:
    """Change one bit of the base64 at a path."""

    def flip(encoded: str) -> str:
        raw = base64.b64decode(encoded)
        return b64(raw[:-1] + bytes([raw[-1] ^ 1]))

    return changed(path, flip)


def twice(path: str) -> Edit:
    """Repeat the list at a path."""
    return changed(path, lambda items: items * 2)


def edited(*edits: Edit, identity: Identity = ALICE) -> Forge:
    """Forge by edits of a bundle that somebody honestly signed."""

    def forge(sigstore: PrivateSigstore, statement: bytes) -> str:
        return sigstore.sign_statement(
            statement, identity=identity, edit=lambda bundle: [edit(bundle) for edit in edits]
        )

    return forge


def spliced(
    path: str, *edits: Edit, identity: Identity = ALICE, payload: bytes | None = None
) -> Forge:
    """Forge by what another bundle of Alice's, over this or another payload, has at a path."""

    def forge(sigstore: PrivateSigstore, statement: bytes) -> str:
        other = json.loads(sigstore.sign_statement(payload or statement))
        return edited(*edits, put(path, at(other, path)), identity=identity)(sigstore, statement)

    return forge


def profiled(leaf: LeafProfile) -> Forge:
    """Forge by a leaf that the honest authority would never issue."""
    return lambda sigstore, statement: sigstore.sign_statement(statement, leaf=leaf)


def logged_as(spec: dict[str, Any]) -> Forge:
    """Have the honest log hold something else than it was given."""
    body = canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})

    def forge(sigstore: PrivateSigstore, statement: bytes) -> str:
        return edited(put(ENTRY, sigstore.log.append(body).in_bundle()))(sigstore, statement)

    return forge


def of_foreign_authority(sigstore: PrivateSigstore, statement: bytes) -> str:
    """Issue the leaf by an authority of the same names that nobody named as trusted."""
    foreign = replace(Authority.new(), ct_log=sigstore.authority.ct_log)
    return sigstore.sign_statement(statement, authority=foreign)


def of_foreign_ct_log(sigstore: PrivateSigstore, statement: bytes) -> str:
    """Have the leaf timestamped under the CT log's name by another key."""
    log = sigstore.authority.ct_log.impersonated()
    return sigstore.sign_statement(statement, authority=replace(sigstore.authority, ct_log=log))


def of_foreign_log(sigstore: PrivateSigstore, statement: bytes) -> str:
    """Have everything about the entry signed under the log's name by another key."""
    return sigstore.sign_statement(statement, log=sigstore.log.impersonated())


def promised_by_foreign_log(sigstore: PrivateSigstore, statement: bytes) -> str:
    """Prove inclusion honestly, and promise it with another key."""

    def promised(entry: Bundle) -> Bundle:
        forged = promise(
            sigstore.log.key.impersonated(),
            body=base64.b64decode(entry["canonicalizedBody"]),
            when=int(entry["integratedTime"]),
            index=int(entry["logIndex"]),
        )
        return {**entry, "inclusionPromise": {"signedEntryTimestamp": b64(forged)}}

    return edited(changed(ENTRY, promised))(sigstore, statement)


def stamped_by_foreign_authority(sigstore: PrivateSigstore, statement: bytes) -> str:
    """Have only an unknown timestamp authority prove the time."""
    unknown = TimestampAuthority.new()
    return sigstore.sign_statement(statement, timestamps=unknown, edit=without(PROMISE))


def in_a_tree_of_its_own(entry: Bundle) -> Bundle:
    """Make an unlogged body the only leaf under a checkpoint of the log."""
    body = base64.b64decode(entry["canonicalizedBody"]) + b" "
    alone = {"logIndex": "0", "treeSize": "1", "hashes": [], "rootHash": b64(leaf_hash(body))}
    proof = {**entry["inclusionProof"], **alone}
    return {**entry, "canonicalizedBody": b64(body), "inclusionProof": proof}


def over_a_message(bundle: Bundle) -> None:
    """Carry the signature of a file, not of an envelope."""
    signature = bundle.pop("dsseEnvelope")["signatures"][0]["sig"]
    bundle["messageSignature"] = {"signature": signature}


_EXPIRED: Final = "cert is not valid at validation time | certificate has expired"
_TOO_EARLY: Final = "cert is not valid at validation time | certificate is not yet valid"
_NO_ISSUER: Final = "signature does not match | unable to get local issuer certificate"
_FOREIGN_CHECKPOINT: Final = "invalid log entry: checkpoint: invalid signature"
_FOREIGN_PROMISE: Final = "invalid log entry: SET: invalid inclusion promise"
_NO_TIME: Final = "not enough sources of verified time"
_ONE_ENTRY: Final = "expected exactly one log entry in bundle"
_ONE_SIGNATURE: Final = "envelope must contain exactly one signature"
_OTHER_ROOT: Final = "Inclusion proof contains invalid root hash signature"
_UNSIGNED: Final = "DSSE: invalid signature"

ON_THE_LEAF: Final = (
    Attack("foreign identity", edited(identity=MALLORY), "Certificate's SANs do not match"),
    Attack("foreign issuer", edited(identity=FOREIGN_ISSUER), "OIDCIssuer does not match"),
    Attack("leaf expired", profiled(LeafProfile(age=timedelta(hours=1))), _EXPIRED),
    Attack("leaf not valid yet", profiled(LeafProfile(age=timedelta(hours=-1))), _TOO_EARLY),
    Attack("leaf of a foreign authority", of_foreign_authority, _NO_ISSUER),
    Attack(
        "leaf without digitalSignature",
        profiled(LeafProfile(digital_signature=False)),
        "Key usage is not of type `digital signature`",
    ),
    Attack(
        "leaf without codeSigning",
        profiled(LeafProfile(code_signing=False)),
        "Extended usage does not contain `code signing`",
    ),
    Attack(
        "leaf without certificate timestamp",
        profiled(LeafProfile(timestamped=False)),
        "Certificate does not contain a signed certificate timestamp",
    ),
    Attack("certificate timestamp by a foreign key", of_foreign_ct_log, "SCT verify failed"),
    Attack("certificate of another signer", spliced(CERTIFICATE, identity=MALLORY), _UNSIGNED),
)

ON_THE_LOG: Final = (
    Attack("log of a foreign key", of_foreign_log, _FOREIGN_CHECKPOINT),
    Attack(
        "log that nobody knows",
        lambda sigstore, statement: sigstore.sign_statement(statement, log=Log.new()),
        _FOREIGN_CHECKPOINT,
    ),
    Attack("promise by a foreign key", promised_by_foreign_log, _FOREIGN_PROMISE),
    Attack(
        "integrated time moved",
        edited(changed(f"{ENTRY}.integratedTime", lambda when: str(int(when) + 60))),
        _FOREIGN_PROMISE,
    ),
    Attack("no log entry", edited(without(ENTRY)), _ONE_ENTRY),
    Attack("two log entries", edited(twice(ENTRIES)), _ONE_ENTRY),
    Attack(
        "entry of another statement",
        spliced(ENTRY, payload=OTHER_PAYLOAD),
        "log entry payload hash does not match bundle",
    ),
    Attack(
        "entry of another signature over the same statement",
        spliced(ENTRY),
        "log entry signatures do not match bundle",
    ),
    Attack(
        "entry of another kind",
        edited(put(f"{ENTRY}.kindVersion.kind", "hashedrekord")),
        "Unsupported DSSE log entry type: hashedrekord/0.0.1",
    ),
    Attack("no inclusion proof", edited(without(PROOF)), "tlogEntries.0.inclusionProof"),
    Attack(
        "no checkpoint",
        edited(without(CHECKPOINT)),
        "entry must contain inclusion proof, with checkpoint",
    ),
    Attack("checkpoint of another tree", spliced(CHECKPOINT), _OTHER_ROOT),
    Attack("tree of its own", edited(changed(ENTRY, in_a_tree_of_its_own)), _OTHER_ROOT),
    Attack(
        "path shortened", edited(without(f"{PROOF}.hashes.0")), "inclusion proof has wrong size"
    ),
    Attack(
        "logged body altered",
        edited(flipped(f"{ENTRY}.canonicalizedBody")),
        "inclusion proof contains invalid root hash",
    ),
)

ON_THE_TIME: Final = (
    Attack(
        "neither promise nor timestamp",
        edited(without(PROMISE), without(STAMPS)),
        "bundle must contain an inclusion promise or signed timestamp(s)",
    ),
    Attack("timestamp by a foreign authority", stamped_by_foreign_authority, _NO_TIME),
    Attack("timestamp of another signature", spliced(STAMPS, without(PROMISE)), _NO_TIME),
)

ON_THE_ENVELOPE: Final = (
    Attack("signature altered", edited(flipped("dsseEnvelope.signatures.0.sig")), _UNSIGNED),
    Attack("payload altered", edited(flipped("dsseEnvelope.payload")), _UNSIGNED),
    Attack("payload type altered", edited(put("dsseEnvelope.payloadType", "a/b")), _UNSIGNED),
    Attack("no signature", edited(put("dsseEnvelope.signatures", [])), _ONE_SIGNATURE),
    Attack("two signatures", edited(twice("dsseEnvelope.signatures")), _ONE_SIGNATURE),
    Attack("no envelope", edited(over_a_message), "on a bundle without a DSSE envelope"),
    Attack("media type unknown", edited(put("mediaType", "application/json")), "mediaType"),
)

ATTACKS: Final = ON_THE_LEAF + ON_THE_LOG + ON_THE_TIME + ON_THE_ENVELOPE
"""Bundles that sigstore-python refuses by itself, for Alice and the private issuer."""

CRASHING: Final = (
    Attack(
        "checkpoint signature cut short",
        edited(changed(f"{CHECKPOINT}.envelope", lambda note: note[:-2] + "\n")),
        "Incorrect padding",
    ),
    Attack(
        "integrated time beyond all clocks",
        edited(put(f"{ENTRY}.integratedTime", str(2**63))),
        "timestamp out of range",
    ),
    Attack(
        "certificate that is none",
        edited(put(f"{CERTIFICATE}.rawBytes", "AAAA")),
        "error parsing asn1 value",
    ),
    Attack(
        "logged body that only proposes",
        logged_as({"proposedContent": {"envelope": "{}", "verifiers": ["e30="]}}),
        "'NoneType' object has no attribute",
    ),
)
"""Bundles at which sigstore-python ends with errors that are not its own."""

WRONG_PAYLOAD_TYPE: Final = Attack(
    "payload type wrong, and signed so",
    lambda sigstore, statement: sigstore.sign_statement(statement, payload_type="text/plain"),
    "",
)
"""Accepted by sigstore-python, which returns the type and leaves the refusal to its caller."""
