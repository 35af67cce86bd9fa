"""Write docs/behaviour.md from the provenance marks on the behaviour tests (`make behaviour`).

`--check` writes nothing and fails if the file is stale (`make check`).
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/behaviour.md"
TESTS = "tests/behaviour"
ZOO = "tests/zoo"
ZOO_HEAD = """\
## Models compared with MLflow

`make test-zoo` scores models of scikit-learn (cloudpickle, pickle, skops), XGBoost, LightGBM, CatBoost, statsmodels,
ONNX and spaCy, and PythonModels of every type hint and answer, from CSV and Parquet, with the MLflow driver. Each value
is compared with what `mlflow.pyfunc.load_model(m).predict(pandas.read_csv(f))`, or `read_parquet`, gives. No value
differs. MLflow refuses to score these so; they are compared with what it predicts of the table that the file was
written from:

| model and file | why |
|---|---|"""
SECTIONS = {
    "1": "Deployment YAML",
    "2": "Input",
    "3": "The scoring script",
    "4": "Counting, retries, time, crashes",
    "5": "Outcome",
    "6": "Output",
    "7": "Logs",
    "8": "Environment",
    "9": "Report",
}
HEAD = """\
# How a batch job behaves

The contract of the runtime, rule by rule, each with where it comes from and the test that proves it.
This page is written by `make behaviour` from the marks on the tests: a rule without a test is not here.

*documented*: the service's documentation says so. *observed*: not documented, but seen in azure-ai-ml or reported by
its users.
*ours*: our ruling where sources differ or are silent, or more than the service gives.
"""


@dataclass(frozen=True, order=True)
class Rule:
    """One rule: its section, where it stands in the tests, where it comes from, and its test."""

    section: str
    position: int
    text: str
    provenance: str
    test: str


class Collector:
    """A pytest plugin that keeps the marks of what is collected."""

    def __init__(self) -> None:
        self.rules: dict[str, Rule] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Turn each test function into a rule, once for all its parameters."""
        for position, item in enumerate(session.items):
            test = item.nodeid.split("[")[0]
            mark = next(mark for mark in item.iter_markers() if mark.name in {"documented", "observed", "ours"})
            section, text = mark.args
            self.rules.setdefault(test, Rule(section, position, text, mark.name, test))


def rules() -> list[Rule]:
    """Collect the behaviour tests.

    Raises:
        SystemExit: they cannot be collected, with pytest's own words.
    """
    collector, said = Collector(), io.StringIO()
    with contextlib.redirect_stdout(said):
        code = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", TESTS], plugins=[collector])
    if code:
        sys.exit(said.getvalue())
    return sorted(collector.rules.values())


def page(found: Sequence[Rule]) -> str:
    """Return the text of docs/behaviour.md."""
    parts = [HEAD]
    for section, title in SECTIONS.items():
        lines = [
            f"| {rule.text} | {rule.provenance} | `{rule.test.removeprefix(TESTS + '/')}` |"
            for rule in found
            if rule.section == section
        ]
        if lines:
            head = [f"## {section}. {title}", "", "| rule | from | test |", "|---|---|---|"]
            parts.append("\n".join([*head, *lines, ""]))
    differences = yaml.safe_load((ROOT / TESTS / "differences.yaml").read_text())
    lines = [f"| {entry['here']} | {entry['service']} | {entry['why']} |" for entry in differences]
    parts.append("\n".join(["## Known differences", "", "| here | the service | why |", "|---|---|---|", *lines, ""]))
    parts.append(zoo())
    return "\n".join(parts)


def zoo() -> str:
    """Return the section on the models that `make test-zoo` compares with MLflow."""
    entries = yaml.safe_load((ROOT / ZOO / "differences.yaml").read_text())
    rows = ((", ".join(f"`{pair}`" for pair in entry["models"]), entry["why"]) for entry in entries)
    return "\n".join([ZOO_HEAD, *(f"| {models} | {why} |" for models, why in rows), ""])


def main(arguments: Sequence[str]) -> int:
    """Write the page, or with `--check` compare it; return the exit code."""
    text = page(rules())
    if "--check" not in arguments:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print("docs/behaviour.md is stale: run `make behaviour`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
