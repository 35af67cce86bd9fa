"""`batchtwin image`: the environment of any deployment; and our own deployments in our image."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from package_server import Shop, sdist, serving
from support import ROOT, Project, batchtwin

pytestmark = pytest.mark.container
CUSTOM = ROOT / "deployment-custom"


Docker = Callable[..., str]


def asks_for(project: Project, *lines: str, image: str = "python:3.11-slim-bookworm", **conda: str) -> Path:
    """A deployment whose conda file lists these lines of pip; `conda` has other entries, such as python=3.11."""
    project.files(1)
    project.script = "import sklearn\ndef run(mini_batch): return [sklearn.__version__]"
    path = project.write()
    data = yaml.safe_load(path.read_text())
    entries = [f"{name}={at}" for name, at in {"python": "3.11", **conda}.items()]
    data["environment"] = {"image": image, "conda_file": {"dependencies": [*entries, "pip", {"pip": list(lines)}]}}
    path.write_text(yaml.safe_dump(data))
    return path


def test_an_image_holds_the_environment_that_is_asked_for_and_nothing_else(
    engine: str, docker: Docker, project: Project
) -> None:
    path = asks_for(project, "scikit-learn==1.7.2")
    strict = batchtwin("score", path, "--input", project.inputs, "--strict-environment")
    assert (strict.code, "==1.7.2 is requested" in strict.err) == (2, True)
    built = batchtwin("image", path, "--engine", engine)
    assert built.code == 0, built.err[-3000:]
    tag = built.out.strip()
    again = batchtwin("image", path, "--engine", engine)
    assert (again.out.strip(), again.err) == (tag, ""), "nothing is built twice"
    code = "import importlib.util as util, sklearn; print(sklearn.__version__, util.find_spec('batchtwin'))"
    assert docker("run", "--rm", "--network", "none", "--read-only", tag, "python", "-c", code) == "1.7.2 None"
    assert docker("run", "--rm", tag, "id", "-u") == "10001"


def test_source_packages_are_built_in_the_build_and_only_on_request(
    engine: str, docker: Docker, project: Project, tmp_path: Path
) -> None:
    with Shop(sdist(tmp_path / "touched")) as shop, serving(shop):
        path = asks_for(project, f"evil @ http://127.0.0.1:{shop.server_port}/evil-1.0.tar.gz")
        flags = ("--engine", engine, "--build-flags", f"{os.environ.get('DOCKER_BUILD_FLAGS', '')} --network host")
        refused = batchtwin("image", path, *flags)
        assert refused.code == 2
        assert "only wheels are installed; --allow-builds also builds source packages" in refused.err
        built = batchtwin("image", path, *flags, "--allow-builds")
    # Its setup.py cannot write where this test would see it: the folder is not in the build.
    assert "No such file or directory" in built.err
    assert not (tmp_path / "touched").exists()


def test_conda_packages_need_a_base_with_conda(engine: str, project: Project) -> None:
    done = batchtwin("image", asks_for(project, "six", libgomp="13"), "--engine", engine)
    assert done.code == 2
    assert "libgomp=13: only conda installs these, and the base image has none" in done.err


def test_a_python_that_cannot_be_had_is_named(engine: str, project: Project) -> None:
    done = batchtwin("image", asks_for(project, "six", python="3.99"), "--engine", engine)
    assert done.code == 2
    assert "Python 3.99: neither in the base image, nor can uv install it" in done.err


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
