"""`az ml batch-endpoint invoke` and `az ml job`, on the command line."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from local_az import DEPLOYMENT, ECHO, ENDPOINT, FAILING, Az

from batchtwin.azure.cli.jobs import follow, interrupts
from batchtwin.azure.cli.views import WORKSPACE
from batchtwin.workspace.workspace import Workspace
from support import COMMAND, Project, wait_for, wait_until_over

WAITING = """
    import signal
    from pathlib import Path

    def run(mini_batch):
        Path(mini_batch[0]).with_name("started").touch()
        signal.pause()
"""


@pytest.fixture(scope="module")
def az(tmp_path_factory: pytest.TempPathFactory) -> Az:
    """A workspace with one ended job, `done`."""
    az = Az(tmp_path_factory.mktemp("jobs"))
    project = az.deploy()
    az.invoke("--input", project.inputs, "--job-name", "done", "--experiment-name", "trial", "-m", "2")
    assert az.end("done") == "Completed"
    return az


def test_invoke_prints_what_az_prints(az: Az) -> None:
    words = ("--input", "project/inputs", "--job-name", "done", "--experiment-name", "trial", "-m", "2")
    assert az.json("batch-endpoint", "invoke", "-n", ENDPOINT, *words) == {
        "id": f"{WORKSPACE}/batchEndpoints/{ENDPOINT}/jobs/done",
        "name": "done",
        "resourceGroup": "local",
        "status": "Completed",
        "type": "Microsoft.MachineLearningServices/workspaces/batchEndpoints/jobs",
    }


def test_the_same_job_name_with_another_input_is_a_conflict(az: Az) -> None:
    done = az("batch-endpoint", "invoke", "-n", ENDPOINT, "--input", "project/model", "--job-name", "done")
    assert (done.code, done.out) == (1, "")


def test_a_wrong_query_is_found_before_a_job_is_started(az: Az) -> None:
    words = ("--input", "project/inputs", "--job-name", "never", "--query", "[")
    assert az("batch-endpoint", "invoke", "-n", ENDPOINT, *words).code == 2
    assert az("job", "show", "-n", "never").code == 3


def test_the_status_is_exactly_one_line(az: Az) -> None:
    assert az.ok("job", "show", "-n", "done", "--query", "status", "-o", "tsv") == "Completed\n"


def test_a_job_has_the_keys_that_az_prints(az: Az) -> None:
    shown = az.json("job", "show", "-n", "done")
    score = shown["outputs"]["score"]
    assert (score["type"], Path(score["path"], "predictions.csv").read_text()) == ("uri_folder", "0\n1\n2\n")
    assert shown["inputs"]["job_data_path"]["type"] == "uri_folder"
    assert set(shown["services"]) == {"Studio", "Tracking"}
    expected = {
        "display_name": "done",
        "experiment_name": "trial",
        "id": f"azureml:{WORKSPACE}/jobs/done",
        "jobs": {"batchscoring": {"name": "done-batchscoring", "type": "parallel"}},
        "name": "done",
        "status": "Completed",
        "type": "pipeline",
    }
    assert expected.items() <= shown.items()


def test_the_child_is_found_by_its_parent(az: Az) -> None:
    (child,) = az.json("job", "list", "--parent-job-name", "done")
    assert (child["name"], child["parent_job_name"], child["type"]) == ("done-batchscoring", "done", "parallel")


def test_jobs_are_listed(az: Az) -> None:
    assert "done" in az.json("job", "list", "--query", "[].name")
    assert az.ok("job", "list", "--query", "[?name=='done'].{Name:name,Jobstatus:status}", "-o", "table") == (
        "Name    Jobstatus\n------  -----------\ndone    Completed\n"
    )
    assert len(az.json("job", "list", "-r", "1")) == 1
    assert az.json("job", "list", "--archived-only", "--all-results", "true") == []
    assert "done" in az.json("batch-endpoint", "list-jobs", "-n", ENDPOINT, "--query", "[].name")
    assert "done" in az.ok("batch-deployment", "list-jobs", "-e", ENDPOINT, "-n", DEPLOYMENT, "-o", "tsv")


def test_web_starts_the_server_and_gives_the_address_of_the_page(az: Az) -> None:
    done = az("job", "show", "-n", "done", "--web", "--query", "name", "-o", "tsv")
    started, address = done.err.splitlines()
    pid = int(started.removeprefix("batchtwin serve was started; end it with: kill "))
    try:
        assert (done.code, done.out) == (0, "done\n")
        assert address.startswith("http://127.0.0.1:") and "/web/open?key=" in address
        # The server stays, and the next one finds it.
        assert len(az("job", "show", "-n", "done", "--web", "--query", "name").err.splitlines()) == 1
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_until_over(pid)  # until then it answers


def test_an_ended_job_is_streamed_from_its_log(az: Az) -> None:
    lines = az.ok("job", "stream", "-n", "done").splitlines()
    assert lines[0] == "RunId: done"
    assert lines[1] == f"Web View: {(az.folder / 'workspace/jobs/done/report.html').as_uri()}"
    assert lines[3].startswith("Streaming logs/job_progress_overview")
    assert any(line.endswith("All 2 mini batches have been processed.") for line in lines)
    assert lines[-5:-2] == ["", "Execution Summary", "================="]


def test_the_output_is_downloaded_by_name(az: Az) -> None:
    assert az.ok("job", "download", "--name", "done", "--output-name", "score", "--download-path", "./") == ""
    assert (az.folder / "named-outputs/score/predictions.csv").read_text() == "0\n1\n2\n"
    assert not (az.folder / "artifacts").exists()


def test_without_a_name_the_logs_are_downloaded_and_with_all_everything(az: Az) -> None:
    az.ok("job", "download", "-n", "done", "-p", "logs")
    az.ok("job", "download", "-n", "done", "-p", "everything", "--all")
    assert not (az.folder / "logs/named-outputs").exists()
    assert (az.folder / "logs/artifacts/logs/job_result.txt").exists()
    assert (az.folder / "everything/named-outputs/score/predictions.csv").exists()


def test_what_is_not_there_is_exit_3(az: Az) -> None:
    for verb in ("show", "stream", "download", "cancel"):
        assert az("job", verb, "-n", "no-job").code == 3
    assert az("job", "download", "-n", "done", "--output-name", "no").code == 3
    assert az("job", "list", "-p", "no-job").code == 3


def test_a_failed_job_ends_its_stream_with_exit_1(az: Az) -> None:
    project = az.add(FAILING, "failing", "-n", "failing")
    done = az("job", "stream", "-n", az.invoke("-d", "failing", "--input", project.inputs))
    assert done.code == 1
    assert "There is no succeeded mini batch item returned from run()" in done.err
    assert done.out.index("Scheduling finished") < done.out.index("Execution Summary")


def following(az: Az, job: str) -> subprocess.Popen[str]:
    """A stream of a job, that goes on; it has printed its first line."""
    environment = {**os.environ, "BATCHTWIN_WORKSPACE": str(az.folder / "workspace")}
    words = [str(COMMAND), "ml", "job", "stream", "-n", job]
    stream = subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert stream.stdout is not None
    assert stream.stdout.readline() == f"RunId: {job}\n"
    return stream


@pytest.fixture(scope="module")
def running(az: Az) -> Iterator[str]:
    """A job that does not end by itself, in the middle of its first mini-batch."""
    project = az.add(WAITING, "waiting", "-n", "waiting")
    job = az.invoke("-d", "waiting", "--input", project.inputs)
    copies = Path(az.json("job", "show", "-n", job)["inputs"]["job_data_path"]["path"])
    wait_for((copies / "started").exists)
    yield job
    az.ok("job", "cancel", "-n", job)
    az.end(job)


def test_a_running_job_is_not_downloaded(az: Az, running: str) -> None:
    done = az("job", "download", "-n", running, "--output-name", "score")
    assert (done.code, done.err.splitlines()[-1]) == (
        1,
        "ERROR: This job is in state Running. Download is allowed only in states ['Completed', 'Failed', 'Canceled']",
    )


def test_an_interrupted_stream_leaves_the_job_alone(az: Az, running: str) -> None:
    stream = following(az, running)
    stream.send_signal(signal.SIGINT)
    _, errors = stream.communicate(timeout=60)
    assert (stream.returncode, "the run is still executing" in errors) == (1, True)
    assert az.status(running) == "Running"


def test_an_interrupt_that_a_library_swallows_is_heard_all_the_same(az: Az) -> None:
    with Workspace.open(str(az.folder / "workspace")) as workspace, interrupts() as caught:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            follow(workspace, "done", caught)


def test_a_job_is_cancelled_in_the_middle_and_its_stream_ends(az: Az, running: str) -> None:
    job = az.invoke("-d", "waiting", "--input", "waiting/inputs")
    stream = following(az, job)
    assert az.ok("job", "cancel", "-n", job) == ""
    out, _ = stream.communicate(timeout=60)
    assert (stream.returncode, "Execution Summary" in out) == (0, True)
    assert az.status(job) == "Canceled"


STORE_ID = f"{WORKSPACE}/datastores/workspaceblobstore"


@pytest.mark.parametrize(
    ("words", "written"),
    [
        (("--output-path", f"{STORE_ID}/paths/ids/folder"), "ids/folder/predictions.csv"),
        (("--output-path", f"azureml:{STORE_ID}/paths/ids/prefixed"), "ids/prefixed/predictions.csv"),
        (("--outputs", f"any.path={STORE_ID}/paths/ids/named"), "ids/named/predictions.csv"),
        (
            ("--set", "outputs.score.type=uri_file", f"outputs.score.path={STORE_ID}/paths/ids/file.csv"),
            "ids/file.csv",
        ),
        (
            ("--set", "outputs.score.type=uri_file", f"outputs.score.path={STORE_ID}/paths/ids/", "output_file_name=x"),
            "ids/x",
        ),
    ],
)
def test_output_goes_to_the_path_behind_the_id_of_a_datastore(az: Az, words: tuple[str, ...], written: str) -> None:
    assert az.end(az.invoke("--input", "project/inputs", *words)) == "Completed"
    assert (az.folder / "workspace/datastores/workspaceblobstore" / written).read_text() == "0\n1\n2\n"
    assert not Path("/subscriptions").exists()


def test_inputs_and_outputs_come_from_a_file_with_ids(az: Az) -> None:
    store = az.ok("datastore", "show", "-n", "workspaceblobstore", "--query", "id", "-o", "tsv").strip()
    data = az.folder / "workspace/datastores/workspaceblobstore/some data"
    data.mkdir(parents=True)
    (data / "a.txt").write_text("7")
    (az.folder / "io.yml").write_text(
        f"inputs: {{heart_data: {{type: uri_folder, path: {store}/paths/some data}}}}\n"
        f"outputs: {{score: {{type: uri_file, path: {store}/paths/batch-jobs/my-unique-path}}}}\n"
    )
    assert az.end(az.invoke("--file", "io.yml")) == "Completed"
    assert (data.parent / "batch-jobs/my-unique-path").read_text() == "7\n"


@pytest.mark.parametrize("path", ["azureml://jobs/done/outputs/score", "azureml://jobs/done/outputs/score/paths/."])
def test_the_output_of_a_job_is_input(az: Az, path: str) -> None:
    job = az.invoke("--input", path)
    assert az.end(job) == "Completed"
    shown = az.json("job", "show", "-n", job)
    assert Path(shown["outputs"]["score"]["path"], "predictions.csv").read_text() == "0\n1\n2\n"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--input", "azureml://datastores/none/paths/x"), 3, "datastore 'none'"),
        (("--input", f"{STORE_ID}/paths/none"), 1, "nothing was uploaded there"),
        (("--input", f'"{STORE_ID}"/paths/x'), 1, "must be azureml:NAME:VERSION"),
        (("--input", "azureml://jobs/none/outputs/score"), 3, "output 'score' of job 'none'"),
        (("--input", "azureml://jobs/../outputs/score"), 1, "job name '..'"),
        (("--input", "azureml://jobs/done/outputs/other"), 3, "output 'other' of job 'done'"),
        (("--input", "runs:/1/model"), 1, "remote input is not read here"),
        (("--input", "project/inputs", "--output-path", "azureml://datastores/none/paths/x"), 3, "datastore 'none'"),
        (("--input", "project/inputs", "--output-path", f'"{STORE_ID}"/paths/x'), 1, "must be azureml:NAME:VERSION"),
        (("--input", "project/inputs", "--output-path", "runs:/1/x"), 1, "remote output is not written here"),
        (("--input", "project/inputs", "--output-path", WORKSPACE), 1, "must be azureml:NAME:VERSION"),
        (("--input", "project/inputs", "--set", "outputs.x.type=nope", "outputs.x.path=y"), 1, "output type 'nope'"),
    ],
)
def test_an_address_that_leads_nowhere_is_no_path(az: Az, words: tuple[str, ...], code: int, text: str) -> None:
    done = az("batch-endpoint", "invoke", "-n", ENDPOINT, *words)
    assert (done.code, text in done.err) == (code, True), done.err
    assert not Path("/subscriptions").exists()


def test_the_model_of_a_deployment_may_lie_in_a_datastore(az: Az) -> None:
    store = az.folder / "workspace/datastores/workspaceblobstore"
    (store / "weights").mkdir(parents=True)
    (store / "weights/w.txt").write_text("1")
    project = Project(az.folder / "stored", ECHO)
    file = project.write()
    words = ("batch-deployment", "create", "-f", file, "-n", "stored", "--set", "model.name=stored")
    az.ok(*words, f"model.path={STORE_ID}/paths/weights")
    assert Path(az.json("model", "show", "-n", "stored", "-l", "latest")["path"], "w.txt").read_text() == "1"
    done = az(*words, "model.path=/subscriptions/s/x")
    assert (done.code, "must be azureml:NAME:VERSION" in done.err) == (1, True), done.err


def test_a_job_shows_when_it_started_and_ended(az: Az) -> None:
    shown = az.json("job", "show", "-n", "done")
    assert shown["creation_context"]["created_at"] <= shown["start_time"] <= shown["end_time"]
    started = shown["start_time"].replace("T", " ")
    assert started.startswith(shown["properties"]["StartTimeUtc"])
    assert set(shown["properties"]) == {"StartTimeUtc", "EndTimeUtc"}


@pytest.mark.parametrize(
    "words",
    [
        ("--set", "job_name=said", "experiment_name=other", "compute.instance_count=2", "mini_batch_size=2"),
        ("--job-name=said", "--experiment-name=other", "-c", "2", "-m", "2"),
        ("--job-name", "said", "--experiment-name", "other", "--instance-count=2", "--mini-batch-size=2"),
        ("--job-n", "said", "--exp", "other", "--set", "resources.instance_count=2", "settings.mini_batch_size=2"),
    ],
)
def test_what_is_of_the_job_may_be_said_in_every_way(az: Az, words: tuple[str, ...]) -> None:
    """All ways are the same request, so they are the same job."""
    assert az.invoke("--input", "project/inputs", *words) == "said"
    shown = az.json("job", "show", "-n", "said")
    assert (shown["name"], shown["experiment_name"]) == ("said", "other")


@pytest.mark.parametrize(
    ("words", "folder"),
    [
        ((f"output_dataset.datastore_id={STORE_ID}", "output_dataset.path=/sets/a"), "sets/a"),
        ((f"output_dataset.datastore_id=azureml:{STORE_ID}", "output_dataset.path=sets/b/"), "sets/b"),
        (("output_dataset.path=sets/c",), "sets/c"),
    ],
)
def test_output_as_older_pages_write_it(az: Az, words: tuple[str, ...], folder: str) -> None:
    job = az.invoke("--input", "project/inputs", "--set", *words, "output_file_name=x.csv")
    assert az.end(job) == "Completed"
    assert (az.folder / "workspace/datastores/workspaceblobstore" / folder / "x.csv").read_text() == "0\n1\n2\n"


def test_the_code_of_a_deployment_may_lie_in_a_datastore(az: Az) -> None:
    """As the reference of the YAML has it: a local path, or `azureml:`."""
    code = az.folder / "workspace/datastores/workspaceblobstore/code"
    code.mkdir(parents=True)
    (code / "driver.py").write_text("def run(mini_batch): return ['stored'] * len(mini_batch)\n")
    words = ("batch-deployment", "create", "-f", Project(az.folder / "coded", ECHO).write(), "-n", "coded", "--set")
    az.ok(*words, f"code_configuration.code={STORE_ID}/paths/code")
    job = az.invoke("--input", "project/inputs", "-d", "coded")
    assert az.end(job) == "Completed"
    for path, text in ((f"{STORE_ID}/paths/none", "is not in"), ("/subscriptions/s/x", "must be azureml:NAME")):
        done = az(*words, f"code_configuration.code={path}")
        assert (done.code, text in done.err) == (1, True), done.err
