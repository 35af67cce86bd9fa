"""The environment that a deployment asks for, and the one that it runs in."""

from __future__ import annotations

import json

import pytest
import yaml

from batchtwin.engine.backends.warm.servers import warm_servers
from support import Finished, Project, batchtwin, wait_for


def plan_asking(project: Project, *words: str) -> Finished:
    project.files(1)
    project.script = "def run(mini_batch): return mini_batch"
    path = project.write()
    data = yaml.safe_load(path.read_text())
    conda = {"dependencies": ["python=3.11", {"pip": ["pyyaml==0.1", "no-such-package"]}]}
    data["environment"] = {"image": "python:3.11", "conda_file": "conda.yaml"}
    (project.folder / "conda.yaml").write_text(yaml.safe_dump(conda))
    path.write_text(yaml.safe_dump(data))
    return batchtwin("plan", path, "--input", project.inputs, *words)


@pytest.mark.ours(
    "8", "Each difference between the conda file (or the model's requirements.txt) and this environment is named."
)
def test_differences_are_named(project: Project) -> None:
    done = plan_asking(project)
    assert done.code == 0
    assert "Warning: environment: pyyaml" in done.err
    assert "no-such-package is requested and not installed" in done.err
    (project.folder / "inputs").rename(project.folder / "i")
    project.inputs.mkdir()
    assert len(json.loads(plan_asking(project, "--json").out)["environment_differences"]) == 2


@pytest.mark.ours("8", "With --strict-environment a difference is an error, exit code 2.")
def test_strict(project: Project) -> None:
    done = plan_asking(project, "--strict-environment")
    assert done.code == 2
    assert "no-such-package is requested and not installed" in done.err


@pytest.mark.ours(
    "8",
    "A named environment is what the workspace has registered, else what environments.yml maps it to; else it cannot "
    "be checked, which plan and score tell, and --strict-environment refuses.",
)
def test_a_name_that_nothing_here_explains(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHTWIN_WORKSPACE", str(project.folder / "workspace"))
    project.files(1)
    project.script = "def run(mini_batch): return mini_batch"
    path = project.write()
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"environment": "azureml:own:1"}))
    words = (path, "--input", project.inputs)
    done = batchtwin("plan", *words)
    assert (done.code, "'azureml:own:1' cannot be checked: register it" in done.err) == (0, True)
    assert batchtwin("plan", *words, "--strict-environment").code == 2
    mapping = {"azureml:own": {"conda_file": {"dependencies": [{"pip": ["pyyaml==0.1"]}]}}}
    (project.folder / "environments.yml").write_text(yaml.safe_dump(mapping))
    assert "==0.1 is requested" in batchtwin("plan", *words).err


@pytest.mark.ours("8", "A conda file whose entries are no texts, or that names python twice, is refused.")
@pytest.mark.parametrize("entry", [3.8, {"conda": ["x"]}, "python=3.8"])
def test_nothing_is_left_out(project: Project, entry: object) -> None:
    plan_asking(project)
    conda = {"dependencies": ["python=3.11", entry]}
    (project.folder / "conda.yaml").write_text(yaml.safe_dump(conda))
    done = batchtwin("plan", project.folder / "deployment.yml", "--input", project.inputs)
    assert (done.code, "conda.yaml: dependencies: " in done.err) == (2, True)


@pytest.mark.ours(
    "8",
    "With `--warm` (or BATCHTWIN_WARM=1) the imports of a job, and an MLflow model that is loaded, stay ready for the "
    "next job for ten minutes. A job that has another interpreter, package, model, variable or limit starts by "
    "itself. Nothing of a job is seen by the next.",
)
@pytest.mark.local
def test_a_warm_job_is_a_job_like_any_other(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.files(2)
    project.settings = {"mini_batch_size": 2}
    project.script = """
        import json, os
        def run(mini_batch):
            seen = os.environ.get("LEFT"), os.path.exists("left"), hasattr(json, "left")
            os.environ["LEFT"] = json.left = open("left", "w").name
            return [str(seen)] * len(mini_batch)
    """
    texts = [project.score("--overwrite", "--workers", "2", *words).predictions for words in ([], ["--warm"])]
    wait_for(lambda: bool(warm_servers()))
    done = project.score("--overwrite", "--workers", "2", "--warm")
    assert "forked from a warm server" in done.log("sys/node/*/*.txt")
    assert [done.predictions] * 2 == texts
    monkeypatch.setenv("SOME_SETTING", "1")
    assert "from a warm server" not in project.score("--overwrite", "--warm").log("sys/node/*/*.txt")


@pytest.mark.ours(
    "8",
    "Lines of the conda file that name other files (`-r requirements.txt`, `./own.whl`) work here; a warning says that "
    "Azure ML gets the conda file without them.",
)
@pytest.mark.parametrize(("line", "count"), [("-r lists/all.txt", 2), ("./own-1.0-py3-none-any.whl", 1)])
def test_files_that_a_conda_file_names(project: Project, line: str, count: int) -> None:
    project.files(1)
    project.script = "def run(mini_batch): return mini_batch"
    (project.folder / "lists").mkdir()
    (project.folder / "lists/all.txt").write_text("no-such-package==1\n-r more.txt\n")
    (project.folder / "lists/more.txt").write_text("another-that-is-not\n")
    (project.folder / "own-1.0-py3-none-any.whl").touch()
    path = project.write()
    data = yaml.safe_load(path.read_text())
    data["environment"] = {"image": "python:3.11", "conda_file": {"dependencies": ["python=3.10", {"pip": [line]}]}}
    path.write_text(yaml.safe_dump(data))
    done = batchtwin("plan", path, "--input", project.inputs, "--env", "venv")
    assert done.code == 0, done.err
    assert f"Python 3.10, {count} requested packages" in done.out
    assert (
        f"Warning: environment.conda_file: '{line}': works only here; Azure ML gets the conda file without the files "
        "that it names: write packages by name and version"
    ) in done.err
