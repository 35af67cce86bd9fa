"""Inputs that change while the job runs: one warning each, listed in the manifest; `--strict-inputs` fails the job."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batchtwin.errors import BatchTwinError
from batchtwin.inputs.changes import HASHED_BYTES, HASHED_FILES, InputMonitor, change_of, content_hashes
from batchtwin.inputs.listing import list_inputs
from batchtwin.inputs.plan import content_hash
from support import Finished, Project, batchtwin

CHANGES = """
    import os
    def run(mini_batch):
        lines = [open(path).read().strip() for path in mini_batch]
        for path in mini_batch:
            name = os.path.basename(path)
            if name == "01.txt" and os.environ.get("CHANGE"):
                with open(path, "a") as file:
                    file.write("more\\n")
            if name == "02.txt" and os.environ.get("CHANGE"):
                with open(path, "w") as file:
                    file.write("9\\n")
            if name == "03.txt" and os.environ.get("CHANGE"):
                os.unlink(path)
        return lines
"""


@pytest.fixture
def job(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose script changes three of five inputs after it has read them."""
    project.files(5)
    project.script = CHANGES
    project.settings = {"retry_settings": {"max_retries": 1}}
    monkeypatch.setenv("CHANGE", "1")
    shutil.copytree(project.inputs, project.folder / "as it was")
    return project


def put_back(job: Project) -> None:
    for path in (job.folder / "as it was").iterdir():
        shutil.copy2(path, job.inputs / path.name)


def changed(job: Project) -> list[dict[str, Any]]:
    manifest: dict[str, Any] = json.loads((job.folder / "job/manifest.json").read_text())
    changes: list[dict[str, Any]] = manifest["changed_inputs"]
    return changes


def warnings(done: Finished) -> list[str]:
    return sorted(line for line in done.err.splitlines() if line.startswith("Warning: input"))


@pytest.mark.on_ray
def test_each_change_is_one_warning_and_stands_in_the_manifest(job: Project) -> None:
    done = job.score()
    assert (done.code, done.predictions) == (0, "0\n1\n2\n3\n4\n"), done.err
    sentences = [
        f"input {job.inputs / '01.txt'} has 7 bytes, 2 when the job began",
        f"input {job.inputs / '02.txt'} has changed",
        f"input {job.inputs / '03.txt'}: No such file or directory",
    ]
    end = "; it changed while the job ran, and its rows may be of either content"
    assert warnings(done) == [f"Warning: {text}{end}" for text in sentences]
    assert [entry["change"] for entry in changed(job)] == sentences
    assert [entry["path"] for entry in changed(job)] == [str(job.inputs / f"0{at}.txt") for at in (1, 2, 3)]
    assert done.log("job_progress_overview.*.txt").count("Warning: input") == 3
    put_back(job)
    verified = batchtwin("verify", job.folder / "job")
    assert verified.code == 1
    assert [line for line in verified.err.splitlines() if "while the job ran" in line] == [
        f"while the job ran: {text}" for text in sentences
    ]


def test_nothing_is_said_of_inputs_that_stay(job: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHANGE")
    done = job.score("--strict-inputs")
    assert (done.code, warnings(done), changed(job)) == (0, [], [])


@pytest.mark.on_ray
def test_strict_inputs_fail_the_job_which_can_be_resumed(job: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    done = job.score("--strict-inputs", "--workers", "1")
    assert done.code == 1
    assert "01.txt has 7 bytes, 2 when the job began; --strict-inputs: put it back as it was and resume" in done.err
    assert not (done.output / "manifest.json").exists()
    assert batchtwin("resume", done.output).code == 2, "it has changed"
    put_back(job)
    monkeypatch.delenv("CHANGE")
    resumed = batchtwin("resume", done.output)
    assert (resumed.code, done.predictions) == (0, "0\n1\n2\n3\n4\n"), resumed.err
    assert changed(job) == []
    assert batchtwin("verify", done.output).code == 0
    ran = sorted(path.name for path in (done.output / "logs/sys/job_report").iterdir())
    assert ran == ["processed_mini-batches.csv"]


def test_changes_of_an_earlier_run_stand_in_the_manifest(job: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    crash = {"BATCHTWIN_CRASH_AT": f"parent:7:{job.folder / 'crash'}"}
    assert job.score("--workers", "1", env=crash).code == -9
    put_back(job)
    monkeypatch.delenv("CHANGE")
    resumed = batchtwin("resume", job.folder / "job")
    assert resumed.code == 0, resumed.err
    assert "01.txt" in [Path(entry["path"]).name for entry in changed(job)]


def test_an_input_that_is_gone_before_it_is_read(job: Project) -> None:
    job.script = """
        import os
        def run(mini_batch):
            folder = os.path.dirname(mini_batch[0])
            if mini_batch[0].endswith("00.txt"):
                os.unlink(os.path.join(folder, "04.txt"))
            return [open(path).read().strip() for path in mini_batch]
    """
    done = job.score("--workers", "1")
    assert done.code == 0, done.err
    assert [Path(entry["path"]).name for entry in changed(job)] == ["04.txt"]
    assert warnings(done)[0].startswith(f"Warning: input {job.inputs / '04.txt'}: No such file or directory")
    put_back(job)
    done = job.score("--workers", "1", "--overwrite", "--strict-inputs")
    assert done.code == 1
    assert "04.txt: No such file or directory; --strict-inputs" in done.err


READS = """
    def run(mini_batch):
        return [open(path).read().strip() for path in mini_batch]
"""
TOUCHES = """
    import os
    def run(mini_batch):
        for path in mini_batch:
            os.utime(path, ns=(1, 1))
        return mini_batch
"""


def test_a_hashed_input_may_be_touched(job: Project) -> None:
    job.script = TOUCHES
    done = job.score("--strict-inputs")
    assert (done.code, warnings(done), changed(job)) == (0, [], [])


def test_an_input_that_is_written_anew_while_it_is_scored_has_changed(job: Project) -> None:
    job.script = """
        def run(mini_batch):
            [path] = mini_batch
            content = open(path).read()
            if path.endswith("01.txt"):
                open(path, "w").close()
            row = open(path).read().strip()
            if path.endswith("01.txt"):
                open(path, "w").write(content)
            return [row]
    """
    done = job.score()
    assert (done.code, done.predictions) == (0, "0\n\n2\n3\n4\n"), done.err
    [warning] = warnings(done)
    assert "01.txt was written while it was scored, with the same content; it changed while the job ran" in warning
    assert batchtwin("verify", done.output).code == 1
    strict = job.score("--strict-inputs", "--overwrite", "--workers", "1")
    assert (strict.code, "--strict-inputs: put it back" in strict.err) == (1, True)
    assert f"`batchtwin resume {done.output}` runs the 4 waiting mini batches" in strict.err
    job.script = READS
    job.write()
    resumed = batchtwin("resume", done.output, "--accept-changed", "code")
    assert resumed.code == 0, resumed.err
    assert done.predictions == "0\n1\n2\n3\n4\n"


def test_an_input_that_cannot_be_read_any_more_has_changed(ordinary_user: Path) -> None:
    path = ordinary_user / "a.csv"
    path.write_text("as it was")
    [file] = list_inputs(path).files
    watch = InputMonitor(content_hashes([file], every=False), ())
    os.utime(path, ns=(1, 1))
    path.chmod(0)
    [change] = watch.look([file], started=0.1)
    assert change.text == f"input {path}: cannot be read: Permission denied"
    assert content_hashes([file], every=False) == {}, "it is for its mini-batch to tell"
    with pytest.raises(BatchTwinError, match="cannot be read: Permission denied"):
        content_hashes([file], every=True)


def test_a_folder_in_the_place_of_an_input_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("as it was")
    [file] = list_inputs(path).files
    path.unlink()
    path.mkdir()
    file = replace(file, size=path.stat().st_size)
    change = change_of(file, "a hash")
    assert change is not None and change.text == f"input {path} is no regular file any more"


def test_inputs_that_are_not_hashed_are_known_by_their_time(job: Project) -> None:
    job.script = TOUCHES
    with (job.inputs / "large.bin").open("wb") as file:
        file.truncate(HASHED_BYTES)
    done = job.score("--workers", "1")
    assert warnings(done)[0].startswith(f"Warning: input {job.inputs / '00.txt'} was written since the job began; it ")
    put_back(job)
    done = job.score("--hash-inputs", "--strict-inputs", "--overwrite")
    assert (done.code, warnings(done), changed(job)) == (0, [], [])


def test_many_inputs_are_not_hashed(tmp_path: Path) -> None:
    for number in range(HASHED_FILES + 1):
        (tmp_path / f"{number}.txt").write_text("1")
    files = list_inputs(tmp_path).files
    assert content_hashes(files, every=False) == {}
    assert len(content_hashes(files[1:], every=False)) == HASHED_FILES
    assert len(content_hashes(files, every=True)) == HASHED_FILES + 1


def test_an_input_that_is_gone_when_it_is_hashed_is_for_its_mini_batch_to_tell(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("1")
    files = list_inputs(tmp_path).files
    (tmp_path / "a").unlink()
    assert [*content_hashes(files, every=False)] == [str(tmp_path / "b")]


def test_the_console_does_not_fill_with_changes(job: Project) -> None:
    for number in range(60):
        (job.inputs / f"more{number:02}.txt").write_text("1\n")
    job.settings["mini_batch_size"] = 10
    job.script = """
        def run(mini_batch):
            for path in mini_batch:
                open(path, "a").write("more")
            return mini_batch
    """
    done = job.score()
    assert len(warnings(done)) == 50
    assert "Warning: more inputs have changed; the manifest lists them" in done.err
    assert len(changed(job)) == 65
    assert os.path.exists(done.output / "named-outputs/score/predictions.csv")


def test_a_file_that_was_touched_is_hashed_once(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("as it was")
    [file] = list_inputs(path).files
    watch = InputMonitor({str(path): content_hash(path)}, ())
    os.utime(path, ns=(1, 1))
    assert watch.look([file], started=0.1) == []
    path.write_text("otherwise")
    os.utime(path, ns=(1, 1))
    assert watch.look([file], started=0.1) == [], "each part of a large file would read it again"
    os.utime(path, ns=(2, 2))
    assert [change.path for change in watch.look([file], started=0.1)] == [str(path)]
