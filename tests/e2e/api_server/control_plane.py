"""A Kubernetes control plane: etcd and kube-apiserver, without any controller.

What controllers would do and a test needs (the default ServiceAccount, a quota's status, emptying
a namespace) is done here.
"""

from __future__ import annotations

import http.client
import json
import secrets
import shutil
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from tests.e2e.api_server.client import Answer, ApiServer, Document, as_document
from tests.e2e.api_server.issuing import Authority, key_pem, new_key
from tests.e2e.api_server.processes import LOOPBACK, Host, Program, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["Answer", "ControlPlane", "Document"]

START_SECONDS = 90
"""Ready after 5 s alone; a machine whose cores are all busy takes several times that."""
NODE = "node-1"
USERS = {
    "kube-controller-manager": "system:kube-controller-manager",
    "kube-scheduler": "system:kube-scheduler",
    "kube-proxy": "system:kube-proxy",
    "kubelet": f"system:node:{NODE}",
}
"""Programs that a node's cluster has besides, as which they come to the API server."""

SERVICES = "10.96.0.0/24"
KUBERNETES_SERVICE = "10.96.0.1"
"""The first of them is the API server's own."""

USUAL_PORT = 6443
"""Where an API server listens that has a machine of its own, as `kubeadm` sets it up."""

IN_NAMESPACES = (
    ("api/v1", "pods"),
    ("apis/rhtas.redhat.com/v1alpha1", "modelvalidations"),
    ("api/v1", "serviceaccounts"),
)
"""The objects that are deleted with a namespace: watches, and a namespace of the same name,
would go on seeing them."""

OF_THE_CLUSTER = (
    "/api/v1/namespaces",
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
)
"""The collections of objects that a module of tests may leave to the next one."""

AUDIT: Document = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {
            "level": "RequestResponse",
            "verbs": ["create", "update", "patch", "delete"],
            "resources": [{"group": "", "resources": ["pods", "pods/*"]}],
        },
        {"level": "None"},
    ],
}


class ControlPlane(ApiServer):
    """etcd and kube-apiserver; a context manager that stops them whatever happens.

    `flags` are appended to the server's own, such as `--feature-gates=X=true`; admission plugins
    are the server's defaults plus `admission_plugins`. With `audit`, what changes pods is logged
    whole (with the patches of webhooks) and `audit_events` reads them. It runs on `host`, where
    pods reach it under the address of its Service if that is not loopback.
    """

    def __init__(  # noqa: PLR0913 — a server has that many sides
        self,
        programs: Mapping[str, Path],
        *,
        folder: Path,
        admission_plugins: Iterable[str] = (),
        flags: Iterable[str] = (),
        audit: bool = False,
        host: Host = LOOPBACK,
    ) -> None:
        self._host = host
        self._etcd_port, port = free_ports(2)
        if host is not LOOPBACK:
            port = USUAL_PORT  # nobody else is there, and NetworkPolicies name it
        self._authority = Authority.new()
        (folder / "home").mkdir(parents=True, exist_ok=True)
        (folder / "ca.pem").write_bytes(self._authority.bundle)
        super().__init__(
            address=host.address,
            port=port,
            token=secrets.token_hex(16),
            kubectl=programs["kubectl"],
            folder=folder,
        )
        self._write_files()
        extra = [*flags, *(f"--enable-admission-plugins={name}" for name in admission_plugins)]
        if audit:
            extra += [
                f"--audit-log-path={self._audit_log}",
                f"--audit-policy-file={folder / 'audit.json'}",
            ]
        self._etcd = Program(
            [str(programs["etcd"]), *self._etcd_flags()], log=folder / "etcd.log", host=host
        )
        self._server = Program(
            [str(programs["kube-apiserver"]), *self._server_flags(), *extra],
            log=folder / "kube-apiserver.log",
            host=host,
        )
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder / "etcd", ignore_errors=True)
            stack.callback(self._etcd.close)
            stack.callback(self._server.close)
            self._etcd.start()
            self._etcd.wait_until(self._etcd_is_ready, seconds=START_SECONDS)
            self.start_api_server()
            self._running = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    # What runs

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of what runs now."""
        return tuple(pid for pid in (self._etcd.pid, self._server.pid) if pid is not None)

    def start_api_server(self) -> None:
        """Start the API server on the same etcd, port and keys; return when it is ready."""
        self._server.start()
        self._server.wait_until(
            lambda: self.call("GET", "/readyz").status == http.client.OK, seconds=START_SECONDS
        )

    def stop_api_server(self) -> None:
        """Stop the API server as a crash does; etcd and its data stay."""
        self._server.kill()

    def restart_api_server(self) -> None:
        """Stop and start the API server: its watches break, its caches begin anew."""
        self.stop_api_server()
        self.start_api_server()

    def save(self) -> Path:
        """Return a copy of etcd's data, as a backup has it; the server is away for a moment."""
        saved = self.folder / "etcd-saved"
        with self._stopped():
            shutil.rmtree(saved, ignore_errors=True)
            shutil.copytree(self.folder / "etcd", saved)
        return saved

    def restore(self, saved: Path) -> None:
        """Go back to a copy of etcd's data, versions included."""
        with self._stopped():
            shutil.rmtree(self.folder / "etcd")
            shutil.copytree(saved, self.folder / "etcd")

    @contextmanager
    def _stopped(self) -> Iterator[None]:
        """Have neither program run inside the block."""
        self._server.kill()
        self._etcd.kill()
        yield
        self._etcd.start()
        self._etcd.wait_until(self._etcd_is_ready, seconds=START_SECONDS)
        self.start_api_server()

    def compact(self) -> int:
        """Make etcd forget all history; return the revision that is the oldest one now.

        Lists of an exact older version fail at once; watches go on, since the API server answers
        them from a cache of its own: `forget_history` ends that too.
        """
        revision = int(self._ask_etcd("/v3/kv/range", {"key": "AA=="})["header"]["revision"])
        self._ask_etcd("/v3/kv/compaction", {"revision": revision, "physical": True})
        return revision

    def forget_history(self) -> None:
        """Compact and restart: every watch breaks, and from a past version fails with 410 Gone."""
        self.compact()
        self.restart_api_server()

    # What it has seen

    def audit_events(self) -> list[Document]:
        """Return the audit log's events so far, oldest first."""
        return [json.loads(line) for line in self._audit_log.read_text().splitlines()]

    def inventory(self) -> frozenset[str]:
        """Return the paths of the objects of `OF_THE_CLUSTER` that the server did not make."""
        names = (
            (collection, each["metadata"]["name"])
            for collection in OF_THE_CLUSTER
            for each in self.call("GET", collection).document["items"]
        )
        # The server makes its own at its own time, some of them after it says that it is ready.
        own = ("default", "kube-", "system:")
        return frozenset(f"{where}/{name}" for where, name in names if not name.startswith(own))

    # What controllers would do

    def make_namespace(self, name: str, *, labels: Mapping[str, str] | None = None) -> None:
        """Create a namespace and its ServiceAccount `default`, without which no pod is admitted."""
        metadata = {"name": name, "labels": dict(labels or {})}
        self.created({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        account = {"name": "default", "namespace": name}
        self.created({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})

    def remove_namespace(self, name: str) -> None:
        """Empty a namespace of the objects of `IN_NAMESPACES`, and finalize it."""
        for group, plural in IN_NAMESPACES:
            self.call("DELETE", f"/{group}/namespaces/{name}/{plural}?gracePeriodSeconds=0")
        self.call("DELETE", f"/api/v1/namespaces/{name}")
        done = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {}}
        self.call("PUT", f"/api/v1/namespaces/{name}/finalize", done)

    def make_quota(self, namespace: str, hard: Mapping[str, str]) -> None:
        """Create a ResourceQuota with the status that makes the admission plugin count."""
        quota = self.created(
            {
                "apiVersion": "v1",
                "kind": "ResourceQuota",
                "metadata": {"name": "quota", "namespace": namespace},
                "spec": {"hard": dict(hard)},
            }
        )
        quota["status"] = {"hard": dict(hard), "used": dict.fromkeys(hard, "0")}
        path = f"/api/v1/namespaces/{namespace}/resourcequotas/quota/status"
        self.call("PUT", path, quota)

    # How it is set up

    @property
    def _audit_log(self) -> Path:
        return self.folder / "audit.log"

    def _etcd_is_ready(self) -> bool:
        return "leader" in self._ask_etcd("/v3/maintenance/status", {})

    def _ask_etcd(self, path: str, body: Document) -> Document:
        connection = http.client.HTTPConnection(self.address, self._etcd_port, timeout=10)
        try:
            connection.request("POST", path, json.dumps(body))
            return as_document(connection.getresponse().read())
        finally:
            connection.close()

    def kubeconfig_of(self, program: str) -> Path:
        """Return the configuration file of one of `USERS`."""
        return self.folder / f"{program}.kubeconfig"

    def _write_files(self) -> None:
        certificate, key = self._authority.serving(
            "kube-apiserver",
            names=["localhost", "kubernetes", "kubernetes.default.svc"],
            addresses=[self.address, KUBERNETES_SERVICE],
        )
        of_kubelet, of_kubelet_key = self._authority.client("admin", "system:masters")
        tokens = {program: secrets.token_hex(16) for program in USERS}
        rows = [f'{self.token},admin,admin,"system:masters"']
        rows += [
            f'{tokens[program]},{user},{user},"{"system:nodes" if program == "kubelet" else ""}"'
            for program, user in USERS.items()
        ]
        files: dict[str, bytes | Document | str] = {
            "server.pem": certificate,
            "server.key": key,
            "kubelet-client.pem": of_kubelet,
            "kubelet-client.key": of_kubelet_key,
            "accounts.key": key_pem(new_key()),
            "tokens.csv": "".join(f"{row}\n" for row in rows),
            "kubeconfig": self._kubeconfig("admin", self.token),
            **{
                self.kubeconfig_of(name).name: self._kubeconfig(name, tokens[name])
                for name in USERS
            },
            "audit.json": AUDIT,
        }
        for name, content in files.items():
            text = json.dumps(content) if isinstance(content, dict) else content
            path = self.folder / name
            path.touch(mode=0o600)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def _kubeconfig(self, user: str, token: str) -> Document:
        cluster = {"server": self.url, "certificate-authority": str(self.folder / "ca.pem")}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "current-context": "test",
        }

    def _etcd_flags(self) -> list[str]:
        clients = f"http://{self.address}:{self._etcd_port}"
        return [
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            # One member needs no peers; port 0 is any.
            "--listen-peer-urls=http://127.0.0.1:0",
            # A crash of the machine ends the tests too.
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _server_flags(self) -> list[str]:
        folder, accounts = self.folder, self.folder / "accounts.key"
        flags = [
            f"--etcd-servers=http://{self.address}:{self._etcd_port}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.port}",
            f"--tls-cert-file={folder / 'server.pem'}",
            f"--tls-private-key-file={folder / 'server.key'}",
            f"--client-ca-file={folder / 'ca.pem'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            f"--kubelet-client-certificate={folder / 'kubelet-client.pem'}",
            f"--kubelet-client-key={folder / 'kubelet-client.key'}",
            "--authorization-mode=Node,RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={accounts}",
            f"--service-account-signing-key-file={accounts}",
            f"--service-cluster-ip-range={SERVICES}",
            "--allow-privileged",
            # Else `kubectl logs` looks the node's name up in DNS.
            "--kubelet-preferred-address-types=InternalIP",
        ]
        if self._host is LOOPBACK:
            # Nothing routes to 127.0.0.1 as an endpoint of the `kubernetes` Service.
            flags.append("--endpoint-reconciler-type=none")
        return flags
