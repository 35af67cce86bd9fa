"""Section 2: which files are scored, in which mini-batches."""

from __future__ import annotations

import gzip
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from support import ROOT, Finished, Project, batchtwin


@pytest.fixture
def scored(project: Project) -> Project:
    """A project whose script writes the names of each mini-batch as a line."""
    project.script = "import os\ndef run(mini_batch): return [' '.join(map(os.path.basename, mini_batch))]"
    project.settings = {"mini_batch_size": 2}
    return project


def plan(project: Project, *words: str, path: Path | None = None) -> Finished:
    return batchtwin("plan", project.write(), "--input", path or project.inputs, *words)


def facts(done: Finished) -> dict[str, Any]:
    assert done.code == 0, done.err
    values: dict[str, Any] = json.loads(done.out)
    return values


@pytest.mark.documented("2", "Mini-batches are consecutive chunks of mini_batch_size files, the last one short.")
def test_mini_batches(scored: Project) -> None:
    scored.files(5)
    assert scored.score().predictions == "00.txt 01.txt\n02.txt 03.txt\n04.txt\n"


@pytest.mark.ours("2", "Files are sorted by name, by code point.")
def test_order(scored: Project) -> None:
    scored.inputs.joinpath("b").write_text("x")
    for name in ("a10", "a9", "Z", "ä", "a b"):
        scored.inputs.joinpath(name).write_text("x")
    names = [name for batch in facts(plan(scored, "--json"))["mini_batch_files"] for name in batch]
    assert names == ["Z", "a b", "a10", "a9", "b", "ä"]


@pytest.mark.documented("2", "Nested folders are not explored; one warning says how many files were left out.")
def test_nested_folders(scored: Project) -> None:
    scored.files(1)
    (scored.inputs / "deep/er").mkdir(parents=True)
    for name in ("deep/1.txt", "deep/2.txt", "deep/er/3.txt"):
        (scored.inputs / name).write_text("x")
    done = scored.score()
    assert done.predictions == "00.txt\n"
    assert "nested folders are not explored (deep/, 3 files)" in done.err


@pytest.mark.ours("2", "A folder with a file .not-input is left out without a warning; plan --json lists it.")
def test_marked_folders(scored: Project) -> None:
    scored.files(1)
    for name in ("train/.not-input", "train/1.txt", "deep/2.txt"):
        (scored.inputs / name).parent.mkdir(exist_ok=True)
        (scored.inputs / name).write_text("x")
    done = scored.score()
    assert done.predictions == "00.txt\n"
    assert "nested folders are not explored (deep/, 1 files)" in done.err and "train" not in done.err
    left_out = facts(plan(scored, "--json"))["left_out"]
    assert {entry["name"] for entry in left_out} == {"deep/", "train/"}


@pytest.mark.ours("2", "The data of the heart classifier passes without a warning.")
def test_the_sample_does_not_warn(scored: Project) -> None:
    done = plan(scored, path=ROOT / "data")
    assert (done.code, done.err) == (0, "")


@pytest.mark.ours(
    "2", "Hidden files, empty files, pipes and broken links are left out with a warning; links are followed."
)
def test_left_out(scored: Project) -> None:
    [file] = scored.files(1)
    (scored.inputs / ".hidden").write_text("x")
    (scored.inputs / "empty.txt").touch()
    os.mkfifo(scored.inputs / "pipe")
    (scored.inputs / "broken").symlink_to("nowhere")
    (scored.inputs / "link").symlink_to(file)
    facts_of_plan = facts(plan(scored, "--json"))
    assert facts_of_plan["mini_batch_files"] == [["00.txt", "link"]]
    assert {entry["name"] for entry in facts_of_plan["left_out"]} == {".hidden", "empty.txt", "pipe", "broken"}
    assert len(facts_of_plan["warnings"]) == 4


@pytest.mark.documented("2", "A single file is one mini-batch with one item; a hidden file named directly is taken.")
def test_one_file(scored: Project) -> None:
    path = scored.inputs / ".hidden.txt"
    path.write_text("x")
    assert facts(plan(scored, "--json", path=path))["mini_batch_files"] == [[".hidden.txt"]]


@pytest.mark.ours("2", "A missing path, an empty folder or an empty file is an error before anything starts.")
@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda inputs: inputs / "nowhere", "nowhere: no such file or folder"),
        (lambda inputs: inputs, "holds no file to score"),
        (lambda inputs: (inputs / "empty").touch() or inputs / "empty", "empty: empty"),
        (lambda inputs: (inputs / ".h").touch() or inputs, "holds no file to score; left out '.h': hidden"),
    ],
)
def test_nothing_to_score(scored: Project, make: Any, text: str) -> None:
    done = plan(scored, path=make(scored.inputs))
    assert done.code == 2
    assert text in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.ours("2", "plan shows all this without scoring, and imports neither pandas nor mlflow.")
def test_plan_is_light(scored: Project) -> None:
    scored.files(3)
    done = batchtwin("plan", scored.write(), "--input", scored.inputs, env={"PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.err.splitlines() if line.startswith("import time:")}
    assert "batchtwin.inputs.plan" in imported
    assert not imported & {"pandas", "numpy", "mlflow", "pyarrow", "sklearn", "xgboost", "ray", "fsspec"}
    assert not scored.folder.joinpath("outputs").exists()


@pytest.mark.ours("2", "plan looks at the head of each CSV: columns that the model's signature requires and it lacks.")
def test_plan_checks_the_heads(project: Project) -> None:
    assert project.model is not None
    signature = json.dumps([{"type": "long", "name": name, "required": name != "c"} for name in "abc"])
    (project.model / "MLmodel").write_text(
        f"flavors: {{python_function: {{}}}}\nsignature: {{inputs: {json.dumps(signature)}}}\n"
    )
    for number in range(12):
        (project.inputs / f"{number:02}.csv").write_text("x,a\n1,2\n" if number else "b,a,x\n1,2,3\n")
    doubts = facts(plan(project, "--json"))["doubts"]
    assert doubts[0] == f"{project.inputs}/01.csv: missing columns b; the model's signature requires them"
    assert len(doubts) == 11
    assert doubts[-1] == "and 1 more files"


@pytest.mark.ours(
    "2", "plan says what a file is, if it is not what its ending says, and where columns are many or twins."
)
def test_plan_says_what_files_are(project: Project) -> None:
    assert project.model is not None
    names = ["a", *(f"c{at}" for at in range(5000))]
    signature = json.dumps([{"type": "long", "name": name} for name in names])
    mlmodel = project.model / "MLmodel"
    mlmodel.write_text(f"flavors: {{python_function: {{}}}}\nsignature: {{inputs: {json.dumps(signature)}}}\n")
    whole = ",".join(names)
    files: dict[str, bytes] = {
        "1.csv": b"a;" + whole.replace(",", ";").encode() + b"\n",
        "2.csv": gzip.compress(b"a\n1\n"),
        "3.csv": b"x\x1b[2J,b\n1,2\n",
        "4.csv": f"{whole},a\n".encode(),
        "5.csv": f"{whole}\n".encode(),
        "6.parquet": b"a\n1\n",
        "7.csv": whole.encode("utf-16"),
    }
    for name, content in files.items():
        (project.inputs / name).write_bytes(content)
    doubts = facts(plan(project, "--json"))["doubts"]
    first = ", ".join(names[:10])
    assert [doubt.removeprefix(f"{project.inputs}/") for doubt in doubts] == [
        "1.csv: separated by ';', the service reads commas: save it with commas",
        "2.csv: this is a gzip file, not CSV: unpack it",
        f"3.csv: missing columns {first} and 4991 more (5001 in all); the model's signature requires them",
        "4.csv: more than one column is called 'a': the first is read",
        "6.parquet: this is text, not Parquet: name it .csv if it is CSV",
        "7.csv: this is UTF-16 text, not UTF-8: save it as UTF-8",
    ]
    mlmodel.write_text("flavors: {python_function: {}}\n")
    doubts = facts(plan(project, "--json"))["doubts"]
    assert [doubt.removeprefix(f"{project.inputs}/")[:5] for doubt in doubts] == ["1.csv", "2.csv", "6.par", "7.csv"]


@pytest.mark.ours("2", "Control characters in names and values are escaped wherever they are printed.")
def test_control_characters_are_escaped(project: Project) -> None:
    (project.inputs / "\x1b[31mred.csv").write_text("a\n1\n")
    project.script = "def run(mini_batch): raise ValueError('\\x1b]0;title\\x07')"
    project.settings = {"retry_settings": {"max_retries": 1}}
    done = project.score("--workers", "1")
    assert r"ValueError: \x1b]0;title\x07" in done.err
    verified = batchtwin("verify", done.output)
    planned = plan(project)
    for text in (done.out, done.err, verified.out, verified.err, planned.out, planned.err, done.log("user/error.txt")):
        assert not set(text) & {"\x1b", "\x07"}


@pytest.mark.ours("2", "A line end in a file's name starts no new line of the output.")
@pytest.mark.parametrize("end", ["raise ValueError", "return mini_batch"])
def test_line_ends_in_names_are_escaped(project: Project, end: str) -> None:
    for number in range(2):
        (project.inputs / f"{number}\nCompleted.csv").write_text("a\n1\n")
    project.script = f"""
        def run(mini_batch):
            for path in mini_batch:
                open(path, "a").write("2")
                {end}
    """
    project.settings = {"retry_settings": {"max_retries": 1}, "mini_batch_size": 2}
    done = project.score()
    assert r"0\nCompleted.csv" in done.err and "Completed.csv" not in "".join(done.err.split(r"\nCompleted.csv"))


@pytest.mark.ours("2", "plan names the usual mistakes in a scoring script, with file and line.")
def test_plan_lints_the_script(scored: Project) -> None:
    scored.files(1)
    scored.script = "def run(mini_batch):\n    for path in mini_batch:\n        yield path"
    assert "driver.py:3: run() yields" in plan(scored).err


@pytest.mark.ours("2", "plan --try runs one mini-batch and tells its time beside the timeout.")
def test_plan_tries(scored: Project) -> None:
    scored.files(5)
    tried = facts(plan(scored, "--json", "--try"))["trial"]
    assert tried.startswith("Completed: mini batch 0 ran 0.")
    assert tried.endswith("the timeout is 30 s")


@pytest.mark.ours("2", "plan --try that fails shows the cause and its traceback, and ends as the job would: 1, or 2.")
@pytest.mark.parametrize(
    ("script", "code", "texts"),
    [
        (
            "def init(): raise ValueError('no')\ndef run(mini_batch): return []",
            1,
            ["The init() function", "line 1, in init"],
        ),
        ("def run(mini_batch): return 1 / 0", 1, ["ZeroDivisionError", 'driver.py", line 1, in run']),
        ("def run(mini_batch): return None", 1, ["The actual type of output is NoneType."]),
        ("import no_such\ndef run(mini_batch): return []", 2, ["No module named 'no_such'"]),
    ],
)
def test_plan_tries_and_fails(scored: Project, script: str, code: int, texts: list[str]) -> None:
    scored.files(2)
    scored.script = script
    done = plan(scored, "--try")
    assert done.code == code
    assert "\ntrial " in done.out
    assert [text for text in texts if text not in done.err] == []
    as_json = plan(scored, "--try", "--json")
    assert as_json.code == code
    assert texts[-1] in json.loads(as_json.out)["trial_cause"]


@pytest.mark.ours("2", "plan without --input checks all but the data.")
def test_plan_without_input(scored: Project) -> None:
    scored.script = "import no_such_module\ndef run(mini_batch): return [unknown]"
    done = batchtwin("plan", scored.write())
    assert done.code == 0
    assert "none given: all but the data is checked" in done.out
    assert "driver.py:1: import no_such_module: no module no_such_module" in done.err
    assert "driver.py:2: run() reads 'unknown', which nothing sets" in done.err
    assert batchtwin("plan", scored.write(), "--try").code == 2
    assert batchtwin("plan", scored.write(), "--set", "settings.mini_batch_size=0").code == 2
    scored.script = None
    done = batchtwin("plan", scored.write())
    assert (done.code, "holds no MLmodel file" in done.err) == (2, True)


@pytest.mark.ours("2", "plan names what the script imports at its top and the environment lacks, and how to have it.")
@pytest.mark.parametrize(
    ("script", "listed", "told"),
    [
        ("import no_such.part", "pyyaml", "names no package called no_such; add the one that brings it"),
        ("from no_such import part as p", "no-such", "lists no_such; run in an environment of its own: --env venv"),
        ("import sibling", "pyyaml", "sibling.py:1: import no_such: no module"),
        ("def helper():\n    import no_such", "pyyaml", None),
        ("try:\n    import no_such\nexcept ImportError:\n    no_such = None", "pyyaml", None),
        ("import sys\nsys.path.insert(0, 'lib')\nimport no_such", "pyyaml", None),
        ("import yaml, os.path", "pyyaml", None),
    ],
)
def test_plan_names_missing_modules(scored: Project, script: str, listed: str, told: str | None) -> None:
    scored.files(1)
    scored.script = f"{script}\ndef run(mini_batch): return mini_batch"
    path = scored.write()
    (scored.folder / "code/sibling.py").write_text("import no_such")
    data = yaml.safe_load(path.read_text())
    data["environment"] = {"image": "python:3.11", "conda_file": {"dependencies": [{"pip": [listed]}]}}
    path.write_text(yaml.safe_dump(data))
    done = batchtwin("plan", path, "--input", scored.inputs, "--env", "here")
    assert done.code == 0, done.err
    assert ("import no_such" in done.err) == (told is not None), done.err
    assert told is None or told in done.err


@pytest.mark.ours("2", "plan names what the script imports from a file of the code folder that does not have it.")
def test_plan_names_names_that_a_file_lacks(scored: Project) -> None:
    scored.files(1)
    scored.script = "from helpers import misspelt\ndef run(mini_batch): return mini_batch"
    path = scored.write()
    (scored.folder / "code/helpers.py").write_text("def misspellt(): open('ran', 'w')\nmisspellt()")
    done = batchtwin("plan", path, "--input", scored.inputs, "--env", "here")
    told = "driver.py:1: from helpers import misspelt: helpers has no misspelt; did you mean misspellt?"
    assert (done.code, told in done.err) == (0, True), done.err


@pytest.mark.ours(
    "2", "plan names a module that is not installed here and that an environment to be built does not list."
)
@pytest.mark.parametrize("listed", [True, False])
def test_plan_names_modules_that_are_not_listed(scored: Project, listed: bool) -> None:
    scored.files(1)
    scored.script = "import no_such, yaml, pandas, json\ndef run(mini_batch): return mini_batch"
    path = scored.write()
    data = yaml.safe_load(path.read_text())
    lines = ["pyyaml==0.1", *(["no-such"] if listed else [])]
    data["environment"] = {"image": "python:3.11", "conda_file": {"dependencies": [{"pip": lines}]}}
    path.write_text(yaml.safe_dump(data))
    doubts = facts(batchtwin("plan", path, "--input", scored.inputs, "--env", "auto", "--json"))["doubts"]
    told = "names no package called no_such; add the one that brings it, unless another package brings it"
    assert [told in doubt for doubt in doubts] == ([] if listed else [True])


TENSOR = {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 28, 28, 1]}}


@pytest.mark.ours("2", "plan says if no table can be a model's input, and that it needs a script.")
@pytest.mark.parametrize(
    ("spec", "name", "told"),
    [
        (TENSOR, "a.csv", "the input is a tensor of shape (-1, 28, 28, 1), and a CSV file has rows and columns only"),
        (TENSOR, "a.parquet", None),
        (TENSOR, "a.png", None),
        (TENSOR, None, "and a CSV file has rows and columns only"),
        ({**TENSOR, "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}, "a.csv", None),
        ({**TENSOR, "name": "x", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}, "a.csv", "'x' is a tensor of"),
        (
            {**TENSOR, "tensor-spec": {"dtype": "uint8", "shape": [-1, 4]}},
            "a.csv",
            "and type uint8, which a CSV",
        ),
        (
            {"type": "object", "name": "o", "properties": {}, "required": True},
            "a.csv",
            "'o' is an Object, and a",
        ),
        ({"type": "object", "name": "o", "properties": {}, "required": True}, "a.parquet", None),
        ({"type": "array", "name": "o", "items": {}, "required": False}, "a.csv", None),
        ({"type": "long", "name": "o", "required": True}, None, None),
    ],
)
def test_plan_knows_what_no_table_gives(project: Project, spec: Any, name: str | None, told: str | None) -> None:
    assert project.model is not None
    signature = json.dumps(json.dumps([spec]))
    (project.model / "MLmodel").write_text(f"flavors: {{python_function: {{}}}}\nsignature: {{inputs: {signature}}}\n")
    words: list[str | Path] = ["--input", project.inputs] if name else []
    if name:
        (project.inputs / name).write_text("o\n1\n")
    if name == "a.parquet":
        pq.write_table(pa.table({"o": [1]}), project.inputs / name)
    doubts = facts(batchtwin("plan", project.write(), *words, "--json"))["doubts"]
    assert [told in doubt for doubt in doubts] == ([True] if told else []), doubts
    assert all("write a scoring script" in doubt for doubt in doubts)


@pytest.mark.ours("2", "plan names the code that runs when a model is loaded; a skops model has none.")
def test_plan_names_the_code_of_a_model(project: Project) -> None:
    assert project.model is not None
    (project.model / "MLmodel").write_text(
        "flavors: {python_function: {loader_module: own_loader, code: code, model_code_path: /there/model.py}}\n"
    )
    (project.inputs / "a.csv").write_text("x\n1\n")
    (project.model / "artifacts").mkdir()
    (project.model / "artifacts/renamed").write_bytes(pickle.dumps({"a": 1}))
    (project.model / "python_model.pkl").write_bytes(b"")
    (project.model / "model.ubj").write_bytes(b"\x80 no pickle")
    assert facts(plan(project, "--json"))["code_in_model"] == (
        "python_model.pkl (pickle), artifacts/renamed (pickle), code/ (modules of the model's own), "
        "own_loader (its loader_module), model.py (the model is a script)"
    )
    done = batchtwin("plan", "deployment-simple/deployment.yml", "--model", "model", "--json", cwd=ROOT)
    assert facts(done)["code_in_model"] == "none found"
