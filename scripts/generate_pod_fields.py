"""Write the names of a pod's fields, as API servers publish them, for the tests of `Strict`.

    python scripts/generate_pod_fields.py 1.36=OPENAPI.json …

A file is an API server's `/openapi/v3/api/v1` (`kubectl get --raw /openapi/v3/api/v1`; the source
of Kubernetes has it as api/openapi-spec/v3/api__v1_openapi.json). Written are the fields of the
definitions that `webhook.vllm.strict.fields` has a list for, by release.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from webhook.vllm.strict.fields import DEFINITIONS, OF_KUBERNETES

ROOT: Final = Path(__file__).parent.parent
FILE: Final = ROOT / "tests" / "unit" / "webhook" / "vllm" / "strict" / "pod_fields.json"


def main(argv: list[str]) -> None:
    """Write the file."""
    releases = dict(argument.split("=", 1) for argument in argv[1:])
    written = {
        release: fields(json.loads(Path(path).read_text(encoding="utf-8")))
        for release, path in sorted(releases.items())
    }
    FILE.write_text(rendered(written), encoding="utf-8")


def fields(openapi: dict[str, Any]) -> dict[str, list[str]]:
    """Return the fields of each definition that has a list."""
    schemas = openapi["components"]["schemas"]
    names = sorted({OF_KUBERNETES.get(name, name) for name in DEFINITIONS})
    return {name: sorted(schemas[f"io.k8s.api.core.v1.{name}"]["properties"]) for name in names}


def rendered(releases: dict[str, dict[str, list[str]]]) -> str:
    """Return the releases as JSON, a definition a line."""
    parts = []
    for release, definitions in releases.items():
        lines = ",\n".join(
            f"  {json.dumps(name)}: {json.dumps(found)}" for name, found in definitions.items()
        )
        parts.append(f" {json.dumps(release)}: {{\n{lines}\n }}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    main(sys.argv)
