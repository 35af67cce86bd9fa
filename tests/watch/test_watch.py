"""`batchtwin watch`: it scores again after a change, and shows what that does to the predictions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from batchtwin.engine.prepare import Request
from batchtwin.predictions.compare import compare
from batchtwin.watch.files import RUNS, WatchedFiles, changes
from batchtwin.watch.rounds import difference
from support import COMMAND, DEADLINE, Project, batchtwin, wait_for

TIMES = """
    def run(mini_batch):
        return [f"{FACTOR * int(open(path).read())}" for path in mini_batch]
"""
WAITING = "Waiting for a change"


def script(factor: int) -> str:
    return TIMES.replace("FACTOR", str(factor))


class Watching:
    """A running `batchtwin watch`, and what it has shown."""

    def __init__(self, project: Project, process: subprocess.Popen[bytes], log: Path) -> None:
        self.project = project
        self.process = process
        self.log = log
        self.rounds = 0

    @property
    def shown(self) -> str:
        return self.log.read_text()

    def next(self) -> str:
        """Wait for the next run to end; return what was shown of it."""
        self.rounds += 1
        wait_for(lambda: self.shown.count(WAITING) >= self.rounds or self.process.poll() is not None)
        assert self.process.poll() is None, self.shown
        return self.shown.split(WAITING)[self.rounds - 1]

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    def rewrite(self, factor: int) -> None:
        """Write the script as many editors do: a new file, renamed."""
        code = self.project.folder / "code"
        (code / ".driver.py.new").write_text("# edited\n" + script(factor).replace("\n    ", "\n"))
        os.replace(code / ".driver.py.new", code / "driver.py")


def hears_interrupts() -> None:
    """Tests that run in the background of a shell ignore SIGINT, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def watching(project: Project, *words: str) -> Iterator[Watching]:
    log = project.folder / "shown.txt"
    start = [str(COMMAND), "watch", str(project.write()), "--input", str(project.inputs)]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*start, "--workers", "1", "--output", "runs", *(words or ["--no-warm"])],
            cwd=project.folder,
            env={**os.environ, "BATCHTWIN_WARM_FOLDER": str(project.folder / "warm"), "BATCHTWIN_WARM": ""},
            stdout=stream,
            stderr=subprocess.STDOUT,
            preexec_fn=hears_interrupts,
        )
    try:
        yield Watching(project, process, log)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def edited(project: Project) -> Project:
    project.files(3)
    project.script = script(2)
    project.settings = {"mini_batch_size": 3}
    return project


def test_it_shows_what_an_edit_does_to_the_predictions(edited: Project) -> None:
    with watching(edited) as watch:
        first = watch.next()
        assert "Completed" in first and "Predictions" not in first
        watch.rewrite(3)
        text = watch.next()
        assert "Changed: code/driver.py" in text
        assert "Predictions since run 1, of 3 rows:" in text
        assert "of 3 rows: 2 changed, 0 added, 0 removed\nThe first:\n  before line 2: 2\n  now    line 2: 3\n" in text
        watch.rewrite(3)
        assert "Predictions are as in run 2: 3 rows, the same to the byte" in watch.next()
        (edited.inputs / "03.txt").write_text("7\n")
        text = watch.next()
        assert "Changed: inputs/03.txt" in text
        assert "0 changed, 1 added, 0 removed" in text
        assert "The first:\n  now    line 4: 21\n" in text
        folders = sorted(path.name for path in (edited.folder / "runs").iterdir())
        assert folders == ["run-3", "run-4"], "as many as are compared"
        assert watch.end() == 130


def test_what_is_broken_is_shown_and_ends_nothing(edited: Project) -> None:
    with watching(edited) as watch:
        watch.next()
        code = edited.folder / "code/driver.py"
        whole, deployment = code.read_text(), (edited.folder / "deployment.yml").read_text()
        code.write_text("def run(mini_batch):\n    return [\n")
        assert "driver.py:2" in watch.next()
        code.write_text("def run(mini_batch):\n    return [1 / 0]\n")
        text = watch.next()
        assert 'driver.py", line 2, in run' in text and "ZeroDivisionError" in text
        assert "batchtwin resume" not in text, "its folder goes away"
        code.write_text(whole)
        text = watch.next()
        assert "Predictions are as in run 1" in text, "the last complete run is what counts"
        (edited.folder / "deployment.yml").write_text(deployment.replace("mini_batch_size: 3", "mini_batch_size: no"))
        assert "settings.mini_batch_size" in watch.next()
        (edited.folder / "deployment.yml").write_text("type: model\n  : [")
        assert "deployment.yml:" in watch.next()
        watch.rewrite(2)
        assert "deployment.yml:" in watch.next(), "the script is watched while the YAML is broken"
        (edited.folder / "deployment.yml").write_text(deployment)
        assert "Predictions are as in run" in watch.next()
        assert watch.end(signal.SIGTERM) == 130


def test_a_script_that_is_broken_from_the_beginning_is_waited_for(edited: Project) -> None:
    edited.script = "def run(mini_batch:\n"
    with watching(edited) as watch:
        assert "driver.py:1" in watch.next()
        watch.rewrite(2)
        assert "Completed" in watch.next()


def test_the_next_run_has_the_imports_of_the_one_before(edited: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHTWIN_WARM_FOLDER", str(edited.folder / "warm"))
    try:
        with watching(edited, "--bad-files", "fail") as watch:
            watch.next()
            (edited.inputs / "00.txt").write_text("9\n")
            assert "1 changed, 0 added" in watch.next()
            logs = (edited.folder / "runs/run-2/logs").rglob("*.txt")
            assert any("from a warm server" in path.read_text() for path in logs)
            watch.rewrite(5)
            assert "3 changed, 0 added" in watch.next(), "an edit is seen"
            logs = (edited.folder / "runs/run-3/logs").rglob("*.txt")
            assert any("from a warm server" in path.read_text() for path in logs), "as the imports are the same"
    finally:
        batchtwin("environments", "stop")


def test_ctrl_c_during_a_run_ends_it(edited: Project) -> None:
    edited.script = "import time\ndef run(mini_batch):\n    open('began', 'w').close()\n    time.sleep(600)"
    edited.settings["retry_settings"] = {"timeout": 900}
    with watching(edited) as watch:
        wait_for(lambda: any((edited.folder / "runs").glob("run-1/logs/user/**/*")))
        assert watch.end() == 130
        assert "Canceled" in watch.shown


def test_a_folder_that_holds_something_is_refused(edited: Project) -> None:
    (edited.folder / "code").mkdir()
    done = batchtwin("watch", edited.write(), "--input", edited.inputs, "--output", edited.folder)
    assert done.code == 2
    assert "is not an empty folder" in done.err
    done = batchtwin("watch", edited.write(), "--input", "https://example.org/data")
    assert done.code == 2
    assert "requires local files" in done.err


@pytest.fixture
def files(edited: Project) -> WatchedFiles:
    path = edited.write()
    files = WatchedFiles(edited.folder / "code/outputs", [path, edited.inputs])
    files.follow(Request(path, edited.inputs))
    return files


def test_all_that_a_job_is_made_of_is_watched(edited: Project, files: WatchedFiles) -> None:
    before = files.snapshot()
    folder = edited.folder
    for name in ("deployment.yml", "code/driver.py", "model/weights.txt", "inputs/00.txt"):
        (folder / name).write_text("otherwise")
    for name in ("code/new.py", "environments.yml"):
        (folder / name).write_text("new")
    (folder / "inputs/01.txt").unlink()
    expected = ["code/driver.py", "code/new.py", "deployment.yml", "environments.yml"]
    expected += ["inputs/00.txt", "inputs/01.txt", "model/weights.txt"]
    assert changes(before, files.snapshot()) == [str(folder / name) for name in expected]


@pytest.mark.parametrize("inline", [False, True])
def test_files_that_a_conda_file_names_are_watched(edited: Project, inline: bool) -> None:
    path = edited.write()
    folder = edited.folder
    conda = {"dependencies": [{"pip": ["-r lists/all.txt", "-c lists/limits.txt", "-e own"]}]}
    (folder / "conda.yaml").write_text(json.dumps(conda))
    data = yaml.safe_load(path.read_text())
    data["environment"] = {"image": "python:3.11", "conda_file": conda if inline else "conda.yaml"}
    path.write_text(yaml.safe_dump(data))
    (folder / "lists").mkdir()
    (folder / "own").mkdir()
    (folder / "lists/all.txt").write_text("-r more.txt\n-r all.txt\n")
    files = WatchedFiles(folder / "outputs", [path, edited.inputs])
    files.follow(Request(path, edited.inputs))
    before = files.snapshot()
    names = ["lists/all.txt", "lists/limits.txt", "lists/more.txt", "own/setup.py"]
    for name in names:
        (folder / name).write_text("# changed\n")
    assert changes(before, files.snapshot()) == [str(folder / name) for name in names]


@pytest.mark.parametrize("name", [".driver.py.swp", "driver.py~", "__pycache__/driver.pyc", "outputs/run-1/job.sqlite"])
def test_what_editors_and_runs_leave_is_not(edited: Project, files: WatchedFiles, name: str) -> None:
    before = files.snapshot()
    path = edited.folder / "code" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("new")
    assert changes(before, files.snapshot()) == []


def test_a_file_of_the_same_time_and_size_is_another_one(edited: Project, files: WatchedFiles) -> None:
    before = files.snapshot()
    path = edited.folder / "code/driver.py"
    stamp = path.stat().st_mtime_ns
    (edited.folder / "code/.new").write_text(path.read_text().replace("2", "3"))
    os.replace(edited.folder / "code/.new", path)
    os.utime(path, ns=(stamp, stamp))
    assert changes(before, files.snapshot()) == [str(path)]


APPENDS = """
    from pathlib import Path

    def run(mini_batch):
        here = Path(__file__).parent
        PLACE.write_text(str(len(list(here.iterdir()))))
        return [f"{FACTOR * int(open(path).read())}" for path in mini_batch]
"""
WRITES = {
    "a file": ("Path(here, 'log.txt')", "code/log.txt"),
    "a new file each time": ("Path(here, f'{len(list(here.iterdir()))}.txt')", "code"),
}


@pytest.mark.parametrize("kind", WRITES)
def test_what_each_run_writes_starts_no_further_one(edited: Project, kind: str) -> None:
    """A person's change still does, even of the same file."""
    place, named = WRITES[kind]
    edited.script = APPENDS.replace("PLACE", place).replace("FACTOR", "2")
    with watching(edited) as watch:
        for _ in range(RUNS):
            text = watch.next()
        # What is said stands before "Waiting".
        assert f"Changed by each run, which no longer starts another: {named}" in text
        (edited.folder / "code/log.txt").write_text("a person's")
        assert "Changed: code/log.txt" in watch.next()
        (edited.inputs / "00.txt").write_text("9\n")
        assert "1 changed, 0 added" in watch.next()
        assert watch.shown.count("Changed: ") == RUNS + 1, "no run that nobody wanted"


def test_a_change_during_a_run_starts_another(edited: Project, files: WatchedFiles) -> None:
    """Until the same place has changed in as many runs in a row: then a run writes it."""
    path, other = edited.folder / "code/log.txt", edited.folder / "code/driver.py"
    path.write_text("")
    for number in range(RUNS + 1):
        before = files.snapshot()
        path.write_text("line\n" * (number + 1))
        if number == RUNS:
            other.write_text("# edited")
        after, written = files.after_run(before)
        assert written == ([str(path)] if number == RUNS - 1 else [])
        expected = [str(path)] if number < RUNS - 1 else [str(other)] if number == RUNS else []
        assert changes(after, files.snapshot()) == expected
    files.after_run(files.snapshot())
    before = files.snapshot()
    path.write_text("after a run that left it alone")
    assert files.after_run(before) == (before, [])


def test_the_first_difference_is_named_by_file_and_row(tmp_path: Path) -> None:
    left, right = tmp_path / "left", tmp_path / "right"
    left.write_text("0,1,a.csv\n1,2,a.csv\n")
    right.write_text("0,1,a.csv\n1,3,a.csv\n2,4,a.csv\n")
    assert difference(compare(left, right, most=1), 4).splitlines() == [
        "Predictions since run 4, of 3 rows: 1 changed, 1 added, 0 removed",
        "The first, a.csv row 1:",
        "  before line 2: 1,2,a.csv",
        "  now    line 2: 1,3,a.csv",
    ]
