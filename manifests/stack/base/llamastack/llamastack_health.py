"""GET /health, which answers as Llama Stack's own GET /v1/health does.

Below /v1 lies all that Llama Stack serves, but people and load balancers ask for /health. It loads
further APIs by their names (docs: "External APIs"); this one has that route and nothing else.
"""

from types import SimpleNamespace
from typing import Any, Protocol

from fastapi import APIRouter, Request
from ogx_api import Api, HealthInfo, InlineProviderSpec, ProviderSpec
from pydantic import BaseModel


class Settings(BaseModel):
    """There are none."""


class Health(Protocol):
    """The API as Llama Stack registers it: its route needs no methods."""


def available_providers() -> list[ProviderSpec]:
    """Return the one provider, which config.yaml names."""
    return [
        InlineProviderSpec(
            api=Api("health"),
            provider_type="inline::alias",
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

    @router.get("/health")
    async def health(request: Request) -> HealthInfo:
        answer: HealthInfo = await request.app.stack.impls[Api.inspect].health()
        return answer

    return router
