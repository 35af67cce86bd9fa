"""scripts/train.py, run as people run it, and the model that it writes, loaded as a scoring process loads it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from mlflow_runs import new_store, shown

from commands import run_code, run_program

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/train.py"
TABLE = ROOT / "data/train/heart.csv"
UNLABELED = ROOT / "data/heart-unlabeled-0.csv"
DEADLINE = 300.0  # seconds; the training takes about 6 where nothing else runs
# Where scores do not matter: the model is the same, its cross-validation is short.
SHORT = ("--folds", "2", "--repeats", "1")

PREDICT = """
import sys, mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
for table in sys.argv[2:]:
    predictions = model.predict(pandas.read_csv(table))
    print(predictions.dtype, *predictions)
"""
# The hook sees every class or function that any unpickler, joblib's and cloudpickle's too, looks up.
NO_PICKLE = """
import pickle, sys
import mlflow.pyfunc, pandas, skops.io, xgboost  # what an import does is not what loading does
def refuse(event, arguments):
    if event == "pickle.find_class":
        raise RuntimeError(f"unpickled {arguments}")
payload = pickle.dumps(print)
sys.addaudithook(refuse)
try:
    pickle.loads(payload)
except RuntimeError as error:
    print("the hook works:", error)
mlflow.pyfunc.load_model(sys.argv[1]).predict(pandas.read_csv(sys.argv[2]))
print("loaded")
"""
TRACKED = """
import json, sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
run = mlflow.search_runs(experiment_names=["heart-classifier"], output_format="list")[-1]
models = mlflow.search_logged_models(experiment_ids=[run.info.experiment_id], output_format="list")
pictures = [file.path for file in mlflow.artifacts.list_artifacts(run_id=run.info.run_id)]
where = run.info.artifact_uri
print(json.dumps([run.data.metrics, run.data.params, pictures, where, [model.model_uri for model in models]]))
"""

UUIDS = """
import json, sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
runs = mlflow.search_runs(experiment_names=["heart-classifier"], output_format="list")
print(json.dumps({run.info.run_id: run.data.tags.get("model_uuid") for run in runs}))
"""


@dataclass(frozen=True)
class Training:
    """A finished training: where it ran and what it said."""

    folder: Path
    stdout: str
    stderr: str
    returncode: int

    @property
    def model(self) -> Path:
        return self.folder / "model"


def run_training(folder: Path, *arguments: str) -> Training:
    """Train in `folder` to the end, on `train.csv` in it unless the arguments name another table."""
    code, out, err = run_program(SCRIPT, ["--data", "train.csv", *arguments], folder, DEADLINE)
    return Training(folder, out, err, code)


def python(code: str, folder: Path, *arguments: str | Path) -> str:
    """Run a program in a process of its own; return what it printed."""
    return run_code(code, arguments, folder, DEADLINE)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file under the folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """One training as people start it, in an empty folder with a copy of the table."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copy(TABLE, folder / "train.csv")
    line = [sys.executable, str(SCRIPT), "--data", "train.csv"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=DEADLINE)
    return Training(folder, done.stdout, done.stderr, done.returncode)


def predict(model: Path) -> list[str]:
    """Return the type and the predictions of a model for both tables, a line for each."""
    return python(PREDICT, ROOT, model, UNLABELED, TABLE).splitlines()


@pytest.fixture(scope="module")
def predicted(trained: Training) -> list[str]:
    """What the trained model predicts."""
    return predict(trained.model)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder with the table and a `model/` that a failing training must not touch."""
    shutil.copy(TABLE, tmp_path / "train.csv")
    (tmp_path / "model/sub").mkdir(parents=True)
    (tmp_path / "model/MLmodel").write_text("flavors: {}\n")
    (tmp_path / "model/sub/trees.bin").write_bytes(bytes(range(256)))
    return tmp_path


def assert_untouched(folder: Path) -> None:
    """The model is the one of the `old` fixture, and nothing half made lies about."""
    assert contents(folder / "model") == {"MLmodel": b"flavors: {}\n", "sub/trees.bin": bytes(range(256))}
    assert not list(folder.glob(".model*"))


# --- what it says


def test_it_succeeds_with_less_than_a_page_and_no_noise(trained: Training) -> None:
    assert (trained.returncode, trained.stderr) == (0, "")
    assert len(trained.stdout.splitlines()) < 15
    assert str(trained.model) in trained.stdout


@pytest.mark.parametrize(
    ("score", "low", "high"), [("ROC AUC", 0.85, 0.93), ("accuracy", 0.78, 0.88), ("log loss", 0.30, 0.50)]
)
def test_scores_are_those_of_a_good_model_on_the_real_table(
    trained: Training, score: str, low: float, high: float
) -> None:
    match = re.search(rf"{score}\W+(0\.\d{{3}})\W+(0\.\d{{3}})", trained.stdout)
    assert match, trained.stdout
    assert low <= float(match[1]) <= high
    assert 0 < float(match[2]) < 0.1


def test_nothing_is_written_but_model_and_tracking_store(trained: Training) -> None:
    assert {path.name for path in trained.folder.iterdir()} == {"train.csv", "model", ".batchtwin"}


# --- the model


def test_predictions_are_int64_zeros_and_ones(predicted: list[str]) -> None:
    dtype, *values = predicted[0].split()
    assert dtype == "int64"
    assert len(values) == 100
    assert set(values) == {"0", "1"}


def test_loading_and_scoring_unpickles_nothing(trained: Training) -> None:
    lines = python(NO_PICKLE, ROOT, trained.model, UNLABELED).splitlines()
    assert lines == ["the hook works: unpickled ('builtins', 'print')", "loaded"]


def test_no_file_of_the_model_is_a_pickle(trained: Training) -> None:
    assert {path.suffix for path in trained.model.rglob("*")} <= {"", ".yaml", ".txt", ".json", ".skops"}


def test_signature_has_the_raw_columns_and_a_long(trained: Training) -> None:
    signature = yaml.safe_load((trained.model / "MLmodel").read_text())["signature"]
    header = UNLABELED.read_text().splitlines()[0].split(",")
    kinds = {"oldpeak": "double", "thal": "string"}
    inputs = [{"type": kinds.get(name, "long"), "name": name, "required": True} for name in header]
    assert json.loads(signature["inputs"]) == inputs
    assert json.loads(signature["outputs"]) == [{"type": "long", "required": True}]


def test_only_xgboost_is_trusted(trained: Training) -> None:
    flavor = yaml.safe_load((trained.model / "MLmodel").read_text())["flavors"]["sklearn"]
    assert flavor["serialization_format"] == "skops"
    assert flavor["skops_trusted_types"] == ["xgboost.core.Booster", "xgboost.sklearn.XGBClassifier"]


def test_requirements_are_pinned_as_in_the_environment(trained: Training) -> None:
    *_, section = yaml.safe_load((ROOT / "environment/conda.yaml").read_text())["dependencies"]
    lines = (trained.model / "requirements.txt").read_text().splitlines()
    assert set(lines) <= set(section["pip"])
    names = ["mlflow", "numpy", "pandas", "scikit-learn", "skops", "xgboost"]
    assert lines == [f"{name}=={version(name)}" for name in names]


def test_the_model_names_no_path_of_this_machine(trained: Training) -> None:
    for name, content in contents(trained.model).items():
        for path in (trained.folder, ROOT, Path.home()):
            assert str(path).encode() + b"/" not in content, name


def test_other_users_can_read_the_model(trained: Training) -> None:
    probe = trained.folder.parent / "probe"  # made with the usual permissions
    probe.mkdir()
    assert trained.model.stat().st_mode == probe.stat().st_mode


def test_the_input_example_is_of_the_table(trained: Training) -> None:
    example = json.loads((trained.model / "input_example.json").read_text())
    assert example["columns"] == UNLABELED.read_text().splitlines()[0].split(",")
    first = TABLE.read_text().splitlines()[1].split(",")
    assert [str(value) for value in example["data"][0]] == first[:-1]


def test_run_is_tracked_with_scores_parameters_picture_and_model(trained: Training) -> None:
    store = f"sqlite:///{trained.folder}/.batchtwin/mlflow.db"
    metrics, parameters, pictures, where, models = json.loads(python(TRACKED, trained.folder, store))
    scores = ("roc_auc", "accuracy", "log_loss")
    assert set(metrics) == {f"cv_{score}_{what}" for score in scores for what in ("mean", "std")}
    assert f"{metrics['cv_roc_auc_mean']:.3f}" in trained.stdout
    assert parameters["max_depth"] == "3"
    assert re.fullmatch("[0-9a-f]{64}", parameters["data_sha256"])
    assert pictures == ["out_of_fold.png"]
    assert where.startswith((trained.folder / ".batchtwin/mlartifacts/heart-classifier").as_uri())
    assert models


# --- training again


def test_training_again_replaces_the_whole_folder_and_predicts_the_same(
    trained: Training, predicted: list[str]
) -> None:
    uuid = yaml.safe_load((trained.model / "MLmodel").read_text())["model_uuid"]
    (trained.model / "left_over.txt").write_text("of an earlier model")
    again = run_training(trained.folder)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == trained.stdout
    assert not (trained.model / "left_over.txt").exists()
    assert yaml.safe_load((trained.model / "MLmodel").read_text())["model_uuid"] != uuid
    assert predict(trained.model) == predicted


def test_training_that_changes_nothing_leaves_the_model_untouched(trained: Training) -> None:
    before = contents(trained.model)
    again = run_training(trained.folder, *SHORT)
    assert (again.returncode, again.stderr) == (0, "")
    assert "left untouched: predictions, signature and pinned versions are the same" in again.stdout
    assert contents(trained.model) == before
    assert not list(trained.folder.glob(".model*"))


def test_model_and_run_name_each_other(trained: Training) -> None:
    """The model names the run that made it; a run that made it again names the model."""
    shutil.copy(TABLE, trained.folder / "train.csv")
    assert "left untouched" in run_training(trained.folder, *SHORT).stdout
    store = f"sqlite:///{trained.folder}/.batchtwin/mlflow.db"
    mlmodel = yaml.safe_load((trained.model / "MLmodel").read_text())
    runs = json.loads(python(UUIDS, trained.folder, store))
    assert runs[mlmodel["run_id"]] == mlmodel["model_uuid"]
    assert list(runs.values()).count(mlmodel["model_uuid"]) > 1


def test_a_tracking_uri_of_the_user_is_taken(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = new_store(old / "own.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    shutil.rmtree(old / "model")
    done = run_training(old, *SHORT)
    assert (done.returncode, done.stderr) == (0, "") and "own.db" in done.stdout
    assert not (old / ".batchtwin").exists()
    assert [run["status"] for run in shown(uri, old)] == ["FINISHED"]


def test_training_with_other_data_replaces_the_model(trained: Training, tmp_path: Path) -> None:
    shutil.copytree(trained.model, tmp_path / "model")
    # Else MLflow makes its tables, which takes seconds.
    shutil.copytree(trained.folder / ".batchtwin", tmp_path / ".batchtwin")
    (tmp_path / "train.csv").write_text(
        edited(2, "target", "1" if TABLE.read_text().splitlines()[1][-1] == "0" else "0")
    )
    again = run_training(tmp_path, *SHORT)
    assert (again.returncode, "untouched" in again.stdout) == (0, False), again.stderr
    assert (tmp_path / "model/model.skops").read_bytes() != (trained.model / "model.skops").read_bytes()


def test_the_committed_model_is_the_one_that_training_makes(trained: Training, predicted: list[str]) -> None:
    committed = ROOT / "model"
    assert predict(committed) == predicted
    documents = [yaml.safe_load((folder / "MLmodel").read_text()) for folder in (committed, trained.model)]
    assert documents[0]["signature"] == documents[1]["signature"]
    assert documents[0]["metadata"]["data_sha256"] == documents[1]["metadata"]["data_sha256"]
    pins = [(folder / "requirements.txt").read_text() for folder in (committed, trained.model)]
    assert pins[0] == pins[1]


# --- what cannot be used


def edited(line: int, column: str, value: str) -> str:
    """Return the table with one cell changed; line 1 is the header."""
    lines = [text.split(",") for text in TABLE.read_text().splitlines()]
    lines[line - 1][lines[0].index(column)] = value
    return "\n".join(",".join(cells) for cells in lines) + "\n"


def without(column: str) -> str:
    """Return the table without a column."""
    lines = [text.split(",") for text in TABLE.read_text().splitlines()]
    gone = lines[0].index(column)
    return "\n".join(",".join(cells[:gone] + cells[gone + 1 :]) for cells in lines)


def only(label: str) -> str:
    """Return the table with the rows of one class."""
    header, *rows = TABLE.read_text().splitlines()
    return "\n".join([header, *(row for row in rows if row.endswith(f",{label}"))])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        pytest.param(edited(7, "chol", "high"), "line 7, column chol: 'high' is not a whole number", id="word"),
        pytest.param(edited(9, "age", "61.5"), "line 9, column age: '61.5' is not a whole number", id="fraction"),
        pytest.param(edited(3, "oldpeak", "inf"), "line 3, column oldpeak: 'inf' is not a number", id="infinite"),
        pytest.param(edited(304, "ca", ""), "line 304, column ca: '' is not a whole number", id="empty number"),
        pytest.param(edited(5, "thal", " "), "line 5, column thal: '' is not a word", id="empty word"),
        pytest.param(edited(4, "target", "2"), "line 4, column target: '2' is not 0 or 1", id="third class"),
        pytest.param(edited(2, "age", "61,62"), "line 2: 15 cells where the header has 14", id="extra cell"),
        pytest.param(edited(1, "chol", "age"), "column age, chol", id="column twice"),
        pytest.param(without("thal"), "column thal missing; needed are age,sex,cp,", id="no column"),
        pytest.param(without("target"), "column target missing", id="no label"),
        pytest.param(only("1"), "0 row(s) with target 0; training needs both classes", id="one class"),
        pytest.param("", "column age, sex", id="empty file"),
        pytest.param(TABLE.read_text().splitlines()[0], "0 row(s) with target 0", id="header only"),
    ],
)
def test_a_bad_table_is_told_in_one_line_and_the_old_model_stays(old: Path, table: str, said: str) -> None:
    (old / "train.csv").write_text(table)
    result = run_training(old)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("train: train.csv")
    assert result.stderr.count("\n") == 1
    assert said in result.stderr
    assert_untouched(old)


def test_a_table_that_is_not_text_is_told(old: Path) -> None:
    (old / "train.csv").write_bytes(b"age,\xff\xfe\n")
    result = run_training(old)
    assert result.returncode == 2
    assert "not CSV text in UTF-8" in result.stderr
    assert_untouched(old)


@pytest.mark.parametrize("name", ["nowhere.csv", "model"])
def test_a_table_that_cannot_be_opened_is_named(old: Path, name: str) -> None:
    result = run_training(old, "--data", name)
    assert result.returncode == 2
    assert result.stderr.startswith(f"train: {name}: ")
    assert result.stderr.count("\n") == 1
    assert_untouched(old)


def test_a_folder_that_is_no_model_is_not_replaced(old: Path) -> None:
    (old / "model/MLmodel").unlink()
    before = contents(old)
    result = run_training(old)
    assert result.returncode == 2
    assert "model: holds files but no MLmodel" in result.stderr
    assert contents(old) == before


def test_a_failure_after_the_fit_leaves_the_old_model(old: Path) -> None:
    result = run_training(old, *SHORT, "--tracking", "nonsense://store")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert "nonsense://store" in result.stderr
    assert_untouched(old)


def await_half_a_model(folder: Path, pid: int) -> None:
    """Return as soon as the training in `folder` has written the trees of its new model, but not all of it."""
    begun = time.monotonic()
    while not list(folder.glob(".model*/new/model.skops")):
        assert time.monotonic() - begun < DEADLINE
        os.kill(pid, 0)  # it has not ended
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_it_leaves_the_old_model(old: Path, number: signal.Signals) -> None:
    def stop(pid: int) -> None:
        await_half_a_model(old, pid)
        os.kill(pid, number)

    code, stdout, stderr = run_program(SCRIPT, ["--data", "train.csv", *SHORT], old, DEADLINE, stop)
    assert (code, stdout) == (128 + number, "")
    assert stderr == f"train: stopped by {number.name}; model is as it was\n"
    assert_untouched(old)
