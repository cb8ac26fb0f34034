"""Write validator/vllm/releases/X.Y.json: the options and variables of one release of vLLM.

    pip download --no-deps vllm==X.Y.Z
    python -m scripts.generate_vllm_release vllm-X.Y.Z-….whl

Reads the source in a wheel, or in the folder in which vLLM is installed; nothing of vLLM is
imported. Ends with 1 where an option or a text variable has no kind yet, and names it: read in
vLLM's source what it opens, and add it to `validator/vllm/option_kinds.py` or
`variable_kinds.py`. The file is written before, to be compared.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.vllm_source.command_line import options
from scripts.vllm_source.modules import NotVllmError, Source
from scripts.vllm_source.variables import variables
from validator.vllm import option_kinds, variable_kinds
from validator.vllm.options import FOLDER, minor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def main(arguments: Sequence[str]) -> int:
    """Write the file of the vLLM that is named; return the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m scripts.generate_vllm_release WHEEL|FOLDER\n")
        return 2
    try:
        release = read(Path(arguments[0]))
    except NotVllmError as error:
        sys.stderr.write(f"{arguments[0]} is no vLLM that can be read: {error}\n")
        return 1
    target = FOLDER / f"{minor(release['vllm'])}.json"
    target.write_text(rendered(release), encoding="utf-8")
    missing = list(unclassified(release))
    for sentence in missing:
        sys.stderr.write(f"{sentence}\n")
    return 1 if missing else 0


def read(path: Path) -> dict[str, Any]:
    """Return what is written of a vLLM.

    Raises:
        NotVllmError: It is not a vLLM, or its parser is not made as in the known releases.
    """
    root = zipfile.Path(path) if zipfile.is_zipfile(path) else path
    source = Source(root)
    return {
        "vllm": source.release,
        "options": list(options(source)),
        "environment": variables(source),
    }


def rendered(release: dict[str, Any]) -> str:
    """Return it as text, an option or variable a line, so that a change reads well."""
    listed = ",\n".join(f"  {json.dumps(option)}" for option in release["options"])
    named = ",\n".join(
        f"  {json.dumps(name)}: {json.dumps(variable)}"
        for name, variable in release["environment"].items()
    )
    return (
        f'{{\n "vllm": {json.dumps(release["vllm"])},\n "options": [\n{listed}\n ],\n'
        f' "environment": {{\n{named}\n }}\n}}\n'
    )


def unclassified(release: dict[str, Any]) -> Iterator[str]:
    """Yield the options and variables of which it is not known what they open, a sentence each."""
    for option in release["options"]:
        if option["dest"] not in option_kinds.KINDS:
            yield f"the option {option['dest']} has no kind in validator/vllm/option_kinds.py"
    placed = variable_kinds.KINDS.keys() | variable_kinds.IGNORED
    for name, variable in release["environment"].items():
        if name not in placed and not variable_kinds.is_scalar(variable["type"]):
            yield f"the variable {name} has no kind in validator/vllm/variable_kinds.py"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
