"""What is refused before a job starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchtwin.engine.prepare import Request, prepare
from batchtwin.errors import BatchTwinError
from support import Project


def mlflow_project(project: Project, mlmodel: str) -> Request:
    """A project without a script, whose model has this MLmodel file, with one CSV to score."""
    assert project.model is not None
    project.script = None
    (project.model / "MLmodel").write_text(mlmodel)
    (project.inputs / "a.csv").write_text("x\n1\n")
    return Request(project.write(), project.inputs, output=project.folder / "job")


PYFUNC = "flavors: {python_function: {}}"


def test_a_pyfunc_model_needs_no_script(project: Project) -> None:
    prepared = prepare(mlflow_project(project, PYFUNC))
    assert prepared.script is None
    assert prepared.workers == 1
    assert not prepared.output.root.exists()


@pytest.mark.parametrize(
    ("mlmodel", "text"),
    [
        ("flavors: {onnx: {}, keras: {}}", r"MLmodel: flavors: no python_function among them \(found: onnx, keras\)"),
        ("flavors: 3", "MLmodel: flavors: missing"),
        ("[]", "MLmodel: flavors: missing"),
        ("a: [", "MLmodel: not valid YAML"),
    ],
)
def test_a_model_that_the_driver_cannot_score_with(project: Project, mlmodel: str, text: str) -> None:
    with pytest.raises(BatchTwinError, match=text):
        prepare(mlflow_project(project, mlmodel))


def test_a_model_without_mlflow_needs_a_script(project: Project) -> None:
    request = mlflow_project(project, PYFUNC)
    assert project.model is not None
    (project.model / "MLmodel").unlink()
    with pytest.raises(BatchTwinError, match=r"holds no MLmodel file.*code_configuration"):
        prepare(request)


def test_the_driver_needs_append_row(project: Project) -> None:
    project.settings = {"output_action": "summary_only"}
    with pytest.raises(BatchTwinError, match="without a scoring script would write nothing"):
        prepare(mlflow_project(project, PYFUNC))


def test_an_unsupported_file_is_named(project: Project) -> None:
    request = mlflow_project(project, PYFUNC)
    for name in ("notes.avro", "other.avro"):
        (project.inputs / name).write_text("x")
    with pytest.raises(BatchTwinError) as caught:
        prepare(request)
    path = project.inputs / "notes.avro"
    assert str(caught.value).startswith(
        f"ERROR:azureml:Error processing input file: '{path}'. File type '.avro' is not supported."
    )
    assert "(1 more like it.)" in str(caught.value)


def test_each_job_without_output_gets_a_folder_of_its_own(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    request = mlflow_project(project, PYFUNC)
    request = Request(request.deployment, request.input)
    first = prepare(request).output
    first.make()
    for _ in range(3):  # within one second, or in the next
        output = prepare(request).output
        assert output.root.parent == tmp_path / "outputs"
        assert output.root != first.root
        output.make()


@pytest.mark.parametrize("words", [["--coalesce"], ["--bad-files", "quarantine"]])
def test_what_only_the_driver_does_is_refused_with_a_script(project: Project, words: list[str]) -> None:
    project.files(1)
    project.script = "def run(files): return files"
    done = project.score(*words)
    assert done.code == 2
    assert f"{' '.join(words)} is for the MLflow driver; this deployment brings a scoring script" in done.err
