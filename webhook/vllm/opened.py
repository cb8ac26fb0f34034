"""The things that vLLM opens by its arguments: paths, hub ids, code.

Belongs here: which values of which options are paths. Does not belong here:
whether they may be opened.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from validator.text import quoted
from validator.vllm.facts import is_pathlike
from validator.vllm.option_kinds import OF_REQUESTS, Kind
from validator.vllm.options import TABLE
from webhook.vllm.command_line import Form, is_known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validator.vllm.options import Key
    from webhook.vllm.parser import Given, Parsed

JSON_LIMIT: Final = 64 * 1024
"""Characters of one JSON value that is read."""

POSITIONAL: Final = "the positional argument"

_TEXT: Final = re.compile(r'("(?:[^"\\]|\\.)*")')
_UNIT: Final = re.compile(r"\b\d+(?:\.\d+)?[kKmMgGtT]\b")
"""A number with a unit, outside of a text (`_expand_json_human_readable_numbers` of vLLM)."""

_SWITCHES_OFF: Final = ("--no-", "--disable-")

_SILENT: Final = frozenset({Kind.SAFE, Kind.PEER, Kind.REVISION, Kind.REQUESTS})


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """Something that vLLM opens.

    Attributes:
        option: The option in full, with the key for a JSON one: `--speculative-config.model`.
        dest: vLLM's own name for the option.
        kind: What it is opened as.
        value: A path or a hub id; for code also a module or class.
        revisions: The hub revisions that were given for it.
    """

    option: str
    dest: str
    kind: Kind
    value: str
    revisions: frozenset[str] = frozenset()


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """The things that a command line opens, and its parts that could not be read.

    Attributes:
        openings: In the order in which they are given.
        unreadable: What decides what is opened and cannot be read: a sentence each.
        unread: What may open something, by a newer vLLM or a plugin: a sentence each.
        trusts_code: Whether code that comes with the model is run.
        requests: What requests decide: a sentence each.
    """

    openings: tuple[Opening, ...]
    unreadable: tuple[str, ...]
    unread: tuple[str, ...]
    trusts_code: bool
    requests: tuple[str, ...]


def find(parsed: Parsed, *, form: Form) -> Opened:
    """Return what a command line opens.

    Repeated options count each: vLLM takes the last, but none may be opened elsewhere.
    """
    reader = _Reader(parsed)
    strange = list(parsed.unknown)
    for given in parsed.given:
        if given.option.flags or form is not Form.MODULE:
            reader.read(given)
        else:  # a module ignores its positional
            strange += given.values
    unread = [f"{quoted(text)} is none of the options of {TABLE.reading}" for text in strange]
    reader.unreadable += [
        f"{quoted(text)} may be any option" for text in strange if not is_known(text)
    ]
    return Opened(
        openings=tuple(reader.openings),
        unreadable=tuple(reader.unreadable),
        unread=(*reader.unread, *unread),
        trusts_code=any(given.flag == "--trust-remote-code" for given in parsed.given),
        requests=tuple(
            f"{given.flag} {OF_REQUESTS[given.option.dest]}"
            for given in parsed.given
            if given.option.dest in OF_REQUESTS and not given.flag.startswith(_SWITCHES_OFF)
        ),
    )


class _Reader:
    """Gathers the openings of one command line."""

    def __init__(self, parsed: Parsed) -> None:
        self.openings: list[Opening] = []
        self.unreadable: list[str] = []
        self.unread: list[str] = []
        self._model = _values(parsed, "revision")
        self._tokenizer = _values(parsed, "tokenizer_revision") or self._model

    def read(self, given: Given) -> None:
        option, name = given.option, given.flag or POSITIONAL
        # Where a value is wanted, text that turns out to be an option ends vLLM; after the last
        # value that is, it is an option.
        if option.arity == "+" and any(value.startswith("$(") for value in given.values[1:]):
            self.unreadable.append(f"{name} takes a value that may be another option")
        if option.arity == "?" and given.flag and not all(map(is_known, given.values)):
            self.unread.append(f"{name} takes a value that may be another option")
        if option.kind in _SILENT:
            return
        for value in given.values:
            if option.kind is Kind.ADAPTER and not option.json:
                self._adapter(name, given, value)
            elif option.json:
                self._json(name, given, value)
            elif value not in option.known:
                self._add(name, given, option.kind, value)

    def _add(
        self,
        name: str,
        given: Given,
        kind: Kind,
        value: str,
        *,
        draft: frozenset[str] | None = None,
    ) -> None:
        if kind is Kind.TOKENIZER:
            revisions = self._tokenizer
        elif kind in (Kind.DRAFT, Kind.ADAPTER):
            revisions = draft or frozenset()
        else:
            revisions = self._model
        self.openings.append(
            Opening(
                option=name, dest=given.option.dest, kind=kind, value=value, revisions=revisions
            )
        )

    def _adapter(self, name: str, given: Given, value: str) -> None:
        """Read `NAME=PATH`, or one adapter or several as JSON."""
        if "=" in value and "," not in value:
            self._add(name, given, Kind.ADAPTER, value.partition("=")[2])
            return
        listed = self._loaded(name, value)
        for adapter in listed if isinstance(listed, list) else [listed]:
            path = adapter.get("path") if isinstance(adapter, dict) else None
            if isinstance(path, str):
                self._add(name, given, Kind.ADAPTER, path)
            else:
                self.unreadable.append(f"{name} names an adapter without a path")

    def _json(self, name: str, given: Given, value: str) -> None:
        option = given.option
        settings = self._loaded(name, value)
        if settings is None or settings in ({}, []):
            return
        if not isinstance(settings, dict):
            self.unreadable.append(f"{name} is not a JSON object")
        elif option.kind is Kind.REMOTE:
            self._add(name, given, Kind.REMOTE, value)
        elif option.kind in (Kind.CODE, Kind.ADAPTER):
            for key, text in _leaves(settings):
                self._add(f"{name}.{key}", given, option.kind, text)
        else:
            self._settings(name, given, settings)

    def _settings(self, name: str, given: Given, settings: dict[str, Any]) -> None:
        option = given.option
        revision = settings.get("revision")
        draft = frozenset({revision}) if isinstance(revision, str) else None
        for key, value in _named_values(settings):
            rule = option.keys.get(key.replace("-", "_"))  # vLLM takes both in a draft's settings
            if rule is not None:
                self._keyed(f"{name}.{key}", given, rule, value, draft)
            elif isinstance(value, str) and is_pathlike(value):
                if option.kind is Kind.PATHS:
                    self._add(f"{name}.{key}", given, Kind.CONFIG, value)
                else:
                    self.unread.append(f"{name}.{key} names {quoted(value)}")

    def _keyed(
        self, name: str, given: Given, rule: Key, value: Any, draft: frozenset[str] | None
    ) -> None:
        if rule.kind in _SILENT or value is None or value in rule.known:
            return
        if isinstance(value, str):
            self._add(name, given, rule.kind, value, draft=draft)
        elif rule.kind is Kind.CODE:
            for key, text in _leaves(value):
                self._add(f"{name}.{key}" if key else name, given, Kind.CODE, text)
        else:
            self.unreadable.append(f"{name} is not a text")

    def _loaded(self, name: str, value: str) -> Any:
        """Return a JSON value; None where there is none, or it cannot be read."""
        if value in ("", "None"):
            return None
        if len(value) > JSON_LIMIT or not is_known(value):
            why = f"longer than {JSON_LIMIT:,} characters" if is_known(value) else "not all here"
            self.unreadable.append(f"{name} is {why}")
            return None
        try:
            return _json(value)
        except (ValueError, RecursionError):
            self.unreadable.append(f"{name} is not JSON, or has a key twice: {quoted(value)}")
            return None


def _json(text: str) -> Any:
    """Return a JSON value.

    Raises:
        ValueError: It is not JSON, such as a number with a unit, which vLLM allows (`80g`). Or it
            has a key twice: pydantic, which reads most of vLLM's settings, may take the other.
        RecursionError: It is nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError:
        parts = _TEXT.split(text)
        parts[::2] = (_UNIT.sub("0", part) for part in parts[::2])
        return json.loads("".join(parts), object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError
    return made


def _values(parsed: Parsed, dest: str) -> frozenset[str]:
    return frozenset(
        value for given in parsed.given if given.option.dest == dest for value in given.values
    )


def _named_values(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all values with their keys, at any depth; a list's values have the list's key."""
    pending = [(key, value)]
    while pending:
        key, value = pending.pop()
        if key:
            yield key, value
        if isinstance(value, dict):
            pending += [(str(inner), item) for inner, item in value.items()]
        elif isinstance(value, list):
            pending += [(key or "[]", item) for item in value]


def _leaves(value: Any) -> Iterator[tuple[str, str]]:
    """Yield all texts with their keys, at any depth."""
    if isinstance(value, str):
        yield "", value
        return
    for key, inner in _named_values(value):
        if isinstance(inner, str):
            yield key, inner
