"""The manifests against the API server's own schemas, and those of the kinds of others."""

from __future__ import annotations

import json
import subprocess
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.e2e.api_server.installation import manifests as webhook_manifests
from tests.e2e.api_server.installation.manifests import built
from tests.e2e.stack.static import manifests, schemas
from tests.e2e.stack.static.manifests import BUILDS, FLUX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.e2e.api_server.control_plane import ControlPlane, Document

    Check = Callable[[Iterable[Document]], dict[str, str]]

pytestmark = pytest.mark.apiserver


def everything() -> list[Document]:
    """Return the objects of all that a person can build of the manifests, equal ones once."""
    builds = [manifests.build(*build) for build in BUILDS]
    builds += [webhook_manifests.overlay(name) for name in webhook_manifests.OVERLAYS]
    documents = [
        each
        for each in chain(*builds, built(FLUX))
        # cert-manager's kinds are not among the definitions that are fetched.
        if each["kind"] not in ("Certificate", "Issuer")
    ]
    return list({json.dumps(each, sort_keys=True): each for each in documents}.values())


@pytest.fixture(scope="module")
def check(
    cluster: ControlPlane, tools: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Check:
    """Return what checks objects: kubeconform's sentence for each bad one, by its name."""
    versions = {each["apiVersion"] for each in everything()}
    location = schemas.write(cluster, tmp_path_factory.mktemp("schemas"), versions=versions)

    def conform(documents: Iterable[Document]) -> dict[str, str]:
        ran = subprocess.run(
            [tools["kubeconform"], "-strict", "-output=json", "-schema-location", location, "-"],
            input=yaml.dump_all(list(documents), Dumper=yaml.CSafeDumper),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert not ran.stderr, ran.stderr
        return {each["name"]: each["msg"] for each in json.loads(ran.stdout)["resources"]}

    return conform


def test_every_object_conforms(check: Check) -> None:
    """Every overlay, with every component, the webhook's overlays, and Flux's objects."""
    assert check(map(manifests.without_sops, everything())) == {}


@pytest.mark.parametrize(
    ("kind", "name", "path"),
    [
        ("Deployment", "vllm", "spec.template.spec.containers.0.imagePulPolicy"),
        ("HTTPRoute", "open-webui", "spec.rules.0.timeouts.requests"),
        ("ServiceMonitor", "vllm", "spec.endpoints.0.pathh"),
        ("NetworkPolicy", "vllm", "spec.ingres"),
        ("ModelValidation", "granite", "spec.config.sigstore"),
        ("Kustomization", "llm", "spec.dependOn"),
    ],
)
def test_a_misspelled_field_is_found(check: Check, kind: str, name: str, path: str) -> None:
    """Of the API server's kinds and of the others': the schemas are closed."""
    documents = built(FLUX) if kind == "Kustomization" else manifests.build("production")
    document = manifests.named(documents, kind, name)
    *way, field = path.split(".")
    place: Any = document
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    place[field] = {}
    assert field in check([document])[name]
