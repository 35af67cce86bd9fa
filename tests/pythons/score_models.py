"""Score every model of a generation with the MLflow driver, in this process: `python score_models.py PACKAGES MODELS`.

Prints JSON: name of the model -> its output lines.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.append(sys.argv[1])

from batchtwin_node.driver import mlflow_driver
from batchtwin_node.script.entry_script import LoadedScript
from batchtwin_node.script.results import encode


def score(folder: Path) -> str:
    """Return the output of one model for its files, each by itself and all together."""
    files = [str(path) for path in sorted((folder / "input").iterdir())]
    os.environ["AZUREML_MODEL_DIR"] = str(folder)
    mlflow_driver._model = None
    driver = LoadedScript.load(None)
    driver.init()
    single = b"".join(encode(driver.run([path], 0), 1, True).data for path in files)
    together = encode(driver.run(files, 0), len(files), True)
    if together.data != single or together.succeeded != len(files):
        raise AssertionError(f"{folder.name}: files that are read together give other rows")
    return single.decode()


def main() -> None:
    """Score all models."""
    json.dump({folder.name: score(folder) for folder in sorted(Path(sys.argv[2]).iterdir())}, sys.stdout)


if __name__ == "__main__":
    main()
