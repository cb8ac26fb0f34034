"""Roots of trust for keyless signatures: where they come from, how old they are.

Verification is offline by default: the production root is the file that the installed
sigstore-python carries. Its own `Verifier.production(offline=True)` is not used: it writes
below HOME, fails where it cannot, and trusts a cache that anybody could have edited.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from validator.errors import BundleError, PolicyError, Undecided
from validator.files import load_json
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

PRODUCTION_URL: Final = "https://tuf-repo-cdn.sigstore.dev"
STAGING_URL: Final = "https://tuf-repo-cdn.sigstage.dev"
"""Sigstore's TUF repositories; also the names of their folders in sigstore-python's data."""

_CAUSES: Final = 10
"""Errors around an error that are looked at."""

_DEPTH: Final = 32
_VALUES: Final = 100_000
_FETCH_LIMIT: Final = 5 * 1024 * 1024
"""Bytes of a trusted root that a TUF repository may serve; today's is 7 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedRoot:
    """A Sigstore trusted root: its bytes, and the facts that a verdict repeats.

    Attributes:
        raw: The trusted_root.json, protobuf-specs' TrustedRoot as JSON.
        newest: Start of its newest key or authority; it cannot know younger ones.
        source: Its origin, for sentences.
    """

    raw: bytes
    newest: datetime | None
    source: str

    @classmethod
    def from_json(cls, raw: bytes, *, source: str) -> Self:
        """Build it from the text of a trusted root or of a client trust configuration.

        Raises:
            PolicyError: It is neither.
        """
        try:
            document = load_json(raw, what="trusted root", depth=_DEPTH, values=_VALUES)
        except BundleError as error:
            raise PolicyError(f"{source}: {error}") from error
        if isinstance(document, dict) and isinstance(document.get("trustedRoot"), dict):
            document = document["trustedRoot"]
            raw = json.dumps(document).encode()
        media_type = document.get("mediaType") if isinstance(document, dict) else None
        if not isinstance(media_type, str) or "trustedroot" not in media_type:
            raise PolicyError(
                f"{source}: not a Sigstore trusted root: its mediaType is {quoted(media_type)}"
            )
        return cls(raw=raw, newest=max(_starts(document), default=None), source=source)

    @classmethod
    def packaged(cls, url: str = PRODUCTION_URL) -> Self:
        """Return the root that the installed sigstore-python carries for `url`.

        Raises:
            Undecided: The installation carries none.
        """
        return cls.from_json(
            _packaged_file(url, "trusted_root.json"), source="the root shipped with sigstore-python"
        )

    @classmethod
    def fetched(cls, url: str, *, root: bytes | None = None) -> Self:
        """Fetch the root from a TUF repository, verified from its initial `root`.

        Nothing is cached, since anybody could have edited a cache.

        Args:
            url: The repository.
            root: Its initial root.json; the packaged one, if absent.

        Raises:
            Undecided: The repository cannot be reached or does not verify.
        """
        # These imports pay for the network, which few need.
        from tuf.api.exceptions import DownloadError, RepositoryError  # noqa: PLC0415
        from tuf.ngclient.updater import Updater  # noqa: PLC0415

        initial = root if root is not None else _packaged_file(url, "root.json")
        try:
            with tempfile.TemporaryDirectory(prefix="model-validation-") as folder:
                updater = Updater(
                    metadata_dir=folder,
                    metadata_base_url=url,
                    target_base_url=f"{url}/targets/",
                    target_dir=folder,
                    bootstrap=initial,
                )
                updater.refresh()
                target = updater.get_targetinfo("trusted_root.json")
                if target is None or target.length > _FETCH_LIMIT:
                    raise Undecided(f"the TUF repository {url} offers no usable trusted_root.json")
                raw = Path(updater.download_target(target)).read_bytes()
        except (DownloadError, RepositoryError, OSError, ValueError) as error:
            raise Undecided(
                f"the trusted root cannot be fetched from {url}: {_cause(error)}; without --online "
                "the shipped root is used"
            ) from error
        return cls.from_json(raw, source=url)

    @property
    def digest(self) -> str:
        """SHA-256 of its bytes, hexadecimal."""
        return hashlib.sha256(self.raw).hexdigest()

    def describe(self, *, now: datetime) -> str:
        """Return digest and age in words, for verdicts."""
        if self.newest is None:
            return f"sha256:{self.digest[:16]} ({self.source})"
        months = max(0, (now - self.newest).days // 30)
        return (
            f"sha256:{self.digest[:16]} ({self.source}, newest entry of {self.newest:%Y-%m-%d}, "
            f"{months} months old)"
        )


def _cause(error: BaseException) -> str:
    """Return in words why a TUF repository could not be used: the innermost system error, if any.

    Libraries wrap it: in what they raise from, or in what they call their reason.
    """
    seen: BaseException | None = error
    for _ in range(_CAUSES):
        if seen is None:
            break
        if isinstance(seen, socket.gaierror):
            return "the name of its host cannot be resolved: is there a network, and a DNS server?"
        if isinstance(seen, OSError) and seen.errno:
            return f"{os.strerror(seen.errno).lower()}: is there a network, or a proxy to be used?"
        if isinstance(seen, TimeoutError):
            return "it does not answer in time: is there a network, or a proxy to be used?"
        inner = getattr(seen, "reason", None)
        seen = inner if isinstance(inner, BaseException) else seen.__cause__ or seen.__context__
    return "it does not answer as one, or what it serves does not verify"


def _packaged_file(url: str, name: str) -> bytes:
    try:
        return (resources.files("sigstore._store") / quote(url, safe="") / name).read_bytes()
    except (ModuleNotFoundError, OSError) as error:
        raise Undecided(
            f"sigstore-python carries no {name} for {url}: name a trusted root"
        ) from error


def _starts(document: object) -> Iterator[datetime]:
    """Yield every `validFor.start` in the document."""
    pending: list[Any] = [document]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, dict):
            pending.extend(item.values())
            period = item.get("validFor")
            start = period.get("start") if isinstance(period, dict) else None
            if isinstance(start, str):
                try:
                    moment = datetime.fromisoformat(start)
                except ValueError:
                    continue
                yield moment if moment.tzinfo else moment.replace(tzinfo=UTC)
