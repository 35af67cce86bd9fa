"""Write the table of docs/sdk.md from the marks on the server's tests (`make sdk-doc`).

`--check` writes nothing and fails if the page is stale (`make check`).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/sdk.md"
TESTS = ROOT / "tests/azure/server"
BEGIN = "<!-- written by `make sdk-doc` from the marks on tests/azure/server -->"
END = "<!-- until here -->"
MARKS = {"sdk": "Imitated", "refused": "Refused"}


@dataclass(frozen=True)
class Line:
    """What a test proves: `call` of the SDK or over plain HTTP, what comes of it, and the test."""

    mark: str
    call: str
    text: str
    test: str


def lines(folder: Path) -> Iterator[Line]:
    """Read the marks of the tests in a folder, in order.

    Raises:
        ValueError: a mark has other than two texts, or stands on what is no test.
    """
    for file in sorted(folder.glob("test_*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                yield from _marks(node, file.name)


def _marks(node: ast.FunctionDef, file: str) -> Iterator[Line]:
    for decorator in node.decorator_list:
        if not isinstance(decorator, ast.Call):
            continue
        prefix, _, mark = ast.unparse(decorator.func).rpartition(".")
        if prefix != "pytest.mark" or mark not in MARKS:
            continue
        texts = [ast.literal_eval(argument) for argument in decorator.args]
        if len(texts) != 2 or not node.name.startswith("test_"):
            raise ValueError(f"{file}: {node.name}: @pytest.mark.{mark} is for tests: a call, and what comes of it")
        yield Line(mark, texts[0], texts[1], f"{file}::{node.name}")


def table(found: Sequence[Line]) -> str:
    """Return the tables, one for each mark."""
    parts = []
    for mark, title in MARKS.items():
        rows = [f"| {line.call} | {line.text} | `{line.test}` |" for line in found if line.mark == mark]
        parts.append("\n".join([f"### {title}", "", "| call | what comes of it | test |", "|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def main(arguments: Sequence[str]) -> int:
    """Write the tables into the page, or with `--check` compare them; return the exit code."""
    there = PAGE.read_text(encoding="utf-8")
    head, _, rest = there.partition(BEGIN)
    _, _, tail = rest.partition(END)
    text = f"{head}{BEGIN}\n\n{table(list(lines(TESTS)))}\n{END}{tail}"
    if "--check" not in arguments:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if there != text:
        print("docs/sdk.md is stale: run `make sdk-doc`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
