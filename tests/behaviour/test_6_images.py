"""Section 6: the MLflow driver on images."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from commands import run_code
from support import DEADLINE, Finished, Project, warm

DESCRIBE = """
    import mlflow
    import pandas as pd

    class Describe(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            if isinstance(model_input, pd.DataFrame):
                return ["a table"]
            return [f"{model_input.shape} {model_input.dtype} {model_input.ravel()[:4].tolist()}"]

    mlflow.models.set_model(Describe())
"""
NAMED = """
    import mlflow

    class Named(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return {"label": [str(model_input["image"].dtype)], "score": [float(model_input["image"].max())]}

    mlflow.models.set_model(Named())
"""
ENDS = """
    import mlflow
    import numpy as np

    class Ends(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            assert model_input.shape == (1, 28, 28, 1) and model_input.dtype == np.uint8
            return np.array([[model_input[0, 0, 0, 0], model_input[0, -1, -1, 0]]])

    mlflow.models.set_model(Ends())
"""
SAVE = """
    import sys
    from pathlib import Path
    import mlflow
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    root = Path(sys.argv[1])
    tensor = TensorSpec(np.dtype(np.uint8), (-1, 28, 28, 1))
    named = TensorSpec(np.dtype(np.float32), (-1, 28, 28, 1), "image")
    signatures = {"ends": ModelSignature(Schema([tensor])), "named": ModelSignature(Schema([named])), "describe": None}
    for name, signature in signatures.items():
        options = {"signature": signature, "pip_requirements": ["numpy"]}
        mlflow.pyfunc.save_model(root / name, python_model=root / f"{name}.py", **options)
"""
GREY = np.arange(784, dtype=np.uint32).reshape(28, 28).astype(np.uint8)
Score = Callable[..., Finished]


@pytest.fixture(scope="session")
def score(tmp_path_factory: pytest.TempPathFactory) -> Score:
    """Score files, by name, with a model: `ends` and `named` want 28 x 28 pixels, `describe` has no signature."""
    root = tmp_path_factory.mktemp("models")
    for name, code in {"describe": DESCRIBE, "ends": ENDS, "named": NAMED}.items():
        (root / f"{name}.py").write_text(textwrap.dedent(code))
    run_code(textwrap.dedent(SAVE), [root], root, DEADLINE)

    def run(model: str, files: dict[str, bytes], *words: str, **settings: Any) -> Finished:
        project = Project(tmp_path_factory.mktemp(model) / "project", model=root / model, settings=settings)
        for name, content in files.items():
            (project.inputs / name).write_bytes(content)
        return project.score("--workers", "1", *words, env=warm())

    return run


def encoded(image: Image.Image | np.ndarray[Any, Any], kind: str = "png", **options: Any) -> bytes:
    stream = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(stream, kind, **options)
    return stream.getvalue()


def predictions(done: Finished) -> dict[str, str]:
    """The prediction of each image."""
    return {line[1]: line[0] for line in csv.reader(io.StringIO(done.predictions)) if len(line) == 2}


@pytest.fixture(scope="session")
def described(score: Score) -> Finished:
    """Images of every kind, scored without signature."""
    colour = np.full((2, 3, 3), (10, 20, 30), dtype=np.uint8)
    palette = Image.new("P", (3, 2), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    grey = Image.new("L", (3, 2), 7)
    frames = [Image.new("L", (3, 2), value) for value in (8, 9)]
    return score(
        "describe",
        {
            "alpha.png": encoded(Image.new("RGBA", (3, 2), (10, 20, 30, 40))),
            "animated.gif": encoded(grey, "gif", save_all=True, append_images=frames),
            "colour.BMP": encoded(colour, "bmp"),
            "grey.tiff": encoded(grey, "tiff"),
            "here, there.png": encoded(grey),
            "palette.gif": encoded(palette, "gif"),
            "really a png.jpg": encoded(colour),
            "table.csv": b"a,b\n1,2\n",
        },
        mini_batch_size=5,
        error_threshold=0,
    )


@pytest.mark.documented(
    "6", "Images are scored as arrays; a model without signature gets uint8 as it is, without batch axis."
)
def test_without_signature(described: Finished) -> None:
    assert described.code == 0, described.err
    lines = predictions(described)
    assert lines["grey.tiff"] == "(2, 3) uint8 [7, 7, 7, 7]"
    assert lines["colour.BMP"] == "(2, 3, 3) uint8 [10, 20, 30, 10]"
    assert lines["alpha.png"] == "(2, 3, 4) uint8 [10, 20, 30, 40]"


@pytest.mark.ours("6", "Images with a palette become RGB.")
def test_palette(described: Finished) -> None:
    assert predictions(described)["palette.gif"] == "(2, 3, 3) uint8 [10, 20, 30, 10]"


@pytest.mark.ours("6", "Of an animation the first frame is scored, with a warning.")
def test_animation(described: Finished) -> None:
    assert predictions(described)["animated.gif"] == "(2, 3, 3) uint8 [7, 7, 7, 7]", "GIFs have a palette"
    assert "animated.gif: only the first of its 3 frames is scored" in described.log("user/stderr/*/*.txt")


@pytest.mark.ours("6", "An image whose content does not fit its ending is read by its content, with a warning.")
def test_wrong_ending(described: Finished) -> None:
    assert predictions(described)["really a png.jpg"] == "(2, 3, 3) uint8 [10, 20, 30, 10]"
    assert "really a png.jpg: read as PNG" in described.log("user/stderr/*/*.txt")


@pytest.mark.documented("6", "The driver writes one line per image, `prediction,file_name`.")
def test_lines(described: Finished) -> None:
    assert '"(2, 3) uint8 [7, 7, 7, 7]","here, there.png"\n' in described.predictions
    assert len(described.predictions.splitlines()) == 8


@pytest.mark.ours("6", "A folder of images and tables: each file is read, and its lines written, by its own ending.")
def test_mixed_folder(described: Finished) -> None:
    assert described.predictions.endswith("0,a table,table.csv\n")


@pytest.fixture(scope="session")
def ended(score: Score) -> Finished:
    """Images good and bad for a model of 28 x 28 grey pixels; first and last pixel are 0 and 15."""
    colour = np.stack([GREY] * 3, axis=-1)
    alpha = np.dstack([colour, np.full((28, 28), 255, dtype=np.uint8)])
    return score(
        "ends",
        {
            "alpha.png": encoded(alpha),
            "broken.png": encoded(GREY)[:60],
            "colour.tiff": encoded(colour, "tiff"),
            "grey.png": encoded(GREY),
            "large.png": encoded(np.zeros((30, 30), dtype=np.uint8)),
            "palette.gif": encoded(Image.fromarray(GREY).convert("P"), "gif"),
            "photo.JPG": encoded(np.full((28, 28), 100, dtype=np.uint8), "jpeg"),
            "table.csv": b"a,b\n1,2\n",
            "text.jpeg": b"no image at all",
        },
        "--bad-files",
        "quarantine",
        mini_batch_size=5,
    )


@pytest.mark.documented(
    "6", "Images are reshaped to the signature's TensorSpec, a leading -1 being a batch of one, and get its dtype."
)
def test_tensor(ended: Finished) -> None:
    assert ended.code == 0, ended.err
    assert predictions(ended)["grey.png"] == "[0, 15]"
    assert predictions(ended)["photo.JPG"] == "[100, 100]"


@pytest.mark.ours("6", "Images get the channels that the TensorSpec asks for: 1 is grey, 3 RGB, 4 RGBA.")
@pytest.mark.parametrize("name", ["colour.tiff", "alpha.png", "palette.gif"])
def test_channels(ended: Finished, name: str) -> None:
    assert json.loads(predictions(ended)[name]) == [0, 15]


@pytest.mark.ours(
    "6",
    "Images that are broken, or cannot be reshaped to the TensorSpec, are bad files, as are tables for such a model.",
)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("broken.png", "not a readable image: "),
        (
            "large.png",
            "an image of shape (30, 30, 1) cannot be reshaped to the (-1, 28, 28, 1) of the model's signature",
        ),
        ("table.csv", "an array of shape (-1, 28, 28, 1); the file is a table of shape (-1, 2)"),
        ("text.jpeg", "not an image, whatever its ending says"),
    ],
)
def test_bad_images(ended: Finished, name: str, text: str) -> None:
    assert name not in predictions(ended)
    [record] = (record for record in ended.failures if record["file"].endswith(name))
    assert (record["kind"], record["attempts"]) == ("bad_file", 1)
    assert text in record["message"]
    assert "5 succeeded, 4 failed." in ended.out


@pytest.mark.ours("6", "A broken image fails the job, without retry.")
def test_broken_image_fails_the_job(score: Score) -> None:
    done = score("ends", {"broken.png": encoded(GREY)[:60]})
    path = done.output.parent / "inputs/broken.png"
    assert done.code == 1
    assert f"ERROR:azureml:Error processing input file: '{path}'. Exception: not a readable image: " in done.err
    assert "Traceback" not in done.err + done.out
    assert list((done.output / "named-outputs/score").iterdir()) == []


@pytest.mark.ours("6", "A model whose only input has a name gets the image by that name.")
def test_named_input(score: Score) -> None:
    done = score("named", {"grey.png": encoded(GREY)})
    assert done.code == 0, done.err
    assert json.loads(predictions(done)["grey.png"]) == {"label": "float32", "score": 255.0}
