"""Input that is in memory, or a list of files; the types of its values arrive at the model and come back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import batchtwin
from batchtwin.environments.placement import Placement
from batchtwin.environments.requested import RequestedEnvironment
from support import Project, warm

Deploy = Callable[..., Path]
InProcess = Callable[..., Any]
TEXT = {"inputs": [{"name": "out", "type": "string"}], "outputs": [{"type": "string"}]}
SIZES = """
    import os
    def run(mini_batch):
        return [f"{os.path.basename(path)}={open(path).read()!r}" for path in mini_batch]
"""


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("common")


@pytest.fixture(autouse=True)
def here(common: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder: the same for all tests, and empty.

    So jobs share the imports of their models: how they start is not what is tested here.
    """
    common.mkdir(exist_ok=True)
    monkeypatch.chdir(common)
    for name, value in warm().items():
        monkeypatch.setenv(name, value)
    yield common
    shutil.rmtree(common)


@pytest.mark.parametrize(
    "values",
    [
        ["007", "1.10", "true", 'a,"b"\nc', "é😀"],
        [1, -2, 2**53 + 1],
        [0.1, 1e-05, -2.5, 1e300],
        [True, False],
        [[0.1, 0.9], [1.0, 0.0]],
    ],
)
@pytest.mark.parametrize("kind", ["frame", "dicts"])
def test_types_are_kept(echo: Deploy, values: list[Any], kind: str) -> None:
    data: Any = [{"out": value, "n": number} for number, value in enumerate(values)]
    result = batchtwin.score(echo(), pd.DataFrame(data) if kind == "frame" else data, output="job")
    assert result.ok, result.text()
    assert result.predictions["prediction"].tolist() == values
    assert result.predictions["row"].tolist() == list(range(len(values)))
    assert set(result.predictions["file_name"]) == {"data.parquet"}


def test_texts_of_digits_stay_texts_where_the_signature_says_so(echo: Deploy) -> None:
    result = batchtwin.score(echo(TEXT), pd.DataFrame({"out": ["1", "2", None]}), output="job")
    assert result.ok, result.text()
    assert result.predictions["prediction"].tolist()[:2] == ["1", "2"]
    assert pd.isna(result.predictions["prediction"][2])


def test_texts_that_look_like_missing_values_arrive(echo: Deploy) -> None:
    values = ["NA", "None", "", "n/a", "null", None]
    result = batchtwin.score(echo(TEXT), pd.DataFrame({"out": values}), output="job")
    assert result.ok, result.text()
    assert result.predictions["prediction"].tolist()[:5] == values[:5]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ([{"out": "a"}, {"out": "b\udc80"}], r"row 1, column 'out': 'b\\udc80' has half of a surrogate pair"),
        ([{"out": ["a", "\ud800"]}], r"row 0, column 'out': '\\ud800' has half"),
        ([{"a\udc80": 1}], r"the name of column 'a\\udc80' has half"),
    ],
)
@pytest.mark.parametrize("script", [None, SIZES])
def test_half_of_a_surrogate_pair_is_refused(
    project: Project, echo: Deploy, data: Any, text: str, script: str | None
) -> None:
    """Of dicts and of a DataFrame, whose names pandas refuses; as Parquet for the driver, as CSV for a script."""
    project.script = script
    deployment = project.write() if script else echo()
    frames = [pd.DataFrame(data, dtype=object)] if "out" in data[0] else []
    for rows in (data, *frames):
        with pytest.raises(batchtwin.BatchTwinError, match=text):
            batchtwin.score(deployment, rows)
    assert not Path("outputs").exists() or not list(Path("outputs").iterdir())


def test_a_frame_is_written_as_it_is_shown(echo: Deploy) -> None:
    """Without its index, whatever its columns are named; dicts may lack keys."""
    frame = pd.DataFrame({7: [1, 2], "out": ["a", "b"]}, index=["x", "y"])
    deployment = echo()
    result = batchtwin.score(deployment, frame, output="frame")
    assert list(pd.read_parquet(next(result.folder.glob("named-inputs/*/data.parquet"))).columns) == ["7", "out"]
    dicts: list[dict[str, Any]] = [{"out": 1}, {"out": 2, "more": "x"}]
    result = batchtwin.score(deployment, dicts, output="dicts")
    assert pd.read_parquet(next(result.folder.glob("named-inputs/*/data.parquet")))["more"].isna().tolist() == [
        True,
        False,
    ]


def test_the_job_can_be_verified_and_repeated_later(echo: Deploy) -> None:
    deployment = echo()
    result = batchtwin.score(deployment, [{"out": 1}], output="job")
    assert batchtwin.verify(result).ok
    again = batchtwin.score(deployment, [{"out": 1}, {"out": 2}], output="job", overwrite=True)
    assert again.predictions["prediction"].tolist() == [1, 2]
    with pytest.raises(batchtwin.BatchTwinError, match="exists already"):
        batchtwin.score(deployment, [{"out": 3}], output="job")
    assert batchtwin.verify(again).ok


def test_a_refused_job_leaves_nothing(echo: Deploy, tmp_path: Path) -> None:
    deployment = echo()
    (tmp_path / "echo-model/MLmodel").write_text("flavors: {sklearn: {}}")
    with pytest.raises(batchtwin.BatchTwinError, match="no python_function"):
        batchtwin.score(deployment, [{"out": 1}])
    assert list(Path("outputs").iterdir()) == []
    source = tmp_path / "mine"
    source.mkdir()
    (source / "notes.txt").write_text("mine")
    with pytest.raises(batchtwin.BatchTwinError, match="no python_function"):
        batchtwin.score(deployment, [{"out": 1}], output=source)
    assert sorted(path.name for path in source.iterdir() if not path.name.startswith(".")) == ["notes.txt"]


def test_a_script_gets_csv(project: Project) -> None:
    project.script = SIZES
    result = batchtwin.score(project.write(), pd.DataFrame({"a": [1, None], "b": ["x", "y,z"]}), output="job")
    assert result.ok, result.text()
    assert result.predictions["prediction"][0] == "data.csv='a,b\\n1.0,x\\n,\"y,z\"\\n'"


def test_a_list_of_files(project: Project, tmp_path: Path) -> None:
    project.script = SIZES
    paths: list[str | Path] = []
    for name in ("b", "a"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"{name}.txt").write_text(name)
        paths.append(folder / f"{name}.txt")
    paths[1] = os.path.relpath(paths[1])
    result = batchtwin.score(project.write(), paths, output="job", workers=1)
    assert result.predictions["prediction"].tolist() == ["a.txt='a'", "b.txt='b'"]
    assert batchtwin.verify("job").ok
    Path(paths[0]).write_text("changed")
    assert not batchtwin.verify("job").ok


def some_dicts() -> Iterator[dict[str, int]]:
    yield {"out": 1}
    yield {"out": 2}


def test_an_iterator_of_dicts(echo: Deploy) -> None:
    assert batchtwin.score(echo(), some_dicts(), output="job").rows == 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "is empty"),
        ({"out": [1]}, "dict: expected a path"),
        (7, "int: expected a path"),
        (b"data", "bytes: expected a path"),
        ([1, 2], "a list of int"),
        ([{"out": 1}, "file.csv"], "a list of dict, str"),
        ([{}], "the dicts are empty"),
        ([{"1": 1, 1: 2}], "two keys have the same text"),
        ([{"out": 1}, {"out": "a"}], "cannot be written as Parquet"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "column 'a' stands twice"),
        (pd.DataFrame(index=[1, 2]), "has no columns"),
        (pd.Series([1]), "Series: expected a path"),
        (["none.csv"], "none.csv: no such file"),
        (["."], "is no file"),
        (["a.csv", "b/a.csv"], "have one name"),
        ([".hidden.csv"], "is hidden"),
        (["https://example.com/a.csv"], "a list holds files of this machine"),
        ("azureml:heart:1", "names a resource of Azure ML"),
    ],
)
def test_other_input_is_refused(echo: Deploy, value: Any, text: str) -> None:
    Path("b").mkdir()
    for name in ("a.csv", "b/a.csv", ".hidden.csv"):
        Path(name).write_text("out\n1\n")
    with pytest.raises(batchtwin.BatchTwinError, match=text):
        batchtwin.score(echo(), value)
    assert not Path("outputs").exists() or not list(Path("outputs").iterdir())


WITHOUT_ARROW = """
    import json, sys
    import batchtwin
    import batchtwin.api.data
    batchtwin.api.data.can_write_parquet = lambda: False
    def attempt(rows):
        try:
            result = batchtwin.score("deployment.yml", rows, output="job", overwrite=True)
            return result.predictions["prediction"].tolist() if result.ok else result.text()
        except batchtwin.BatchTwinError as error:
            return str(error)
    print(json.dumps([attempt(rows) for rows in json.loads(sys.argv[1])]))
"""


def test_without_pyarrow_a_signature_keeps_the_types(echo: Deploy, in_process: InProcess) -> None:
    echo(TEXT)
    assert in_process(WITHOUT_ARROW, '[[{"out": "007"}, {"out": "x,y"}]]') == [["007", "x,y"]]


def test_without_pyarrow_and_signature_what_csv_cannot_keep_is_refused(echo: Deploy, in_process: InProcess) -> None:
    echo()
    texts, lists, fine = in_process(WITHOUT_ARROW, '[[{"out": "007"}], [{"out": [1]}], [{"out": 7}, {"out": 8}]]')
    assert "column 'out': texts such as '007' would be read as numbers" in texts
    assert "column 'out' holds a list" in lists
    assert fine == [7, 8]


def test_without_pyarrow_a_text_that_csv_loses_is_refused(echo: Deploy, in_process: InProcess) -> None:
    """Also where the signature says that it is a text: CSV has no quotes for the reader."""
    echo(TEXT)
    rows = '[[{"out": "x"}, {"out": "NA"}], [{"out": ""}], [{"out": "na"}, {"out": null}]]'
    lost, empty, fine = in_process(WITHOUT_ARROW, rows)
    assert "row 1, column 'out': the text 'NA' would be read as a missing value from CSV; install pyarrow" in lost
    assert "row 0, column 'out': the text ''" in empty
    assert fine[0] == "na"


@pytest.mark.parametrize(
    ("lines", "reads"),
    [
        (("mlflow==2.9",), True),
        (("MLflow",), True),
        (("pandas", "pyarrow>=6"), True),
        (("mlflow-skinny",), False),
        (("mlflow_skinny", "pandas"), False),
        ((), False),
    ],
)
def test_an_environment_of_its_own_reads_parquet_if_its_list_says_so(lines: tuple[str, ...], reads: bool) -> None:
    requested = RequestedEnvironment("conda.yaml", pip=lines)
    assert Placement("venv", requested=requested).reads_parquet is reads


def test_a_folder_in_use_is_left_alone(project: Project, here: Path) -> None:
    project.script = SIZES
    deployment = project.write()
    batchtwin.score(deployment, [{"a": 1}], output="job")
    [path] = (here / "job/named-inputs").glob("*/data.csv")
    before = path.read_text()
    hold = (
        "import pathlib, sys; from batchtwin import locks\n"
        "with locks.hold(pathlib.Path('job/.lock')): print(1, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"1\n"
        with pytest.raises(batchtwin.BatchTwinError, match="in use by process"):
            batchtwin.score(deployment, [{"a": 2}], output="job", overwrite=True)
        holder.communicate()
    assert list((here / "job/named-inputs").glob("*/data.csv")) == [path]
    assert path.read_text() == before
