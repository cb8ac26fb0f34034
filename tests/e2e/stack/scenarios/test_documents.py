"""Every command of the guide to the stack works as it stands there, also where the stack is broken.

The stack stands for the reader's own: `mine` is the overlay of the lane, and the debug pod alone is
what prepares a model.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.api_server import building
from tests.e2e.api_server.processes import until
from tests.e2e.node.cluster import statuses
from tests.e2e.node.guides.commands import DOCS, sections
from tests.e2e.stack.beside.webui import LISTING_SECONDS
from tests.e2e.stack.overlay import NAMESPACE
from tests.e2e.stack.running import DEPLOYMENTS, TRUST_CONFIG, bring_debug_pod
from tests.e2e.stack.stack import START_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.e2e.node.guides.commands import Command
    from tests.e2e.stack.stack import Stack

GUIDE: Final = sections("stack.md")
ELSEWHERE: Final = ("job/model-download", "delete -k mine")
"""Commands that are not run: there is no hub, and the stack's end is tried in test_deletion.py."""

COMMAND_SECONDS: Final = 900
LOOKING: Final = (" get ", " logs ", " describe ", " curl ")
LOOKING_SECONDS: Final = 90
"""Each check is repeated: a log or an event may come a moment later."""

FORWARDED: Final = "curl -fsS --retry 10 --retry-connrefused --retry-delay 1"


@contextmanager
def _refused(stack: Stack) -> Iterator[None]:
    """One byte of the model is another one, and vLLM is started anew."""
    weights = stack.model / "model.safetensors"
    content = weights.read_bytes()
    (old,) = stack.ready("vllm")
    try:
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        stack.restart("vllm")
        stack.cluster.wait_until_refused(NAMESPACE, _new_pod(stack, old))
        yield
    finally:
        weights.write_bytes(content)
        stack.kubectl("rollout", "undo", "deployment/vllm")


@contextmanager
def _too_long(stack: Stack) -> Iterator[None]:
    """VLLM is asked for more context than the model has."""
    argument = "/spec/template/spec/containers/0/args/-"
    patch = f'[{{"op": "add", "path": "{argument}", "value": "--max-model-len=100000"}}]'
    (old,) = stack.ready("vllm")
    stack.kubectl("patch", "deployment/vllm", "--type=json", f"--patch={patch}")
    new = _new_pod(stack, old)
    until(lambda: _has_ended(stack, new), what="vLLM ends", seconds=START_SECONDS, pause=2)
    yield


@contextmanager
def _away(stack: Stack) -> Iterator[None]:
    """Llama Stack does not answer."""
    stack.kubectl("scale", "deployment/llamastack", "--replicas=0")
    try:
        until(lambda: not stack.pods("llamastack"), what="it is away", seconds=60, pause=1)
        yield
    finally:
        stack.kubectl("scale", "deployment/llamastack", "--replicas=1")


@contextmanager
def _without_secret(stack: Stack) -> Iterator[None]:
    """The reader has no Secret yet; afterwards the lane's own one is back."""
    stack.kubectl("delete", "secret", "open-webui")
    yield
    stack.kubectl("delete", "secret", "open-webui")


BROKEN: Final[dict[str, Callable[[Stack], AbstractContextManager[None]]]] = {
    "3. The Secrets": _without_secret,
    "The model is refused": _refused,
    "vLLM does not start": _too_long,
    "Open WebUI has no model, or no answer": _away,
}
"""The state of the stack before a section's commands; before the others, it is well."""


@pytest.fixture(scope="module")
def whole(stack: Stack) -> Iterator[Stack]:
    """The stack, which the lane's other tests find well afterwards."""
    yield stack
    _repair(stack)


@pytest.fixture
def place(whole: Stack, tmp_path: Path) -> Path:
    """The reader's folder, with `manifests` and `mine`, and a healthy stack."""
    (tmp_path / "manifests").symlink_to(DOCS.parent / "manifests")
    (tmp_path / "mine").symlink_to(whole.overlay)
    _repair(whole)
    return tmp_path


def _repair(stack: Stack) -> None:
    """Bring the stack back to where the reader expects it."""
    stack.cluster.api.kubectl("apply", "-k", str(stack.overlay))
    bring_debug_pod(stack)
    stack.rolled_out(*DEPLOYMENTS)
    until(lambda: _is_well(stack), what="a model is listed", seconds=LISTING_SECONDS, pause=1)


def _is_well(stack: Stack) -> bool:
    """Return whether no old pod is left, and Llama Stack has found what vLLM serves."""
    pods = [stack.cluster.pods(NAMESPACE, f"app.kubernetes.io/name={n}") for n in DEPLOYMENTS]
    models = stack.ask("get", "http://llamastack:8321/v1/models")
    return all(len(each) == 1 for each in pods) and "granite" in models


@pytest.mark.parametrize("section", GUIDE)
def test_a_section_is_true(stack: Stack, place: Path, section: str) -> None:
    """Each command succeeds, or fails where that is shown, and prints what is shown."""
    with BROKEN.get(section, _well)(stack):
        for command in GUIDE[section]:
            if not any(part in command.line for part in ELSEWHERE):
                _run(command, stack, place)


def test_each_way_to_break_the_stack_is_of_a_section() -> None:
    """A heading that is changed does not leave its commands before a stack that is well."""
    assert BROKEN.keys() <= GUIDE.keys()


@contextmanager
def _well(_stack: Stack) -> Iterator[None]:
    """Nothing is broken."""
    yield


def _run(command: Command, stack: Stack, place: Path) -> None:
    code, output = _typed(command.line, stack, place)

    def is_true() -> bool:
        nonlocal code, output
        if command.is_true(code, output):
            return True
        code, output = _typed(command.line, stack, place)
        return False

    if any(part in command.line for part in LOOKING):
        until(is_true, what=command.line, seconds=LOOKING_SECONDS, pause=2)
    assert command.is_true(code, output), f"{command.line}\n{output}"


def _typed(line: str, stack: Stack, place: Path) -> tuple[int, str]:
    """Type a command, and return its exit code and all that it printed."""
    kubectl = building.find(["kubectl"])["kubectl"]
    ran = subprocess.run(
        ["bash", "-c", _adapted(line, stack)],
        cwd=place,
        env={
            **os.environ,
            "KUBECONFIG": str(stack.cluster.api.kubeconfig),
            "PATH": f"{kubectl.parent}:{os.environ['PATH']}",
            "SIGNER": stack.sigstore.identity,
            "ISSUER": stack.sigstore.issuer,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )
    return ran.returncode, ran.stdout + ran.stderr


def _adapted(line: str, stack: Stack) -> str:
    """Put in what this machine has for a person, a terminal, a hub and the public Sigstore."""
    if " port-forward " in line:
        return f"{line} & trap 'kill $!' EXIT; {FORWARDED} http://localhost:3000/health"
    trust = f"--trust_config={TRUST_CONFIG}"
    for theirs, ours in {
        "manifests/stack/overlays/prepare": "mine/debug",
        " -it ": " -i ",
        "--oauth_force_oob": f"{trust} --identity_token={stack.sigstore.token()}",
        '--identity "$SIGNER"': f'{trust} --identity "$SIGNER"',
    }.items():
        line = line.replace(theirs, ours)
    return line


def _has_ended(stack: Stack, pod: str) -> bool:
    """Return whether a pod's vLLM has been started again; at first nothing is known of it."""
    vllm = statuses(stack.cluster.pod(NAMESPACE, pod)).get("vllm", {})
    return bool(vllm.get("restartCount"))


def _new_pod(stack: Stack, old: str) -> str:
    until(lambda: len(stack.pods("vllm")) > 1, what="a new pod is there", seconds=60, pause=1)
    (new,) = (name for each in stack.pods("vllm") if (name := each["metadata"]["name"]) != old)
    return str(new)
