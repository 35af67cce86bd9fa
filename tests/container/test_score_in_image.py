"""Jobs in a container, started as people start them."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from batchtwin.engine.backends.container import IMAGE_UID
from support import COMMAND, DEADLINE, ROOT, Finished, Project, batchtwin, wait_for

pytestmark = pytest.mark.container

SIMPLE = ROOT / "deployment-simple/deployment.yml"
Docker = Callable[..., str]


def make(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *words], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )


def score(image: str, engine: str, *words: str | Path) -> Finished:
    return batchtwin("score", SIMPLE, *words, "--model", ROOT / "model", "--image", image, "--engine", engine)


@pytest.mark.usefixtures("image", "heart_model")
def test_make_local_score_ends_with_what_was_done_and_where(tmp_path: Path) -> None:
    """Container and .venv, 1 worker and 4: the same bytes."""
    results = {}
    for name, words in {
        "docker": ["RUNNER=docker"],
        "alone": ["RUNNER=docker", "SCORE_FLAGS=--workers 1"],
        "venv": ["RUNNER=venv", "SCORE_FLAGS=--workers 4"],
    }.items():
        done = make("local-score", f"OUTPUT={tmp_path / name}", *words)
        assert done.returncode == 0, f"{name}:\n{done.stdout}{done.stderr}"
        predictions = tmp_path / name / "named-outputs/score/predictions.csv"
        status, _, counts, path = done.stdout.splitlines()[-4:]
        assert (status, counts, path) == ("Completed", "4 files, 303 rows", str(predictions))
        results[name] = predictions.read_bytes()
    assert results["docker"].count(b"\n") == 303
    assert results["docker"] == results["alone"] == results["venv"]


@pytest.mark.usefixtures("image", "heart_model")
def test_make_local_score_custom_runs_the_script_in_the_container(tmp_path: Path) -> None:
    done = make("local-score-custom", "RUNNER=docker", f"OUTPUT={tmp_path / 'job'}")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert done.stdout.splitlines()[-4] == "Completed"
    assert (tmp_path / "job/named-outputs/score/predictions.csv").read_text().count("\n") == 303


def test_the_output_is_the_callers_and_can_be_overwritten(
    image: str, engine: str, heart_model: Path, tmp_path: Path
) -> None:
    words = ("--input", ROOT / "data/heart-unlabeled-3.csv", "--output", tmp_path / "deep" / "job")
    first = score(image, engine, *words)
    assert first.code == 0, first.err
    made = [tmp_path / "deep", *(tmp_path / "deep").rglob("*")]
    assert {path.stat().st_uid for path in made} == {os.getuid()}
    again = score(image, engine, *words)
    assert again.code == 2
    assert "--overwrite" in again.err
    assert score(image, engine, *words, "--overwrite").code == 0


def test_the_script_sees_the_callers_user_and_no_network(image: str, engine: str, project: Project) -> None:
    project.script = """
        import os
        def run(mini_batch):
            return [f"{os.getuid()} {os.listdir('/sys/class/net')} {os.environ['HOME']}"]
    """
    project.files(1)
    done = project.score("--env", f"image:{image}", "--engine", engine)
    assert done.predictions == f"{os.getuid() or IMAGE_UID} ['lo'] /tmp\n", done.err


def running(project: Project) -> Path:
    """Have a script that waits until a file is there, and says that it runs by another one."""
    project.script = """
        import os, time
        from pathlib import Path
        def run(mini_batch):
            folder = Path(os.environ["AZUREML_BI_OUTPUT_PATH"])
            (folder / "running").touch()
            while not (folder / "go").exists():
                time.sleep(0.01)
            return [os.path.basename(path) for path in mini_batch]
    """
    return project.folder / "job/named-outputs/score"


def containers(docker: Docker, project: Project) -> list[str]:
    """Return the ids of the running containers of a project's job, and what is mounted there."""
    lines = docker("ps", "--no-trunc", "--format", "{{.ID}} {{.Mounts}}").splitlines()
    return [line for line in lines if str(project.folder) in line]


def test_a_killed_controller_leaves_no_container_and_the_job_is_resumed(
    docker: Docker, image: str, engine: str, project: Project
) -> None:
    """Whatever kills it: the node sees the end of its input."""
    project.files(3)
    score = running(project)
    words = [str(word) for word in project.words("--env", f"image:{image}", "--engine", engine, "--workers", "2")]
    with subprocess.Popen([COMMAND, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for((score / "running").exists)
        assert containers(docker, project)
        process.kill()
    began = time.monotonic()
    wait_for(lambda: containers(docker, project) == [])
    assert time.monotonic() - began < 5
    (score / "go").touch()
    done = batchtwin("resume", project.folder / "job")
    assert done.code == 0, done.err
    text = (score / "predictions.csv").read_text()
    assert text == "".join(f"{number:02}.txt\n" for number in range(3))


def test_another_image_is_refused_by_resume(docker: Docker, image: str, engine: str, project: Project) -> None:
    other = f"{image.partition(':')[0]}:another"
    docker("tag", image, other)
    project.files(1)
    project.script = "def run(mini_batch): raise ValueError('no')"
    done = project.score("--env", f"image:{other}", "--engine", engine)
    assert done.code == 1
    docker("rmi", other)
    docker("tag", "python:3.11-slim-bookworm", other)
    try:
        done = batchtwin("resume", done.output, "--retry-failed")
        assert done.code == 2
        assert "it ran in another environment (image sha256:" in done.err
    finally:
        docker("rmi", other)


def test_an_image_without_mlflow_says_so(engine: str, heart_model: Path, tmp_path: Path) -> None:
    data = ROOT / "data/heart-unlabeled-3.csv"
    done = score("python:3.11-slim-bookworm", engine, "--input", data, "--output", tmp_path / "job")
    assert done.code == 2, done.err
    assert "no module mlflow in image python:3.11-slim-bookworm" in done.err
    assert "batchtwin image" in done.err


@pytest.mark.parametrize("runner", ["container", "venv"])
def test_bad_input_ends_as_it_does_outside(
    image: str, engine: str, heart_model: Path, tmp_path: Path, runner: str
) -> None:
    """What only a worker finds: a value that is no number fails the job, and names file, column, row and value."""
    where = ("--image", image, "--engine", engine) if runner == "container" else ()
    good = (ROOT / "data/heart-unlabeled-3.csv").read_text().splitlines()
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join([good[0], "old" + good[1][good[1].index(",") :]]) + "\n")
    words = ("score", SIMPLE, "--input", bad, "--model", heart_model, "--output", tmp_path / "job")
    done = batchtwin(*words, *where)
    assert done.code == 1
    output = done.out + done.err
    assert "Traceback" not in output
    for text in ("Failed", str(bad), "age", "old"):
        assert text in output, f"{text} in {output}"
    assert list((done.output / "named-outputs/score").iterdir()) == []


@pytest.mark.parametrize("runner", ["container", "venv"])
def test_a_script_that_cannot_be_imported_ends_as_it_does_outside(
    image: str, engine: str, project: Project, runner: str
) -> None:
    project.script = "import no_such_library\ndef run(mini_batch): return mini_batch"
    project.files(1)
    done = project.score(*(("--image", image, "--engine", engine) if runner == "container" else ()))
    assert done.code == 2, f"{done.out}{done.err}"
    assert "no_such_library" in done.out + done.err


def test_what_is_refused_starts_no_container(engine: str, image: str, heart_model: Path, tmp_path: Path) -> None:
    done = score(image, engine, "--input", tmp_path / "nothing", "--output", tmp_path / "job")
    assert done.code == 2
    assert "nothing: no such file or folder" in done.err
    assert not (tmp_path / "job").exists()


def test_an_image_that_is_not_there_is_named(engine: str, heart_model: Path, tmp_path: Path) -> None:
    done = score("no-such-image:1", engine, "--input", ROOT / "data", "--output", tmp_path / "job")
    assert done.code == 2
    assert "image 'no-such-image:1' cannot be used" in done.err
    assert "make image" in done.err


def test_odd_names_and_links_arrive(image: str, engine: str, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "linked.txt").write_text("linked\n")
    project = Project(tmp_path / """it's, "here" now""")
    project.script = """
        from pathlib import Path
        def run(mini_batch):
            return [Path(path).read_text().strip() for path in mini_batch]
    """
    (project.inputs / "a, b 'c' \"d\".txt").write_text("odd\n")
    (project.inputs / "link.txt").symlink_to(outside / "linked.txt")
    done = project.score("--image", image, "--engine", engine)
    assert done.code == 0, f"{done.out}{done.err}"
    assert done.predictions == "odd\nlinked\n"


def test_a_project_in_the_home_folder_can_be_scored(image: str, engine: str) -> None:
    """The home of root is closed to others, in the image too."""
    with tempfile.TemporaryDirectory(dir=Path.home()) as folder:
        Path(folder).chmod(0o755)
        project = Project(Path(folder) / "project", "def run(mini_batch): return [len(mini_batch)]")
        project.files(1)
        done = project.score("--image", image, "--engine", engine)
        assert done.code == 0, f"{done.out}{done.err}"
        assert done.predictions == "1\n"


def test_a_stopped_job_ends_at_once_and_leaves_no_container(
    docker: Docker, image: str, engine: str, project: Project
) -> None:
    project.script = """
        import os, threading
        from pathlib import Path
        def run(mini_batch):
            Path(os.environ["AZUREML_BI_OUTPUT_PATH"], "running").touch()
            threading.Event().wait()
    """
    project.files(1)
    words = [str(word) for word in project.words("--image", image, "--engine", engine)]
    with subprocess.Popen([COMMAND, *words], stdout=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + DEADLINE
        running = project.folder / "job/named-outputs/score/running"
        while not running.exists() and time.monotonic() < until and process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        assert running.exists(), "the script did not start"
        assert containers(docker, project)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert "Canceled" in out
    assert containers(docker, project) == []
