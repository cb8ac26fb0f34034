"""The difference of two JSON objects as an RFC 6902 patch.

The API server pays for each operation and for each byte, so there are few and
small ones: an insertion is one operation, whatever follows, and a flat
object of which two fields change is replaced whole.
"""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Operation = dict[str, Any]


def patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Operation]:
    """Return the operations that turn one JSON object into another."""
    return list(_objects(before, after, ""))


def _values(before: Any, after: Any, path: str) -> Iterable[Operation]:
    if isinstance(before, dict) and isinstance(after, dict):
        return _objects(before, after, path)
    if isinstance(before, list) and isinstance(after, list):
        return _lists(before, after, path)
    if type(before) is not type(after) or before != after:  # JSON's 1, 1.0 and true are three
        return (_replace(path, after),)
    return ()


def _objects(before: Mapping[str, Any], after: Mapping[str, Any], path: str) -> Sequence[Operation]:
    operations = [
        {"op": "remove", "path": f"{path}/{_escaped(key)}"} for key in before if key not in after
    ]
    for key, value in after.items():
        if key not in before:
            operations.append({"op": "add", "path": f"{path}/{_escaped(key)}", "value": value})
        elif before[key] is not value:  # what did not change is shared
            operations += _values(before[key], value, f"{path}/{_escaped(key)}")
    if len(operations) > 1 and path and _is_flat(after):
        return (_replace(path, after),)
    return operations


def _lists(before: list[Any], after: list[Any], path: str) -> Iterator[Operation]:
    """Yield operations that keep what has kept its name, wherever it now stands."""
    for start, end, new_start, new_end in _blocks(before, after):
        paired = min(end - start, new_end - new_start)
        for offset in range(paired):
            given, value = before[start + offset], after[new_start + offset]
            if given is not value:
                yield from _values(given, value, f"{path}/{new_start + offset}")
        for _ in range(start + paired, end):
            # What stands before is as it shall be already, and each removal moves the rest up.
            yield {"op": "remove", "path": f"{path}/{new_start + paired}"}
        for index in range(new_start + paired, new_end):
            yield {"op": "add", "path": f"{path}/{index}", "value": after[index]}


def _blocks(before: list[Any], after: list[Any]) -> Iterator[tuple[int, int, int, int]]:
    """Yield which slices of two lists stand for one another, from the front."""
    same = 0
    for given, value in zip(before, after, strict=False):
        if given is not value and _key(given) != _key(value):
            break
        same += 1
    yield 0, same, 0, same
    rest, new_rest = before[same:], after[same:]
    if not rest or not new_rest:  # as where something is appended
        yield same, len(before), same, len(after)
        return
    found = SequenceMatcher(None, [*map(_key, rest)], [*map(_key, new_rest)], autojunk=False)
    for _, start, end, new_start, new_end in found.get_opcodes():
        yield same + start, same + end, same + new_start, same + new_end


def _key(item: Any) -> object:
    """Return what tells a list's item from others: its name, as far as it has one."""
    if isinstance(item, dict):
        return str(item.get("name")), str(item.get("mountPath"))
    return repr(item)


def _is_flat(value: Mapping[str, Any]) -> bool:
    return not any(isinstance(item, dict | list) for item in value.values())


def _replace(path: str, value: Any) -> Operation:
    return {"op": "replace", "path": path, "value": value}


def _escaped(key: str) -> str:
    """Return a key as a JSON pointer's token."""
    return key.replace("~", "~0").replace("/", "~1")
