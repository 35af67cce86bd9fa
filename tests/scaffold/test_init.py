"""`batchtwin init`: what it makes scores at once, passes `plan` without a warning, and writes over nothing."""

from __future__ import annotations

import json
import os
import shutil
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from batchtwin.scaffold.origin import action_of
from commands import run_code
from support import DEADLINE, Finished, batchtwin, warm

FILES = ["deployment.yml", "endpoint.yml", "conda.yaml", "test_deployment.py", ".github/workflows/score.yml"]
MODEL = """
    import mlflow
    import numpy as np

    class Sums(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            if isinstance(model_input, dict):
                model_input = model_input["image"]
            if hasattr(model_input, "select_dtypes"):
                return list(model_input.select_dtypes("number").sum(axis=1))
            return [float(row.sum()) for row in np.asarray(model_input)]

    mlflow.models.set_model(Sums())
"""
SAVE = """
    import sys
    from pathlib import Path
    import mlflow
    import numpy as np
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    root = Path(sys.argv[1])
    def tensors(*specs):
        return ModelSignature(Schema([TensorSpec(np.dtype(kind), shape, name) for kind, shape, name in specs]))
    table = pd.DataFrame({"a": [1.5, 2.5], "when": pd.to_datetime(["2024-02-01", "2024-02-02"]), "b, c": ["x", None]})
    kinds = ["long", "integer", "double", "float", "boolean", "string", "datetime"]
    models = {
        "example": {"input_example": table},
        "types": {"signature": ModelSignature(Schema([ColSpec(DataType[kind], kind) for kind in kinds]))},
        "unnamed": {"signature": ModelSignature(Schema([ColSpec(DataType.double), ColSpec(DataType.double)]))},
        "records": {"input_example": [{"a": 1, "b": 2.5}, {"a": 2, "b": 3.5}]},
        "array": {"input_example": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])},
        "params": {"input_example": (pd.DataFrame({"a": [1.0]}), {"top": 3})},
        "image": {"signature": tensors(("uint8", (-1, 28, 28, 1), None))},
        "named": {"signature": tensors(("float32", (-1, 3, 16, 24), "image"))},
        "any_size": {"signature": tensors(("uint8", (-1, -1, -1, 3), None))},
        "pixels": {"input_example": np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)},
        "two": {"signature": tensors(("float32", (-1, 2), "left"), ("float32", (-1, 2), "right"))},
        "deep": {"signature": tensors(("float32", (-1, 2, 2, 2, 2), None))},
        "lists": {"input_example": pd.DataFrame({"a": [[1, 2], [3]]})},
        "nothing": {},
    }
    for name, options in models.items():
        mlflow.pyfunc.save_model(root / name, python_model=root / "sums.py", pip_requirements=["numpy"], **options)
"""
TABLES = ["example", "types", "unnamed", "records", "array", "params"]
IMAGES = ["image", "named", "any_size", "pixels"]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models, one for each shape of input."""
    root = tmp_path_factory.mktemp("models")
    (root / "sums.py").write_text(textwrap.dedent(MODEL))
    run_code(textwrap.dedent(SAVE), [root], root, DEADLINE)
    return root


def init(folder: Path, model: Path, *words: str) -> Finished:
    """Make a project below `folder`."""
    return batchtwin("init", "mine", "--model", os.path.relpath(model, folder), *words, cwd=folder)


def score(folder: Path) -> Finished:
    """Score what was made, as the last line of `init` says."""
    done = batchtwin("plan", "deployment.yml", "--input", "data", cwd=folder)
    assert (done.code, done.err) == (0, ""), done.out
    return batchtwin("score", "deployment.yml", "--input", "data", "--output", folder / "job", cwd=folder)


def score_quickly(folder: Path, somewhere: Path) -> Finished:
    """Score what was made in a process that has the imports of other jobs; for that they run in the same folder."""
    words = (folder / "deployment.yml", "--input", folder / "data")
    done = batchtwin("plan", *words, cwd=somewhere)
    assert (done.code, done.err) == (0, ""), done.out
    return batchtwin("score", *words, "--output", folder / "job", cwd=somewhere, env=warm())


def sample(folder: Path) -> Path:
    [path] = (folder / "data").iterdir()
    return path


def test_the_heart_model(tmp_path: Path, heart_model: Path) -> None:
    done = init(tmp_path, heart_model)
    assert done.code == 0, done.err
    folder = tmp_path / "mine"
    assert set(done.out.splitlines()) == {f"mine/{name}" for name in (*FILES, "data/sample.csv")}
    assert "data/sample.csv: the input example of the model" in done.err
    assert done.err.splitlines()[-1] == "Next: cd mine && batchtwin score deployment.yml --input data"
    finished = score(folder)
    assert finished.code == 0, finished.err
    assert finished.predictions.count("\n") == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        *((name, []) for name in (*TABLES, *IMAGES)),
        *((name, ["--script"]) for name in ("types", "array", "named", "any_size")),
    ],
)
def test_what_it_makes_scores_at_once(tmp_path: Path, models: Path, name: str, words: list[str]) -> None:
    done = init(tmp_path, models / name, *words)
    assert done.code == 0, done.err
    folder = tmp_path / "mine"
    assert sample(folder).suffix == (".png" if name in IMAGES else ".csv")
    finished = score_quickly(folder, models)
    assert finished.code == 0, finished.err
    assert finished.predictions.count("\n") >= 1
    assert (folder / "code/score.py").exists() == bool(words)


def test_the_sample_is_the_models_input_example(tmp_path: Path, models: Path) -> None:
    init(tmp_path, models / "example")
    text = sample(tmp_path / "mine").read_text()
    assert text.splitlines()[0] == 'a,when,"b, c"'
    assert text.splitlines()[1].startswith("1.5,2024-02-01")


def test_pixels_of_an_example_are_kept(tmp_path: Path, models: Path) -> None:
    from PIL import Image

    init(tmp_path, models / "pixels")
    with Image.open(sample(tmp_path / "mine")) as image:
        assert (image.size, image.mode, image.tobytes()) == ((4, 4), "RGB", bytes(range(48)))


def test_a_model_without_example_and_signature_has_no_sample(tmp_path: Path, models: Path) -> None:
    done = init(tmp_path, models / "nothing")
    assert done.code == 0
    assert "data/: empty, for the model has neither an input example nor a signature" in done.err
    assert list((tmp_path / "mine/data").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("two", "asks for 2 inputs, and a file is one"),
        ("deep", "asks for shape (-1, 2, 2, 2, 2), which neither a table nor an image has"),
        ("lists", "asks for lists or objects (a), which no CSV file can hold"),
    ],
)
def test_what_only_a_script_can_score_is_refused_without_one(
    tmp_path: Path, models: Path, name: str, reason: str
) -> None:
    done = init(tmp_path, models / name)
    assert done.code == 2
    assert reason in done.err and "add --script" in done.err
    assert not (tmp_path / "mine").exists()
    done = init(tmp_path, models / name, "--script")
    assert done.code == 0, done.err
    assert score_quickly(tmp_path / "mine", models).code == 0


def test_a_model_that_mlflow_did_not_save(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/model.bin").write_bytes(b"\0\1")
    done = init(tmp_path, tmp_path / "weights")
    assert done.code == 2
    assert "holds no MLmodel file" in done.err and "--script" in done.err
    done = init(tmp_path, tmp_path / "weights", "--script")
    assert done.code == 0
    assert "predicts nothing yet" in done.err
    assert yaml.safe_load((tmp_path / "mine/deployment.yml").read_text())["model"]["type"] == "custom_model"
    finished = score(tmp_path / "mine")
    assert (finished.code, finished.predictions) == (0, "sample.csv 2\n")


def test_a_model_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"\0")
    assert "holds no MLmodel file" in init(tmp_path, tmp_path / "weights.bin").err
    assert init(tmp_path, tmp_path / "weights.bin", "--script").code == 0
    assert score(tmp_path / "mine").code == 0


def test_the_workflow_belongs_at_the_root_of_the_repository(tmp_path: Path, heart_model: Path) -> None:
    (tmp_path / ".git").mkdir()
    done = init(tmp_path, heart_model)
    assert f"move it to {tmp_path}/.github/workflows/score.yml, and write mine/ before its paths" in done.err
    (tmp_path / "own/.git").mkdir(parents=True)
    done = batchtwin("init", "own", "--model", heart_model, cwd=tmp_path)
    assert done.code == 0 and "move it to" not in done.err


def test_a_path_with_dots_is_the_folder_that_it_leads_to(tmp_path: Path, heart_model: Path) -> None:
    assert init(tmp_path, heart_model).code == 0
    done = batchtwin("init", "mine/other/..", "--model", heart_model, cwd=tmp_path)
    assert (done.code, "already there" in done.err) == (2, True)
    assert not (tmp_path / "mine/other").exists()


def test_a_model_without_conda_file_says_what_it_needs_elsewhere(tmp_path: Path, models: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(models / "example", model)
    (model / "conda.yaml").unlink()
    (model / "requirements.txt").write_text("mlflow\n-r more.txt\n./wheels/own-1-py3-none-any.whl\n")
    (model / "more.txt").write_text("numpy\n")
    assert init(tmp_path, model).code == 0
    content = yaml.safe_load((tmp_path / "mine/conda.yaml").read_text())
    assert content["dependencies"][0].startswith("python=")
    pip = content["dependencies"][-1]["pip"]
    assert set(pip) == {"mlflow", "numpy", "./../model/wheels/own-1-py3-none-any.whl", "azureml-core"}


@pytest.mark.parametrize("taken", [*FILES, "data/sample.csv"])
def test_no_file_is_written_over_another(tmp_path: Path, heart_model: Path, taken: str) -> None:
    path = tmp_path / "mine" / taken
    path.parent.mkdir(parents=True)
    path.write_text("own")
    before = sorted(tmp_path.rglob("*"))
    done = init(tmp_path, heart_model)
    if taken.startswith("data/"):
        assert done.code == 0 and "has files already" in done.err
    else:
        assert (done.code, sorted(tmp_path.rglob("*"))) == (2, before)
        assert done.err.startswith(f"mine/{taken}: already there")
    assert path.read_text() == "own"


def test_a_link_that_leads_nowhere_is_a_file_too(tmp_path: Path, heart_model: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/conda.yaml").symlink_to(tmp_path / "elsewhere")
    done = init(tmp_path, heart_model)
    assert (done.code, (tmp_path / "elsewhere").exists()) == (2, False)


@pytest.mark.parametrize("path", ["mine", "mine/data", "mine/.github"])
def test_a_file_where_a_folder_is_to_be(tmp_path: Path, heart_model: Path, path: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text("own")
    done = init(tmp_path, heart_model)
    assert done.code == 2
    assert done.err.startswith(f"{path}: is a file where a folder is needed")
    assert not (tmp_path / "mine/deployment.yml").exists()


@pytest.mark.parametrize(
    ("model", "text"),
    [("nowhere", "nowhere: no such model"), ("broken", "broken/MLmodel: not valid YAML"), ("https://a/b", "a copy")],
)
def test_a_model_that_cannot_be_read(tmp_path: Path, model: str, text: str) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/MLmodel").write_text("a: [")
    done = batchtwin("init", "mine", "--model", model, cwd=tmp_path)
    assert done.code == 2
    assert text in done.err
    assert not (tmp_path / "mine").exists()


def test_the_model_may_be_in_the_folder(tmp_path: Path, heart_model: Path) -> None:
    shutil.copytree(heart_model, tmp_path / "My Project 2/model")
    done = batchtwin("init", ".", cwd=tmp_path / "My Project 2")
    assert done.code == 0, done.err
    content = yaml.safe_load((tmp_path / "My Project 2/deployment.yml").read_text())
    assert (content["name"], content["model"]["path"]) == ("my-project-2", "model")
    done = batchtwin("init", "other", cwd=tmp_path)
    assert (done.code, "--model: say which model" in done.err) == (2, True)


@pytest.mark.parametrize(("folder", "name"), [("7", "batch-7"), ("ö", "batch"), ("x" * 40, "x" * 32)])
def test_names_are_those_that_the_service_takes(tmp_path: Path, heart_model: Path, folder: str, name: str) -> None:
    assert batchtwin("init", folder, "--model", heart_model, cwd=tmp_path).code == 0
    assert yaml.safe_load((tmp_path / folder / "endpoint.yml").read_text())["name"] == name


def test_a_name_that_the_service_does_not_take_is_refused(tmp_path: Path, heart_model: Path) -> None:
    done = init(tmp_path, heart_model, "--name", "-x")
    assert (done.code, "--name -x: no name of a deployment" in done.err) == (2, True)


def test_an_example_file_elsewhere_is_not_read(tmp_path: Path, models: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(models / "example", model)
    (tmp_path / "secret.json").write_text('{"columns": ["secret"], "data": [[1]]}')
    content = yaml.safe_load((model / "MLmodel").read_text())
    content["saved_input_example_info"]["artifact_path"] = "../secret.json"
    (model / "MLmodel").write_text(yaml.safe_dump(content))
    done = init(tmp_path, model)
    assert "made up by the types of the model's signature" in done.err
    assert "secret" not in sample(tmp_path / "mine").read_text()


@pytest.mark.parametrize("url", ["https://github.com/some/twin.git", "ssh://git@github.com/some/twin"])
def test_the_workflow_names_the_repository_that_was_installed(url: str) -> None:
    text = json.dumps({"url": url, "vcs_info": {"vcs": "git", "commit_id": "abc", "requested_revision": "v1"}})
    assert action_of(text).reference == "some/twin@abc"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": "file:///src"}', '{"url": "https://github.com/a/b"}'])
def test_otherwise_it_says_what_to_write(text: str) -> None:
    assert action_of(text).reference == "OWNER/batchtwin@main"
    assert action_of(text).advice


def hostile(tmp_path: Path, models: Path, inputs: Any) -> Finished:
    """`init` for a model whose signature is `inputs`, and that has no example."""
    model = tmp_path / "model"
    shutil.copytree(models / "example", model)
    content = yaml.safe_load((model / "MLmodel").read_text())
    content.pop("saved_input_example_info")
    content["signature"]["inputs"] = inputs if isinstance(inputs, str) else json.dumps(inputs)
    (model / "MLmodel").write_text(yaml.safe_dump(content))
    return init(tmp_path, model)


def array(*shape: Any) -> list[dict[str, Any]]:
    return [{"type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": shape}}]


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        pytest.param(array(-1, 10**9), "asks for 1000000000 columns", id="columns"),
        pytest.param(array(-1, 10**6, 10**6, 3), "asks for an image of 1000000 x 1000000", id="pixels"),
        pytest.param(array(-1, -7, 5, 3), "asks for shape (-1, -7, 5, 3)", id="negative"),
        pytest.param(array(-1, 10**400), "neither an input example nor a signature", id="beyond NumPy"),
        pytest.param(array(*[1] * 1000), "neither an input example nor a signature", id="sides"),
        pytest.param(array(-1, "x"), "neither an input example nor a signature", id="text"),
        pytest.param("[" * 100_000, "neither an input example nor a signature", id="nested"),
        pytest.param([{"type": "long", "name": "a\udc80"}], "half of a surrogate pair", id="name"),
    ],
)
def test_a_signature_that_nobody_can_fill_is_told(tmp_path: Path, models: Path, inputs: Any, said: str) -> None:
    """In one line, within memory; all but the sample is made."""
    done = hostile(tmp_path, models, inputs)
    assert (done.code, said in done.err, "Traceback" in done.err) == (0, True, False), done.err
    assert (tmp_path / "mine/deployment.yml").exists() and not list((tmp_path / "mine/data").glob("*"))


@pytest.mark.parametrize("pixel", [10**400, 1e300, -1, "x", None])
def test_an_example_that_is_no_picture_is_not_taken(tmp_path: Path, models: Path, pixel: Any) -> None:
    model = tmp_path / "model"
    shutil.copytree(models / "example", model)
    content = yaml.safe_load((model / "MLmodel").read_text())
    content["signature"]["inputs"] = json.dumps(array(-1, 2, 2, 1))
    content["saved_input_example_info"] = {"artifact_path": "input_example.json", "type": "ndarray"}
    (model / "input_example.json").write_text(json.dumps({"inputs": [[[[9], [pixel]], [[200], [7]]]]}))
    (model / "MLmodel").write_text(yaml.safe_dump(content))
    done = init(tmp_path, model)
    assert (done.code, "made up by the types" in done.err) == (0, True), done.err
