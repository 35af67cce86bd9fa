"""`batchtwin image`: the environment of any deployment; and our own deployments in our image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from support import ROOT, Project, batchtwin

pytestmark = pytest.mark.container
CUSTOM = ROOT / "deployment-custom"


def test_a_deployment_that_needs_another_scikit_learn(engine: str, project: Project) -> None:
    project.files(1)
    project.script = "import sklearn\ndef run(mini_batch): return [sklearn.__version__]"
    path = project.write()
    data = yaml.safe_load(path.read_text())
    conda = {"dependencies": ["python=3.11", "pip", {"pip": ["scikit-learn==1.7.2"]}]}
    data["environment"] = {"image": "python:3.11-slim-bookworm", "conda_file": conda}
    path.write_text(yaml.safe_dump(data))
    strict = batchtwin("score", path, "--input", project.inputs, "--strict-environment")
    assert (strict.code, "==1.7.2 is asked for" in strict.err) == (2, True)
    built = batchtwin("image", path, "--engine", engine)
    assert built.code == 0, built.err[-3000:]
    tag = built.out.strip()
    again = batchtwin("image", path, "--engine", engine)
    assert (again.out.strip(), again.err) == (tag, ""), "nothing is built twice"
    words: list[str | Path] = [
        "--input",
        project.inputs,
        "--output",
        project.folder / "job",
        "--image",
        tag,
        "--engine",
        engine,
    ]
    done = batchtwin("score", path, *words)
    assert done.predictions == "1.7.2\n", done.err
    assert "Warning: environment" not in done.err


@pytest.fixture(scope="session")
def json_lines(tmp_path_factory: pytest.TempPathFactory, heart_model: Path) -> Path:
    """The input of the deployment that reads JSON lines: the model's own example."""
    example = json.loads((heart_model / "input_example.json").read_text())
    folder = tmp_path_factory.mktemp("json-lines")
    folder.chmod(0o755)  # whoever the container runs as
    rows = [dict(zip(example["columns"], row, strict=True)) for row in example["data"]]
    (folder / "patients.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize("deployment", sorted(path.name for path in CUSTOM.glob("*.yml")))
def test_every_custom_deployment_runs_in_the_image(
    deployment: str, image: str, engine: str, heart_model: Path, json_lines: Path, tmp_path: Path
) -> None:
    source = json_lines if "jsonl" in deployment else ROOT / "data"
    words: list[str | Path] = [
        CUSTOM / deployment,
        "--input",
        source,
        "--model",
        heart_model,
        "--output",
        tmp_path / "job",
    ]
    done = batchtwin("score", *words, "--image", image, "--engine", engine)
    assert done.code == 0, done.err
    assert done.out.startswith("Completed\n")
    assert list((tmp_path / "job/named-outputs/score").iterdir())


def test_our_environment_is_in_our_image(image: str, engine: str, tmp_path: Path) -> None:
    """Nothing differs inside from what the conda file asks for."""
    words: list[str | Path] = [
        ROOT / "deployment-custom/deployment.yml",
        "--input",
        ROOT / "data",
        "--model",
        ROOT / "model",
    ]
    options = ["--image", image, "--engine", engine, "--strict-environment"]
    assert batchtwin("score", *words, "--output", tmp_path / "job", *options).code == 0
