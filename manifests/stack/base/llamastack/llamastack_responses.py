"""POST /v1/responses as Llama Stack serves it, without what reaches further than the one request.

Whoever may chat reaches this route through Open WebUI (POST /openai/responses). Llama Stack's own
connects to any MCP server that a request names, and continues the answer of anybody whose id it is
given. Here a request has the web search and functions of its caller's own, and its whole input. As
`llamastack_health`, this is an API that Llama Stack loads by its name (docs: "External APIs");
config.yaml leaves `responses` itself out of `apis`.
"""

from typing import Any, Protocol

from fastapi import APIRouter
from ogx_api import Api, InlineProviderSpec, ProviderSpec
from ogx_api.responses import fastapi_routes
from pydantic import BaseModel

PATH = "/v1/responses"
TOOLS = ("function", "web_search")
"""The beginnings of the types of tools that are allowed: OpenAI's search has several names."""
REFERENCES = ("conversation", "previous_response_id", "prompt")
"""What a request can name that is somebody's, and kept by Llama Stack."""


class Settings(BaseModel):
    """There are none."""


class LimitedResponses(Protocol):
    """The API as Llama Stack registers it: its route needs no methods."""


class Limited:
    """Llama Stack's implementation, for the requests that are allowed."""

    def __init__(self, responses: Any) -> None:
        self._responses = responses

    async def create_openai_response(self, request: Any) -> Any:
        """Answer a request.

        Raises:
            ValueError: It asks for what is not allowed here; Llama Stack answers with status 400.
        """
        for tool in request.tools or ():
            if not tool.type.startswith(TOOLS):
                raise ValueError(f"Tools of the type '{tool.type}' are not allowed here.")
        for name in REFERENCES:
            if getattr(request, name, None) is not None:
                raise ValueError(f"'{name}' is not allowed here: send the whole input.")
        return await self._responses.create_openai_response(request)


def available_providers() -> list[ProviderSpec]:
    """Return the one provider, which config.yaml names."""
    return [
        InlineProviderSpec(
            api=Api("limited_responses"),
            provider_type="inline::limited",
            module=__name__,
            config_class=f"{__name__}.Settings",
            api_dependencies=[Api.responses],
        )
    ]


async def get_provider_impl(_settings: Settings, dependencies: dict[Api, Any]) -> Limited:
    """Return what the route is served by."""
    return Limited(dependencies[Api.responses])


def create_router(provider: Limited) -> APIRouter:
    """Return the one route, by which answers are made; none lists, reads or deletes them."""
    router = fastapi_routes.create_router(provider)
    router.routes = [
        route
        for route in router.routes
        if getattr(route, "path", "") == PATH and "POST" in getattr(route, "methods", ())
    ]
    return router
