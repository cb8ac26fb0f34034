"""Answers that are remembered: the pods of one workload are alike, and are judged once.

An answer is found again by a digest of everything that decides: the whole pod, the policy, the
namespace, the webhook's settings and what is known of the cluster. Only what no rule reads is left
out of the pod (`_UNREAD`), and the name that the API server invents for the volume of a pod's
token counts as any other such name. Refusals are not remembered: each is judged on a live read.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from validator.policy.document import ModelValidation
from webhook.settings import GateSettings, NamespaceOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook.review import Answer

ENTRIES_LIMIT: Final = 1024
"""Answers: two for each workload of a cluster that starts 500 different ones at a time."""

SIZE_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of all answers as JSON; as objects they take about twice that."""

ANSWER_LIMIT: Final = 32 * 1024
"""Bytes of one answer as JSON; an ordinary one has 2,000."""

_UNREAD: Final = frozenset({"uid", "creationTimestamp", "managedFields"})
"""Fields of a pod's metadata that differ between the pods of a workload, and that no rule reads."""

_TOKENS: Final = b"kube-api-access-"
_TOKEN: Final = re.compile(rb'"name":("kube-api-access-[a-z0-9]{5}")')
"""The volume that the API server adds for a ServiceAccount's token, by an invented name
(https://github.com/kubernetes/kubernetes, plugin/pkg/admission/serviceaccount)."""

_ANY: Final = b"\0"
"""In the place of that name: no JSON has it."""


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides on a pod besides the pod.

    Attributes:
        task: What is asked of the pod: "mutate" or "validate".
        policy: The pod's policy, as it is applied.
        gate: The gate, with what is known of the cluster.
        namespace: The pod's namespace.
        operator_compat: Whether the Go operator's label is honoured.
    """

    task: str
    policy: ModelValidation
    gate: GateSettings
    namespace: NamespaceOptions
    operator_compat: bool


class Key(msgspec.Struct, frozen=True):
    """The name of an answer.

    Attributes:
        digest: SHA-256 of the inputs and of the pod.
        token: The name of the pod's token volume, in quotes, where that does not count.
    """

    digest: bytes
    token: bytes | None


def key(pod: Mapping[str, Any], inputs: Inputs) -> Key | None:
    """Return the name of the answer on a pod, `None` where it is not to be remembered."""
    try:
        content = _content(pod)
    except (UnicodeEncodeError, RecursionError):  # what is refused, too
        return None
    token = None
    if found := _TOKEN.search(content):
        token = found[1]
        content = content.replace(b'"name":' + token, b'"name":' + _ANY)
        if _TOKENS in content:
            # It stands elsewhere too, or something else is named like it.
            return None
    # Both are JSON values, so that no end of one can be taken for the beginning of the other.
    digest = hashlib.sha256(msgspec.json.encode(inputs))
    digest.update(content)
    return Key(digest.digest(), token)


def _content(pod: Mapping[str, Any]) -> bytes:
    """Return what counts of a pod, as JSON."""
    metadata = pod.get("metadata")
    if not isinstance(metadata, dict):
        return msgspec.json.encode(pod)
    kept = {name: value for name, value in metadata.items() if name not in _UNREAD}
    name = kept.pop("name", None)
    content = msgspec.json.encode({**pod, "metadata": kept})
    if b'"ephemeral"' in content:
        # The claim of an ephemeral volume is named after the pod.
        content += msgspec.json.encode(name)
    return content


@dataclass(slots=True)
class Memory:
    """Answers by their keys; the one that was not asked for longest is forgotten first.

    Attributes:
        entries: See `ENTRIES_LIMIT`.
        size: See `SIZE_LIMIT`.
    """

    entries: int = ENTRIES_LIMIT
    size: int = SIZE_LIMIT
    _answers: OrderedDict[bytes, tuple[Answer, int]] = field(default_factory=OrderedDict)
    _taken: int = 0

    def __len__(self) -> int:
        return len(self._answers)

    def recall(self, key: Key | None) -> Answer | None:
        """Return the answer, with the uid of another request, or `None`."""
        if key is None or key.digest not in self._answers:
            return None
        self._answers.move_to_end(key.digest)
        return self._answers[key.digest][0]

    def remember(self, key: Key | None, answer: Answer) -> None:
        """Keep an answer, unless it is a refusal, large, or says something of this pod alone."""
        if key is None or answer.refusal is not None or key.digest in self._answers:
            return
        written = answer.patch + msgspec.json.encode((answer.warnings, answer.audit))
        if len(written) > ANSWER_LIMIT or (key.token and key.token[1:-1] in written):
            return
        self._answers[key.digest] = answer, len(written)
        self._taken += len(written)
        while len(self._answers) > self.entries or self._taken > self.size:
            _, (_, size) = self._answers.popitem(last=False)
            self._taken -= size
