"""The identity provider: signed OIDC tokens, and what the authority reads from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import jwt

from tests.sigstore.authority import Identity
from tests.sigstore.keys import new_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

AUDIENCE: Final = "sigstore"
"""The client id that Sigstore's clients and authority agree on."""

LIFETIME: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """Vouches for any identity, in the name of any issuer."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)

    def token(self, identity: Identity, *, lifetime: timedelta = LIFETIME) -> str:
        """Return a compact JWT for the identity."""
        now = datetime.now(UTC)
        claims = {
            "iss": identity.issuer,
            "sub": identity.name,
            "email": identity.name,
            "email_verified": True,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + lifetime,
            "fulcio_extensions": {str(number): text for number, text in identity.claims.items()},
        }
        return jwt.encode(claims, self.key, algorithm="ES256")

    def read(self, token: str) -> Identity:
        """Return whom the token is for.

        Raises:
            jwt.InvalidTokenError: not signed here, for another audience, or expired.
        """
        claims = jwt.decode(token, self.key.public_key(), algorithms=["ES256"], audience=AUDIENCE)
        extensions = {int(number): text for number, text in claims["fulcio_extensions"].items()}
        return Identity(claims["sub"], claims["iss"], extensions)
