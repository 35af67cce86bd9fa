"""An environment per deployment: made once, found again, refused with a reason; and jobs in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from batchtwin.environments import cache
from batchtwin.environments.interpreters import NoPythonError, find_python
from batchtwin.environments.requested import RequestedEnvironment
from batchtwin.environments.venv import EnvironmentBuildError, build, existing, key_of
from support import COMMAND, ROOT, Project, batchtwin

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of environments of the test's own, and an index that has nothing but the wheels beside it."""
    monkeypatch.setenv("BATCHTWIN_ENVIRONMENTS", str(tmp_path / "environments"))
    return tmp_path / "environments"


def wheel(folder: Path, name: str, version: str = "1.0", script: str = "") -> Path:
    """A wheel of one module, made by hand; `script` is a console script that it has."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = {version!r}\ndef main():\n    print('run')\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        if script:
            archive.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{script} = {name}:main\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def requested(folder: Path, *lines: str, conda: tuple[str, ...] = ()) -> RequestedEnvironment:
    """What asks for lines of pip, relative to a folder."""
    pip = tuple(line for line in lines if not line.startswith("-"))
    options = tuple(line for line in lines if line.startswith("-"))
    return RequestedEnvironment(str(folder / "conda.yaml"), f"python={HERE}", pip, conda, options, folder)


def test_it_is_made_once_and_found_again(tmp_path: Path) -> None:
    wheel(tmp_path, "tiny", script="tiny-run")
    request, notes = requested(tmp_path, "./tiny-1.0-py3-none-any.whl"), list[str]()
    first = build(request, HERE, notes.append)
    assert build(request, HERE, notes.append) == first
    assert len(notes) == 1
    assert notes[0].startswith(f"Making the environment of this deployment (once): Python {HERE}, 1 requested packages")
    assert existing(request, HERE) is not None
    assert "tiny" in first.lock
    out = subprocess.run([first.path / "bin/tiny-run"], capture_output=True, text=True, check=True).stdout
    assert out == "run\n", "console scripts run where they are"


def test_ten_at_once_make_one(tmp_path: Path) -> None:
    wheel(tmp_path, "tiny")
    code = (
        "import sys; from pathlib import Path; from batchtwin.environments.venv import build\n"
        "from batchtwin.environments.requested import RequestedEnvironment as R\n"
        "folder = Path(sys.argv[1]); line = './tiny-1.0-py3-none-any.whl'\n"
        "build(R(str(folder / 'conda.yaml'), None, (line,), (), (), folder), sys.argv[2], print)\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path), HERE]

    def run(number: int) -> str:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    with ThreadPoolExecutor(10) as executor:
        said = list(executor.map(run, range(10)))
    assert sum("Making the environment" in text for text in said) == 1
    assert len(list(cache.environments())) == 1


def test_the_key_is_of_lines_files_and_python(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("a\n")
    request = requested(tmp_path, "tiny==1", "-r more.txt")
    key = key_of(request, HERE)
    assert key_of(request, HERE) == key
    assert key_of(request, "3.8") != key
    assert key_of(requested(tmp_path, "tiny==2", "-r more.txt"), HERE) != key
    (tmp_path / "more.txt").write_text("b\n")
    assert key_of(request, HERE) != key


def test_an_environment_whose_interpreter_is_gone_is_made_again(tmp_path: Path) -> None:
    wheel(tmp_path, "tiny")
    request = requested(tmp_path, "./tiny-1.0-py3-none-any.whl")
    first = build(request, HERE, print)
    (first.path / "bin/python").unlink()
    assert existing(request, HERE) is None
    assert build(request, HERE, print).python.exists()


def test_a_build_that_was_killed_is_not_taken_for_one(tmp_path: Path) -> None:
    wheel(tmp_path, "tiny")
    request = requested(tmp_path, "./tiny-1.0-py3-none-any.whl")
    half = cache.cache_folder() / key_of(request, HERE)
    (half / "bin").mkdir(parents=True)
    (half / "bin/python").touch()
    assert existing(request, HERE) is None
    assert "tiny" in build(request, HERE, print).lock


def test_what_cannot_be_installed_is_said_in_terms_of_the_lines(tmp_path: Path) -> None:
    wheel(tmp_path / "links", "tiny")
    with pytest.raises(EnvironmentBuildError, match=r"conda.yaml: the environment cannot be made: .*tiny==9"):
        build(requested(tmp_path, "tiny==9", "--no-index", "--find-links ./links"), HERE, print)
    assert list(cache.environments()) == []


def test_source_packages_are_not_built_unless_that_is_allowed(tmp_path: Path) -> None:
    """A build runs the package's code on this machine."""
    source = tmp_path / "sick"
    source.mkdir()
    (source / "setup.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\nfrom setuptools import setup\nsetup(name='sick')\n"
    )
    with pytest.raises(EnvironmentBuildError, match="--allow-builds"):
        build(requested(tmp_path, "./sick"), HERE, print)
    assert not (tmp_path / "ran").exists()


def test_packages_of_azureml_that_do_not_go_are_left_out_and_named(tmp_path: Path) -> None:
    wheel(tmp_path / "links", "tiny")
    notes: list[str] = []
    lines = ("tiny", "azureml-no-such-thing==1", "--no-index", "--find-links ./links")
    wheel(tmp_path / "links", "pip", "30.0")
    wheel(tmp_path / "links", "setuptools", "80.0")
    environment = build(requested(tmp_path, *lines), HERE, notes.append)
    assert environment.record.left_out == ("azureml-no-such-thing==1",)
    assert "azureml-no-such-thing==1 cannot be installed" in notes[-1]


def test_what_only_conda_has_needs_conda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentBuildError, match="gdal=3: only conda can install this"):
        build(requested(tmp_path, conda=("gdal=3",)), HERE, print)


def test_conda_makes_what_only_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for conda: it notes its words and makes a venv."""
    program = tmp_path / "bin/micromamba"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport subprocess, sys\n"
        f"open({str(tmp_path / 'words')!r}, 'w').write(' '.join(sys.argv[1:]))\n"
        f"prefix = sys.argv[sys.argv.index('--prefix') + 1]\n"
        f"subprocess.run([{sys.executable!r}, '-m', 'venv', prefix], check=True)\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    wheel(tmp_path, "tiny")
    environment = build(requested(tmp_path, "./tiny-1.0-py3-none-any.whl", conda=("gdal=3",)), HERE, print)
    assert (tmp_path / "words").read_text().endswith(f"--channel conda-forge python={HERE} pip gdal=3")
    assert "tiny" in environment.lock


def test_a_python_that_is_nowhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoPythonError, match=r"Python 3\.2 is not on this machine"):
        find_python("3.2")


def test_the_commands(tmp_path: Path, project: Project, folder: Path) -> None:
    wheel(project.folder, "tiny")
    path = deployment(project, ["./tiny-1.0-py3-none-any.whl"])
    done = batchtwin("environments", "build", path)
    assert done.code == 0, done.err
    made = Path(done.out.strip())
    assert made.parent == folder
    [entry] = json.loads(batchtwin("environments", "list", "--json").out)
    assert (entry["python"], entry["lines"]) == (HERE, ["./tiny-1.0-py3-none-any.whl"])
    assert "tiny" in batchtwin("environments", "show", entry["key"][:6]).out
    assert "1 environments" in batchtwin("environments", "list").out
    assert batchtwin("environments", "remove", "--unused", "1").out == ""
    assert batchtwin("environments", "remove", entry["key"]).out.startswith(f"removed {entry['key']}")
    assert not made.exists()
    assert batchtwin("environments", "show", "x").code == 2


def deployment(project: Project, lines: list[str]) -> Path:
    """A deployment with a conda file of these lines."""
    project.script = project.script or "def run(mini_batch): return mini_batch"
    path = project.write()
    conda = {"dependencies": [f"python={HERE}", {"pip": lines}]}
    (project.folder / "conda.json").write_text(json.dumps(conda))
    path.write_text(path.read_text().replace("environment:", "environment:\n  conda_file: conda.json"))
    return path


def test_auto_runs_a_job_in_an_environment_of_its_own_where_packages_differ(project: Project) -> None:
    project.files(2)
    wheel(project.folder, "tiny", "2.0")
    project.script = """
        import sys, tiny
        def run(mini_batch):
            return [f"{tiny.VERSION} {any('site-packages/batchtwin' in path for path in sys.path)}"]
    """
    path = deployment(project, ["./tiny-2.0-py3-none-any.whl"])
    words = ["score", str(path), "--input", str(project.inputs), "--model", str(project.model)]
    output = project.folder / "job"
    env = {**os.environ, "BATCHTWIN_ENV": "auto"}
    for number in range(2):
        done = subprocess.run(
            [COMMAND, *words, "--output", output, "--overwrite"], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert ("Making the environment" in done.stderr) is (number == 0)
        begins = done.stderr.startswith("The deployment gets an environment of its own, for here ")
        assert (begins, "environment: " in done.stderr) == (number == 0, False)
    assert set((output / "named-outputs/score/predictions.csv").read_text().splitlines()) == {"2.0 False"}
    plan = batchtwin("plan", path, "--input", project.inputs, "--env", "venv")
    assert "environments/" in plan.out
    refused = batchtwin("score", path, "--input", project.inputs, "--env", "here", "--strict-environment")
    assert refused.code == 2
    assert "'./tiny-2.0-py3-none-any.whl' cannot be compared" in refused.err


def test_plan_never_builds(project: Project) -> None:
    project.files(1)
    path = deployment(project, ["no-such-package==1"])
    done = batchtwin("plan", path, "--input", project.inputs, "--env", "auto")
    assert done.code == 0, done.err
    assert f"one of its own, to be built: Python {HERE}, 1 requested packages" in done.out
    difference = "no-such-package is requested and not installed"
    assert f"The deployment gets an environment of its own, for here {difference}" in done.err
    assert list(cache.environments()) == []


def test_another_environment_is_refused_by_resume(project: Project) -> None:
    project.files(1)
    project.script = "def run(mini_batch): raise ValueError('no')"
    wheel(project.folder, "tiny")
    path = deployment(project, ["./tiny-1.0-py3-none-any.whl"])
    output = project.folder / "job"
    done = batchtwin("score", path, "--input", project.inputs, "--output", output, "--env", "venv")
    assert done.code == 1
    [environment] = cache.environments()
    (environment.path / "requirements.lock").write_text("tiny==3\n")
    done = batchtwin("resume", output, "--retry-failed")
    assert done.code == 2
    assert "it ran in another environment (venv " in done.err


def test_another_environment_is_refused_before_it_is_made(project: Project) -> None:
    project.files(1)
    project.script = "def run(mini_batch): raise ValueError('no')"
    wheel(project.folder, "tiny")
    path = deployment(project, ["./tiny-1.0-py3-none-any.whl"])
    output = project.folder / "job"
    assert batchtwin("score", path, "--input", project.inputs, "--output", output, "--env", "venv").code == 1
    before = [environment.path for environment in cache.environments()]
    deployment(project, ["./tiny-1.0-py3-none-any.whl", "no-such-package==1"])
    done = batchtwin("resume", output, "--retry-failed")
    assert done.code == 2
    assert "it ran in another environment (venv " in done.err
    assert "this is one of its own, to be built" in done.err
    assert "Making the environment" not in done.err
    assert [environment.path for environment in cache.environments()] == before


@pytest.mark.parametrize(("env", "times"), [("here", 2), (sys.prefix, 1)])
def test_differences_are_repeated_where_nobody_named_the_environment(project: Project, env: str, times: int) -> None:
    project.files(1)
    project.script = "def run(mini_batch): raise ValueError('no')"
    path = deployment(project, ["no-such-package==1"])
    done = batchtwin("score", path, "--input", project.inputs, "--output", project.folder / "job", "--env", env)
    assert done.code == 1
    assert done.err.count("no-such-package is requested and not installed") == times


def test_an_interpreter_without_mlflow_is_named_at_the_end(project: Project, tmp_path: Path, heart_model: Path) -> None:
    """The failure of the node names no interpreter; what says which one and what to do is the last word on it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    (project.inputs / "one.csv").write_text("age\n1\n")
    words: list[str | Path] = ["--model", heart_model, "--input", project.inputs, "--output", project.folder / "job"]
    done = batchtwin("score", ROOT / "deployment-simple/deployment.yml", *words, "--env", tmp_path / "bare")
    told = (
        f"no module mlflow in the environment of {tmp_path}/bare/bin/python; add mlflow to the deployment's environment"
    )
    assert (done.code, done.err.count(told)) == (2, 1), done.err
