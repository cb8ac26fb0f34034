"""The services that Fulcio asks: identity providers, and a certificate transparency log.

Fulcio reads a provider's keys by OpenID Connect discovery, and has each certificate promised by
the log (RFC 6962, `add-pre-chain`) before it issues it.
"""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, ClassVar, Final

from asn1crypto import x509 as asn1_x509
from jwt.algorithms import ECAlgorithm

from tests.support.served import http_served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sigstore.keys import LogKey
    from tests.sigstore.tokens import IdentityProvider

PROVIDERS: Final = ("staff", "guests")
"""Names of the identity providers, which are their paths, too."""

DISCOVERY: Final = "/.well-known/openid-configuration"
KEYS: Final = "/keys"
ADD_PRE_CHAIN: Final = "/ct/v1/add-pre-chain"
POISON: Final = "1.3.6.1.4.1.11129.2.4.3"
"""The extension that makes a certificate a precertificate (RFC 6962, 3.1)."""

BODY_LIMIT: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Providers that share a key, and a log."""

    provider: IdentityProvider
    ct_log: LogKey

    def discovery(self, issuer: str) -> dict[str, Any]:
        """Return what a provider says of itself (OpenID Connect Discovery 1.0, 3)."""
        never = f"{issuer}/never"
        return {
            "issuer": issuer,
            "jwks_uri": f"{issuer}{KEYS}",
            "authorization_endpoint": never,
            "token_endpoint": never,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }

    def keys(self) -> dict[str, Any]:
        """Return the keys that tokens are signed with."""
        key = ECAlgorithm.to_jwk(self.provider.key.public_key(), as_dict=True)
        return {"keys": [{**key, "use": "sig", "alg": "ES256"}]}

    def promise(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer `add-pre-chain` (RFC 6962, 4.2)."""
        leaf, issuer = (
            asn1_x509.Certificate.load(base64.b64decode(one)) for one in request["chain"][:2]
        )
        body = leaf["tbs_certificate"]
        body["extensions"] = [
            extension for extension in body["extensions"] if extension["extn_id"].dotted != POISON
        ]
        milliseconds, signature = self.ct_log.promise_certificate(
            body.dump(force=True), issuer=issuer.public_key.dump()
        )
        return {
            "sct_version": 0,
            "id": base64.b64encode(self.ct_log.key_id).decode(),
            "timestamp": milliseconds,
            "extensions": "",
            "signature": base64.b64encode(signature).decode(),
        }


@contextmanager
def serving(neighbours: Neighbours, *, port: int) -> Iterator[str]:
    """Serve on loopback while the context lasts; yield the base URL."""
    handler = type("Bound", (_Handler,), {"neighbours": neighbours})
    with http_served(handler, port=port) as url:
        yield url


class _Handler(BaseHTTPRequestHandler):
    neighbours: ClassVar[Neighbours]

    def do_GET(self) -> None:
        name, _, document = self.path.removeprefix("/").partition("/")
        if name in PROVIDERS and f"/{document}" == DISCOVERY:
            self._answer(self.neighbours.discovery(f"http://{self.headers['Host']}/{name}"))
        elif name in PROVIDERS and f"/{document}" == KEYS:
            self._answer(self.neighbours.keys())
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if self.path != ADD_PRE_CHAIN or not 0 < length <= BODY_LIMIT:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        self._answer(self.neighbours.promise(json.loads(self.rfile.read(length))))

    def log_message(self, *_: object) -> None:
        """Stay silent: the output belongs to the tests."""

    def _answer(self, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
