"""`mlflow models predict` for each file: no code of one's own, but a new process, and a model to load, per file."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd


def main(model_folder: str, inputs: str, output: str) -> None:
    """Score the CSV files of a folder one after the other; the command writes JSON, so take the predictions from it."""
    mlflow = str(Path(sys.executable).with_name("mlflow"))
    with tempfile.TemporaryDirectory() as folder, open(output, "w", encoding="utf-8") as lines:
        answer = Path(folder, "predictions.json")
        words = [mlflow, "models", "predict", "--model-uri", model_folder, "--env-manager", "local"]
        for path in sorted(Path(inputs).glob("*.csv")):
            files = ["--input-path", str(path), "--content-type", "csv", "--output-path", str(answer)]
            subprocess.run([*words, *files], check=True)  # noqa: S603 - a user's own
            predictions = json.loads(answer.read_text(encoding="utf-8"))["predictions"]
            pd.DataFrame({"prediction": predictions, "file": path.name}).to_csv(lines, header=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
