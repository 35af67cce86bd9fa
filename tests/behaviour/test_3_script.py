"""Section 3: the scoring script."""

from __future__ import annotations

import csv
import json
import textwrap
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from support import Project, batchtwin

TELL = """
    import glob, json, os, sys
    from azureml_user.parallel_run import EntryScript
    import sibling

    def run(mini_batch):
        entry = EntryScript()
        return [json.dumps({
            "argv": sys.argv, "cwd": os.getcwd(), "listing": os.listdir("."), "paths": mini_batch,
            "sibling": sibling.__file__, "models": glob.glob(os.environ["AZUREML_MODEL_DIR"] + "/*"),
            "output": os.environ["AZUREML_BI_OUTPUT_PATH"], "run_id": os.environ["AZUREML_RUN_ID"],
            "nodes": os.environ["AZUREML_NODE_COUNT"], "own": os.environ.get("OWN"),
            "entry": [entry.dir, entry.working_dir, entry.output_dir, entry.log_dir],
        })]
"""


def told(project: Project) -> dict[str, object]:
    project.files(1)
    project.script = TELL
    project.settings = {"environment_variables": {"OWN": "it's here"}, "logging_level": "debug"}
    project.write()
    (project.folder / "code/sibling.py").touch()
    done = project.score()
    assert done.code == 0, done.err
    facts: dict[str, object] = json.loads(done.predictions)
    return facts


@pytest.mark.documented(
    "3", "The script gets absolute local paths; siblings import; the working directory is private and empty."
)
def test_paths_siblings_and_folder(project: Project) -> None:
    facts = told(project)
    assert facts["paths"] == [str(project.inputs / "00.txt")]
    assert facts["sibling"] == str(project.folder / "code/sibling.py")
    assert facts["listing"] == []
    assert facts["cwd"] != str(project.folder / "code")


@pytest.mark.documented("3", "sys.argv holds the script's path and --logging_level LEVEL.")
def test_argv(project: Project) -> None:
    assert told(project)["argv"] == [str(project.folder / "code/driver.py"), "--logging_level", "DEBUG"]


@pytest.mark.on_ray
@pytest.mark.documented(
    "3", "AZUREML_MODEL_DIR contains the model's folder; variables name output folder, run id and node count."
)
def test_environment(project: Project) -> None:
    facts = told(project)
    models = facts["models"]
    assert isinstance(models, list)
    assert [path.rsplit("/", 1)[1] for path in models] == ["model"]
    assert facts["output"] == str(project.folder / "job/named-outputs/score")
    assert (facts["run_id"], facts["nodes"]) == ("job", "1")


@pytest.mark.on_ray
@pytest.mark.ours("3", "The deployment's environment variables really reach the script.")
def test_own_variables(project: Project) -> None:
    assert told(project)["own"] == "it's here"


@pytest.mark.ours("3", "EntryScript knows the folders: dir and working_dir are the code folder.")
def test_entry_script(project: Project) -> None:
    code, job = project.folder / "code", project.folder / "job"
    assert told(project)["entry"] == [str(code), str(code), str(job / "named-outputs/score"), str(job / "logs/user")]


@pytest.mark.documented("3", "A script in a sub-folder is a module of that package: sub/x.py is sub.x.")
def test_script_in_a_sub_folder(project: Project) -> None:
    project.files(1)
    project.script = ""
    path = project.write()
    (project.folder / "code/sub").mkdir()
    (project.folder / "code/sub/names.py").write_text("NAME = 'sub'")
    (project.folder / "code/sub/x.py").write_text(
        "from .names import NAME\ndef run(mini_batch): return [NAME, __name__]"
    )
    path.write_text(path.read_text().replace("driver.py", "sub/x.py"))
    done = batchtwin("score", path, "--input", project.inputs, "--output", project.folder / "job")
    assert done.predictions == "sub\nsub.x\n", done.err


@pytest.mark.on_ray
@pytest.mark.documented("3", "init() runs once per worker before its first mini-batch, shutdown() once at its end.")
def test_init_and_shutdown(project: Project) -> None:
    project.files(6)
    project.script = """
        def init():
            print("init")
        def run(mini_batch):
            print("run")
            return mini_batch
        def shutdown():
            print("shutdown")
    """
    done = project.score("--workers", "2")
    assert done.code == 0, done.err
    # A worker that was still starting when the job ended has printed nothing, or is ended in its init().
    logs = [text.split() for path in (done.output / "logs/user/stdout").rglob("*.txt") if (text := path.read_text())]
    assert sum(log.count("run") for log in logs) == 6
    assert all(log == ["init", *["run"] * (len(log) - 2), "shutdown"] for log in logs if log != ["init"])


@pytest.mark.ours(
    "3", "A script that does not parse, or whose run() takes neither one nor two arguments, is refused at once."
)
@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("def run(mini_batch)\n    pass", "driver.py:1: syntax error"),
        ("def init(): pass", "no run()"),
        ("x = 1\ndef run(): return []", "driver.py:2: run() has to take one argument"),
        ("def run(a, b, c): return []", "driver.py:1: run() has to take one argument"),
        ("def run(a, *, b): return []", "driver.py:1: run() has to take one argument"),
        ("def init(model): pass\ndef run(a): return []", "driver.py:1: init() has to take no argument"),
        ("async def run(a): return []", "driver.py:1: run() is `async def`, and nothing awaits it: write `def`"),
        ("async def init(): pass\ndef run(a): return []", "driver.py:1: init() is `async def`, and nothing awaits it"),
        ("def f():\n    exec('run = 1')", "no run()"),
    ],
)
def test_script_is_checked_first(project: Project, script: str, text: str) -> None:
    project.files(1)
    project.script = script
    done = project.score()
    assert done.code == 2
    assert text in done.err
    assert "Traceback" not in done.err
    assert not done.output.exists()


@pytest.mark.ours("3", "run may be imported, assigned, or take more arguments with defaults.")
@pytest.mark.parametrize(
    "script",
    [
        "from sibling import run",
        "from sibling import *",
        "try:\n    from sibling import *\nexcept ImportError:\n    raise",
        "exec('from sibling import run')",
        "import sibling\nglobals()['run'] = sibling.run",
        "import sibling, sys\nsetattr(sys.modules[__name__], 'run', sibling.run)",
        "import sibling\nrun = sibling.run",
        "def run(mini_batch, more=None): return ['ok']",
        "def run(*batches): return ['ok']",
        "class Model:\n    def run(self, mini_batch): return ['ok']\nrun = Model().run",
    ],
)
def test_ways_to_have_a_run(project: Project, script: str) -> None:
    project.files(1)
    project.script = script
    project.write()
    (project.folder / "code/sibling.py").write_text("def run(mini_batch): return ['ok']")
    done = project.score()
    assert done.predictions == "ok\n", done.err


@pytest.mark.ours("3", "A script that fails on import ends the job at once, exit code 2, with the place.")
@pytest.mark.parametrize(
    ("script", "text"),
    [
        (
            "import no_such_module\ndef run(mini_batch): return []",
            "ModuleNotFoundError: No module named 'no_such_module'",
        ),
        ("raise SystemExit(3)\ndef run(mini_batch): return []", "SystemExit: 3"),
        ("from sibling import *", "no run()"),
        (
            "raise SyntaxError('bad', (1, 'x', 3, 4))\ndef run(mini_batch): return []",
            "driver.py:1: SyntaxError: its message cannot be shown: ",
        ),
    ],
)
def test_import_fails(project: Project, script: str, text: str) -> None:
    project.files(4)
    project.script = script
    project.write()
    (project.folder / "code/sibling.py").touch()
    done = project.score()
    assert done.code == 2
    assert text in done.err
    assert "driver.py" in done.err
    assert "Failed" in done.out


@pytest.mark.on_ray
@pytest.mark.documented("3", "init() that raises 3 x workers times fails the job, with the first traceback.")
@pytest.mark.parametrize(
    "bad", ["raise ValueError('no model')", "import os; os._exit(5)", "import os; os.kill(os.getpid(), 9)"]
)
def test_init_fails(project: Project, bad: str) -> None:
    project.files(9)
    project.script = f"def init():\n    {bad}\ndef run(mini_batch): return mini_batch"
    done = project.score("--workers", "2")
    assert done.code == 1
    assert "The init() function in the entry script had raised exception for 6 times." in done.err
    assert "Processed 0 mini batches" in done.out
    assert not (done.output / "named-outputs/score/predictions.csv").exists()


@pytest.mark.documented("3", "init() has a budget of 3 x timeout + 30 s; one that is slow but within it is fine.")
def test_slow_init_is_fine(project: Project) -> None:
    project.files(2)
    project.settings = {"retry_settings": {"timeout": 1}}
    project.script = "import time\ndef init(): time.sleep(2)\ndef run(mini_batch): return mini_batch"
    assert project.score().code == 0


@pytest.mark.documented("3", "Wrong return types fail the try with the service's text, and say how to fix it.")
@pytest.mark.parametrize(
    ("value", "name"),
    [("'text'", "str"), ("{'a': 1}", "dict"), ("np.zeros(2)", "ndarray"), ("pd.Series([1])", "Series"), ("7", "int")],
)
def test_wrong_return_types(project: Project, value: str, name: str) -> None:
    project.files(1)
    project.settings = {"retry_settings": {"max_retries": 1}}
    project.script = f"import numpy as np\nimport pandas as pd\ndef run(mini_batch): return {value}"
    done = project.score()
    text = (
        "The run() method in the entry script should return a list or a pandas DataFrame. The actual type of output is"
    )
    assert done.code == 1
    assert f"{text} {name}. " in done.err
    [record] = done.failures
    assert record["kind"] == "wrong_type"
    assert 'File "' not in done.err + done.log("user/error/*/*.txt"), "no line of the script is to blame"
    assert "In the script at" not in (done.output / "report.html").read_text()


@pytest.mark.on_ray
@pytest.mark.documented(
    "3", "print() and logging go to the worker's own stdout and stderr files, line by line, in order."
)
def test_prints_and_logging_are_kept(project: Project) -> None:
    project.files(100)
    project.script = """
        import logging, os, subprocess
        def run(mini_batch):
            name = os.path.basename(mini_batch[0])
            print("said", name)
            logging.warning("warned %s", name)
            os.write(1, f"written {name}\\n".encode())
            return [name]
    """
    done = project.score("--workers", "2")
    assert done.code == 0, done.err
    outs = [path.read_text().splitlines() for path in (done.output / "logs/user/stdout").rglob("*.txt")]
    errs = [path.read_text().splitlines() for path in (done.output / "logs/user/stderr").rglob("*.txt")]
    names = [f"{number:02}.txt" for number in range(100)]
    assert sorted(line for lines in outs for line in lines) == sorted(
        f"{word} {name}" for name in names for word in ("said", "written")
    )
    assert sorted(line for lines in errs for line in lines) == [f"WARNING:root:warned {name}" for name in names]
    for lines in outs:
        said = [line.split()[1] for line in lines if line.startswith("said")]
        assert lines == [line for name in said for line in (f"said {name}", f"written {name}")]
        assert said == sorted(said)


@pytest.mark.ours("3", "An error on import names the script's own line first, and shows no frame of Python's import.")
@pytest.mark.parametrize(
    ("script", "place"),
    [
        ("import os\nimport no_such_module\ndef run(mini_batch): return []", "code/driver.py:2: ModuleNotFoundError"),
        ("import sibling\ndef run(mini_batch): return []", "code/sibling.py:1: ZeroDivisionError"),
        ("import broken\ndef run(mini_batch): return []", "code/broken.py:2:"),
        (
            "import json\njson.loads('')\ndef run(mini_batch): return []",
            "code/driver.py:2: json.decoder.JSONDecodeError",
        ),
    ],
)
def test_import_error_names_the_line(project: Project, script: str, place: str) -> None:
    project.files(1)
    project.script = script
    project.write()
    (project.folder / "code/sibling.py").write_text("1 / 0")
    (project.folder / "code/broken.py").write_text("x = 1\ndef (")
    done = project.score()
    assert done.code == 2
    first = done.err.splitlines()[0]
    assert first.startswith(f"First failure: {project.folder}/{place}")
    assert done.err.count(first.removeprefix("First failure: ")) == 1
    assert "The scoring script cannot be used: see the first failure above" in done.err
    assert "importlib" not in done.err + done.log("user/error/*/*")
    assert "entry_script.py" not in done.err
    assert 'driver.py", line' in done.err


@pytest.mark.ours("3", "A missing module is reported with whether the environment lists it, and what to do.")
@pytest.mark.parametrize(
    ("script", "listed", "told"),
    [
        ("import no_such\ndef run(b): return b", "pyyaml", "conda_file) names no package called no_such; add the one"),
        (
            "import no_such\ndef run(b): return b",
            "no-such==1",
            "lists no_such; run in an environment of its own: --env venv",
        ),
        (
            "def init():\n    import cv2_\ndef run(b): return b",
            "pyyaml",
            "names no package called cv2_; add the one that brings it",
        ),
        (
            "import no_such\ndef run(b): return b",
            "python_no.such",
            "lists python-no-such; run in an environment of its own",
        ),
        ("import drivr\ndef run(b): return b", "pyyaml", "add the one that brings it; did you mean driver?"),
        ("import no_such\ndef run(b): return b", None, "no module no_such here; environment: image python:3.11 cannot"),
        ("import above\ndef run(b): return b", None, "above.py is not in the code folder"),
        ("import below\ndef run(b): return b", None, "no module below: sub/below.py is not in the code folder"),
    ],
)
def test_missing_modules_are_explained(project: Project, script: str, listed: str | None, told: str) -> None:
    project.files(1)
    project.script = script
    path = project.write()
    (project.folder / "above.py").touch()
    (project.folder / "code/sub").mkdir()
    (project.folder / "code/sub/below.py").touch()
    if listed:
        data = yaml.safe_load(path.read_text())
        data["environment"]["conda_file"] = {"dependencies": [{"pip": [listed]}]}
        path.write_text(yaml.safe_dump(data))
    done = batchtwin("score", path, "--input", project.inputs, "--output", project.folder / "job", "--env", "here")
    assert done.code in {1, 2}
    assert told in done.err


@pytest.mark.ours("3", "A missing path in code_configuration or model.path is reported with file and line.")
@pytest.mark.parametrize(
    ("dotted", "value", "told"),
    [
        ("code_configuration.code", "nowhere", "nowhere: no such code folder"),
        ("code_configuration.code", "deployment.yml", "deployment.yml: is no folder"),
        ("code_configuration.scoring_script", "nowhere.py", "nowhere.py: no such scoring script"),
        ("model.path", "nowhere", "nowhere: no such model (model.path: 'nowhere')"),
    ],
)
def test_a_missing_path_is_told_with_its_line(project: Project, dotted: str, value: str, told: str) -> None:
    project.files(1)
    project.script = "def run(mini_batch): return ['ok']"
    path = project.write()
    done = batchtwin("plan", path, "--set", f"{dotted}={value}")
    assert "--set: " in done.err
    assert told in done.err
    data = yaml.safe_load(path.read_text())
    block, key = dotted.split(".")
    data[block][key] = value
    path.write_text(yaml.safe_dump(data))
    line = path.read_text().splitlines().index(f"  {key}: {value}") + 1
    for command in ("plan", "doctor"):
        done = batchtwin(command, path)
        assert f"{path}:{line}: " in done.out + done.err
        assert told in done.out + done.err


@pytest.mark.ours("3", "A script outside of the code folder is refused: by .., an absolute path or a link.")
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../x.py", "scoring script '../x.py': leads out of the code folder"),
        ("sub/../../x.py", "leads out of the code folder"),
        ("ABSOLUTE", "is an absolute path; name a file in the code folder"),
        ("link.py", "link.py: is a link to"),
        ("linked/x.py", "linked/x.py: is a link to"),
        ("driver.v2.py", "must end in .py, without other dots"),
        ("driver.txt", "must end in .py, without other dots"),
        ("nowhere.py", "no such scoring script"),
        ("./sub/../driver.py", None),
        ("inner.py", None),
    ],
)
def test_scripts_outside_are_refused(project: Project, name: str, told: str | None) -> None:
    project.files(1)
    project.script = "def run(mini_batch): return ['ok']"
    path = project.write()
    code = project.folder / "code"
    for file in ("../x.py", "driver.v2.py", "driver.txt"):
        (code / file).write_text(project.script)
    (code / "sub").mkdir()
    (code / "link.py").symlink_to("../x.py")
    (code / "linked").symlink_to("..")
    (code / "inner.py").symlink_to("driver.py")
    name = str(code / "driver.py") if name == "ABSOLUTE" else name
    path.write_text(path.read_text().replace("driver.py", name))
    done = batchtwin("score", path, "--input", project.inputs, "--output", project.folder / "job")
    assert (done.code, told is None or told in done.err) == (2 if told else 0, True), done.err
    assert told is None or len(done.err.splitlines()) == 1


@pytest.mark.ours("3", "One warning says that the service is reported to drop environment_variables.")
def test_variables_are_warned_of(project: Project) -> None:
    project.files(2)
    project.script = "def run(mini_batch): return mini_batch"
    assert "environment_variables" not in project.score().err
    project.settings = {"environment_variables": {"A": "1", "B": "2"}}
    done = project.score("--overwrite")
    assert done.err.count("Warning: settings.environment_variables: ") == 1
    assert "the service is reported to drop them" in done.err


@pytest.mark.ours("3", "A clock that a script stops or moves changes no time in the logs, and no job.")
@pytest.mark.parametrize(
    "patch",
    [
        "time.time = time.monotonic = lambda: float('nan')",
        "time.time = lambda: 1e300",
        "time.time = lambda: None",
        # As freezegun does it: every name of every module that is bound to it.
        """
        for module in list(sys.modules.values()):
            for name, value in list(vars(module).items()):
                if value in (REAL, MONOTONIC):
                    setattr(module, name, lambda: 0.0)
        """,
    ],
)
def test_patched_clocks(project: Project, patch: str) -> None:
    project.files(3)
    project.script = (
        "import sys, time\nREAL, MONOTONIC = time.time, time.monotonic\n"
        f"def init():\n    sys.modules.pop('here', None)\n{textwrap.indent(textwrap.dedent(patch).strip(), '    ')}\n"
        "def run(mini_batch): return ['ok']\n"
    )
    done = project.score()
    assert (done.code, done.predictions) == (0, "ok\n" * 3), done.err
    rows = list(csv.DictReader(done.log("sys/job_report/*.csv").splitlines()))
    now = datetime.now(UTC)
    for row in rows:
        started = datetime.fromisoformat(row["Process Start Time"].replace("Z", ""))
        assert abs(now.replace(tzinfo=None) - started.replace(tzinfo=None)) < timedelta(hours=1)
        assert 0 <= float(row["Run Method Seconds"]) < 600


@pytest.mark.ours("3", "An event with an impossible time, written by a script, is corrected or dropped.")
@pytest.mark.parametrize("started", ["1e300", "-1e300", "NaN", "1e999", "true", "9" * 400])
def test_forged_times(project: Project, started: str) -> None:
    project.files(4)
    project.settings = {"retry_settings": {"max_retries": 3}}
    project.script = f"""
        import os, stat
        def run(mini_batch):
            number = int(os.path.basename(mini_batch[0])[:2])
            worker = f"node0/process{{int(os.path.basename(os.getcwd())[6:]):03}}"
            line = (
                '{{"type":"failure","worker":"' + worker + '","kind":"raised","message":"forged","pid":1,'
                '"started":{started},"seconds":{started},"mini_batch":' + str(number) + ',"attempt":1}}\\n'
            )
            for fd in range(3, 64):
                try:
                    if stat.S_ISFIFO(os.fstat(fd).st_mode):
                        os.write(fd, line.encode())
                except OSError:
                    pass
            return [str(number)]
    """
    done = project.score("--workers", "1")
    assert done.code in {0, 1}
    assert "Traceback" not in done.err
    assert done.code or sorted(done.predictions.split()) == ["0", "1", "2", "3"]
    rows = csv.DictReader(done.log("sys/job_report/*.csv").splitlines())
    assert all(0 <= float(row["Elapsed Seconds"]) < 600 for row in rows)


@pytest.mark.observed("3", "A run() with a second argument gets the mini-batch's context: minibatch_index and so on.")
def test_run_with_a_context(project: Project) -> None:
    """Seen in Microsoft's own scripts: azureml-assets (batch_score), promptflow, azureml-examples."""
    project.files(3)
    project.script = "def run(mini_batch, context): return [f'{context.minibatch_index}' for _ in mini_batch]"
    assert project.score().predictions == "0\n1\n2\n"


@pytest.mark.documented("3", "What the script logs with MLflow goes to the job's run.")
def test_mlflow_goes_to_the_run(project: Project) -> None:
    """ "Log metrics, parameters, and files with MLflow": a job has MLFLOW_TRACKING_URI and MLFLOW_RUN_ID."""
    project.files(1)
    project.script = """
        import os
        import mlflow

        def run(mini_batch):
            return [str(mlflow.start_run().info.run_id == os.environ["AZUREML_RUN_ID"])]
    """
    assert project.score().predictions == "True\n"


@pytest.mark.documented("3", "Run.get_context() and Model.get_model_path() of azureml-core answer for this job.")
def test_the_first_sdk(project: Project) -> None:
    """ "Deploy models for scoring in batch endpoints" asks for azureml-core in the environment."""
    project.files(1)
    project.script = """
        import os
        from azureml.core import Model, Run

        def run(mini_batch):
            run = Run.get_context()
            same = Model.get_model_path("any").startswith(os.environ["AZUREML_MODEL_DIR"])
            return [f"{run.id == os.environ['AZUREML_RUN_ID']} {run.experiment.name} {same}"]
    """
    assert project.score().predictions == "True test-endpoint True\n"


@pytest.mark.ours("3", "A failure by a table that does not fit the model's signature begins with the cause.")
def test_a_table_that_does_not_fit_is_told_cause_first(project: Project) -> None:
    """The error is MLflow's own, of whatever version is there."""
    project.files(1)
    project.settings = {"retry_settings": {"max_retries": 1}}
    project.script = """
        import pandas
        from mlflow.models import Model, ModelSignature
        from mlflow.pyfunc import PyFuncModel
        from mlflow.types import ColSpec, Schema
        class Predicts:
            def predict(self, *arguments, **options): return []
        def run(mini_batch):
            signature = ModelSignature(inputs=Schema([ColSpec("long", "age"), ColSpec("long", "chol")]))
            model = PyFuncModel(Model(signature=signature, flavors={"python_function": {}}), Predicts())
            return model.predict(pandas.DataFrame({"age": range(50), "chlo": range(50)}))
    """
    done = project.score()
    assert done.code == 1
    lines = done.err.splitlines()
    assert "Model is missing inputs ['chol']" in lines[0] and "(mini batch 0, " in lines[0], done.err
    assert lines[1].startswith("Failed to enforce schema of data ")
    assert "in run" in done.err, "the traceback is whole"
