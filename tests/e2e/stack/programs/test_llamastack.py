"""Llama Stack with the manifests' configuration and environment, as its own program takes them."""

from __future__ import annotations

import http.server
import json
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.api_server.processes import Program, free_ports, until
from tests.e2e.stack import environments
from tests.e2e.stack.beside import fake_vllm
from tests.e2e.stack.beside.tavily import FOUND, KEY, TavilyOnMachine
from tests.e2e.stack.environments import EnvironmentMissingError
from tests.e2e.stack.static import manifests
from tests.support.served import http_served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.stack.beside.fake_vllm import Asked

START_SECONDS = 120
"""Ready after 15 s alone; a machine whose cores are all busy takes several times that."""
MODEL = f"vllm/{fake_vllm.MODEL}"
SEARCH = {"model": MODEL, "input": "What is new?", "tools": [{"type": "web_search"}]}

pytestmark = pytest.mark.apiserver


@dataclass(frozen=True, slots=True)
class LlamaStack:
    """A running Llama Stack, and the port at which it looks for vLLM."""

    url: str
    vllm_port: int

    def ask(
        self, path: str, body: dict[str, Any] | None = None, *, kind: str = "application/json"
    ) -> tuple[int, str]:
        """Return status and text of an answer; the body is JSON, or a form with JSON in it."""
        written = None if body is None else json.dumps(body)
        if body is not None and kind != "application/json":
            written = urllib.parse.urlencode(
                {name: v if isinstance(v, str) else json.dumps(v) for name, v in body.items()}
            )
        data = None if written is None else written.encode()
        request = urllib.request.Request(  # noqa: S310 — to our own program
            f"{self.url}{path}", data, {"Content-Type": kind}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 — as above
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@contextmanager
def running(folder: Path, **variables: str) -> Iterator[LlamaStack]:
    """Run it inside the block, its folders of the container below a folder of this machine."""
    try:
        program = environments.find("ogx").path / "bin" / "ogx"
    except EnvironmentMissingError as error:
        pytest.skip(str(error))
    port, vllm_port = free_ports(2)
    documents = manifests.build("granite")
    pod = manifests.named(documents, "Deployment", "llamastack")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {each["name"]: each.get("value", "") for each in container["env"]}
    environment |= {
        "VLLM_URL": f"http://127.0.0.1:{vllm_port}/v1",
        "OGX_PORT": str(port),
        "PATH": "/usr/bin:/bin",
        **variables,
    }
    places = {
        mount["mountPath"]: f"{folder}/{mount['name']}" for mount in container["volumeMounts"]
    }
    # The image's entrypoint: `ogx stack run` of what this variable names.
    config = _moved(environment["RUN_CONFIG_PATH"], places)
    _write_files(documents, pod, folder, places)
    command = [
        *("env", "-i", *(f"{name}={_moved(value, places)}" for name, value in environment.items())),
        *(str(program), "stack", "run", config),
    ]
    process = Program(command, log=folder / "llamastack.log", folder=folder)
    stack = LlamaStack(f"http://127.0.0.1:{port}", vllm_port)
    try:
        process.start()
        process.wait_until(lambda: stack.ask("/v1/health")[0] == 200, seconds=START_SECONDS)
        yield stack
    finally:
        process.close()


def _moved(text: str, places: dict[str, str]) -> str:
    for inside, outside in places.items():
        text = text.replace(inside, outside) if inside != "/tmp" else text  # noqa: S108 — a mount
    return text


def _write_files(
    documents: list[dict[str, Any]], pod: dict[str, Any], folder: Path, places: dict[str, str]
) -> None:
    (source,) = (each["configMap"] for each in pod["volumes"] if "configMap" in each)
    data = manifests.named(documents, "ConfigMap", source["name"])["data"]
    for item in source["items"]:
        path = folder / "config" / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_moved(data[item["key"]], places))
    (folder / "state").mkdir()


@pytest.fixture(scope="module")
def keyless(
    programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LlamaStack]:
    """Llama Stack without a key for the search; vLLM is still loading."""
    del programs
    with running(tmp_path_factory.mktemp("keyless")) as stack:
        yield stack


@pytest.fixture
def vllm(keyless: LlamaStack) -> Iterator[Asked]:
    """VLLM serves, and Llama Stack has noticed."""
    with fake_vllm.serving(keyless.vllm_port) as asked:
        until(lambda: MODEL in keyless.ask("/v1/models")[1], what="the model is listed", seconds=60)
        yield asked


def test_health_answers_under_both_paths_before_vllm_does(keyless: LlamaStack) -> None:
    """`curl http://llamastack:8321/health` is what the guide says."""
    assert keyless.ask("/health") == keyless.ask("/v1/health") == (200, '{"status":"OK"}')


@pytest.mark.usefixtures("vllm")
def test_a_chat_is_streamed_token_by_token(keyless: LlamaStack) -> None:
    """Open WebUI receives each token when vLLM writes it."""
    asked = [{"role": "user", "content": "Is it?"}]
    status, text = keyless.ask(
        "/v1/chat/completions", {"model": MODEL, "messages": asked, "stream": True}
    )
    assert status == 200
    events = [line.removeprefix("data: ") for line in text.splitlines() if "delta" in line]
    deltas = [json.loads(event)["choices"][0]["delta"].get("content") for event in events]
    assert tuple(filter(None, deltas)) == fake_vllm.TOKENS


def test_a_search_without_a_key_says_that_there_is_none(keyless: LlamaStack, vllm: Asked) -> None:
    """And nothing is asked of vLLM or of the Internet."""
    assert keyless.ask("/v1/responses", SEARCH) == (
        400,
        '{"detail":"Tool \'web_search\' not found"}',
    )
    assert vllm == []


def test_open_webui_s_search_without_a_key_says_what_to_do(keyless: LlamaStack) -> None:
    """As a result, since Open WebUI shows nothing of an error."""
    status, text = keyless.ask("/search", {"query": "rings", "count": 3})
    (result,) = json.loads(text)
    assert status == 200
    assert result["snippet"].startswith("The web search is not set up: Llama Stack has no key")


@contextmanager
def mcp_server() -> Iterator[tuple[str, list[str]]]:
    """Listen where a request's MCP server is; yield its address, and a list of what was asked."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.requestline)
            self.send_error(http.HTTPStatus.NOT_FOUND)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with http_served(Handler) as url:
        yield f"{url}/mcp", asked


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_no_request_has_it_connect_to_an_mcp_server(
    keyless: LlamaStack, vllm: Asked, kind: str
) -> None:
    """Whoever may chat can send it: it is answered without a connection to the address in it."""
    with mcp_server() as (url, asked):
        tools = [
            {"type": "mcp", "server_label": "x", "server_url": url, "require_approval": "never"}
        ]
        request = SEARCH | {"tools": tools}
        answer = keyless.ask("/v1/responses", request, kind=kind)
    refusal = "Tools of the type 'mcp' are not allowed here."
    assert answer == (400, json.dumps({"detail": refusal}, separators=(",", ":")))
    assert (asked, vllm) == ([], [])


def test_no_request_continues_the_answer_of_another(keyless: LlamaStack, vllm: Asked) -> None:
    """An answer's id is no right to it: it is not continued, and no route reads or lists it."""
    plain = {"model": MODEL, "input": "Is it?"}
    status, text = keyless.ask("/v1/responses", plain)
    answer = json.loads(text)["id"]
    asked = len(vllm)
    for name in ("previous_response_id", "conversation"):
        refused, said = keyless.ask("/v1/responses", plain | {name: answer})
        assert (refused, f"'{name}' is not allowed here" in said) == (400, True)
    assert (status, len(vllm)) == (200, asked)
    for path in (
        "responses",
        f"responses/{answer}",
        "conversations",
        "prompts",
        "connectors",
        "files",
    ):
        assert keyless.ask(f"/v1/{path}")[0] in (404, 405), path


@pytest.mark.usefixtures("programs")
def test_with_a_key_the_model_is_offered_the_search(tmp_path: Path) -> None:
    """By its name; Open WebUI gets what Tavily finds, and is told where it does not answer."""
    with (
        TavilyOnMachine(tmp_path) as tavily,
        running(
            tmp_path,
            TAVILY_SEARCH_API_KEY=KEY,
            HTTPS_PROXY=f"http://{tavily.files.address}",
            SSL_CERT_FILE=str(tavily.files.certificate),
        ) as stack,
        fake_vllm.serving(stack.vllm_port) as asked,
    ):
        until(lambda: MODEL in stack.ask("/v1/models")[1], what="the model is listed", seconds=60)
        status, text = stack.ask("/v1/responses", SEARCH)
        found = stack.ask("/search", {"query": "rings", "count": 3})
        tavily.close()
        failed = stack.ask("/search", {"query": "rings", "count": 3})
    assert status == 200
    assert "".join(fake_vllm.TOKENS) in text
    (request,) = asked
    assert [tool["function"]["name"] for tool in request["tools"]] == ["web_search"]
    assert tavily.files.queries() == ["rings"]
    result = {"link": FOUND["url"], "title": FOUND["title"], "snippet": FOUND["content"]}
    assert (found[0], json.loads(found[1])) == (200, [result])
    assert json.loads(failed[1])[0]["snippet"].startswith("The web search failed: ")
