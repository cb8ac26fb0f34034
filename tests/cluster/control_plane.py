"""A Kubernetes control plane on loopback: etcd and kube-apiserver, without any controller.

What controllers would do and a test needs (the default ServiceAccount, a quota's status, emptying
a namespace) is done here.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import ssl
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from tests.cluster.issuing import Authority, key_pem, new_key
from tests.cluster.processes import ControlPlaneError, Program, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

START_SECONDS = 90
"""Ready after 5 s alone; a machine whose cores are all busy takes several times that."""
REQUEST_SECONDS = 60
WORKLOADS_OF_TESTS = ("api/v1", "pods"), ("apis/rhtas.redhat.com/v1alpha1", "modelvalidations")
"""What a namespace is emptied of: others' watches would go on seeing it."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server answered: HTTP status, object or Status, admission warnings."""

    status: int
    document: Document
    warnings: tuple[str, ...]

    @property
    def message(self) -> str:
        """The server's sentence, empty where it had nothing to complain of."""
        return str(self.document.get("message", ""))


class ControlPlane:
    """etcd and kube-apiserver; a context manager that stops them whatever happens.

    `flags` are appended to the server's own, such as `--feature-gates=X=true`; admission plugins
    are the server's defaults plus `admission_plugins`. With `audit`, what changes pods is logged
    whole (with the patches of webhooks) and `audit_events` reads them.
    """

    def __init__(
        self,
        programs: Mapping[str, Path],
        *,
        folder: Path,
        admission_plugins: Iterable[str] = (),
        flags: Iterable[str] = (),
        audit: bool = False,
    ) -> None:
        self._kubectl = programs["kubectl"]
        self._folder = folder
        self._etcd_port, self._port = free_ports(2)
        self._token = secrets.token_hex(16)
        self._authority = Authority.new()
        self._trust = ssl.create_default_context(cadata=self._authority.bundle.decode())
        self._write_files()
        extra = [*flags, *(f"--enable-admission-plugins={name}" for name in admission_plugins)]
        if audit:
            extra += [
                f"--audit-log-path={self._audit_log}",
                f"--audit-policy-file={folder / 'audit.json'}",
            ]
        self._etcd = Program([str(programs["etcd"]), *self._etcd_flags()], log=folder / "etcd.log")
        self._server = Program(
            [str(programs["kube-apiserver"]), *self._server_flags(), *extra],
            log=folder / "kube-apiserver.log",
        )
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self._folder / "etcd", ignore_errors=True)
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
    def url(self) -> str:
        """The address of the API server."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def kubeconfig(self) -> Path:
        """The configuration file of a cluster admin, for kubectl and client libraries."""
        return self._folder / "kubeconfig"

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

    # What is asked of it

    def call(
        self,
        method: str,
        path: str,
        body: Document | None = None,
        *,
        content_type: str = "application/json",
        user: str | None = None,
    ) -> Answer:
        """Send one request, as an admin or as `user` (impersonated), whatever the answer is."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type}
        if user is not None:
            headers["Impersonate-User"] = user
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self._port, timeout=REQUEST_SECONDS, context=self._trust
        )
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            content = response.read()
            # RFC 7234: `299 - "text"`
            told = [w.split(" ", 2)[2][1:-1] for w in response.headers.get_all("Warning", [])]
        finally:
            connection.close()
        return Answer(response.status, _document(content), tuple(told))

    def create(
        self, document: Document, *, dry_run: bool = False, user: str | None = None
    ) -> Answer:
        """Create an object of any kind that the server knows, in its own namespace."""
        query = "?dryRun=All" if dry_run else ""
        return self.call("POST", self._collection(document) + query, document, user=user)

    def created(self, document: Document, *, dry_run: bool = False) -> Document:
        """Create an object that a test needs and return it as the server stored it, or would.

        Raises:
            ControlPlaneError: the server refused it.
        """
        answer = self.create(document, dry_run=dry_run)
        if answer.status != http.client.CREATED:
            raise ControlPlaneError(f"The API server refused {document['kind']}: {answer.message}")
        return answer.document

    def apply(self, documents: Iterable[Document]) -> None:
        """Apply objects of any kinds server-side; custom resources are served on return.

        Raises:
            ControlPlaneError: the server refused one.
        """
        items = list(documents)
        given = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        self.kubectl("apply", "--server-side", "-f", "-", given=given)
        for item in items:
            if item["kind"] == "CustomResourceDefinition":
                name = item["metadata"]["name"]
                self.kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")

    def kubectl(
        self, *arguments: str, given: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as an admin (`--as` for others) with `given` on its standard input.

        Raises:
            ControlPlaneError: it failed and `check` is set.
        """
        environment = {
            "HOME": str(self._folder / "home"),
            "KUBECONFIG": str(self.kubeconfig),
            "PATH": os.environ.get("PATH", ""),
        }
        ran = subprocess.run(
            [str(self._kubectl), *arguments],
            input=given or "",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=REQUEST_SECONDS,
        )
        if check and ran.returncode != 0:
            raise ControlPlaneError(f"kubectl {' '.join(arguments)}: {ran.stderr.strip()}")
        return ran

    def audit_events(self) -> list[Document]:
        """Return the audit log's events so far, oldest first."""
        return [json.loads(line) for line in self._audit_log.read_text().splitlines()]

    # What controllers would do

    def make_namespace(self, name: str, *, labels: Mapping[str, str] | None = None) -> None:
        """Create a namespace and its ServiceAccount `default`, without which no pod is admitted."""
        metadata = {"name": name, "labels": dict(labels or {})}
        self.created({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        account = {"name": "default", "namespace": name}
        self.created({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})

    def remove_namespace(self, name: str) -> None:
        """Empty a namespace of pods and policies, and finalize it."""
        for group, plural in WORKLOADS_OF_TESTS:
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
        return self._folder / "audit.log"

    def _collection(self, document: Document) -> str:
        version = document["apiVersion"]
        group = f"/apis/{version}" if "/" in version else f"/api/{version}"
        for resource in self.call("GET", group).document.get("resources", []):
            if resource["kind"] == document["kind"] and "/" not in resource["name"]:
                inside = f"/namespaces/{document['metadata'].get('namespace', 'default')}"
                return f"{group}{inside if resource['namespaced'] else ''}/{resource['name']}"
        raise ControlPlaneError(f"The API server serves no {document['kind']} in {version}.")

    def _etcd_is_ready(self) -> bool:
        return "leader" in self._ask_etcd("/v3/maintenance/status", {})

    def _ask_etcd(self, path: str, body: Document) -> Document:
        connection = http.client.HTTPConnection("127.0.0.1", self._etcd_port, timeout=10)
        try:
            connection.request("POST", path, json.dumps(body))
            return _document(connection.getresponse().read())
        finally:
            connection.close()

    def _write_files(self) -> None:
        (self._folder / "home").mkdir(parents=True, exist_ok=True)
        certificate, key = self._authority.serving("kube-apiserver")
        cluster = {"server": self.url, "certificate-authority": str(self._folder / "ca.pem")}
        files: dict[str, bytes | Document | str] = {
            "ca.pem": self._authority.bundle,
            "server.pem": certificate,
            "server.key": key,
            "accounts.key": key_pem(new_key()),
            "tokens.csv": f'{self._token},admin,admin,"system:masters"\n',
            "kubeconfig": {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "test", "cluster": cluster}],
                "users": [{"name": "admin", "user": {"token": self._token}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
                "current-context": "test",
            },
            "audit.json": {
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
            },
        }
        for name, content in files.items():
            text = json.dumps(content) if isinstance(content, dict) else content
            path = self._folder / name
            path.touch(mode=0o600)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def _etcd_flags(self) -> list[str]:
        clients = f"http://127.0.0.1:{self._etcd_port}"
        return [
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            # One member needs no peers; port 0 is any.
            "--listen-peer-urls=http://127.0.0.1:0",
            # A crash of the machine ends the tests too.
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _server_flags(self) -> list[str]:
        accounts = self._folder / "accounts.key"
        return [
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--tls-cert-file={self._folder / 'server.pem'}",
            f"--tls-private-key-file={self._folder / 'server.key'}",
            f"--client-ca-file={self._folder / 'ca.pem'}",
            f"--token-auth-file={self._folder / 'tokens.csv'}",
            "--authorization-mode=Node,RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={accounts}",
            f"--service-account-signing-key-file={accounts}",
            "--service-cluster-ip-range=10.96.0.0/24",
            # Nothing routes to 127.0.0.1 as an endpoint of the `kubernetes` Service.
            "--endpoint-reconciler-type=none",
            "--allow-privileged",
            "--kubelet-preferred-address-types=InternalIP",
        ]


def _document(content: bytes) -> Document:
    """Return the JSON object; plain text, as `/readyz` answers, becomes its `message`."""
    try:
        parsed = json.loads(content)
    except ValueError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"message": content.decode(errors="replace")}
