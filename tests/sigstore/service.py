"""The HTTP front: the few endpoints that Sigstore's clients call.

Fulcio's `/api/v2/signingCert`, Rekor's `/api/v1/log/entries`, the timestamp
authority's `/api/v1/timestamp` and the identity provider's discovery document. It
speaks HTTP/1.0, so that no client keeps a connection open after its test.
"""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, ClassVar, Final

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.sigstore.rekor2 import TileLog
from tests.support.served import http_served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sigstore.authority import Authority
    from tests.sigstore.log import Log
    from tests.sigstore.timestamps import TimestampAuthority
    from tests.sigstore.tokens import IdentityProvider

BODY_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of a request: an envelope is as large as its model's manifest."""


class RequestError(Exception):
    """The request cannot be served; carries status and sentence."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Services:
    """The other side of a signature, as one value."""

    authority: Authority
    log: Log
    provider: IdentityProvider
    timestamps: TimestampAuthority
    tile_log: TileLog = field(default_factory=TileLog.new)

    def certify(self, body: bytes, bearer: str) -> bytes:
        """Answer Fulcio's signing request: the leaf and the chain above it.

        Raises:
            RequestError: the token or the certificate signing request does not hold.
        """
        try:
            identity = self.provider.read(bearer)
        except jwt.InvalidTokenError as error:
            raise RequestError(HTTPStatus.UNAUTHORIZED, f"identity token: {error}") from error
        asked = base64.b64decode(json.loads(body)["certificateSigningRequest"])
        request = x509.load_pem_x509_csr(asked)
        key = request.public_key()
        if not request.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
            raise RequestError(HTTPStatus.BAD_REQUEST, "no proof of possession of an EC key")
        chain = (self.authority.issue(key, identity), *self.authority.chain)
        pem = [one.public_bytes(Encoding.PEM).decode() for one in chain]
        return _json({"signedCertificateEmbeddedSct": {"chain": {"certificates": pem}}})

    def integrate(self, body: bytes) -> bytes:
        """Answer Rekor's request to log an entry."""
        return _json(self.log.add(json.loads(body)).in_response())


@contextmanager
def serving(services: Services, *, address: str = "127.0.0.1") -> Iterator[str]:
    """Serve on a free port while the context lasts; yield the base URL."""
    handler = type("Bound", (_Handler,), {"services": services})
    with http_served(handler, address=address) as url:
        yield url


class _Handler(BaseHTTPRequestHandler):
    services: ClassVar[Services]

    def do_GET(self) -> None:
        if self.path != "/.well-known/openid-configuration":
            self._answer(HTTPStatus.NOT_FOUND, _error("no such document"))
            return
        # Clients read it before they look at the token that they were given.
        url = f"http://{self.headers['Host']}/never"
        document = {"authorization_endpoint": url, "token_endpoint": url}
        self._answer(HTTPStatus.OK, _json(document))

    def do_POST(self) -> None:
        try:
            self._answer(HTTPStatus.CREATED, self._post(self._body()))
        except RequestError as error:
            self._answer(error.status, _error(str(error)))
        except (KeyError, TypeError, ValueError) as error:
            self._answer(HTTPStatus.BAD_REQUEST, _error(f"cannot read the request: {error!r}"))

    def log_message(self, *_: object) -> None:
        """Stay silent: the output belongs to the test or the demo."""

    def _post(self, body: bytes) -> bytes:
        match self.path:
            case "/api/v2/signingCert":
                bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
                return self.services.certify(body, bearer)
            case "/api/v1/log/entries":
                return self.services.integrate(body)
            case "/api/v1/timestamp":
                return self.services.timestamps.answer(body)
        raise RequestError(HTTPStatus.NOT_FOUND, "no such service")

    def _body(self) -> bytes:
        length = int(self.headers.get("Content-Length", 0))
        if not 0 <= length <= BODY_LIMIT:
            raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{length} bytes are too many")
        return self.rfile.read(length)

    def _answer(self, status: HTTPStatus, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def _error(message: str) -> bytes:
    return _json({"code": 0, "message": message})
