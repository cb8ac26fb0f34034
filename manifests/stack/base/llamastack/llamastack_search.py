"""POST /search: Llama Stack's web search for Open WebUI, in the form of its "external" engine.

Open WebUI shows what it is given as search results and has no place for an error of this engine, so
a search that cannot be made is answered by one result that says why. The key of the search and the
way to the Internet stay with Llama Stack. As `llamastack_health`, this is an API that Llama Stack
loads by its name (docs: "External APIs").
"""

import json
import logging
from types import SimpleNamespace
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Request
from ogx_api import Api, InlineProviderSpec, ProviderSpec
from pydantic import BaseModel, Field

TOOL = "web_search"
LONGEST_QUERY = 400
LONGEST_SNIPPET = 2000
HELP = "https://app.tavily.com"
NO_KEY = (
    "The web search is not set up",
    "Llama Stack has no key for Tavily. Ask the administrator to create the Secret `tavily`.",
)
FAILED = (
    "The web search failed",
    "Tavily gave no answer that can be used. Llama Stack's log says why.",
)

log = logging.getLogger(__name__)


class Settings(BaseModel):
    """There are none."""


class Search(Protocol):
    """The API as Llama Stack registers it: its route needs no methods."""


class Question(BaseModel):
    """The body of a request, as Open WebUI sends it."""

    query: Annotated[str, Field(min_length=1)]
    count: Annotated[int, Field(ge=1, le=20)] = 3


class Result(BaseModel):
    """A result, as Open WebUI reads it."""

    link: str
    title: str
    snippet: str


def available_providers() -> list[ProviderSpec]:
    """Return the one provider, which config.yaml names."""
    return [
        InlineProviderSpec(
            api=Api("search"),
            provider_type="inline::tool",
            module=__name__,
            config_class=f"{__name__}.Settings",
        )
    ]


async def get_provider_impl(_settings: Settings, _dependencies: dict[Api, Any]) -> SimpleNamespace:
    """Return what the route is served by: nothing is needed, but Llama Stack writes its name in."""
    return SimpleNamespace()


def create_router(_provider: object) -> APIRouter:
    """Return the route."""
    router = APIRouter()

    @router.post("/search")
    async def search(request: Request, question: Question) -> list[Result]:
        tools = request.app.stack.impls[Api.tool_runtime]
        offered = await tools.list_runtime_tools()
        if TOOL not in {tool.name for tool in offered.data}:
            return [_said(*NO_KEY)]
        try:
            answer = await tools.invoke_tool(TOOL, {"query": question.query[:LONGEST_QUERY]})
            return [_result(each) for each in json.loads(answer.content)["top_k"]][: question.count]
        except Exception as error:  # noqa: BLE001 — whatever the search's client raises
            log.warning("the web search failed: %s", type(error).__name__)
            return [_said(*FAILED)]

    return router


def _result(found: dict[str, Any]) -> Result:
    snippet = str(found.get("content") or "")[:LONGEST_SNIPPET]
    return Result(link=str(found["url"]), title=str(found.get("title") or ""), snippet=snippet)


def _said(title: str, sentence: str) -> Result:
    """Return a result that says why there is no other; its title is shown as a source."""
    return Result(link=HELP, title=title, snippet=f"{title}: {sentence}")
