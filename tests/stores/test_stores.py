"""Input, model and output in a store of objects, of Amazon, Google or Azure: job, resume, verify."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from batchtwin.extras import install_command
from bucket import BUCKET, Bucket
from ray_cluster import blind, running
from support import ROOT, Finished, Project, batchtwin, warm

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


def score(project: Project, source: str, *words: str | Path, output: str | Path = "job") -> Finished:
    """Score what is at a URL."""
    default = ["--input", source, "--output", output, "--workers", "2"]
    done = batchtwin("score", project.write(), *default, *words)
    return Finished(done.code, done.out, done.err, project.folder / output)


def test_input_by_url(job: Project, bucket: Bucket) -> None:
    bucket.put("in/.hidden", b"x")
    bucket.put("in/empty.txt", b"")
    bucket.put("in/deeper/06.txt", b"6\n")
    done = score(job, bucket.at("in"))
    assert (done.code, done.predictions) == (0, EXPECTED), done.err
    for why in ("'.hidden': hidden", "'empty.txt': empty", "'deeper/': nested folders are not explored"):
        assert f"Warning: left out {why}" in done.err
    assert batchtwin("verify", done.output).code == 0
    assert not any((job.folder / "copies").rglob("*.txt")), "copies go with the job"


def test_one_object(job: Project, bucket: Bucket) -> None:
    done = score(job, bucket.at("in/03.txt"))
    assert (done.code, done.predictions) == (0, "03.txt 3\n"), done.err


def test_a_job_that_was_killed_is_resumed(job: Project, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHTWIN_CRASH_AT", f"parent:committed:{job.folder / 'crash'}")
    assert score(job, bucket.at("in"), "--workers", "1").code == -9
    monkeypatch.delenv("BATCHTWIN_CRASH_AT")
    done = batchtwin("resume", "job")
    assert done.code == 0, done.err
    assert Finished(0, "", "", job.folder / "job").predictions == EXPECTED


def test_an_object_that_has_changed_is_named(job: Project, bucket: Bucket) -> None:
    assert score(job, bucket.at("in")).code == 0
    bucket.put("in/02.txt", b"7\n")
    bucket.remove("in/04.txt")
    verdict = batchtwin("verify", "job")
    assert verdict.code == 1
    assert f"input {bucket.url}/in/02.txt was written since the job began" in verdict.err
    assert f"input {bucket.url}/in/04.txt: there is no such file any more" in verdict.err


def test_an_object_that_changes_while_the_job_runs(job: Project, bucket: Bucket) -> None:
    job.script = """
        import fsspec
        def run(mini_batch):
            if "00.txt" in mini_batch[0]:
                files, path = fsspec.core.url_to_fs("URL")
                files.rm(path)
            return mini_batch
    """.replace("URL", bucket.at("in/01.txt"))
    done = score(job, bucket.at("in"))
    text = f"input {bucket.url}/in/01.txt: there is no such file any more"
    assert done.code == 0, done.err
    assert f"Warning: {text}; it changed while the job ran" in done.err
    assert [
        entry["change"] for entry in json.loads((job.folder / "job/manifest.json").read_text())["changed_inputs"]
    ] == [text]
    bucket.put("in/01.txt", b"1\n")
    done = score(job, bucket.at("in"), "--overwrite", "--strict-inputs")
    assert done.code == 1
    assert f"{text}; --strict-inputs" in done.err


def test_failures_name_the_url(job: Project, bucket: Bucket) -> None:
    job.settings["retry_settings"] = {"max_retries": 1}
    job.script = SCRIPT.replace(
        "return", 'if mini_batch[0].endswith("02.txt"): raise ValueError(mini_batch[0])\n        return'
    )
    done = score(job, bucket.at("in"))
    assert done.code == 0
    assert [failure["file"] for failure in done.failures] == [bucket.at("in/02.txt"), bucket.at("in/03.txt")]
    assert done.failures[0]["message"] == f"ValueError: {bucket.url}/in/02.txt"


def test_an_object_that_goes_away_is_a_failed_try(job: Project, bucket: Bucket) -> None:
    job.script = """
        import fsspec
        def run(mini_batch):
            if "00.txt" in mini_batch[0]:
                files, path = fsspec.core.url_to_fs("URL")
                files.rm(path)
            return mini_batch
    """.replace("URL", bucket.at("in/04.txt"))
    # One worker has the files of one mini-batch copied ahead; these are of the one after that.
    done = score(job, bucket.at("in"), "--workers", "1")
    assert done.code == 0
    assert {failure["file"] for failure in done.failures} == {bucket.at("in/04.txt"), bucket.at("in/05.txt")}
    assert done.failures[0]["message"] == f"{bucket.url}/in/04.txt: there is no such file or folder"


def test_a_model_by_url(job: Project, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(job.folder / "cache"))
    bucket.folder("models/foo")
    bucket.folder("models/foo/deep")
    bucket.put("models/foo/weights.txt", b"42")
    bucket.put("models/foo/deep/more.txt", b"43")
    job.script = """
        import os, pathlib
        def run(mini_batch):
            [model] = pathlib.Path(os.environ["AZUREML_MODEL_DIR"]).iterdir()
            return [f"{model.name} {(model / 'weights.txt').read_text()} {(model / 'deep/more.txt').read_text()}"]
    """
    job.settings["mini_batch_size"] = 6
    done = score(job, bucket.at("in"), "--model", bucket.at("models/foo"))
    assert (done.code, done.predictions) == (0, "foo 42 43\n"), done.err
    bucket.put("models/foo/weights.txt", b"44")
    assert "the model has changed" in batchtwin("verify", done.output).err


def test_plan_reads_the_heads_alone(bucket: Bucket, heart_model: Path) -> None:
    whole = next((ROOT / "data").glob("*.csv")).read_bytes()
    header, _, rest = whole.partition(b"\n")
    bucket.put("heads/0.csv", whole)
    bucket.put("heads/1.csv", header.replace(b"oldpeak", b"other") + b"\n" + rest * 100)
    deployment = ROOT / "deployment-simple/deployment.yml"
    done = batchtwin("plan", deployment, "--model", heart_model, "--input", bucket.at("heads"), "--json")
    assert json.loads(done.out)["doubts"] == [
        f"{bucket.at('heads/1.csv')}: missing columns oldpeak; the model's signature requires them"
    ]


def test_a_full_disk_is_no_fault_of_a_file(job: Project, bucket: Bucket) -> None:
    """A limit on the size of files, of the job and all that it starts, stands for a disk that is full."""
    bucket.put("in/03.txt", b"3\n" + b" " * (512 << 10))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 10, hard))
    try:
        done = score(job, bucket.at("in"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert done.code == 1
    advice = "make room, or name another folder for copies: BATCHTWIN_COPIES"
    assert f"{bucket.at('in/03.txt')}: File too large; {advice}" in done.err
    assert done.failures == []
    resumed = batchtwin("resume", done.output)
    assert (resumed.code, done.predictions) == (0, EXPECTED), resumed.err


def test_output_by_url(job: Project, bucket: Bucket) -> None:
    done = score(job, bucket.at("in"), output=bucket.at("out/1"))
    assert done.code == 0, done.err
    place = "named-outputs/score/predictions.csv"
    assert done.out.splitlines()[-1] == f"{bucket.url}/out/1/{place}"
    assert bucket.get(f"out/1/{place}").decode() == EXPECTED
    assert {"manifest.json", place, "logs/job_result.txt", "report.html"} <= {*bucket.names("out/1")}
    assert batchtwin("verify", bucket.at("out/1")).code == 0
    again = score(job, bucket.at("in"), output=bucket.at("out/1"))
    assert again.code == 2
    assert "--overwrite" in again.err
    bucket.put(f"out/1/{place}", b"other")
    spoilt = batchtwin("verify", bucket.at("out/1"))
    assert (spoilt.code, spoilt.err) == (1, f"{bucket.url}/out/1/{place}: is not what was written\n")


def test_logs_are_whole_when_they_are_brought_there(job: Project, bucket: Bucket) -> None:
    job.files(100)
    job.settings["mini_batch_size"] = 1
    done = score(job, str(job.inputs), output=bucket.at("out/5"))
    assert done.code == 0, done.err
    nodes = [name for name in bucket.names("out/5") if name.startswith("logs/sys/node/")]
    assert b"".join(bucket.get(f"out/5/{name}") for name in nodes).count(b" 1 succeeded") == 100


def test_a_place_that_holds_a_result_is_refused_from_anywhere(job: Project, bucket: Bucket) -> None:
    bucket.put("out/2/manifest.json", b"{}")
    done = score(job, bucket.at("in"), output=bucket.at("out/2"))
    assert done.code == 2
    assert f"{bucket.url}/out/2: holds manifest.json already" in done.err


def test_killed_while_it_publishes(job: Project, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its manifest a result is not complete; resume brings the rest."""
    job.files(6)
    killed_at: list[str] = []
    number = 12  # the points before are those of any job
    while True:
        flag = job.folder / f"crash-{number}"
        monkeypatch.setenv("BATCHTWIN_CRASH_AT", f"parent:{number}:{flag}")
        done = score(job, str(job.inputs), "--overwrite", "--workers", "1", output=bucket.at("out/3"))
        monkeypatch.delenv("BATCHTWIN_CRASH_AT")
        if not flag.exists():
            break
        number += 3
        killed_at.append(flag.read_text())
        assert done.code == -9
        assert ("manifest.json" in bucket.names("out/3")) == (killed_at[-1] == "published")
        resumed = batchtwin("resume", bucket.at("out/3"))
        assert resumed.code == 0, resumed.err
        assert batchtwin("verify", bucket.at("out/3")).code == 0
        assert bucket.get("out/3/named-outputs/score/predictions.csv").decode() == EXPECTED
        bucket.remove("out/3")
    assert done.code == 0
    assert "file published" in killed_at, killed_at


def test_a_store_that_refuses_fails_the_job_and_keeps_the_result(job: Project, bucket: Bucket) -> None:
    nowhere = f"{bucket.url}-not/out"
    done = score(job, bucket.at("in"), output=nowhere)
    assert done.code == 1
    assert nowhere in done.err
    [work] = (job.folder / "outputs").iterdir()
    assert (work / "named-outputs/score/predictions.csv").read_text() == EXPECTED
    assert f"batchtwin resume {work}" in done.err
    bucket.files.mkdir(f"{BUCKET}-not")
    resumed = batchtwin("resume", nowhere)
    assert (resumed.code, resumed.out.splitlines()[0]) == (0, "Completed"), resumed.err
    assert bucket.files.cat_file(f"{BUCKET}-not/out/logs/job_result.txt").startswith(b"Completed\n")
    bucket.files.rm(f"{BUCKET}-not", recursive=True)


@pytest.mark.ray
def test_a_cluster_that_shares_no_folder(
    job: Project, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Input and output in a store, model and code here: the parent is killed, the job resumed."""
    with (
        running(cpus=0, machines=1) as cluster,
        blind(cluster, tmp_path_factory.getbasetemp(), cpus=2),
    ):
        words = ["--pool", "ray", "--ray-address", str(cluster.address), "--workers", "1"]
        monkeypatch.setenv("BATCHTWIN_CRASH_AT", f"parent:committed:{job.folder / 'crash'}")
        assert score(job, bucket.at("in"), *words, output=bucket.at("out/4")).code == -9
        monkeypatch.delenv("BATCHTWIN_CRASH_AT")
        resumed = batchtwin("resume", bucket.at("out/4"))
    assert resumed.code == 0, resumed.err
    assert "node0 does not see" in resumed.err
    assert bucket.get("out/4/named-outputs/score/predictions.csv").decode() == EXPECTED
    assert batchtwin("verify", bucket.at("out/4")).code == 0


def test_where_there_is_nothing(job: Project, bucket: Bucket) -> None:
    done = score(job, bucket.at("nothing"))
    assert done.code == 2
    assert f"{bucket.at('nothing')}: there is no such file or folder" in done.err


def test_the_heart_model_over_urls_gives_the_bytes_of_files(bucket: Bucket, heart_model: Path, tmp_path: Path) -> None:
    """The MLflow driver, with its short files read together, does not notice."""
    words: list[str | Path] = [ROOT / "deployment-simple/deployment.yml", "--model", heart_model, "--workers", "2"]
    for path in (ROOT / "data").glob("*.csv"):
        bucket.put(f"data/{path.name}", path.read_bytes())
    local = batchtwin("score", *words, "--input", ROOT / "data", "--output", tmp_path / "here", env=warm())
    remote = batchtwin("score", *words, "--input", bucket.at("data"), "--output", tmp_path / "there", env=warm())
    assert (local.code, remote.code) == (0, 0), remote.err
    assert remote.predictions == local.predictions


def test_copies_are_nobody_elses(job: Project, bucket: Bucket) -> None:
    job.script = """
        import os, stat
        def run(mini_batch):
            return [oct(stat.S_IMODE(os.stat(os.path.dirname(mini_batch[0])).st_mode))]
    """
    job.settings["mini_batch_size"] = 6
    assert score(job, bucket.at("in")).predictions == "0o700\n"


def test_a_driver_that_is_not_installed(project: Project, tmp_path: Path) -> None:
    """What is found in its place cannot be imported either."""
    (tmp_path / "gcsfs.py").write_text("raise ImportError")
    project.script = SCRIPT
    done = project.score("--input", "gs://heart/in", env={"PYTHONPATH": str(tmp_path)})
    assert done.code == 2
    assert done.err == f"gs://heart/in: its driver is not installed; {install_command('gs')}\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("ftp://heart/in", "ftp:// is no store that can be read"),
        ("https://heart.blob.core.windows.net/in/a.csv?sv=1&sig=abc", "holds a key, and URLs are written down"),
        ("s3://me:secret@heart/in", "holds a key, and URLs are written down"),
    ],
)
def test_what_is_no_input_is_refused(project: Project, source: str, said: str) -> None:
    project.script = SCRIPT
    done = score(project, source)
    assert done.code == 2
    assert said in done.err
    assert "secret" not in done.err
    assert "abc" not in done.err
