"""Write docs/api.md from the docstrings of `validator`.

`python scripts/generate_api_docs.py` prints the page; `make generate` writes it. The source is
parsed and not imported, so that defaults stand as they were written.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[1]

PUBLIC: Final = {
    "validator.verification": ("Request", "verify"),
    "validator.report": ("Report", "Verdict"),
    "validator.errors": (
        *("ValidatorError", "PolicyError", "Refused", "BundleError", "MethodError"),
        *("SignatureError", "StatementError", "PinError", "ModelError", "Undecided"),
    ),
    "validator.signatures": ("Verifier", "ProvenSigner"),
    "validator.signatures.key": ("KeyVerifier",),
    "validator.signatures.certificate": ("CertificateVerifier",),
    "validator.signatures.keyless.verifier": ("SigstoreVerifier",),
    "validator.signatures.keyless.identity": ("Expected",),
    "validator.signatures.trusted_root": ("TrustedRoot",),
    "validator.policy.document": ("ModelValidation",),
    "validator.from_policy": ("requests",),
    "validator.limits": ("Limits",),
}
"""The names that other programs may use. Everything else may change without a word."""

HEAD: Final = """\
<!-- Generated from docstrings by `make generate`; do not edit. -->
# The library `validator`
"""

SECTION: Final = re.compile(
    r"^(Args|Attributes|Returns|Raises|Yields):\n((?:[ ]{4}.*\n?|\n)+)", re.MULTILINE
)
ITEM: Final = re.compile(r"^(\*{0,2}\w+):\s+(.*)$", re.DOTALL)
EXAMPLE: Final = re.compile(r"(?:^ {4}.*\n|^\n(?= {4}))+", re.MULTILINE)


def main() -> None:
    """Print the page."""
    sys.stdout.write("\n".join(_page()))


def _page() -> Iterator[str]:
    yield f"{HEAD}{_prose(_parsed('validator'))}\n"
    for module, names in PUBLIC.items():
        tree = _parsed(module)
        yield f"## {module}\n{_prose(tree)}\n"
        found = {node.name: node for node in _definitions(tree)}
        if missing := [name for name in names if name not in found]:
            raise SystemExit(f"{module} has no {missing[0]}: correct PUBLIC in {__file__}")
        for name in names:
            yield from _entry(found[name], module)


def _parsed(module: str) -> ast.Module:
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


Definition = ast.FunctionDef | ast.ClassDef


def _definitions(tree: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    for node in tree.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node


def _entry(node: Definition, owner: str) -> Iterator[str]:
    signature = _class(node) if isinstance(node, ast.ClassDef) else _function(node, owner)
    signature = signature.replace("'", '"')  # as the formatter quotes
    code = f"```python\n{signature}\n```\n\n" if signature else ""
    bases = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
    yield f"### {node.name}{f' ({bases[0]})' if bases else ''}\n{code}{_prose(node)}\n"
    if isinstance(node, ast.ClassDef):
        for member in _definitions(node):
            yield f"**`{_function(member, node.name)}`** {_prose(member)}\n"


def _class(node: ast.ClassDef) -> str:
    """Return what a caller can set and read: a constructor, or the fields."""
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return f"{node.name}({_arguments(part)})"
    fields = [
        f"    {ast.unparse(part)}"
        for part in node.body
        if isinstance(part, ast.AnnAssign | ast.Assign) and not _is_hidden(part)
    ]
    return "\n".join([f"class {node.name}:", *fields]) if fields else ""


def _function(node: Definition, owner: str) -> str:
    if isinstance(node, ast.ClassDef):
        return node.name
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    returned = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    if "property" in decorators:
        return f"{node.name}{returned.replace(' ->', ':')}"
    called = f"{owner}.{node.name}" if "classmethod" in decorators else node.name
    return f"{called}({_arguments(node)}){returned}"


def _arguments(node: ast.FunctionDef) -> str:
    return re.sub(r"^(self|cls)(, )?", "", ast.unparse(node.args))


def _is_hidden(part: ast.AnnAssign | ast.Assign) -> bool:
    target = part.target if isinstance(part, ast.AnnAssign) else part.targets[0]
    kind = ast.unparse(part.annotation) if isinstance(part, ast.AnnAssign) else ""
    return ast.unparse(target).startswith("_") or kind.startswith("ClassVar")


def _prose(node: ast.Module | Definition) -> str:
    return _marked(ast.get_docstring(node) or "")


def _marked(text: str) -> str:
    """Return a docstring as Markdown."""
    marked = EXAMPLE.sub(_fenced, SECTION.sub(_listed, f"{text}\n")).strip()
    return re.sub(r"\n{3,}", "\n\n", marked)


def _listed(match: re.Match[str]) -> str:
    """Return a section of a docstring as a list."""
    title, body = match[1], textwrap.dedent(match[2]).strip()
    entries = re.sub(r"\n[ ]+", " ", body).split("\n")
    lines = [ITEM.sub(r"- `\1`: \2", entry) for entry in entries if entry]
    if title in {"Returns", "Yields"}:
        lines = [" ".join(entries)]
    title = "Arguments" if title == "Args" else title
    return f"\n{title}:\n\n" + "\n".join(lines) + "\n"


def _fenced(match: re.Match[str]) -> str:
    code = textwrap.dedent(match[0]).strip()
    language = "python" if "import " in code else "text"
    return f"\n```{language}\n{code}\n```\n\n"


if __name__ == "__main__":
    main()
