"""The notebook, executed against a server; it does not know which."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from served import Server

from support import COMMAND, DEADLINE, ROOT

NOTEBOOK = ROOT / "notebooks/mlflow-for-batch-tabular.ipynb"


def cells(path: Path) -> list[dict[str, Any]]:
    """The cells with code."""
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def test_it_says_nothing_of_the_twin_and_holds_no_outputs() -> None:
    assert not re.search("batchtwin|localhost|127.0.0.1", NOTEBOOK.read_text(), re.IGNORECASE)
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells(NOTEBOOK))


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory, heart_model: Path) -> list[dict[str, Any]]:
    """The cells of the notebook, executed in a copy of what it needs of the project."""
    folder = tmp_path_factory.mktemp("notebook")
    for source in (heart_model, *(ROOT / name for name in ("data", "deployment-custom", "environment"))):
        shutil.copytree(source, folder / source.name)
    copy = folder / "notebooks" / NOTEBOOK.name
    copy.parent.mkdir()
    copy.write_bytes(NOTEBOOK.read_bytes())
    server = Server(folder / "place")
    words = [str(COMMAND.with_name("jupyter-execute")), "--inplace", str(copy)]
    env = {**os.environ, **server.connection.variables(), "MPLCONFIGDIR": str(folder)}
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert server.stop() == ""
    assert done.returncode == 0, done.stderr
    return cells(copy)


def outputs(executed: list[dict[str, Any]], kind: str) -> list[str]:
    """What the cells show of this kind, in order."""
    shown = [output.get("data", {}) for cell in executed for output in cell["outputs"]]
    return ["".join(data[kind]) for data in shown if kind in data]


def test_it_shows_a_table_of_all_predictions(executed: list[dict[str, Any]]) -> None:
    assert any("303 rows" in text and "3 columns" in text for text in outputs(executed, "text/html"))


def test_it_shows_pictures(executed: list[dict[str, Any]]) -> None:
    assert len(outputs(executed, "image/png")) == 2


def test_every_cell_runs(executed: list[dict[str, Any]]) -> None:
    assert [cell["execution_count"] for cell in executed] == list(range(1, len(executed) + 1))
