"""The timestamp authority (RFC 3161): when a signature existed, by a clock of ours."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from asn1crypto import cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.sigstore.authority import Issuing, distinguished_name, draft_of, key_usage
from tests.sigstore.keys import new_key

if TYPE_CHECKING:
    from typing import Self

POLICY: Final = "1.3.6.1.4.1.57264.2"
"""The policy that Sigstore's own timestamp authority states."""

SHA256: Final = {"algorithm": "sha256"}


@dataclass(frozen=True, slots=True)
class TimestampAuthority:
    """A root and the certificate that signs timestamps."""

    root: Issuing
    signer: Issuing

    @classmethod
    def new(cls, *, organization: str = "timestamps.sigstore.test") -> Self:
        """Make an authority; two of one organization bear the same names."""
        root, key = Issuing.root(organization), new_key()
        draft = draft_of(
            key.public_key(),
            root.key.public_key(),
            subject=distinguished_name(organization, "signer"),
            issuer=root.certificate.subject,
        )
        draft = draft.add_extension(key_usage(digital_signature=True), critical=True)
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        signer = Issuing(root.sign(draft.add_extension(purpose, critical=True)), key)
        return cls(root, signer)

    @property
    def chain(self) -> tuple[x509.Certificate, x509.Certificate]:
        """The signing certificate and its root."""
        return self.signer.certificate, self.root.certificate

    def stamp(self, signature: bytes) -> bytes:
        """Return a DER response over the SHA-256 of a signature, without being asked."""
        digest = hashlib.sha256(signature).digest()
        return self._respond({"hash_algorithm": SHA256, "hashed_message": digest}, nonce=None)

    def answer(self, request: bytes) -> bytes:
        """Return the DER response to a DER request."""
        asked = tsp.TimeStampReq.load(request)
        return self._respond(asked["message_imprint"], nonce=asked["nonce"].native)

    def _respond(self, imprint: object, *, nonce: int | None) -> bytes:
        info = {
            "version": "v1",
            "policy": POLICY,
            "message_imprint": imprint,
            "serial_number": x509.random_serial_number(),
            "gen_time": datetime.now(UTC).replace(microsecond=0),
        }
        if nonce is not None:
            info["nonce"] = nonce
        token = {"content_type": "signed_data", "content": self._signed(tsp.TSTInfo(info).dump())}
        response = tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token})
        return bytes(response.dump())

    def _signed(self, info: bytes) -> cms.SignedData:
        certificate = self.signer.certificate.public_bytes(Encoding.DER)
        named = {"certs": [{"cert_hash": hashlib.sha256(certificate).digest()}]}
        attributes = cms.CMSAttributes(
            [
                {"type": "content_type", "values": ["tst_info"]},
                {"type": "message_digest", "values": [hashlib.sha256(info).digest()]},
                {"type": "signing_certificate_v2", "values": [named]},
            ]
        )
        name = asn1_x509.Name.load(self.signer.certificate.issuer.public_bytes())
        serial = self.signer.certificate.serial_number
        signer = {
            "version": "v1",
            "sid": {"issuer_and_serial_number": {"issuer": name, "serial_number": serial}},
            "digest_algorithm": SHA256,
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            "signature": self.signer.key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256())),
        }
        # Without the certificate, which whoever trusts it has from the trusted root.
        return cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [SHA256],
                "encap_content_info": {
                    "content_type": "tst_info",
                    "content": core.ParsableOctetString(info),
                },
                "signer_infos": [signer],
            }
        )
