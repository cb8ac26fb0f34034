"""The port of vLLM under `Strict`: it is the one that the pod declares, and nobody else's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from validator.text import quoted
from webhook.vllm.command_line import MalformedError
from webhook.vllm.parser import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from webhook.vllm.reading import Reading

DEFAULT_PORT: Final = "8000"
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,4}")
"""A port as the pod spells it too. Python also reads ` 8000`, `08000` and `8_000` as 8000."""
_EVERYWHERE: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 — addresses that are compared


def refusals(serving: Sequence[Reading], others: Sequence[Reading]) -> Iterator[str]:
    """Yield where ports are not vLLM's own, a sentence each.

    Args:
        serving: The containers that have the model.
        others: The pod's other containers.
    """
    taken: dict[str, str] = {}
    names: set[str] = set()
    for reading in serving:
        where = _where(reading)
        ports = _of_vllm(reading)
        for port in ports:
            if port in taken:
                yield f"{where}: its port {port} is that of {taken[port]} too; choose another"
            taken[port] = where
        names |= {str(port.get("name")) for port in _declared(reading) if port.get("name")}
        yield from _agreeing(reading, ports)
    for reading in others:
        for declared in _declared(reading):
            number, name = str(declared.get("containerPort")), declared.get("name")
            if number in taken or name in names:
                yield (
                    f"{_where(reading)}: its port {quoted(name or number)} is vLLM's; choose "
                    "another number and name"
                )


def _of_vllm(reading: Reading) -> set[str]:
    """Return the ports on which vLLM listens."""
    given = _given(reading)
    return {
        given.get("port", DEFAULT_PORT),
        *(given[key] for key in ("grpc_port",) if key in given),
    }


def _agreeing(reading: Reading, ports: set[str]) -> Iterator[str]:
    where = _where(reading)
    host = _given(reading).get("host", "")
    if host not in _EVERYWHERE:
        yield (
            f"{where}: --host {quoted(host)} leaves the pod's own address to other programs; "
            "remove it"
        )
    for number in sorted(ports):
        if not _NUMBER.fullmatch(number):
            yield f"{where}: its port {quoted(number)} is no plain number; write it in digits"
    for port in _declared(reading):
        if str(port.get("containerPort")) not in ports:
            yield (
                f"{where}: it declares the port {quoted(port.get('containerPort'))}, and vLLM "
                f"listens on {' and '.join(sorted(ports))}; let both agree"
            )


def _given(reading: Reading) -> Mapping[str, str]:
    """Return the last value of each option; none where the arguments cannot be read."""
    try:
        parsed = reading.parsed
    except (MalformedError, UnreadableError):  # which is refused elsewhere
        return {}
    return {given.option.dest: given.values[-1] for given in parsed.given if given.values}


def _declared(reading: Reading) -> list[dict[str, Any]]:
    ports = reading.container.get("ports")
    return [port for port in ports if isinstance(port, dict)] if isinstance(ports, list) else []


def _where(reading: Reading) -> str:
    return f"container {quoted(reading.container.get('name') or '')}"
