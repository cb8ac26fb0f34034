"""Policies and namespaces from a directory of YAML files, for serving without a cluster."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import structlog

from validator.errors import PolicyError
from validator.policy.document import FILE_LIMIT
from validator.policy.yaml_documents import load_all
from webhook.errors import SetupError
from webhook.settings import NamespaceOptions
from webhook.sources.documents import Documents
from webhook.sources.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from validator.policy.document import ModelValidation
    from validator.policy.exemption import ModelValidationExemption
    from webhook.metrics import Metrics
    from webhook.policies.choice import LeftOut, Policy
    from webhook.policies.cluster_rules import Rules

RELOAD_SECONDS: Final = 2
"""Between two looks at the directory."""

FILES_LIMIT: Final = 1000

_log = structlog.get_logger()


class DirectorySource:
    """Policies and namespaces from the YAML files of one directory, re-read by content.

    A policy without `metadata.namespace` holds in every namespace. A namespace
    needs a document of its own only where its labels matter. Where a later
    change cannot be read, the last good state stays.
    """

    def __init__(
        self, directory: Path, *, metrics: Metrics, reload_seconds: float = RELOAD_SECONDS
    ) -> None:
        self._directory = directory
        self._metrics = metrics
        self._reload_seconds = reload_seconds
        self._store = Store()
        self._seen = b""
        self._complaint = ""
        self.ready = False
        self.stale = False

    def policies(self, namespace: str) -> tuple[Policy | LeftOut, ...]:
        """Return the policies of a namespace and those of all."""
        return self._store.policies(namespace)

    def namespace(self, name: str) -> NamespaceOptions:
        """Return the namespace as its document describes it; its name, where there is none."""
        return self._store.namespace(name) or NamespaceOptions(name=name, labels_known=False)

    def previous(self, policy: ModelValidation) -> tuple[ModelValidation, ...]:
        """Return what this policy said until a moment ago, latest first."""
        return self._store.previous(policy)

    def exemptions(self, namespace: str) -> tuple[ModelValidationExemption, ...]:
        """Return the exemptions of a namespace's pods, ended ones as well."""
        return self._store.exemptions(namespace)

    def rules(self, namespace: str) -> Rules:
        """Return the rules of the cluster."""
        return self._store.rules(namespace)

    def earlier_rules(self, namespace: str) -> tuple[Rules, ...]:
        """Return the rules as they were until a moment ago, latest first."""
        return self._store.earlier_rules(namespace)

    @property
    def gate_images(self) -> tuple[str, ...]:
        """None: a directory serves one process."""
        return ()

    @property
    def server(self) -> None:
        """Not known: a directory tells of no API server."""

    async def refresh(self, namespace: str) -> None:  # noqa: ARG002 — one namespace costs as much as all
        """Read the directory now."""
        await self._reload()

    async def run(self) -> None:
        """Look at the directory every few seconds until cancelled."""
        while True:
            await asyncio.sleep(self._reload_seconds)
            await self._reload()

    def load(self) -> None:
        """Read the directory for the first time.

        Raises:
            SetupError: It cannot be read, or a file in it is not what it should be.
        """
        contents = _contents(self._directory)
        self._keep(contents, _whole(contents))

    async def _reload(self) -> None:
        """Read the directory again; a state that cannot be read changes nothing but the metric."""
        try:
            contents = await asyncio.to_thread(_contents, self._directory)
            if _digest(contents) == self._seen:
                self._complaint = ""
                return
            # In a thread: 16 MiB of YAML take seconds.
            parsed = await asyncio.to_thread(_whole, contents)
        except SetupError as error:
            if str(error) != self._complaint:
                _log.error("the last good policies stay", reason=str(error))
                self._complaint = str(error)
            self._metrics.policy_reload_failures.inc()
            return
        self._keep(contents, parsed)

    def _keep(self, contents: dict[Path, bytes], documents: Documents) -> None:
        documents.fill(self._store)
        self._seen, self._complaint, self.ready = _digest(contents), "", True
        self._metrics.count_policies(**asdict(self._store.count()))
        _log.info(
            "policies read", directory=str(self._directory), policies=self._store.count().usable
        )


def load_directory(directory: Path) -> Documents:
    """Return what a directory says, read once.

    Raises:
        SetupError: It cannot be read, or a file in it is not what it should be.
    """
    return _parse(_contents(directory))


def _contents(directory: Path) -> dict[Path, bytes]:
    """Return the bytes of the directory's YAML files."""
    try:
        paths = sorted(
            path for path in directory.iterdir() if path.suffix in {".yaml", ".yml", ".json"}
        )
        if len(paths) > FILES_LIMIT:
            raise SetupError(f"{directory} has {len(paths)} files, and {FILES_LIMIT} are allowed")
        return {path: _head(path) for path in paths if path.is_file()}
    except OSError as error:
        raise SetupError(f"the policies in {directory} cannot be read: {error.strerror}") from error


def _head(path: Path) -> bytes:
    """Return one byte more than is allowed, so that the reader sees that it is too much."""
    with path.open("rb") as file:
        return file.read(FILE_LIMIT + 1)


def _digest(contents: dict[Path, bytes]) -> bytes:
    digest = hashlib.sha256()
    for path, text in contents.items():
        digest.update(f"{path.name}\0{len(text)}\0".encode(errors="surrogateescape"))
        digest.update(text)
    return digest.digest()


def _whole(contents: dict[Path, bytes]) -> Documents:
    """Return documents in which nothing is missing that a policy names."""
    documents = _parse(contents)
    try:
        documents.resolved()
    except PolicyError as error:
        raise SetupError(str(error)) from error
    return documents


def _parse(contents: dict[Path, bytes]) -> Documents:
    documents = Documents()
    try:
        for path, text in contents.items():
            for document in load_all(text, source=str(path), limit=FILE_LIMIT):
                documents.add(document, source=str(path))
        documents.refuse_twins()
    except PolicyError as error:
        raise SetupError(str(error)) from error
    return documents
