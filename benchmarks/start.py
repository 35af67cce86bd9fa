"""The least that a process can do: import mlflow.pyfunc and load the model; with an input folder, predict as well.

`start.py MODEL [INPUT_DIR OUTPUT_FILE]`, timed as a whole process. It reads as the loop does.
"""

import sys
from pathlib import Path

import mlflow.pyfunc


def main(model_folder: str, inputs: str = "", output: str = "") -> None:
    """Import, load; predict each CSV file, if asked."""
    model = mlflow.pyfunc.load_model(model_folder)
    if not inputs:
        return
    import pandas as pd

    with open(output, "w", encoding="utf-8") as lines:
        for path in sorted(Path(inputs).glob("*.csv")):
            predictions = model.predict(pd.read_csv(path))
            lines.writelines(f"{row},{prediction},{path.name}\n" for row, prediction in enumerate(predictions))


if __name__ == "__main__":
    main(*sys.argv[1:])
