"""Keyless signatures (Sigstore), which sigstore-python verifies.

Belongs here: everything that loads sigstore-python. Its `Verifier.verify_dsse` checks the
chain to Fulcio, the SCT, the transparency log (Rekor v1 and v2), timestamps and identity,
offline, on a root that is passed in. Added here: who is accepted, whether each key and
authority was in use at the time, which facts are proven, and the sentences.
"""

from validator.signatures.keyless.claims import Claims
from validator.signatures.keyless.identity import Expected, identities, issuers
from validator.signatures.keyless.verifier import SigstoreVerifier

__all__ = ["Claims", "Expected", "SigstoreVerifier", "identities", "issuers"]
