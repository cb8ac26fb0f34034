"""The stack in a cluster of its own, from nothing: for the lane, and to look at."""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from tests.e2e.api_server import building
from tests.e2e.api_server.installation import manifests
from tests.e2e.node.running import running_cluster
from tests.e2e.stack import environments, images, models, overlay
from tests.e2e.stack.beside import enforcing, envoy, neighbours
from tests.e2e.stack.beside.sigstore import SigstoreOnMachine
from tests.e2e.stack.beside.tavily import TavilyOnMachine
from tests.e2e.stack.stack import DEBUG, Stack
from tests.e2e.stack.static.definitions import GATEWAY, MODULES, definitions
from tests.support.caching import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.stack.environments import Installed

DEPLOYMENTS = ("vllm", "llamastack", "open-webui")
TRUST_CONFIG = "/tmp/trust_config.json"  # noqa: S108 — the debug pod's own


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Build what is missing, start a cluster, apply the stack, sign its model; clean up after.

    Raises:
        EnvironmentMissingError: A program of the stack could not be installed.
        ProgramsMissingError: A program of the cluster could not be built.
        ImagesMissingError: An image could not be built.
        ControlPlaneError: The cluster or the stack does not become ready.
    """
    with ThreadPoolExecutor(max_workers=1) as aside:
        # The ones fill the network and the disk, the others the processor's cores.
        making = aside.submit(_environments)
        around = building.build((*building.NODE, *building.AROUND_THE_STACK))
        programs = making.result()
    archives = (
        images.programs(),
        images.gateway(envoy.program(programs["visitor"]), around["envoy-gateway"]),
    )
    with (
        running_cluster() as (cluster, node),
        SigstoreOnMachine(node.machine.host, cluster.folder) as sigstore,
        TavilyOnMachine(cluster.folder, node.machine.host) as tavily,
        ExitStack() as running,
    ):
        for archive in archives:
            node.import_image(archive)
        enforcer = enforcing.enforcer(around["kube-router"], node)
        running.callback(enforcer.close)
        enforcer.start()
        cluster.api.apply(neighbours.neighbours(around["otel-collector"]))
        traced = cluster.folder / "webhook"
        traced.mkdir()
        cluster.api.kubectl("apply", "-k", str(manifests.on_top(traced, components=("otel",))))
        cluster.api.apply(definitions((*MODULES, GATEWAY)))
        envoy.install(cluster.api)
        storage = cluster.folder / "storage"
        _fill(storage, models.tiny(programs["vllm"]))
        tree = cluster.folder / "overlay"
        overlay.write(
            tree,
            programs=programs,
            storage=storage,
            outside=overlay.Outside(sigstore.files, tavily.files),
        )
        envoy.make_certificate(cluster.folder, overlay.HOST)
        stack = Stack(cluster, node.machine.pid, tree, storage)
        stack.invite()
        yield stack


def install(stack: Stack) -> None:
    """Apply the stack, sign its model from the debug pod, and return when all of it is ready."""
    start = time.monotonic()
    stack.cluster.api.kubectl("apply", "-k", str(stack.overlay))
    stack.cluster.api.kubectl("apply", "-f", str(stack.overlay / overlay.STORAGE))
    certificate = (f"--{part}={stack.cluster.folder / name}" for part, name in envoy.FILES.items())
    stack.kubectl("create", "secret", "tls", "llm-tls", *certificate)
    bring_debug_pod(stack)
    sign(stack)
    signed = time.monotonic()
    stack.rolled_out(*DEPLOYMENTS)
    envoy.wait_until_ready(stack.cluster.api)
    say(f"signed after {signed - start:.0f} s, ready after {time.monotonic() - start:.0f} s")


def bring_debug_pod(stack: Stack) -> None:
    """Have the debug pod there, with what it needs to know of the private Sigstore."""
    stack.cluster.api.kubectl("apply", "-k", str(stack.overlay / "debug"))
    stack.kubectl("wait", "--for=condition=Ready", f"pod/{DEBUG}", "--timeout=120s", seconds=130)
    given = stack.sigstore.trust_config.read_text()
    stack.kubectl("exec", "-i", DEBUG, "--", "sh", "-c", f"cat > {TRUST_CONFIG}", given=given)


def sign(stack: Stack) -> str:
    """Sign the model as it is, keylessly, from the debug pod; return what that said."""
    signature = f"{overlay.MODEL}/model.sig"
    return stack.debug(
        *("model_signing", "sign", "sigstore", overlay.MODEL, f"--signature={signature}"),
        *(f"--trust_config={TRUST_CONFIG}", f"--identity_token={stack.sigstore.token()}"),
    )


def _environments() -> dict[str, Installed]:
    return {name: environments.make(name) for name in environments.ENVIRONMENTS}


def _fill(storage: Path, model: Path) -> None:
    """Make the claims' folders, with the model in its own, of the users who write there."""
    for claim, user in overlay.CLAIMS.items():
        folder = storage / claim
        folder.mkdir(parents=True)
        if claim == "vllm-models":
            shutil.copytree(model, folder / os.path.basename(overlay.MODEL))  # noqa: PTH119
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user, user)
