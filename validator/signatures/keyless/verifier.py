"""The verifier of keyless signatures."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sigstore.verify import Verifier as LibraryVerifier

from validator.bundle import Method
from validator.errors import SignatureError, SignerError
from validator.signatures import ProvenSigner, Signed
from validator.signatures.keyless.claims import Claims
from validator.signatures.keyless.identity import (
    ExpectedSigner,
    SomebodyElseError,
    identities,
    issuers,
)
from validator.signatures.keyless.refusal import explained
from validator.signatures.keyless.root import in_use, load

if TYPE_CHECKING:
    from datetime import datetime

    from validator.bundle import Bundle
    from validator.signatures.keyless.identity import Expected
    from validator.signatures.trusted_root import TrustedRoot

# Its warnings go to standard error where nobody configured logging; verdicts are ours.
logging.getLogger("sigstore").addHandler(logging.NullHandler())


class SigstoreVerifier:
    """Verify by Sigstore, against one trusted root and one set of expectations."""

    def __init__(self, expected: Expected, *, trusted_root: TrustedRoot) -> None:
        self._root = trusted_root
        self._policy = ExpectedSigner(expected)

    @property
    def method(self) -> Method:
        """Signed keylessly."""
        return Method.SIGSTORE

    def verify(self, bundle: Bundle, *, now: datetime, allow_legacy: bool) -> Signed:  # noqa: ARG002 — v0.2 signed keylessly as today
        """Return the bundle's payload, if an expected signer signed it.

        Raises:
            SignatureError: None did, or the proof of it does not hold.
            Undecided: The trusted root cannot be used.
        """
        described = self._root.describe(now=now)
        root = load(self._root.raw, described=described)
        claims = Claims.of(bundle)
        reduced = in_use(root, claims, described=described)
        try:
            verifier = LibraryVerifier(trusted_root=reduced)
            payload_type, payload = verifier.verify_dsse(claims.parsed, self._policy)
            stamped = verifier._verify_timestamp_authority(claims.parsed)  # noqa: SLF001 — tells which of the stamps hold
        except MemoryError:
            raise
        except SomebodyElseError as error:
            raise SignerError(f"the model was signed by somebody else: {error}") from error
        # Hostile bundles make its dependencies raise errors of any class. Whatever is
        # raised while a bundle is verified, the bundle did not pass.
        except Exception as error:
            raise explained(error, claims, root, described=described) from error
        _check_index(claims)
        certificate = claims.parsed.signing_certificate
        promised = claims.promised_at
        return Signed(
            payload=payload,
            payload_type=payload_type,
            signer=ProvenSigner(
                method=Method.SIGSTORE,
                identity=", ".join(identities(certificate)),
                issuer=", ".join(issuers(certificate)),
                log_id=claims.log_id.hex(),
                log_index=claims.tree_index,
                global_log_index=claims.log_index if promised else None,
                signed_at=promised or min(result.time for result in stamped),
                time_source="SET" if promised else "RFC 3161",
                trusted_root=described,
            ),
        )


def _check_index(claims: Claims) -> None:
    """Demand that every index in the bundle is proven.

    sigstore-python does not compare the proof's tree with the checkpoint's, yet in a tree of
    another size the same proof stands for another index. And the index outside of the proof
    is covered by the log's promise only.
    """
    proof = claims.parsed.log_entry._inner.inclusion_proof  # noqa: SLF001 — not public otherwise
    signed_size = proof.checkpoint.envelope.split("\n")[1] if proof.checkpoint else ""
    if signed_size != str(proof.tree_size):
        raise SignatureError(
            f"the keyless signature does not hold: its proof of inclusion is for a tree of "
            f"{proof.tree_size:,} entries, and the log signed another size"
        )
    if not claims.promised_at and claims.log_index != claims.tree_index:
        raise SignatureError(
            f"the keyless signature does not hold: it claims index {claims.log_index} in the "
            f"transparency log, and the proof of inclusion is for index {claims.tree_index}"
        )
