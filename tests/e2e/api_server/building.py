"""Build the programs of a real Kubernetes from Go modules, once, into a cache.

The `go.mod` and `go.sum` in each folder of `MODULES` pin the versions. Run as a command, with
names or without, it builds what is missing. A folder of the reader's own (`KUBEBUILDER_ASSETS`, as
`setup-envtest` fills it) is used as it is.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.caching import cache, exclusive, say

if TYPE_CHECKING:
    from collections.abc import Sequence

TESTS = Path(__file__).parents[2]
KUBERNETES = TESTS / "e2e" / "api_server" / "tools"
STACK = TESTS / "e2e" / "stack" / "modules"
HELM = TESTS / "e2e" / "api_server" / "helm"
PROMETHEUS = TESTS / "e2e" / "api_server" / "prometheus"
RELEASES = TESTS / "e2e" / "api_server" / "releases"
RELEASE = "MODEL_VALIDATION_KUBERNETES"
"""Names another release of Kubernetes, such as `v1.35`, whose API server the tests are to use."""
MODULES = {
    KUBERNETES: {
        "etcd": "go.etcd.io/etcd/server/v3",
        **{
            name: f"k8s.io/kubernetes/cmd/{name}"
            for name in (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-proxy",
                "kube-scheduler",
                "kubectl",
                "kubelet",
            )
        },
    },
    TESTS / "e2e" / "node" / "tools": {"coredns": "github.com/coredns/coredns"},
    TESTS / "e2e" / "stack" / "tools": {
        "age-keygen": "filippo.io/age/cmd/age-keygen",
        "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform",
        "sops": "github.com/getsops/sops/v3/cmd/sops",
    },
    TESTS / "e2e" / "api_server" / "cert_manager": {"cert-manager": "."},
    HELM: {"helm": "helm.sh/helm/v4/cmd/helm"},
    PROMETHEUS: {"promtool": "github.com/prometheus/prometheus/cmd/promtool"},
    TESTS / "e2e" / "sigstore" / "tools": {
        "fulcio": "github.com/sigstore/fulcio",
        "rekor-server": "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix",
        "timestamp-server": "github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server",
        "verify-entry": ".",
    },
    STACK / "gateway": {"envoy-gateway": "github.com/envoyproxy/gateway/cmd/envoy-gateway"},
    STACK / "collector": {"otel-collector": "."},
    STACK / "router": {"kube-router": "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"},
    STACK / "flux": {
        name: f"github.com/fluxcd/{name}" for name in ("kustomize-controller", "source-controller")
    },
    **{
        folder: {f"kube-apiserver-{folder.name}": "k8s.io/kubernetes/cmd/kube-apiserver"}
        for folder in sorted(RELEASES.glob("v*"))
    },
}
"""Folder of a Go module to its programs, each with its package, which `tools.go` there imports or
which is the folder's own."""

TAGS = {"promtool": "remove_all_sd"}
"""Build tags: promtool needs none of Prometheus' service discovery, whose clients of clouds would
be most of the build."""

PACKAGES = {name: package for programs in MODULES.values() for name, package in programs.items()}
CONTROL_PLANE = ("etcd", "kube-apiserver", "kubectl")
NODE = (
    *CONTROL_PLANE,
    *("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns"),
)
MANIFESTS = ("age-keygen", "helm", "kubeconform", "kubectl", "sops", "promtool")
"""The programs that build, check, install and encrypt the manifests, and try their alerts."""
FLUX = ("age-keygen", "kustomize-controller", "sops", "source-controller")
AROUND_THE_STACK = ("kube-router", "envoy-gateway", "otel-collector", *FLUX)
BUILD_SECONDS = 1800
"""A cold kube-apiserver takes 4 minutes on 2 cores; more than this is a hang."""
TAIL_LINES = 15


class ProgramsMissingError(Exception):
    """A program is not there, or could not be built; the message says what to do."""


def kubernetes_version(module: Path | None = None) -> str:
    """Return the version of Kubernetes that a module pins, such as `v1.36.3`.

    Args:
        module: The folder of the module; by default the one whose API server the tests use.
    """
    folder = module or _module(_named("kube-apiserver"))
    required = re.compile(r"^(?:require)?\s*k8s\.io/kubernetes (v\S+)$", re.MULTILINE)
    pinned = required.search((folder / "go.mod").read_text())
    if pinned is None:
        raise ProgramsMissingError(f"{folder / 'go.mod'} does not require k8s.io/kubernetes.")
    return pinned[1]


def releases() -> tuple[str, ...]:
    """Return the other releases of Kubernetes whose API server can be built, such as `v1.35`."""
    return tuple(folder.name for folder in sorted(RELEASES.glob("v*")))


def find(names: Sequence[str] = CONTROL_PLANE) -> dict[str, Path]:
    """Return the path of each program.

    Raises:
        ProgramsMissingError: one is neither in `KUBEBUILDER_ASSETS` nor in the cache.
    """
    found = {name: _own(name) or _cached(_named(name)) for name in names}
    missing = [name for name, path in found.items() if not path.is_file()]
    if missing:
        raise ProgramsMissingError(
            f"{', '.join(missing)} not built yet: run `make cluster-tools` (about 5 minutes, once; "
            "needs Go), or set KUBEBUILDER_ASSETS to a folder that has them."
        )
    return found


def build(names: Sequence[str] = CONTROL_PLANE) -> dict[str, Path]:
    """Build the programs that are missing, telling progress on standard error.

    Raises:
        ProgramsMissingError: Go is missing or a build failed.
    """
    try:
        return find(names)  # without waiting for whoever builds other ones
    except ProgramsMissingError:
        pass
    with exclusive(_cache()):
        return {name: _own(name) or _built(_named(name)) for name in names}


def _named(program: str) -> str:
    """Return the name by which `PACKAGES` knows a program: the API server's may be a release's."""
    release = os.environ.get(RELEASE)
    if program != "kube-apiserver" or not release:
        return program
    if release not in releases():
        raise ProgramsMissingError(
            f"{RELEASE} names {release}, and the releases are {', '.join(releases())}."
        )
    return f"{program}-{release}"


def _own(name: str) -> Path | None:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    path = Path(assets) / name if assets else None
    return path if path and path.is_file() else None


def _built(name: str) -> Path:
    target = _cached(name)
    if target.is_file():
        say(f"{name}: already in {target.parent}")
        return target
    say(f"{name}: building ...")
    start = time.monotonic()
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{name}.{os.getpid()}")
    try:
        flags = ["-trimpath", "-ldflags", _link_flags(name), "-o", str(partial)]
        flags += ["-tags", TAGS[name]] if name in TAGS else []
        _go("build", *flags, PACKAGES[name], folder=_module(name))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    say(f"{name}: built in {time.monotonic() - start:.0f} s")
    return target


def _cached(name: str) -> Path:
    module = _module(name)
    files = [module / file for file in ("go.mod", "go.sum", "main.go")]
    sources = b"".join(file.read_bytes() for file in files if file.is_file())
    built_by = _go("env", "GOVERSION", "GOOS", "GOARCH", folder=module) + _link_flags(name)
    built_by += TAGS.get(name, "")
    key = hashlib.sha256(sources + built_by.encode()).hexdigest()[:16]
    return _cache() / key / name


def _module(name: str) -> Path:
    return next(folder for folder, programs in MODULES.items() if name in programs)


def _cache() -> Path:
    return cache("bin")


def _link_flags(name: str) -> str:
    """Return flags that strip, and that make the server say its version as a release does."""
    module = _module(name)
    version = kubernetes_version(module if module.parent == RELEASES else KUBERNETES)
    major, minor, _ = version.removeprefix("v").split(".", 2)
    told = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
    }
    named = [f"-X k8s.io/component-base/version.{key}={value}" for key, value in told.items()]
    return " ".join(["-s -w", *named])


def _go(*arguments: str, folder: Path) -> str:
    if shutil.which("go") is None:
        raise ProgramsMissingError(
            "Go is not installed (the `go` command, 1.26 or newer): install it and run "
            "`make cluster-tools`, or set KUBEBUILDER_ASSETS to a folder with "
            f"{', '.join(CONTROL_PLANE)}."
        )
    try:
        ran = subprocess.run(
            ["go", *arguments],
            cwd=folder,
            env={**os.environ, "CGO_ENABLED": "0"},
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise ProgramsMissingError(
            f"`go {arguments[0]} … {arguments[-1]}` took longer than {BUILD_SECONDS} s; "
            "is the Go module proxy (`go env GOPROXY`) reachable?"
        ) from None
    if ran.returncode != 0:
        tail = "\n".join((ran.stdout + ran.stderr).splitlines()[-TAIL_LINES:])
        raise ProgramsMissingError(
            f"`go {arguments[0]} … {arguments[-1]}` failed with exit code {ran.returncode}; "
            f"its last lines:\n{tail}"
        )
    return ran.stdout


def main(names: Sequence[str]) -> int:
    """Build the named programs, or those of `make test`; return the exit code."""
    unknown = [name for name in names if name not in PACKAGES]
    if unknown:
        say(f"unknown program {', '.join(unknown)}; known are {', '.join(PACKAGES)}")
        return 2
    try:
        build(names or (*CONTROL_PLANE, *MANIFESTS))
    except ProgramsMissingError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
