"""What scripts of the first SDK use: `azureml.core`, and `run(mini_batch, context)`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from batchtwin_node.script.lint import lint
from support import Finished, Project, batchtwin

ASK = """
    import json, os
    from azureml.core import Model, Run
    from azureml.core.model import Model as SameModel
    from azureml.core.run import Run as SameRun

    def init():
        global run_context, model
        run_context = Run.get_context()
        model = Model.get_model_path("MODEL")

    def run(mini_batch):
        run_context.log("size", 3)
        run_context.parent.log("size", 4)
        run_context.log_list("losses", [1, 0.5])
        run_context.log_row("row", a=1, b="x")
        run_context.tag("who", "me")
        with open("a.txt", "w") as stream:
            stream.write("hello")
        run_context.upload_file("kept/a.txt", "a.txt")
        return [json.dumps({
            "id": run_context.id, "job": os.environ["AZUREML_RUN_ID"], "parent": run_context.parent.id,
            "experiment": run_context.experiment.name, "model": model, "holds": os.listdir(model),
            "same": SameModel.get_model_path("MODEL") == model and SameRun.get_context().id == run_context.id,
        })]
"""
# What the names of azureml-core 1.61 do off the service: a run that knows nothing, a model that is not there.
INSTALLED = {
    "core/__init__.py": "from azureml.core.model import Model\nfrom azureml.core.run import Run\n",
    "core/run.py": """
class _OfflineRun:
    id = "OfflineRun_1"
    def log(self, name, value): print("Attempted to log", name)

class Run:
    @classmethod
    def get_context(cls, allow_offline=True): return _OfflineRun()
""",
    "core/model.py": """
class Model:
    @staticmethod
    def get_model_path(model_name, version=None, _workspace=None): raise ValueError("not found in cache")
""",
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """One file, and a script that asks."""
    project = Project(tmp_path / "project", ASK)
    project.files(1)
    return project


def score(project: Project, *, listed: bool, env: dict[str, str] | None = None, **model: str) -> Finished:
    """Score under this interpreter, with an environment that lists azureml-core or not."""
    packages = "{pip: [azureml-core]}" if listed else "pip"
    file = project.write()
    (project.folder / "conda.yaml").write_text(f"dependencies: [pip, {packages}]\n")
    sets = ["environment.conda_file=conda.yaml", *(f"model.{key}={text}" for key, text in model.items())]
    words = [word for text in sets for word in ("--set", text)]
    places: list[str | Path] = [file, "--input", project.inputs, "--output", project.folder / "job"]
    return batchtwin("score", *places, "--env", "here", *words, env=env)


def answers(done: Finished) -> dict[str, Any]:
    assert done.code == 0, done.err
    facts: dict[str, Any] = json.loads(done.predictions)
    return facts


def environment(folder: Path, files: dict[str, str]) -> dict[str, str]:
    """An environment whose `azureml` has these files and nothing else."""
    package = folder / "packages/azureml"
    for name, text in {"__init__.py": "", **files}.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    return {"PYTHONPATH": os.pathsep.join([str(package.parent), os.environ.get("PYTHONPATH", "")])}


@pytest.mark.parametrize("packages", [{}, INSTALLED, None], ids=["listed", "other", "azureml-core"])
def test_the_run_is_that_of_the_job(project: Project, tmp_path: Path, packages: dict[str, str] | None) -> None:
    """Whether azureml-core is installed (as it is here), or only listed in the deployment's environment."""
    env = environment(tmp_path, packages) if packages is not None else None
    done = score(project, listed=True, env=env, name="MODEL")
    answer = answers(done)
    assert (answer["id"], answer["parent"]) == (answer["job"], "job")
    assert (answer["experiment"], answer["same"]) == ("test-endpoint", True)
    assert (Path(answer["model"]).name, answer["holds"]) == ("model", ["weights.txt"])
    assert "the job logged 3 metrics, 1 artifact" in done.err


def test_a_model_without_a_name_has_any(project: Project, tmp_path: Path) -> None:
    assert answers(score(project, listed=True, env=environment(tmp_path, {})))["holds"] == ["weights.txt"]


@pytest.mark.parametrize("packages", [{}, INSTALLED])
def test_another_model_cannot_be_had(project: Project, tmp_path: Path, packages: dict[str, str]) -> None:
    done = score(project, listed=True, env=environment(tmp_path, packages), name="other")
    assert done.code == 1
    assert "model 'MODEL' cannot be had in a local job, only the deployment's own, 'other'" in done.err


def test_an_environment_without_azureml_core_has_none(project: Project, tmp_path: Path) -> None:
    """As on the service: its documentation asks for azureml-core in the environment of a batch deployment."""
    done = score(project, listed=False, env=environment(tmp_path, {}))
    assert done.code == 2
    assert "No module named 'azureml.core'" in done.err


def test_the_stand_in_has_no_workspace(project: Project, tmp_path: Path) -> None:
    project.script = """
        from azureml.core import Run
        def run(mini_batch):
            try:
                from azureml.core import Workspace
            except ImportError:
                pass
            try:
                Run.get_context().experiment.workspace
            except RuntimeError as error:
                return [str(error)]
    """
    assert (
        "a local job has no workspace of Azure ML"
        in score(project, listed=True, env=environment(tmp_path, {})).predictions
    )


@pytest.mark.parametrize(
    "signature",
    ["mini_batch, context", "mini_batch, mini_batch_context", "mini_batch, context=None", "mini_batch, c, more=1"],
)
def test_run_may_take_a_context(project: Project, signature: str) -> None:
    project.files(5)
    second = signature.split(",")[1].split("=")[0].strip()
    project.script = f"""
        import os
        def run({signature}):
            return [f"{{{second}.minibatch_index}} {{{second}.global_row_index_lower_bound}} "
                    f"{{{second}.partition_key_value}} {{os.path.basename(path)}}" for path in mini_batch]
    """
    project.settings = {"mini_batch_size": 2}
    done = project.score()
    assert done.code == 0, done.err
    lines = ["0 0 None 00.txt", "0 0 None 01.txt", "1 2 None 02.txt", "1 2 None 03.txt", "2 4 None 04.txt"]
    assert done.predictions.splitlines() == lines


def test_a_second_argument_with_a_default_that_is_no_context_keeps_it(project: Project) -> None:
    project.script = "def run(mini_batch, size=7): return [size]"
    assert project.score().predictions == "7\n"


def test_plan_says_what_cannot_be_had(tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(
        "from azureml.core import Model, Run\n"
        "def init():\n    ws = Run.get_context().experiment.workspace\n    run = Run.get_context()\n"
        "    ws = run.experiment.workspace\n    Model.get_model_path('mine')\n    Model.get_model_path('other')\n"
        "def run(mini_batch): return mini_batch\n"
    )
    text = "\n".join(lint(script, "mine"))
    assert ":5: a local job has no workspace" in text
    assert ":3: a local job has no workspace" in text
    assert ":7: get_model_path('other'): only the deployment's model is here, 'mine'" in text
    assert ":6:" not in text
    assert "get_model_path" not in "\n".join(lint(script))
