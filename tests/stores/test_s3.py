"""Input, model and output in a store of objects: job, resume, verify."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bucket import Bucket
from support import ROOT, Finished, Project, batchtwin

SCRIPT = """
    import os, pathlib
    def run(mini_batch):
        return [f"{os.path.basename(path)} {pathlib.Path(path).read_text().strip()}" for path in mini_batch]
"""


@pytest.fixture
def job(project: Project, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project in the current folder whose input is in the bucket, and nowhere else."""
    project.script = SCRIPT
    project.settings = {"mini_batch_size": 2}
    for number in range(6):
        bucket.put(f"in/{number:02}.txt", f"{number}\n".encode())
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("BATCHTWIN_COPIES", str(project.folder / "copies"))
    return project


EXPECTED = "".join(f"{number:02}.txt {number}\n" for number in range(6))


def score(project: Project, *words: str | Path, source: str = "s3://heart/in", output: str | Path = "job") -> Finished:
    """Score what is in the bucket."""
    default = ["--input", source, "--output", output, "--workers", "2"]
    done = batchtwin("score", project.write(), *default, *words)
    return Finished(done.code, done.out, done.err, project.folder / output)


def test_input_by_url(job: Project, bucket: Bucket) -> None:
    bucket.put("in/.hidden", b"x")
    bucket.put("in/empty.txt", b"")
    bucket.put("in/deeper/06.txt", b"6\n")
    done = score(job)
    assert (done.code, done.predictions) == (0, EXPECTED), done.err
    for why in ("'.hidden': hidden", "'empty.txt': empty", "'deeper/': nested folders are not explored"):
        assert f"Warning: left out {why}" in done.err
    assert batchtwin("verify", done.output).code == 0
    assert not any((job.folder / "copies").rglob("*.txt")), "copies go with the job"


def test_one_object(job: Project) -> None:
    done = score(job, source="s3://heart/in/03.txt")
    assert (done.code, done.predictions) == (0, "03.txt 3\n"), done.err


def test_a_job_that_was_killed_is_resumed(job: Project) -> None:
    os.environ["BATCHTWIN_CRASH_AT"] = f"parent:5:{job.folder / 'crash'}"
    try:
        assert score(job, "--workers", "1").code == -9
    finally:
        del os.environ["BATCHTWIN_CRASH_AT"]
    done = batchtwin("resume", "job")
    assert done.code == 0, done.err
    assert Finished(0, "", "", job.folder / "job").predictions == EXPECTED


def test_an_object_that_has_changed_is_named(job: Project, bucket: Bucket) -> None:
    assert score(job).code == 0
    bucket.put("in/02.txt", b"7\n")
    bucket.files.rm_file("heart/in/04.txt")
    verdict = batchtwin("verify", "job")
    assert verdict.code == 1
    assert "input s3://heart/in/02.txt was written since the job began" in verdict.err
    assert "input s3://heart/in/04.txt: there is no such file any more" in verdict.err


def test_failures_name_the_url(job: Project) -> None:
    job.settings["retry_settings"] = {"max_retries": 1}
    job.script = SCRIPT.replace("return", 'if "02" in mini_batch[0]: raise ValueError(mini_batch[0])\n        return')
    done = score(job)
    assert done.code == 0
    assert [failure["file"] for failure in done.failures] == ["s3://heart/in/02.txt", "s3://heart/in/03.txt"]
    assert done.failures[0]["message"] == "ValueError: s3://heart/in/02.txt"


def test_an_object_that_goes_away_is_a_failed_try(job: Project) -> None:
    job.script = """
        import os, fsspec
        files = fsspec.filesystem("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
        def run(mini_batch):
            if "00.txt" in mini_batch[0]:
                files.rm_file("heart/in/02.txt")
            return mini_batch
    """
    done = score(job, "--workers", "1")
    assert done.code == 0
    assert {failure["file"] for failure in done.failures} == {"s3://heart/in/02.txt", "s3://heart/in/03.txt"}
    assert done.failures[0]["message"].endswith("RemoteError: s3://heart/in/02.txt: there is no such file or folder")


def test_a_model_by_url(job: Project, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(job.folder / "cache"))
    bucket.put("models/foo/weights.txt", b"42")
    bucket.put("models/foo/deep/more.txt", b"43")
    job.script = """
        import os, pathlib
        def run(mini_batch):
            [model] = pathlib.Path(os.environ["AZUREML_MODEL_DIR"]).iterdir()
            return [f"{model.name} {(model / 'weights.txt').read_text()} {(model / 'deep/more.txt').read_text()}"]
    """
    job.settings["mini_batch_size"] = 6
    done = score(job, "--model", "s3://heart/models/foo")
    assert (done.code, done.predictions) == (0, "foo 42 43\n"), done.err
    bucket.put("models/foo/weights.txt", b"44")
    assert "the model has changed" in batchtwin("verify", done.output).err


def test_output_by_url(job: Project, bucket: Bucket) -> None:
    done = score(job, output="s3://heart/out/1")
    assert done.code == 0, done.err
    place = "named-outputs/score/predictions.csv"
    assert done.out.splitlines()[-1] == f"s3://heart/out/1/{place}"
    assert bucket.get(f"out/1/{place}").decode() == EXPECTED
    assert {"manifest.json", place, "logs/job_result.txt"} <= {*bucket.names("out/1")}
    assert batchtwin("verify", "s3://heart/out/1").code == 0
    again = score(job, output="s3://heart/out/1")
    assert again.code == 2
    assert "--overwrite" in again.err
    bucket.put(f"out/1/{place}", b"other")
    spoilt = batchtwin("verify", "s3://heart/out/1")
    assert (spoilt.code, spoilt.err) == (1, f"s3://heart/out/1/{place}: is not what was written\n")


def test_a_place_that_holds_a_result_is_refused_from_anywhere(job: Project, bucket: Bucket) -> None:
    bucket.put("out/2/manifest.json", b"{}")
    done = score(job, output="s3://heart/out/2")
    assert done.code == 2
    assert "s3://heart/out/2: holds manifest.json already" in done.err


def test_killed_while_it_publishes(job: Project, bucket: Bucket) -> None:
    """Without its manifest a result is not complete; resume brings the rest."""
    passed = 0
    while True:
        flag = job.folder / f"crash-{passed}"
        os.environ["BATCHTWIN_CRASH_AT"] = f"parent:{passed + 1}:{flag}"
        try:
            done = score(job, "--overwrite", "--workers", "1", output="s3://heart/out/3")
        finally:
            del os.environ["BATCHTWIN_CRASH_AT"]
        if not flag.exists():
            break
        passed += 1
        if "publish" not in flag.read_text():
            continue
        assert done.code == -9
        assert ("manifest.json" in bucket.names("out/3")) == (flag.read_text() == "published")
        resumed = batchtwin("resume", "s3://heart/out/3")
        assert resumed.code == 0, resumed.err
        assert batchtwin("verify", "s3://heart/out/3").code == 0
        assert bucket.get("out/3/named-outputs/score/predictions.csv").decode() == EXPECTED
    assert done.code == 0


def test_a_store_that_refuses_fails_the_job_and_keeps_the_result(job: Project) -> None:
    done = score(job, output="s3://nobucket/out")
    assert done.code == 1
    assert "s3://nobucket/out" in done.err
    [work] = (job.folder / "outputs").iterdir()
    assert (work / "named-outputs/score/predictions.csv").read_text() == EXPECTED
    assert f"batchtwin resume {work}" in done.err


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("s3://heart/nothing", "s3://heart/nothing: there is no such file or folder"),
        ("ftp://heart/in", "ftp:// is no store that can be read"),
        ("abfs://heart/in", "its driver is not installed; pip install 'batchtwin[abfs]'"),
        ("https://heart.blob.core.windows.net/in/a.csv?sv=1&sig=abc", "holds a key, and URLs are written down"),
        ("s3://me:secret@heart/in", "holds a key, and URLs are written down"),
    ],
)
def test_what_is_no_input_is_refused(job: Project, source: str, said: str) -> None:
    done = score(job, source=source)
    assert done.code == 2
    assert said in done.err
    assert "secret" not in done.err
    assert "abc" not in done.err


def test_the_heart_model_over_urls_gives_the_bytes_of_files(bucket: Bucket, heart_model: Path, tmp_path: Path) -> None:
    """The MLflow driver, with its short files read together, does not notice."""
    words: list[str | Path] = [ROOT / "deployment-simple/deployment.yml", "--model", heart_model, "--workers", "2"]
    for path in (ROOT / "data").glob("*.csv"):
        bucket.put(f"data/{path.name}", path.read_bytes())
    here = batchtwin("score", *words, "--input", ROOT / "data", "--output", tmp_path / "here")
    there = batchtwin("score", *words, "--input", "s3://heart/data", "--output", tmp_path / "there")
    assert (here.code, there.code) == (0, 0), there.err
    assert there.predictions == here.predictions


def test_copies_are_nobody_elses(job: Project, bucket: Bucket) -> None:
    job.script = """
        import os, stat
        def run(mini_batch):
            return [oct(stat.S_IMODE(os.stat(os.path.dirname(mini_batch[0])).st_mode))]
    """
    job.settings["mini_batch_size"] = 6
    assert score(job).predictions == "0o700\n"
