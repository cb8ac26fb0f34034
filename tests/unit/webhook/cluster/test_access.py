"""The pod's access, tried on TLS servers whose certificates are as clusters make them."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ssl import create_default_context
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from webhook.cluster.access import access, in_cluster
from webhook.cluster.api import ClusterApi
from webhook.cluster.errors import AccessError, ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


def rsa_key() -> rsa.RSAPrivateKey:
    """Return a key as EKS and kubeadm make them."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def ec_key() -> ec.EllipticCurvePrivateKey:
    """Return a key as k3s makes them."""
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Shape:
    """The form of a cluster's certificate for its API server.

    Attributes:
        new_key: Makes keys.
        identifies_authority: Whether the certificate has an Authority Key Identifier.
        usage: Of the authority's key.
        leaf_constraints: Whether the certificate says that it is not an authority's.
    """

    new_key: Callable[[], PrivateKey]
    identifies_authority: bool
    usage: tuple[str, ...] = ("digital_signature", "key_encipherment", "key_cert_sign")
    leaf_constraints: bool = True


SHAPES = {
    "EKS": Shape(rsa_key, identifies_authority=False, leaf_constraints=False),
    "kubeadm": Shape(rsa_key, identifies_authority=True),
    "k3s": Shape(ec_key, identifies_authority=True, leaf_constraints=False),
}


class Cluster:
    """An authority, and the API server's certificate by it."""

    def __init__(
        self, shape: Shape, *, name: str = "127.0.0.1", ends: dt.datetime = NOW + DAY
    ) -> None:
        key, server_key = shape.new_key(), shape.new_key()
        authority = _name("kubernetes")
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        ca = (
            _builder(authority, issuer=authority, key=key, ends=NOW + DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(*shape.usage), critical=True)
            .add_extension(identifier, critical=False)
        )
        leaf = (
            _builder(_name("kube-apiserver"), issuer=authority, key=server_key, ends=ends)
            .add_extension(_usage("digital_signature", "key_encipherment"), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general(name)]), critical=False)
        )
        if shape.leaf_constraints:
            leaf = leaf.add_extension(
                x509.BasicConstraints(ca=False, path_length=None), critical=True
            )
        if shape.identifies_authority:
            of = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
            leaf = leaf.add_extension(of, critical=False)
        self.authority = _pem(ca.sign(key, hashes.SHA256()))
        self.certificate = _pem(leaf.sign(key, hashes.SHA256()))
        self.key = server_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    @asynccontextmanager
    async def running(self, folder: Path) -> AsyncIterator[int]:
        """Listen on loopback; yield the port."""
        (folder / "server.crt").write_bytes(self.certificate)
        (folder / "server.key").write_bytes(self.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.crt", folder / "server.key")

        async def answer(request: web.Request) -> web.Response:
            return web.json_response({"token": request.headers["Authorization"]})

        app = web.Application()
        app.router.add_get("/x", answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        try:
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, *, issuer: x509.Name, key: PrivateKey, ends: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 2 * DAY)
        .not_valid_after(ends)
    )


def _usage(*allowed: str) -> x509.KeyUsage:
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: name in allowed for name in names})


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, bytes], Path]:
    """Make this process a pod: return the folder of its ServiceAccount."""

    def make(port: int, authority: bytes) -> Path:
        folder = tmp_path / "serviceaccount"
        folder.mkdir()
        (folder / "token").write_text("first\n")
        (folder / "ca.crt").write_bytes(authority)
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(port))
        return folder

    return make


async def answered(folder: Path) -> dict[str, Any]:
    """Return what the API server answers the pod."""
    api = ClusterApi(in_cluster(folder), name="test")
    try:
        return await api.read("/x", dict[str, Any])
    finally:
        await api.close()


def strict_context(**options: Any) -> ssl.SSLContext:
    """Return the default context as Python 3.13 and newer make it, with any Python."""
    context = create_default_context(**options)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@pytest.mark.parametrize("shape", SHAPES)
async def test_every_cluster_s_certificate_is_accepted(
    shape: str,
    tmp_path: Path,
    pod: Callable[[int, bytes], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From Python 3.13 on, the standard library by itself refuses EKS' for what it leaves out."""
    cluster = Cluster(SHAPES[shape])
    async with cluster.running(tmp_path) as port:
        folder = pod(port, cluster.authority)
        assert await answered(folder) == {"token": "Bearer first"}
        monkeypatch.setattr(ssl, "create_default_context", strict_context)
        assert await answered(folder) == {"token": "Bearer first"}


async def test_a_strict_default_alone_would_refuse_eks(tmp_path: Path) -> None:
    """So the test above can fail."""
    cluster = Cluster(SHAPES["EKS"])
    (tmp_path / "ca.crt").write_bytes(cluster.authority)
    trusted = strict_context(cafile=tmp_path / "ca.crt")
    async with cluster.running(tmp_path) as port:
        with pytest.raises(ssl.SSLCertVerificationError, match="Authority Key Identifier"):
            await asyncio.open_connection("127.0.0.1", port, ssl=trusted)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"name": "10.0.0.1"}, id="another address"),
        pytest.param({"name": "kubernetes"}, id="another name"),
        pytest.param({"ends": NOW - DAY}, id="expired"),
    ],
)
@pytest.mark.parametrize("shape", SHAPES)
async def test_what_a_certificate_says_is_still_checked(
    shape: str, changes: dict[str, Any], tmp_path: Path, pod: Callable[[int, bytes], Path]
) -> None:
    """Names and dates hold, whatever its form."""
    cluster = Cluster(SHAPES[shape], **changes)
    async with cluster.running(tmp_path) as port:
        with pytest.raises(ApiError, match="CERTIFICATE_VERIFY_FAILED"):
            await answered(pod(port, cluster.authority))


@pytest.mark.parametrize("shape", SHAPES)
async def test_another_authority_is_not_believed(
    shape: str, tmp_path: Path, pod: Callable[[int, bytes], Path]
) -> None:
    """Not one with the same name either."""
    async with Cluster(SHAPES[shape]).running(tmp_path) as port:
        with pytest.raises(ApiError, match="CERTIFICATE_VERIFY_FAILED"):
            await answered(pod(port, Cluster(SHAPES[shape]).authority))


def test_the_system_s_authorities_are_not_trusted_beside_the_cluster_s(
    pod: Callable[[int, bytes], Path],
) -> None:
    """The cluster's authority is the only one."""
    folder = pod(1, Cluster(SHAPES["k3s"]).authority)
    assert len(in_cluster(folder).tls.get_ca_certs()) == 1


async def test_a_renewed_token_is_used(tmp_path: Path, pod: Callable[[int, bytes], Path]) -> None:
    """The kubelet replaces it every hour."""
    cluster = Cluster(SHAPES["k3s"])
    async with cluster.running(tmp_path) as port:
        folder = pod(port, cluster.authority)
        api = ClusterApi(in_cluster(folder), name="test")
        assert await api.read("/x", dict[str, Any]) == {"token": "Bearer first"}
        (folder / "token").write_text("second")
        assert await api.read("/x", dict[str, Any]) == {"token": "Bearer second"}
        (folder / "token").write_text("")
        with pytest.raises(ApiError, match="empty or not a token"):
            await api.read("/x", dict[str, Any])
        (folder / "token").unlink()
        with pytest.raises(ApiError, match="cannot be read"):
            await api.read("/x", dict[str, Any])
        await api.close()


async def test_a_proxy_of_the_environment_is_not_asked(
    tmp_path: Path, pod: Callable[[int, bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A corporate proxy, set for all containers, does not know the API server's address."""
    cluster = Cluster(SHAPES["kubeadm"])
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "10.96.0.0/12,.svc")
    monkeypatch.delenv("no_proxy", raising=False)
    async with cluster.running(tmp_path) as port:
        assert await answered(pod(port, cluster.authority)) == {"token": "Bearer first"}


def test_an_ipv6_address_is_put_in_brackets(
    pod: Callable[[int, bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its last group would be taken for the port."""
    folder = pod(6443, Cluster(SHAPES["k3s"]).authority)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    assert in_cluster(folder).server == "https://[fd00::1]:6443"


async def test_outside_of_a_cluster_there_is_no_service_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sentence says what was looked for."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(AccessError, match=r"ServiceAccount.*not a pod"):
        await access(None)


@pytest.mark.parametrize("missing", ["token", "ca.crt"])
def test_a_missing_file_is_named(pod: Callable[[int, bytes], Path], missing: str) -> None:
    """Both come with the ServiceAccount, where it is mounted."""
    folder = pod(6443, Cluster(SHAPES["k3s"]).authority)
    (folder / missing).unlink()
    with pytest.raises((OSError, ApiError)):
        in_cluster(folder)


async def test_a_missing_kubeconfig_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The sentence says that the file is missing, and the client's loader logs nothing."""
    with pytest.raises(AccessError, match=r"by the kubeconfig .*/absent: no such file$"):
        await access(tmp_path / "absent")
    assert not caplog.records


@pytest.mark.parametrize("text", ["", "{", "[]", "a: b", "clusters: []\ncurrent-context: x"])
async def test_a_bad_kubeconfig_is_one_sentence(tmp_path: Path, text: str) -> None:
    """Malformed files stop the start."""
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(AccessError, match="no access to the API server by the kubeconfig"):
        await access(path)
