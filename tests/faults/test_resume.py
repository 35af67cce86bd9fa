"""What resume, verify and the lock promise."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from batchtwin.engine.ledger import Ledger
from batchtwin.inputs.changes import HASHED_BYTES
from support import COMMAND, DEADLINE, Finished, Project, batchtwin, wait_for, warm

FAILS_ONCE = """
    import os, time
    def run(mini_batch):
        if os.path.exists(os.environ["INTERRUPT"]):
            try:
                open(os.environ["INTERRUPT"] + "/first", "x").close()
            except FileExistsError:
                time.sleep(600)
        if any(path.endswith("03.txt") for path in mini_batch) and not os.path.exists(os.environ["MENDED"]):
            raise ValueError("not yet")
        return [os.path.basename(path) for path in mini_batch]
"""


@pytest.fixture
def job(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project that fails on one file until it is mended."""
    project.files(6)
    project.script = FAILS_ONCE
    project.settings = {"retry_settings": {"max_retries": 1}}
    monkeypatch.setenv("MENDED", str(project.folder / "mended"))
    monkeypatch.setenv("INTERRUPT", str(project.folder / "interrupt"))
    return project


def resume(project: Project, *words: str) -> Finished:
    done = batchtwin("resume", project.folder / "job", *words, env=warm())
    return Finished(done.code, done.out, done.err, project.folder / "job")


def interrupted(project: Project, *words: str) -> None:
    """A job that was killed when its first mini-batch had ended."""
    pause = project.folder / "interrupt"
    pause.mkdir()
    crash = {"BATCHTWIN_CRASH_AT": f"parent:committed:{project.folder / 'crash'}"}
    done = project.score("--workers", "1", *words, env=crash)
    shutil.rmtree(pause)
    assert (done.code, done_of(project)) == (-9, 1), done.err


# At which a job may be killed, with some to spare.
MOST_POINTS = 40
ALL = "".join(f"{number:02}.txt\n" for number in range(6))
WITHOUT_3 = ALL.replace("03.txt\n", "")


def test_resuming_a_finished_job_does_nothing(job: Project) -> None:
    before = job.score()
    assert (before.code, before.predictions) == (0, WITHOUT_3)
    stamp = (job.folder / "job/named-outputs/score/predictions.csv").stat().st_mtime_ns
    after = resume(job)
    assert (after.code, after.out) == (0, before.out)
    assert "First failure" in before.err and "First failure" not in after.err
    command = f"`batchtwin resume {job.folder / 'job'} --retry-failed` runs the 1 failed mini batch again; "
    assert after.err.splitlines()[-1].startswith(f"The job is complete. {command}")
    assert command in before.err
    assert (job.folder / "job/named-outputs/score/predictions.csv").stat().st_mtime_ns == stamp


@pytest.mark.on_ray
def test_failed_mini_batches_stay_failed_unless_told(job: Project) -> None:
    job.settings["error_threshold"] = 0
    assert job.score().code == 1
    (job.folder / "mended").touch()
    again = resume(job)
    assert again.code == 1
    assert "exceeds error threshold 0." in again.err
    mended = resume(job, "--retry-failed")
    assert (mended.code, mended.predictions) == (0, ALL), mended.err
    assert mended.failures == []


def test_failed_mini_batches_of_a_complete_job_can_be_tried_again(job: Project) -> None:
    assert job.score().predictions == WITHOUT_3
    (job.folder / "mended").touch()
    mended = resume(job, "--retry-failed")
    assert (mended.code, mended.predictions) == (0, ALL), mended.err
    assert mended.log("user/stdout/*/*") == ""
    assert mended.failures == []
    assert batchtwin("verify", job.folder / "job").code == 0


@pytest.mark.parametrize("short", [False, True])
def test_a_retry_of_a_complete_job_killed_at_every_point(
    job: Project, short: bool, record_property: Callable[[str, object], None]
) -> None:
    """The mini-batch that failed, wholly or in part, is not the last: what follows it moves."""
    wanted = {"predictions linked", "ends rebased", "output in place", "manifest written"}
    job.settings["mini_batch_size"] = 2
    if short:
        job.script = FAILS_ONCE.replace('raise ValueError("not yet")', "return ['only one']")
    passed: list[str] = []
    for _ in range(MOST_POINTS):
        (job.folder / "mended").unlink(missing_ok=True)
        assert job.score("--overwrite", env=warm()).code == 0
        (job.folder / "mended").touch()
        flag = job.folder / f"crash-{len(passed)}"
        crash = {"BATCHTWIN_CRASH_AT": f"parent:{len(passed) + 1}:{flag}", **warm()}
        retry: list[str | Path] = ["resume", job.folder / "job", "--retry-failed", "--workers", "1"]
        done = batchtwin(*retry, env=crash)
        if not flag.exists():
            if wanted <= {*passed}:
                break
            continue  # on a busy machine two events may come at once, and there is a point less
        assert done.code == -9
        passed.append(flag.read_text())
        again = resume(job, "--retry-failed")
        assert (again.code, again.predictions) == (0, ALL), (passed, again.err)
        assert batchtwin("verify", job.folder / "job").code == 0, passed
    assert done.code == 0
    record_property("said", f"a retry killed at {len(passed)} points: {', '.join(passed)}")
    assert wanted <= {*passed}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda job: edit(job.folder / "deployment.yml", "timeout: 30", "timeout: 31"), "the deployment has changed"),
        (lambda job: edit(job.folder / "code/driver.py", "not yet", "no"), "the code folder has changed"),
        (lambda job: edit(job.folder / "model/weights.txt", "42", "43"), "the model has changed"),
        (lambda job: edit(job.inputs / "01.txt", "1", "12"), "01.txt has 3 bytes, 2 when the job began"),
        (lambda job: edit(job.inputs / "02.txt", "2", "3"), "02.txt has changed"),
        (lambda job: (job.inputs / "05.txt").unlink(), "05.txt: No such file or directory"),
        (lambda job: (job.folder / "model/weights.txt").unlink(), "the model has changed"),
        (lambda job: (job.folder / "deployment.yml").unlink(), "deployment.yml: no such file"),
    ],
)
def test_what_has_changed_is_named(job: Project, change: Callable[[Project], object], named: str) -> None:
    job.settings = {"retry_settings": {"max_retries": 1, "timeout": 30}}
    interrupted(job)
    change(job)
    refused = resume(job)
    assert refused.code == 2
    assert named in refused.err
    assert "Traceback" not in refused.err


def done_of(job: Project) -> int:
    """How many mini-batches the ledger has as done."""
    with closing(Ledger.open(job.folder / "job/job.sqlite")) as ledger:
        return len(list(ledger.ended()))


def test_a_failed_job_names_the_way_on(job: Project) -> None:
    """Resume, verify and the job itself name --retry-failed, and say what it runs."""
    job.settings["error_threshold"] = 0
    failed = job.score("--workers", "1")
    command = f"`batchtwin resume {job.folder / 'job'} --retry-failed` runs the 1 failed mini batch"
    assert failed.code == 1
    assert command in failed.err
    assert "--accept-changed code,deployment" in failed.err
    again = resume(job)
    assert (again.code, command in again.err) == (1, True)
    verified = batchtwin("verify", job.folder / "job")
    assert verified.code == 1
    assert (
        "the job failed: The number of failed items is 1, which exceeds error threshold 0. `batchtwin" in verified.err
    )
    assert command in verified.err


@pytest.mark.parametrize("threshold", [-1, 0])
def test_no_resume_is_offered_where_an_input_has_changed(job: Project, threshold: int) -> None:
    job.settings["error_threshold"] = threshold
    assert "after one of an input, score again" in job.score("--workers", "1").err
    edit(job.inputs / "03.txt", "3", "three")
    refusal = f"`batchtwin resume` refuses this job: input {job.inputs / '03.txt'} has 6 bytes, 2 when the job began"
    verified = batchtwin("verify", job.folder / "job")
    assert verified.code == 1
    again = resume(job)
    for text in [verified.err] if threshold == 0 else [again.err]:
        assert f"{refusal}; score again with --output {job.folder / 'job'} --overwrite\n" in text
        assert "--retry-failed" not in text
    assert "has 6 bytes" in again.err and "--retry-failed" not in again.err
    assert resume(job, "--retry-failed").code == 2


def test_no_resume_is_offered_where_an_input_changed_while_the_job_ran(job: Project) -> None:
    job.settings["error_threshold"] = 0
    job.script = FAILS_ONCE.replace("raise", "open(mini_batch[0], 'a').write('more'); raise")
    done = job.score("--workers", "1")
    assert done.code == 1
    assert f"`batchtwin resume` refuses this job: input {job.inputs / '03.txt'} has 6 bytes" in done.err
    assert "--retry-failed" not in done.err


def test_an_interrupted_job_says_what_resume_runs(job: Project) -> None:
    interrupted(job)
    assert "runs the 5 waiting mini batches" in batchtwin("verify", job.folder / "job").err


def test_a_changed_script_is_accepted_by_name(job: Project) -> None:
    """The usual reason to resume is a script that was changed: what is done stays done, ledger and manifest say so."""
    (job.folder / "mended").touch()
    interrupted(job)
    edit(job.folder / "code/driver.py", "os.path.basename(path)", "'new ' + os.path.basename(path)")
    refused = resume(job)
    assert refused.code == 2
    assert "cannot be resumed: the code folder has changed: driver.py" in refused.err
    assert f"batchtwin resume {job.folder / 'job'} --accept-changed code" in refused.err
    again = resume(job, "--retry-failed")
    assert f"batchtwin resume {job.folder / 'job'} --retry-failed --accept-changed code" in again.err, (
        "all that was said"
    )
    assert resume(job, "--accept-changed", "deployment").code == 2
    accepted = resume(job, "--accept-changed", "code,deployment")
    names = ALL.splitlines(keepends=True)
    new = "".join([names[0], *(f"new {name}" for name in names[1:])])
    assert (accepted.code, accepted.predictions) == (0, new), accepted.err
    told = "Accepted: the code folder has changed: driver.py\n1 of 6 mini batches were done before, and stay done"
    assert told in accepted.err
    manifest = json.loads((job.folder / "job/manifest.json").read_text())
    [change] = manifest["accepted"]
    assert (change["run"], change["done"]) == (2, 1)
    assert change["changes"] == ["the code folder has changed: driver.py"]
    assert change["before"]["code"] != manifest["identity"]["code"]
    verified = batchtwin("verify", job.folder / "job")
    assert (verified.code, "accepted before run 2: the code folder has changed" in verified.out) == (0, True)


def test_a_script_that_could_not_be_imported_is_mended_and_resumed(job: Project) -> None:
    good, job.script = job.script, "import no_such_module\ndef run(mini_batch): return []"
    refused = job.score()
    assert (refused.code, "--accept-changed code" in refused.err) == (2, True)
    job.script = good
    job.write()
    done = resume(job, "--accept-changed", "code")
    assert (done.code, done.predictions) == (0, WITHOUT_3), done.err


@pytest.mark.parametrize(
    ("change", "accept", "named"),
    [
        (lambda job: edit(job.folder / "deployment.yml", "timeout: 30", "timeout: 31"), "deployment", ""),
        (
            lambda job: edit(job.folder / "deployment.yml", "timeout: 30", "timeout: 31"),
            "code",
            "timeout was 30, is 31",
        ),
        (lambda job: edit(job.folder / "deployment.yml", "batch_size: 1", "batch_size: 2"), "deployment", ""),
        (lambda job: edit(job.folder / "deployment.yml", "OWN: a", "OWN: b"), "", "environment_variables.OWN\n"),
        (
            lambda job: edit(job.folder / "deployment.yml", "  retry", "  output_file_name: x.csv\n  retry"),
            "deployment",
            "settings.output_file_name was predictions.csv, is x.csv\nPut it back",
        ),
        (
            lambda job: edit(job.folder / "model/weights.txt", "42", "43"),
            "code,deployment",
            "the model has changed\nPut",
        ),
        (lambda job: edit(job.folder / "model/weights.txt", "42", "43"), "model", "'model' is not one of code, deploy"),
        (lambda job: edit(job.folder / "model/weights.txt", "42", "42"), "cod", "'cod' is not one of code, deploy"),
        (lambda job: edit(job.inputs / "01.txt", "1", "12"), "code,deployment", "01.txt has 3 bytes"),
    ],
)
def test_what_can_be_accepted(job: Project, change: Callable[[Project], object], accept: str, named: str) -> None:
    job.settings = {"retry_settings": {"max_retries": 1, "timeout": 30}, "environment_variables": {"OWN": "a"}}
    interrupted(job)
    change(job)
    done = resume(job, *(["--accept-changed", accept] if accept else []))
    assert (done.code, named in done.err) == (2 if named else 0, True), done.err


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_comments_do_not_matter_and_new_files_are_not_part_of_the_job(job: Project) -> None:
    interrupted(job)
    edit(job.folder / "deployment.yml", "type: model", "# a remark\ntype: model")
    for name in ("99.txt", "a line\nand another.txt"):
        (job.inputs / name).write_text("new")
    done = resume(job)
    assert (done.code, done.predictions) == (0, WITHOUT_3), done.err
    assert "99.txt: not there when the job began, and not part of it" in done.err
    assert r"a line\nand another.txt: not there when" in done.err


@pytest.mark.parametrize("size", [HASHED_BYTES, HASHED_BYTES + 1])
def test_inputs_are_known_by_content_if_they_are_small_or_hashed(job: Project, size: int) -> None:
    others = sum(path.stat().st_size for path in job.inputs.iterdir())
    with (job.inputs / "large.bin").open("wb") as file:
        file.truncate(size - others)
    options = ["--hash-inputs"] if size > HASHED_BYTES else []
    interrupted(job, *options)
    os.utime(job.inputs / "02.txt", ns=(1, 1))
    done = resume(job)
    assert done.code == 0, done.err
    edit(job.inputs / "02.txt", "2", "3")
    assert "02.txt has changed" in batchtwin("verify", job.folder / "job").err


def test_large_inputs_get_their_time_back_by_the_command_that_the_refusal_names(job: Project) -> None:
    with (job.inputs / "a 'large' one.bin").open("wb") as file:
        file.truncate(HASHED_BYTES)
    interrupted(job)
    os.utime(job.inputs / "a 'large' one.bin", ns=(1, 1))
    os.utime(job.inputs / "02.txt", ns=(1, 1))
    refused = resume(job)
    assert refused.code == 2
    assert (
        "The job does not know the content of these inputs: only inputs of at most 500 files and 16 MiB" in refused.err
    )
    commands = [line.partition("if its content is the same: ")[2] for line in refused.err.splitlines()]
    for command in filter(None, commands):
        subprocess.run(shlex.split(command), check=True)
    done = resume(job)
    assert done.code == 0, done.err


def test_no_job_to_resume(tmp_path: Path) -> None:
    done = batchtwin("resume", tmp_path)
    assert (done.code, done.err) == (2, f"{tmp_path}: is not the output folder of a job\n")
    (tmp_path / "job.sqlite").write_bytes(b"not a database, whatever it says" * 100)
    done = batchtwin("resume", tmp_path)
    assert done.code == 2
    assert "job.sqlite" in done.err
    assert "Traceback" not in done.err


def test_a_second_process_is_refused_and_a_killed_one_leaves_no_lock(job: Project) -> None:
    job.script = """
        import os, pathlib, time
        def run(mini_batch):
            if not os.path.exists(os.environ["MENDED"]):
                pathlib.Path(os.environ["MENDED"] + ".busy").touch()
                time.sleep(600)
            return mini_batch
    """
    words = [str(COMMAND), *map(str, job.words())]
    first = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: (job.folder / "mended.busy").exists() or first.poll() is not None)
    for second in (resume(job), job.score("--overwrite")):
        assert second.code == 2
        assert f"in use by process {first.pid}" in second.err
    first.kill()
    first.wait(DEADLINE)
    (job.folder / "mended").touch()
    assert resume(job).code == 0


def flip(path: Path, position: int = 3) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lambda job: flip(job / "named-outputs/score/predictions.csv", 9),
            "first difference at row 2 of predictions.csv: bytes 7 to 14 (mini batch 1, 01.txt) are not what was",
        ),
        (
            lambda job: edit(job / "named-outputs/score/predictions.csv", "02.txt\n", "2.txt\n"),
            "first difference at row 3 of predictions.csv: bytes 14 to 21",
        ),
        (
            lambda job: edit(job / "named-outputs/score/predictions.csv", "05.txt\n", "05.txt\nmore\n"),
            "first difference at row 6 of predictions.csv: what follows was not written by the job",
        ),
        (
            lambda job: edit(job / "named-outputs/score/predictions.csv", "02.txt\n", ""),
            "has 28 bytes, 35 were written",
        ),
        (lambda job: (job / "named-outputs/score/predictions.csv").unlink(), "predictions.csv: is gone"),
        (lambda job: flip(job.parent / "inputs/01.txt", 0), "01.txt has changed"),
        (lambda job: flip(job.parent / "model/weights.txt", 0), "the model has changed"),
        (lambda job: edit(job / "manifest.json", '"rows":5', '"rows":6'), "6 rows, the ledger has 5"),
        (lambda job: edit(job / "manifest.json", "{", "["), "not a manifest that can be read"),
    ],
)
def test_verify_names_what_is_wrong(job: Project, change: Callable[[Path], object], named: str) -> None:
    assert job.score().code == 0
    assert batchtwin("verify", job.folder / "job").code == 0
    manifest = job.folder / "job/manifest.json"
    manifest.write_text(manifest.read_text().replace('": ', '":'))
    change(job.folder / "job")
    done = batchtwin("verify", job.folder / "job")
    assert done.code in {1, 2}
    assert named in done.err
    assert "Traceback" not in done.err


def test_what_was_committed_and_is_not_there_is_run_again(job: Project) -> None:
    """As after a loss of power: the ledger was written, the segment was not."""
    interrupted(job)
    [segment] = (job.folder / "job/segments").iterdir()
    flip(segment)
    done = batchtwin("resume", job.folder / "job")
    assert done.code == 0, done.err
    assert "bytes 0 to 7 (mini batch 0, 00.txt) are not what was written; the mini-batch is run again" in done.err
    assert batchtwin("verify", job.folder / "job").code == 0


@pytest.mark.parametrize("words", [(), ("--retry-failed",)])
def test_predictions_that_are_gone_are_scored_again(job: Project, words: tuple[str, ...]) -> None:
    first = job.score()
    assert (first.code, len(first.failures)) == (0, 1)
    assert first.predictions
    path = job.folder / "job/named-outputs/score/predictions.csv"
    before = path.read_bytes()
    path.unlink()
    if words:
        (job.folder / "mended").touch()
    done = resume(job, *words)
    assert done.code == 0, done.err
    assert f"Warning: {path}: is gone; its rows are scored again" in done.err
    if words:
        assert sorted(path.read_bytes().splitlines()) == sorted([*before.splitlines(), b"03.txt"])
    else:
        assert path.read_bytes() == before
    assert batchtwin("verify", job.folder / "job").code == 0


def test_predictions_that_are_gone_are_not_scored_again_with_another_script(job: Project) -> None:
    job.score()
    path = job.folder / "job/named-outputs/score/predictions.csv"
    path.unlink()
    job.script = "def run(mini_batch): return mini_batch"
    job.write()
    done = resume(job)
    assert done.code == 2
    assert "the code folder has changed: driver.py" in done.err
    assert "scored again" not in done.err
    assert not path.exists()


def test_verify_of_an_unfinished_job(job: Project) -> None:
    interrupted(job)
    done = batchtwin("verify", job.folder / "job")
    assert (done.code, "is not complete; finish it with" in done.err) == (1, True)
    [segment] = (job.folder / "job/segments").iterdir()
    flip(segment)
    assert "bytes 0 to 7 (mini batch 0, 00.txt) are not what was written" in batchtwin("verify", job.folder / "job").err
