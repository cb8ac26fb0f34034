"""JSON with long lists, read one entry at a time, so that it is never in memory as a whole.

A statement over 300,000 files has 40 MiB: as text it takes four times that where one name has a
character of an upper plane, and as dictionaries six times.
"""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from validator.errors import BundleError
from validator.files import AmbiguousError, broken, check_depth, no_constant, too_deep, unique
from validator.text import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_WINDOW: Final = 64 * 1024
"""Bytes that are decoded at once."""

_VALUE_LIMIT: Final = 1024 * 1024
"""Characters of one value that is no list of entries; a resource has some hundreds."""

_SPACE: Final = " \t\n\r"

Path = tuple[str, ...]


class Listed(NamedTuple):
    """A list in an outline: the number of its entries, and the first one."""

    length: int
    first: Any = None


def outline(content: bytes, *, lists: Collection[Path], what: str, depth: int) -> Any:
    """Return a document in which each list at one of some paths is a `Listed`.

    Raises:
        BundleError: It is not JSON of one reading, or nested deeper than `depth`.
    """
    reader = _Reader(content, what=what, depth=depth)

    def read(path: Path) -> Any:
        start = reader.peek()
        if start == "[" and path in lists:
            length, first = 0, None
            for entry in reader.entries():
                first = first if length else entry
                length += 1
            return Listed(length, first)
        if start == "{" and any(each[: len(path)] == path for each in lists):
            return {name: read((*path, name)) for name in reader.names()}
        return reader.value()

    document = read(())
    reader.end()
    return document


def entries(content: bytes, path: Path, *, what: str, depth: int) -> Iterator[Any]:
    """Yield the entries of the list at a path of a document that `outline` has accepted."""
    reader = _Reader(content, what=what, depth=depth)
    for wanted in path:
        for name in reader.names():
            if name == wanted:
                break
            reader.skip()
    yield from reader.entries()


class _Reader:
    """A document under way: a window of its text, and the place in it that comes next."""

    def __init__(self, content: bytes, *, what: str, depth: int) -> None:
        self._content = memoryview(content)
        self._what = what
        self._depth = depth
        self._read = 0  # bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._json = json.JSONDecoder(object_pairs_hook=unique, parse_constant=no_constant)

    def peek(self) -> str:
        """Return the next character that is no space; nothing at the end."""
        while True:
            while self._at < len(self._text):
                if (found := self._text[self._at]) not in _SPACE:
                    return found
                self._at += 1
            if not self._more():
                return ""

    def names(self) -> Iterator[str]:
        """Yield the names of the object that begins here; each value is read in between."""
        self._expect("{")
        seen: set[str] = set()
        if self.peek() == "}":
            self._at += 1
            return
        while True:
            if self.peek() != '"':
                raise self._error()
            name = self.value()
            if name in seen:
                raise self._ambiguous(f"the key {quoted(name)} stands twice")
            seen.add(name)
            self._expect(":")
            yield name
            if self._is_last("}"):
                return

    def entries(self) -> Iterator[Any]:
        """Yield the entries of the list that begins here."""
        self._expect("[")
        if self.peek() == "]":
            self._at += 1
            return
        tried = -1
        while True:
            if tried != self._read:  # once for each window
                tried = self._read
                yield from self._several()
            yield self.value()
            if self._is_last("]"):
                return

    def _several(self) -> list[Any]:
        """Return the entries from here to the window's last object, if that is easily done.

        One after the other they take three times as long. A cut within a text or an entry leaves
        what is not JSON: then there are none, and it is for `value` to say what is wrong.
        """
        cut = self._text.rfind("},", self._at) + 1
        try:
            values: list[Any] = self._json.decode(f"[{self._text[self._at : cut]}]")
        except (ValueError, RecursionError):
            return []
        if values:
            check_depth(*values, what=self._what, depth=self._depth)
            self._at = cut + 1
        return values

    def skip(self) -> None:
        """Read the value that begins here, however long, and forget it."""
        start = self.peek()
        if start == "[":
            for _ in self.entries():
                pass
        elif start == "{":
            for _ in self.names():
                self.skip()
        else:
            self.value()

    def value(self) -> Any:
        """Return the value that begins here."""
        self.peek()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._more():
                    raise self._error() from error
            except RecursionError as error:
                raise too_deep(self._what, self._depth) from error
            except AmbiguousError as error:
                raise self._ambiguous(str(error)) from error
            except ValueError as error:
                raise self._ambiguous("a number in it has too many digits") from error
            else:
                # Near the window's end, a number may go on: 1 may be the beginning of 1e+5.
                if end + len("e+") < len(self._text) or not self._more():
                    self._at = end
                    check_depth(value, what=self._what, depth=self._depth)
                    return value

    def end(self) -> None:
        """Demand that nothing follows."""
        if self.peek():
            raise self._error()

    def _expect(self, character: str) -> None:
        if self.peek() != character:
            raise self._error()
        self._at += 1

    def _is_last(self, end: str) -> bool:
        if (found := self.peek()) not in {",", end}:
            raise self._error()
        self._at += 1
        return found == end

    def _more(self) -> bool:
        """Decode further bytes; tell whether there were any."""
        if self._read == len(self._content):
            return False
        if len(self._text) - self._at > _VALUE_LIMIT:
            raise BundleError(
                f"the {self._what} has a value of more than {_VALUE_LIMIT:,} characters"
            )
        pending = len(self._decoder.getstate()[0])
        chunk = self._content[self._read : self._read + _WINDOW]
        try:
            text = self._decoder.decode(chunk, final=self._read + len(chunk) == len(self._content))
        except UnicodeDecodeError as error:
            place = self._read - pending + error.start
            raise BundleError(f"the {self._what} is not JSON: byte {place} is not UTF-8") from error
        self._text = self._text[self._at :] + text
        self._at = 0
        self._read += len(chunk)
        return True

    def _error(self) -> BundleError:
        return broken(self._what, self._text[self._at :])

    def _ambiguous(self, flaw: str) -> BundleError:
        return BundleError(f"the {self._what} is not JSON that is accepted: {flaw}")
