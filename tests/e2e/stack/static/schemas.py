"""The API server's own schemas, in the form that kubeconform reads.

What it publishes as OpenAPI v3, for its own kinds and for those of resource definitions alike,
becomes a JSON schema for each kind. Fields that a schema does not name are errors there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.e2e.api_server.client import ApiServer

LOCATION: Final = "{{ .Group }}/{{ .ResourceKind }}-{{ .ResourceAPIVersion }}.json"
"""Where kubeconform finds a kind below the folder; the group of the first kinds is `v1`."""

OPEN: Final = "x-kubernetes-preserve-unknown-fields"


def write(server: ApiServer, folder: Path, *, versions: Iterable[str]) -> str:
    """Write the schemas of some API versions, such as `apps/v1`; return kubeconform's location."""
    for version in versions:
        path = f"apis/{version}" if "/" in version else f"api/{version}"
        published = server.call("GET", f"/openapi/v3/{path}").document
        components = {
            "schemas": {
                name: _closed(schema) for name, schema in published["components"]["schemas"].items()
            }
        }
        group, _, number = version.rpartition("/")
        into = folder / (group or number)
        into.mkdir(parents=True, exist_ok=True)
        for name, schema in components["schemas"].items():
            for kind in schema.get("x-kubernetes-group-version-kind", ()):
                if (kind["group"], kind["version"]) == (group, number):
                    document = {"$ref": f"#/components/schemas/{name}", "components": components}
                    file = into / f"{kind['kind'].lower()}-{number}.json"
                    file.write_text(json.dumps(document))
    return f"{folder}/{LOCATION}"


def _closed(schema: Any) -> Any:
    """Return a schema whose objects take no fields but those that it names."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    named = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    if named and "additionalProperties" not in schema and not schema.get(OPEN):
        closed["additionalProperties"] = False
    return closed
