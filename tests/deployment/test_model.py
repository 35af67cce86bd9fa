"""The model of a deployment: where it lies, and what its MLmodel file says."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from batchtwin.deployment.model import Model, find_model, read_model
from batchtwin.deployment.schema import Deployment
from batchtwin.errors import ModelError

PYFUNC = "flavors:\n  python_function:\n    loader_module: mlflow.xgboost\n  xgboost:\n    data: model.json\n"


def deployment(tmp_path: Path, model: str) -> Deployment:
    path = tmp_path / "deployment.yml"
    path.write_text(f"name: my-deployment\nendpoint_name: my-endpoint\nmodel: {model}\ncompute: azureml:cluster\n")
    return Deployment.load(path)


def saved(folder: Path, mlmodel: str | bytes | None = PYFUNC) -> Path:
    folder.mkdir(parents=True)
    if mlmodel is not None:
        (folder / "MLmodel").write_bytes(mlmodel if isinstance(mlmodel, bytes) else mlmodel.encode())
    return folder


def test_an_inline_path_is_relative_to_the_yaml(tmp_path: Path) -> None:
    saved(tmp_path / "models/heart")
    (tmp_path / "deployments").mkdir()
    model = find_model(deployment(tmp_path, "{path: ../models/heart}"), tmp_path / "deployments")
    assert model.path.resolve() == tmp_path / "models/heart"
    assert model.flavors == ("python_function", "xgboost")
    model.require_pyfunc()


def test_an_absolute_path(tmp_path: Path) -> None:
    saved(tmp_path / "heart")
    spec = deployment(tmp_path, f"{{path: {tmp_path}/heart}}")
    assert find_model(spec, Path("/")).path == tmp_path / "heart"


@pytest.mark.parametrize("model", ["azureml:heart:1", "{path: elsewhere}", "{name: n, path: 'azureml://x/y'}"])
def test_the_option_wins_and_is_relative_to_here(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path / "here/heart")
    monkeypatch.chdir(tmp_path / "here")
    assert find_model(deployment(tmp_path, model), tmp_path, Path("heart")).path == tmp_path / "here/heart"


def test_a_single_file_is_a_model(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"x")
    assert find_model(deployment(tmp_path, "{path: model.pkl}"), tmp_path) == Model(tmp_path / "model.pkl", ())


def test_a_folder_that_mlflow_did_not_save(tmp_path: Path) -> None:
    saved(tmp_path / "heart", None)
    model = find_model(deployment(tmp_path, "{path: heart}"), tmp_path)
    assert model.flavors == ()
    with pytest.raises(ModelError, match=r"heart: holds no MLmodel file; .* name it in code_configuration"):
        model.require_pyfunc()


def test_no_pyfunc_names_the_flavors_found(tmp_path: Path) -> None:
    saved(tmp_path / "heart", "flavors: {xgboost: {}, onnx: {}}\n")
    with pytest.raises(ModelError, match=r"no python_function among them \(found: xgboost, onnx\)"):
        find_model(deployment(tmp_path, "{path: heart}"), tmp_path).require_pyfunc()


NOT_HERE = {
    "registered": ("azureml:heart:1", "model: 'azureml:heart:1' is registered in Azure ML, not here; give a copy of"),
    "remote": ("{name: n, path: 'azureml://x/y'}", "model.path: 'azureml://x/y' is remote; give a copy of it: --model"),
    "missing": ("{path: heart}", "no such model (model.path: 'heart'); train or download it first"),
    "below a file": ("{path: deployment.yml/x}", "no such model (model.path: 'deployment.yml/x')"),
    "name too long": (f"{{path: {'x' * 300}}}", "no such model"),
}


@pytest.mark.parametrize(("model", "said"), NOT_HERE.values(), ids=NOT_HERE)
def test_a_model_that_is_not_here(model: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        find_model(deployment(tmp_path, model), tmp_path)
    assert said in str(caught.value)


def test_the_option_names_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere: no such model \(--model\)"):
        find_model(deployment(tmp_path, "azureml:heart:1"), tmp_path, tmp_path / "nowhere")


BROKEN: dict[str, tuple[str | bytes, str]] = {
    "no flavors": ("artifact_path: x\n", "flavors: missing"),
    "empty flavors": ("flavors: {}\n", "flavors: missing"),
    "flavors is a list": ("flavors: [python_function]\n", "flavors: missing"),
    "empty": ("", "flavors: missing"),
    "a list": ("- flavors\n", "flavors: missing"),
    "torn": ("flavors: {python_function", "not valid YAML"),
    "binary": (b"\xff\xfe\x00", "not valid YAML"),
    "no such date": ("flavors: 2024-99-99\n", "not valid YAML: month must be in 1..12"),
    "very deep": ("flavors: " + "[" * 1200, "not valid YAML"),
    "code": ("flavors: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
}


@pytest.mark.parametrize(("content", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_mlmodel_file(content: str | bytes, said: str, tmp_path: Path) -> None:
    saved(tmp_path / "heart", content)
    with pytest.raises(ModelError) as caught:
        find_model(deployment(tmp_path, "{path: heart}"), tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'heart/MLmodel'}: {said}")


def test_a_model_of_somebody_else(ordinary_user: Path) -> None:
    saved(ordinary_user / "heart")
    (ordinary_user / "heart/MLmodel").chmod(0)
    with pytest.raises(ModelError, match="MLmodel: cannot be read: Permission denied"):
        find_model(deployment(ordinary_user, "{path: heart}"), ordinary_user)


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        ('[{"type": "long", "name": "a"}, {"type": "string", "name": "b"}]', ("a", "b")),
        ('[{"type": "long"}]', ()),
        ('[{"type": "long", "name": 1}]', ()),
        ("[1]", ()),
        ("no", ()),
        ('{"a": 1}', ()),
        (1, ()),
    ],
)
def test_the_names_of_the_output(tmp_path: Path, outputs: object, names: tuple[str, ...]) -> None:
    content = {"flavors": {"python_function": {}}, "signature": {"outputs": outputs}}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump(content))
    assert read_model(tmp_path).outputs == names
