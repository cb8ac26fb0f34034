from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from itertools import product
from typing import TYPE_CHECKING, Any

import jsonpatch
import pytest
from cryptography import x509

from tests.support.cluster_rules import stored as stored_rule
from tests.support.fakes.fake_api_server import (
    NAMESPACES,
    POLICIES,
    RULES,
    FakeApiServer,
    namespace,
    policy,
    says_version,
    status,
)
from tests.support.webhook_process import POLICY, START_SECONDS, Webhook, pod, review
from webhook.review import BODY_LIMIT
from webhook.serving.connections import CONNECTIONS_LIMIT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

JSON = {"Content-Type": "application/json"}
ELSEWHERE = {"matchLabels": {"stage": "test"}}


@pytest.fixture
async def webhook(tmp_path: Path) -> AsyncIterator[Webhook]:
    """A webhook that serves one policy from a directory, and is ready."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "granite.yaml").write_text(POLICY)
    async with Webhook(tmp_path, options=("--drain-seconds", "1")) as running:
        await running.ready()
        yield running


async def asked(webhook: Webhook, path: str, document: dict[str, Any]) -> dict[str, Any]:
    """Return the `response` to a review."""
    # A stream: the client warns of large bodies in one piece.
    body = io.BytesIO(json.dumps(document).encode())
    url = webhook.url(path)
    async with webhook.client() as client, client.post(url, data=body, headers=JSON) as answer:
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = (await answer.json())["response"]
        return found


async def asked_again(webhook: Webhook, document: dict[str, Any]) -> dict[str, Any]:
    """Return the `response` to a large review, asked again while the process for them is busy."""
    async with asyncio.timeout(120):
        while True:
            try:
                return await asked(webhook, "/mutate", document)
            except AssertionError as error:
                if "try again" not in str(error):
                    raise
                await asyncio.sleep(0.5)


def patched(document: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    """Return the pod with the response's patch, applied by somebody else's code."""
    operations = json.loads(base64.b64decode(response["patch"]))
    made: dict[str, Any] = jsonpatch.apply_patch(document, operations)
    return made


async def test_a_pod_gets_its_gate_and_passes(webhook: Webhook) -> None:
    """`/validate` accepts the result of `/mutate`, and not the original pod."""
    before = pod()
    response = await asked(webhook, "/mutate", review(before))
    assert (response["uid"], response["allowed"]) == ("the-uid", True)
    after = patched(before, response)
    assert [each["name"] for each in after["spec"]["initContainers"]] == ["model-validation"]
    assert response["auditAnnotations"]["policy"] == "granite"

    again = await asked(webhook, "/mutate", review(after))
    assert "patch" not in again
    assert (await asked(webhook, "/validate", review(after)))["allowed"]
    assert not (await asked(webhook, "/validate", review(before)))["allowed"]


async def test_a_refusal_is_an_answer(webhook: Webhook) -> None:
    """A pod that names an unknown policy gets status 200, allowed: false and a sentence."""
    document = pod(labels={"validation.rhtas.redhat.com/ml": "no-such"})
    response = await asked(webhook, "/mutate", review(document))
    assert not response["allowed"]
    assert response["status"]["code"] == 403
    assert "no ModelValidation 'no-such' (there is 'granite')" in response["status"]["message"]


async def test_a_policy_that_comes_with_its_pod_is_found(webhook: Webhook) -> None:
    """A pod that is created directly after its policy is not refused for lack of it."""
    text = POLICY.replace("granite}", "mistral}")
    (webhook.folder / "policies" / "mistral.yaml").write_text(text)
    document = pod(labels={"validation.rhtas.redhat.com/ml": "mistral"})
    assert (await asked(webhook, "/mutate", review(document)))["allowed"]


async def test_a_replica_that_is_late_does_no_harm(webhook: Webhook) -> None:
    """A pod with the previous generation's gate passes; with an older one's it would not."""
    before = pod()
    after = patched(before, await asked(webhook, "/mutate", review(before)))
    text = POLICY.replace("BEGIN PUBLIC", "BEGIN OTHER")
    (webhook.folder / "policies" / "granite.yaml").write_text(text)
    fresh = patched(before, await asked(webhook, "/mutate", review(pod(), dryRun=True)))
    while fresh == after:  # the directory is looked at every two seconds
        await asyncio.sleep(0.1)
        fresh = patched(before, await asked(webhook, "/mutate", review(pod())))
    assert (await asked(webhook, "/validate", review(fresh)))["allowed"]
    assert (await asked(webhook, "/validate", review(after)))["allowed"]


BAD_REQUESTS: list[tuple[bytes | str, dict[str, str], int, str]] = [
    (b"", JSON, 400, "the body is empty"),
    (b"{", JSON, 400, "not JSON"),
    (b"[" * 100_000, JSON, 400, "not an AdmissionReview"),
    (json.dumps(review(pod())), {"Content-Type": "text/plain"}, 415, "send application/json"),
    (b"x", JSON | {"Content-Encoding": "gzip"}, 415, "compressed"),
    (json.dumps(review(pod()) | {"apiVersion": "admission.k8s.io/v1beta1"}), JSON, 400, "v1"),
    (json.dumps(review(pod()) | {"kind": "Pod"}), JSON, 400, "answers AdmissionReview"),
    (json.dumps(review(pod(), uid="")), JSON, 400, "uid"),
    (json.dumps(review(pod(), object=None)), JSON, 400, "no object"),
    (json.dumps(review(pod(), namespace="")), JSON, 400, "no namespace"),
    (json.dumps(review(pod(), namespace="../x")), JSON, 400, "namespace"),
    (json.dumps(review({"metadata": 7})), JSON, 400, "not a pod"),
    (json.dumps(review(pod(), operation="DELETE")), JSON, 400, "not DELETE of 'v1/pods'"),
    (json.dumps(review(pod(), subResource="status")), JSON, 400, "v1/pods/status"),
    (
        json.dumps(review(pod(), resource={"group": "apps", "version": "v1", "resource": "jobs"})),
        JSON,
        400,
        "correct the rules of the webhook's configuration",
    ),
]


async def test_a_bad_request_is_told_so(webhook: Webhook) -> None:
    """Each mistake gets its status and a `Status` object with a sentence; then service goes on."""
    async with webhook.client() as client:
        for path, (body, headers, code, sentence) in product(
            ("/mutate", "/validate"), BAD_REQUESTS
        ):
            async with client.post(webhook.url(path), data=body, headers=headers) as answer:
                document = await answer.json()
            assert (answer.status, document["kind"], document["code"]) == (code, "Status", code)
            assert sentence in document["message"]
            assert "Traceback" not in document["message"]
    assert (await asked(webhook, "/mutate", review(pod())))["allowed"]


async def test_other_paths_and_methods_are_not_there(webhook: Webhook) -> None:
    """The port of the reviews has two paths, which take POST; probes are elsewhere."""
    base = f"https://127.0.0.1:{webhook.port}"
    async with webhook.client() as client:
        for path in ("/", "/metrics", "/healthz", "/mutate/x"):
            assert (await client.post(base + path, json={})).status == 404
        assert (await client.get(base + "/mutate")).status == 405


async def test_large_reviews_are_answered(webhook: Webhook) -> None:
    """A review of 30 MiB is served, several at once take turns, and the process lives."""
    large = pod(annotations={"note": "x" * (30 * 1024 * 1024)})
    answers = await asyncio.gather(
        *(asked_again(webhook, review(large)) for _ in range(3)),
        *(asked(webhook, "/mutate", review(pod())) for _ in range(10)),
    )
    assert all(answer["allowed"] for answer in answers)


async def test_small_reviews_overtake_large_ones(webhook: Webhook) -> None:
    """While the process for large reviews stands still, all others are answered."""
    large = pod(annotations={"note": "x" * (1024 * 1024)})
    assert (await asked_again(webhook, review(large)))["allowed"]
    worker = (await webhook.logged("worker started"))["pid"]
    os.kill(worker, signal.SIGSTOP)
    try:
        waiting = [asyncio.create_task(asked_again(webhook, review(large))) for _ in range(10)]
        for _ in range(20):
            assert (await asked(webhook, "/mutate", review(pod())))["allowed"]
        assert not any(each.done() for each in waiting)
    finally:
        os.kill(worker, signal.SIGCONT)
    assert all([(await each)["allowed"] for each in waiting])


async def test_a_body_over_the_limit_is_not_read(webhook: Webhook) -> None:
    """A body that announces too much is refused at once; others are refused while they are read."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", webhook.port, ssl=insecure(), server_hostname="127.0.0.1"
    )
    writer.write(
        b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % (BODY_LIMIT + 1)
    )
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 1024 * 1024

    async with webhook.client() as client:
        request = client.post(webhook.url("/mutate"), data=chunks(), headers=JSON)
        async with request as answer:
            assert answer.status == 413


async def test_a_slow_body_times_out(webhook: Webhook) -> None:
    """A client that announces a body and does not send it is disconnected after five seconds."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", webhook.port, ssl=insecure(), server_hostname="127.0.0.1"
    )
    writer.write(
        b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 1000\r\n\r\n{"
    )
    start = time.monotonic()
    assert b" 408 " in await asyncio.wait_for(reader.readline(), 10)
    assert 4 < time.monotonic() - start < 8
    writer.close()


async def test_large_bodies_that_never_come_keep_nobody_waiting(webhook: Webhook) -> None:
    """Two connections that announce all there is room for, and send one byte of it."""
    held = [await asyncio.open_connection("127.0.0.1", webhook.port, ssl=insecure()) for _ in "ab"]
    for _, writer in held:
        writer.write(
            b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n{" % BODY_LIMIT
        )
        await writer.drain()
    await asyncio.sleep(0.5)
    start = time.monotonic()
    assert (await asked(webhook, "/mutate", review(pod())))["allowed"]
    assert time.monotonic() - start < 2
    for _, writer in held:
        writer.close()


async def test_connections_that_are_left_open_make_room(webhook: Webhook) -> None:
    """Also connections without a handshake; a client that sends requests keeps its connection."""
    body = json.dumps(review(pod())).encode()
    with ExitStack() as stack:
        answers, asking = await asyncio.open_connection("127.0.0.1", webhook.port, ssl=insecure())
        stack.callback(asking.close)
        left: list[asyncio.StreamReader] = []
        for _ in range(3):
            for _ in range(CONNECTIONS_LIMIT // 2):
                reader, writer = await asyncio.open_connection("127.0.0.1", webhook.port)
                stack.callback(writer.close)
                left.append(reader)
            asking.write(
                b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            async with asyncio.timeout(5):
                head = await answers.readuntil(b"\r\n\r\n")
                length = next(line for line in head.split(b"\r\n") if b"Content-Length" in line)
                await answers.readexactly(int(length.partition(b":")[2]))
            assert head.startswith(b"HTTP/1.1 200 ")
        await asyncio.sleep(0.5)
        assert sum(not reader.at_eof() for reader in left) < CONNECTIONS_LIMIT


async def test_rubbish_on_the_wire_harms_nobody(webhook: Webhook) -> None:
    """Plain text on the TLS port, a broken handshake, an absurd header: the next one is served."""
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff", b""):
        _, plain = await asyncio.open_connection("127.0.0.1", webhook.port)
        plain.write(data)
        plain.close()
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", webhook.port, ssl=insecure(), server_hostname="127.0.0.1"
    )
    writer.write(b"POST /mutate HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n")
    assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    assert (await asked(webhook, "/mutate", review(pod())))["allowed"]
    assert not any(line["event"] == "not JSON" for line in webhook.log)


async def test_decisions_are_logged_without_the_pods_contents(webhook: Webhook) -> None:
    """One line says who, where, which policy and what; nothing that the pod's author wrote."""
    document = pod(annotations={"note": "a secret of the pod"})
    document["spec"]["containers"][0]["env"] = [{"name": "TOKEN", "value": "a secret value"}]
    await asked(webhook, "/mutate", review(document))
    line = await webhook.logged("review")
    assert {key: line[key] for key in ("path", "verdict", "namespace", "pod", "policy")} == {
        "path": "/mutate",
        "verdict": "allowed",
        "namespace": "models",
        "pod": "llm-",
        "policy": "granite",
    }
    assert line["milliseconds"] > 0
    assert "a secret" not in json.dumps(webhook.log)


async def test_a_name_cannot_write_a_log_line(webhook: Webhook) -> None:
    """Line feeds and escapes in names arrive in the log as text."""
    name = 'x\n{"event": "forged"}\x1b[31m'
    await asked(webhook, "/mutate", review(pod(), name=name))
    line = await webhook.logged("review")
    assert "\n" not in line["pod"]
    assert "\x1b" not in line["pod"]
    assert not any(each["event"] == "forged" for each in webhook.log)


async def test_metrics_count_what_was_answered(webhook: Webhook) -> None:
    """Reviews by path and verdict, policies, and the certificate's end are there."""
    await asked(webhook, "/mutate", review(pod()))
    await asked(webhook, "/validate", review(pod()))
    async with webhook.client() as client:
        await client.post(webhook.url("/mutate"), data=b"", headers=JSON)
    metrics = await webhook.metrics()
    prefix = "model_validation_webhook"
    assert f'{prefix}_reviews_total{{path="/mutate",verdict="allowed"}} 1.0' in metrics
    assert f'{prefix}_reviews_total{{path="/mutate",verdict="invalid"}} 1.0' in metrics
    assert f'{prefix}_reviews_total{{path="/validate",verdict="refused"}} 1.0' in metrics
    assert f'{prefix}_policies{{state="usable"}} 1.0' in metrics
    assert f"{prefix}_certificate_expiry_timestamp_seconds 0" not in metrics


async def test_certificate_and_policies_are_renewed_without_a_restart(webhook: Webhook) -> None:
    """New connections see the new certificate, and reviews the new policies, in a few seconds."""
    fresh = x509.load_pem_x509_certificate(webhook.renew())
    async with asyncio.timeout(10):
        while x509.load_der_x509_certificate(await webhook.shown()) != fresh:  # noqa: ASYNC110 — the other side is a process
            await asyncio.sleep(0.1)
    assert (await asked(webhook, "/mutate", review(pod())))["allowed"]

    (webhook.folder / "tls.key").write_bytes(b"rubbish")
    line = await webhook.logged("the certificate cannot be used")
    assert line["meanwhile"] == "the one that was loaded before stays in use"
    assert (await asked(webhook, "/mutate", review(pod())))["allowed"]


async def test_a_draining_webhook_answers_until_it_is_forgotten(webhook: Webhook) -> None:
    """At SIGTERM: not ready at once, reviews answered with `Connection: close`, then exit 0."""
    async with webhook.client() as client:
        url = webhook.url("/mutate")
        async with client.post(url, json=review(pod())) as answer:
            assert answer.headers.get("Connection") != "close"
        slow = asyncio.create_task(_slowly(webhook, seconds=1.5))
        await asyncio.sleep(0.2)
        start = time.monotonic()
        webhook.terminate()
        await webhook.logged("draining")
        assert "draining" in await webhook.readiness()
        async with client.post(url, json=review(pod())) as answer:
            assert answer.status == 200
            assert answer.headers["Connection"] == "close"
        assert b" 200 " in await slow
        assert await webhook.ended() == 0
    assert 1 <= time.monotonic() - start < 30
    assert webhook.log[-1]["event"] == "ended"


async def _slowly(webhook: Webhook, *, seconds: float) -> bytes:
    """Send a review in two halves; return the first line of the answer."""
    body = json.dumps(review(pod())).encode()
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", webhook.port, ssl=insecure(), server_hostname="127.0.0.1"
    )
    writer.write(
        b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    writer.write(body[:100])
    await asyncio.sleep(seconds)
    writer.write(body[100:])
    line = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    return line


async def test_a_second_sigterm_ends_it_at_once(tmp_path: Path) -> None:
    """A second signal skips the drain."""
    async with Webhook(tmp_path, options=("--drain-seconds", "60")) as running:
        running.terminate()
        await running.logged("draining")
        running.terminate()
        assert await running.ended(seconds=5) == 128 + 15


async def test_it_is_not_ready_without_a_certificate(tmp_path: Path) -> None:
    """An empty Secret: alive, not ready, and served as soon as the pair is there."""
    (tmp_path / "tls.crt").write_bytes(b"")
    (tmp_path / "tls.key").write_bytes(b"")
    async with Webhook(tmp_path) as running:
        assert await running.readiness() == "not ready: certificate\n"
        line = await running.logged("the certificate cannot be used")
        assert str(tmp_path / "tls.crt") in line["reason"]
        assert line["meanwhile"] == "no review is answered until the files hold one"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await running.shown()
        running.renew()
        await running.ready()
        await running.shown()


async def test_policies_come_from_the_cluster(tmp_path: Path) -> None:
    """With a kubeconfig: not ready before both lists, then reviews by what the cluster has."""
    async with FakeApiServer().running() as server:
        server.lists[POLICIES].extend(status(503) for _ in range(3))
        options = ("--kubeconfig", str(server.kubeconfig(tmp_path)))
        async with Webhook(tmp_path, options=options) as running:
            early = review(pod())
            url = running.url("/mutate")
            async with running.client() as client, client.post(url, json=early) as answer:
                assert answer.status in {200, 503}
            await running.ready()
            volume = {"persistentVolumeClaim": {"claimName": "models"}}
            made = policy("granite", model={"path": "/models/granite", "volume": volume})
            await server.put(NAMESPACES, namespace("models"))
            await server.put(POLICIES, made)
            response = await asked(running, "/mutate", review(pod()))
            assert response["allowed"], response
            assert response["auditAnnotations"]["policy-uid"] == "uid-of-granite"
            running.terminate()
            await running.logged("draining")


async def test_rules_of_the_cluster_hold_for_large_reviews_too(tmp_path: Path) -> None:
    """The process for them is told what holds: both make one patch of one pod."""
    async with FakeApiServer().running() as server:
        options = ("--kubeconfig", str(server.kubeconfig(tmp_path)))
        volume = {"persistentVolumeClaim": {"claimName": "models"}}
        made = policy("granite", model={"path": "/models/granite", "volume": volume})
        await server.put(NAMESPACES, namespace("models"))
        await server.put(POLICIES, made)
        await server.put(RULES, stored_rule("company"))
        await server.put(RULES, stored_rule("other", namespaceSelector=ELSEWHERE))
        async with Webhook(tmp_path, options=options) as running:
            await running.ready()
            gates = []
            for note in ("", "x" * (1024 * 1024)):
                answer = await asked_again(running, review(pod(annotations={"note": note})))
                assert answer["auditAnnotations"]["cluster-rules"] == "company/1"
                patch = json.loads(base64.b64decode(answer["patch"]))
                gates += [each for each in patch if each["path"] == "/spec/initContainers"]
            assert gates[0] == gates[1]


async def test_an_api_server_that_is_too_old_is_one_sentence(tmp_path: Path) -> None:
    """It drops a field that gates need: the webhook ends, and says to which release to upgrade."""
    async with FakeApiServer().running() as server:
        server.versions.append(says_version("1", "30+"))
        webhook = Webhook(tmp_path, options=("--kubeconfig", str(server.kubeconfig(tmp_path))))
        webhook.renew()
        process = await asyncio.create_subprocess_exec(
            *webhook.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            _, told = await asyncio.wait_for(process.communicate(), timeout=60)
        finally:  # a server waits for its clients
            with suppress(ProcessLookupError):
                process.kill()
    assert process.returncode == 2
    assert b"Kubernetes 1.30, which drops recursiveReadOnly" in told
    assert b"upgrade the cluster to 1.31 or newer" in told
    assert b"Traceback" not in told
    assert not server.lists_of(POLICIES)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / "policies" / "a.yaml").write_text("{"), "not YAML"),
        (lambda folder: (folder / "policies").rmdir(), "cannot be read"),
    ],
)
def test_a_bad_start_is_one_sentence(
    tmp_path: Path, spoil: Callable[[Path], object], sentence: str
) -> None:
    """Exit code 2 and what to do, no traceback."""
    webhook = Webhook(tmp_path)
    webhook.renew()
    (tmp_path / "policies").mkdir()
    spoil(tmp_path)
    ended = subprocess.run(
        webhook.command, capture_output=True, text=True, check=False, timeout=START_SECONDS
    )
    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_gate_namespace_without_a_cluster_is_one_sentence(tmp_path: Path) -> None:
    """The webhook says that it does not read the option with a directory of policies."""
    command = Webhook(tmp_path, options=("--gate-namespace", "a")).command
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=START_SECONDS
    )
    assert ended.returncode == 2
    assert "--gate-namespace is of a cluster" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    """The sentence says that it cannot listen."""
    webhook = Webhook(tmp_path)
    webhook.renew()
    (tmp_path / "policies").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [*webhook.command, "--port", port]
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=START_SECONDS
        )
    assert ended.returncode == 2
    assert "cannot listen" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["serve"],
        ["serve", "--gate-image", "x", "--tls-cert", "a", "--tls-key", "b", "--port", "70000"],
        [
            "serve",
            "--gate-image",
            "x",
            "--tls-cert",
            "a",
            "--tls-key",
            "b",
            "--drain-seconds",
            "nan",
        ],
        ["mutate"],
        ["mutate", "--policies", "."],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    """One line that says what is wrong and where the options are listed, no traceback."""
    command = [sys.executable, "-m", "webhook", *arguments]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=START_SECONDS
    )
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "--help" in line


def insecure() -> ssl.SSLContext:
    """Return a client's context for tests that are not about certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
