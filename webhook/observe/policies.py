"""The policies that are known, as far as their status depends on them."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from validator.policy.document import ModelValidation
from validator.policy.signers import SigstoreConfig
from validator.policy.status import Status
from webhook.observe.pod import report
from webhook.policies.objects import read
from webhook.sources.holdings import OVERHEAD, Bounds

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from webhook.observe.pod.wire import Key


POLICIES_LIMIT: Final = 10_000
"""Policies that are held, some 5 KiB each with their status; all together are bounded, too."""

NAMESPACE_LIMIT: Final = 100
"""Policies of one namespace: nobody who fills one leaves the others without a status."""

APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""The annotation in which `kubectl apply` keeps what it was given, unknown fields included."""

RESERVED: Final = ("example", "invalid", "test", "example.com", "example.net", "example.org")
"""Domains that nobody can own (RFC 2606): who is named by one is an example's signer."""


class Flaw(enum.StrEnum):
    """Where to mend what makes a policy unusable: the reason of a condition."""

    POLICY = "Invalid"
    ROOT = "TrustRootNotUsable"
    RULE = "ClusterRule"


class Narrowed(NamedTuple):
    """A rule of the cluster that holds beside a policy, and what it takes away.

    Attributes:
        rule: Its name.
        pins: Whether it pins models.
        fields: Those of the policy that it makes stricter.
    """

    rule: str
    pins: bool
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A policy, as far as it is held.

    Attributes:
        written: The policy as it was written, `None` where it is broken by itself.
        flaw: Why it cannot be used; `None` where it can.
        why: Where the flaw is.
        narrowed: By the rules that hold beside it.
        deleted: Whether it is being deleted.
        paths: Of its models.
        pinned: Whether each of its models is pinned by a digest.
        pruned: Whether its author wrote a digest that the API server did not store.
        placeholder: The signer or issuer that is an example's; `None` for none.
        on_restart: As in the specification; `None` where it has none.
        stops: Whether a changed model is to end the pod's containers.
        status: As the API server has it; `None` where there is none, or not in our form.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    written: ModelValidation | None = None
    flaw: str | None = None
    why: Flaw = Flaw.POLICY
    narrowed: tuple[Narrowed, ...] = ()
    deleted: bool = False
    mode: str = ""
    paths: tuple[str, ...] = ()
    pinned: bool = False
    pruned: bool = False
    placeholder: str | None = None
    on_restart: str | None = None
    stops: bool = False
    status: Status | None = None

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return self.namespace, self.name

    @property
    def size(self) -> int:
        """Its bytes, as `Bounds` counts them."""
        return OVERHEAD + (len(msgspec.json.encode(self.written)) if self.written else 0)


class Policies:
    """The policies that are known now.

    Args:
        limit: How many are held.
        namespace_limit: How many of one namespace.
        bounds: Their bytes, as the webhook bounds them.
    """

    def __init__(
        self,
        *,
        limit: int = POLICIES_LIMIT,
        namespace_limit: int = NAMESPACE_LIMIT,
        bounds: Bounds | None = None,
    ) -> None:
        self._limit = limit
        self._namespace_limit = namespace_limit
        self._bounds = bounds or Bounds()
        self._policies: dict[Key, Known] = {}
        self._sizes: dict[str, dict[str, int]] = {}
        self._total = 0
        self._left_out: set[Key] = set()

    def __len__(self) -> int:
        return len(self._policies)

    def __iter__(self) -> Iterator[Known]:
        return iter(self._policies.values())

    @property
    def left_out(self) -> int:
        """The number of policies that are not held, since there are too many."""
        return len(self._left_out)

    def get(self, key: Key) -> Known | None:
        """Return a policy."""
        return self._policies.get(key)

    def another(self, than: Container[Key]) -> Key | None:
        """Return a policy that is none of the given ones, `None` where there is none."""
        return next((key for key in self._policies if key not in than), None)

    def in_namespace(self, namespace: str) -> list[Key]:
        """Return the policies of a namespace."""
        return [(namespace, name) for name in self._sizes.get(namespace, ())]

    def put(self, policy: Known) -> None:
        """Take a policy in, unless there are too many, or they are too large."""
        key, known = policy.key, self._policies.get(policy.key)
        if known is not None and known.written is policy.written:
            self._policies[key] = policy
            return
        self.remove(key)
        size, sizes = policy.size, self._sizes.get(policy.namespace, {})
        if (
            len(self._policies) >= self._limit
            or self._total + size > self._bounds.total
            or len(sizes) >= self._namespace_limit
            or sum(sizes.values()) + size > self._bounds.namespace
        ):
            if len(self._left_out) < self._limit:
                self._left_out.add(key)
            return
        self._sizes.setdefault(policy.namespace, {})[policy.name] = size
        self._total += size
        self._policies[key] = policy

    def remove(self, key: Key) -> None:
        """Forget a policy."""
        self._left_out.discard(key)
        if self._policies.pop(key, None) is not None:
            namespace, name = key
            self._total -= self._sizes[namespace].pop(name)
            if not self._sizes[namespace]:
                del self._sizes[namespace]


def known(document: Mapping[str, Any]) -> Known:
    """Return what is held of a policy.

    Args:
        document: A ModelValidation as the API server has it.

    Raises:
        PolicyError: It does not even say which policy it is.
    """
    policy = read(document, source="as the API server has it")
    status = _status(document.get("status"))
    if not isinstance(policy, ModelValidation):
        return Known(
            namespace=policy.namespace or "",
            name=policy.name,
            uid=policy.uid or "",
            generation=policy.generation or 0,
            flaw=report.sentence(policy.reason),
            deleted=policy.deleted,
            status=status,
        )
    metadata, models = policy.metadata, policy.spec.all_models
    again = policy.spec.revalidation
    digests = any(model.digests for model in models)
    return Known(
        namespace=metadata.namespace or "",
        name=metadata.name,
        uid=metadata.uid or "",
        generation=metadata.generation or 0,
        written=policy,
        deleted=metadata.deletion_timestamp is not None,
        mode=policy.spec.mode,
        paths=tuple(model.path for model in models),
        pinned=all(model.digests for model in models),
        pruned=not digests and _meant_digests(document),
        placeholder=_placeholder(policy),
        on_restart=policy.spec.on_restart,
        stops=again is not None and again.action == "Stop",
        status=status,
    )


def _status(document: object) -> Status | None:
    try:
        return msgspec.convert(document, Status) if document else None
    except msgspec.ValidationError:  # another program's, such as the Go operator's
        return None


def _meant_digests(document: Mapping[str, Any]) -> bool:
    """Tell whether the policy was applied with digests, wherever its author wrote them."""
    annotations = document["metadata"].get("annotations") or {}
    text = annotations.get(APPLIED) if isinstance(annotations, Mapping) else None
    if not isinstance(text, str) or "digest" not in text.lower():
        return False
    try:
        applied = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(applied, dict) and _names_digests(applied.get("spec"))


def _names_digests(value: object) -> bool:
    """Tell whether a field of JSON is named after digests; 1.5 MiB of it nest 900 deep at most."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as fields:
                if any("digest" in str(name).lower() for name in fields):
                    return True
                waiting += fields.values()
            case list() as items:
                waiting += items
    return False


def _placeholder(policy: ModelValidation) -> str | None:
    """Return the name of a signer or an issuer that lies in a reserved domain."""
    for signer in policy.spec.config.signers:
        method = signer.method
        if not isinstance(method, SigstoreConfig):
            continue
        for named in (method.certificate_identity, method.certificate_oidc_issuer):
            if named is not None and is_reserved(named):
                return report.name(named)
    return None


def is_reserved(named: str) -> bool:
    """Tell whether a mail address or a URI lies in a domain that nobody can own."""
    try:
        host = urlsplit(named).hostname if "://" in named else named.rpartition("@")[2]
    except ValueError:  # no URI, as in "https://[x"
        return False
    host = (host or "").rstrip(".").lower()
    return any(host == domain or host.endswith(f".{domain}") for domain in RESERVED)
