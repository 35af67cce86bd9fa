"""Jobs: routed, run in a process of their own, followed, downloaded."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from subprocess import run
from typing import TYPE_CHECKING, Any

import pytest

from batchtwin.engine.backends.warm.servers import warm_servers
from batchtwin.workspace.entities import JobRecord, JobStatus
from batchtwin.workspace.errors import (
    ConflictError,
    InputTypeError,
    InvalidError,
    NoRouteError,
    NotEndedError,
    NotFoundError,
    UnknownDeploymentError,
)
from batchtwin.workspace.jobs.invocation import Invocation
from batchtwin.workspace.workspace import Workspace
from support import batchtwin, wait_for

if TYPE_CHECKING:
    from workspace.conftest import Rehearsal

ECHO = """
import json
def run(files):
    return [open(file).read().strip() for file in files]
"""
PATIENT = """
import os, time
def run(files):
    while not os.path.exists("{go}"):
        time.sleep(0.01)
    return [open(file).read().strip() for file in files]
"""

ARM_WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """The file that a patient script waits for."""
    return tmp_path / "go"


def test_a_job_gives_what_score_gives(done: tuple[Rehearsal, JobRecord]) -> None:
    rehearsal, job = done
    assert (job.status, job.error) == (JobStatus.COMPLETED, None)
    scored = rehearsal.project.score()
    assert (job.output / "named-outputs/score/predictions.csv").read_text() == scored.predictions


def test_a_job_says_who_and_when(done: tuple[Rehearsal, JobRecord]) -> None:
    _, job = done
    assert job.name.startswith("batchjob-")
    assert (job.endpoint, job.deployment, job.experiment) == ("test-endpoint", "test-deployment", "test-endpoint")
    assert job.started is not None
    assert job.ended is not None
    assert job.created <= job.started <= job.ended


def test_the_child_is_batchscoring(done: tuple[Rehearsal, JobRecord]) -> None:
    rehearsal, job = done
    child = rehearsal.workspace.jobs.child(job.name)
    assert (child.display_name, child.status) == ("batchscoring", job.status)
    assert rehearsal.workspace.jobs.get(child.name) == child


def test_a_job_outlives_its_command(rehearsal: Rehearsal, where: str, go: Path) -> None:
    rehearsal.deploy(script=PATIENT.format(go=go))
    code = (
        "from batchtwin.workspace.jobs.invocation import Invocation\n"
        "from batchtwin.workspace.workspace import Workspace; import sys\n"
        "print(Workspace.open(sys.argv[1]).jobs.invoke(Invocation('test-endpoint', input=sys.argv[2])).name)"
    )
    words = [sys.executable, "-c", code, where, str(rehearsal.project.inputs)]
    name = run(words, capture_output=True, text=True, check=True).stdout.strip()
    assert not rehearsal.workspace.jobs.get(name).status.is_final
    go.touch()
    assert rehearsal.end(rehearsal.workspace.jobs.get(name)).status is JobStatus.COMPLETED


def test_states_are_passed_through(rehearsal: Rehearsal, go: Path) -> None:
    rehearsal.deploy(script=PATIENT.format(go=go))
    job = rehearsal.invoke()
    rehearsal.reach(job, JobStatus.RUNNING)
    go.touch()
    rehearsal.reach(job, JobStatus.COMPLETED)


def test_a_registered_input(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    rehearsal.workspace.assets.create("data", "unlabeled", path=rehearsal.project.inputs)
    job = rehearsal.end(rehearsal.invoke(input="azureml:unlabeled@latest"))
    assert (job.status, job.input) == (JobStatus.COMPLETED, "azureml:unlabeled:1")


def test_a_file_as_input_keeps_its_name(rehearsal: Rehearsal) -> None:
    rehearsal.deploy(script="def run(files): return [file.rpartition('/')[2] for file in files]")
    job = rehearsal.end(rehearsal.invoke(input=str(rehearsal.project.inputs / "00.txt"), input_type="uri_file"))
    assert (job.output / "named-outputs/score/predictions.csv").read_text() == "00.txt\n"


def test_input_is_uploaded_once(rehearsal: Rehearsal, where: str) -> None:
    rehearsal.deploy()
    first, second = rehearsal.invoke(), rehearsal.invoke()
    assert first.input == second.input
    assert Path(first.input).is_relative_to(where)
    assert len(os.listdir(Path(where) / "uploads")) == 1
    rehearsal.drop(first)
    rehearsal.drop(second)


@pytest.mark.parametrize("kind", ["string", "number", "integer", "boolean", "literal"])
def test_literals_are_refused(rehearsal: Rehearsal, kind: str) -> None:
    rehearsal.deploy()
    with pytest.raises(InputTypeError) as caught:
        rehearsal.invoke(input="3", input_type=kind)
    assert str(caught.value) == (
        "The specified job input type 'LiteralJobInput' is not supported. "
        "The supported types are: UriFileJobInput, UriFolderJobInput."
    )


def test_a_table_is_refused(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    rehearsal.workspace.assets.create("data", "table", path=rehearsal.project.inputs, type="mltable")
    with pytest.raises(InputTypeError, match="'MLTableJobInput' is not supported"):
        rehearsal.invoke(input="azureml:table:1")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"input": None}, "names no input"),
        ({"input": "none"}, "none: no such file or folder"),
        ({"input": "s3://bucket/x.csv"}, "remote input is not read here"),
        ({"input": "https://example.com/x.csv?sig=abc"}, "holds a key"),
        ({"input": "abfs://container/x.csv"}, "must be SCHEME://CONTAINER@ACCOUNT"),
        ({"input": "azureml://datastores/store/paths/../../x"}, "leads out of the datastore"),
        ({"input_type": "uri_file"}, "is a folder, and the input type is uri_file"),
        ({"job_name": "../x"}, "job name"),
        ({"experiment": "../../../x"}, "experiment name"),
        ({"mini_batch_size": 0}, "mini_batch_size"),
        ({"output_file_name": "a/b"}, "output_file_name"),
        ({"overrides": {"model": "azureml:x:1"}}, "model: belongs to the deployment"),
        ({"overrides": {"environment.image": "x"}}, "environment.image: belongs to the deployment"),
        ({"overrides": {"code_configuration.code": "x"}}, "belongs to the deployment"),
        ({"output_path": "s3://bucket/x"}, "remote output is not written here"),
    ],
)
def test_what_cannot_be_invoked(rehearsal: Rehearsal, options: dict[str, Any], text: str) -> None:
    rehearsal.deploy()
    with pytest.raises(InvalidError, match=text):
        rehearsal.invoke(**options)
    assert rehearsal.workspace.jobs.list() == []


def test_the_only_deployment_is_taken(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    job = rehearsal.invoke()
    assert job.deployment == "test-deployment"
    rehearsal.drop(job)


def test_the_default_is_taken(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    rehearsal.workspace.deployments.create(rehearsal.project.write(), name="other", set_default=True)
    job = rehearsal.invoke()
    assert job.deployment == "other"
    rehearsal.drop(job)


def test_two_deployments_and_no_default(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    rehearsal.workspace.deployments.create(rehearsal.project.write(), name="other")
    with pytest.raises(NoRouteError) as caught:
        rehearsal.invoke()
    assert str(caught.value) == (
        "No valid deployments to route to. Please check that the endpoint has at least one deployment "
        "with positive weight values or use a deployment specific header to route."
    )


def test_no_deployment_at_all(workspace: Workspace) -> None:
    workspace.endpoints.create("heart")
    with pytest.raises(NoRouteError):
        workspace.jobs.invoke(Invocation("heart", input="."))


def test_an_unknown_deployment(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    with pytest.raises(UnknownDeploymentError) as caught:
        rehearsal.invoke(deployment="none")
    assert str(caught.value) == "Deployment name none not found for this endpoint"


def test_a_deleted_endpoint(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    job = rehearsal.end(rehearsal.invoke())
    rehearsal.workspace.endpoints.delete("test-endpoint")
    with pytest.raises(NotFoundError, match="endpoint 'test-endpoint'"):
        rehearsal.invoke()
    left = rehearsal.workspace.jobs.get(job.name)
    assert left.status is JobStatus.COMPLETED
    assert (left.output / "named-outputs/score/predictions.csv").exists()


def test_a_job_name_given_twice_is_one_job(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    first = rehearsal.invoke(job_name="nightly")
    again = rehearsal.invoke(job_name="nightly")
    assert again.created == first.created
    assert len(rehearsal.workspace.jobs.list()) == 1
    rehearsal.drop(first)


def test_a_job_name_with_other_input_is_a_conflict(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    job = rehearsal.invoke(job_name="nightly")
    (rehearsal.project.inputs / "new.txt").write_text("new")
    with pytest.raises(ConflictError, match="job nightly: exists"):
        rehearsal.invoke(job_name="nightly")
    rehearsal.drop(job)


def test_a_request_given_twice_is_one_job(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    first, again = rehearsal.invoke(request_id="r"), rehearsal.invoke(request_id="r")
    assert first.name == again.name
    rehearsal.drop(first)


def test_overrides_reach_the_job(rehearsal: Rehearsal) -> None:
    rehearsal.deploy(script="def run(files): return [len(files)]", files=3, mini_batch_size=1)
    options = {"mini_batch_size": 3, "output_file_name": "other.csv", "overrides": {"settings.error_threshold": "2"}}
    job = rehearsal.end(rehearsal.invoke(**options))
    assert job.output_file_name == "other.csv"
    assert (job.output / "named-outputs/score/other.csv").read_text() == "3\n"
    assert "The error threshold is 2." in rehearsal.workspace.jobs.log_lines(job.name)[0][-1]


def test_output_goes_where_the_invocation_says(rehearsal: Rehearsal, tmp_path: Path) -> None:
    rehearsal.deploy()
    rehearsal.end(rehearsal.invoke(output_path=str(tmp_path / "far/away")))
    assert (tmp_path / "far/away/predictions.csv").read_text() == "0\n1\n"


@pytest.mark.parametrize(
    "store",
    [
        "azureml://datastores/workspaceblobstore",
        f"{ARM_WORKSPACE}/datastores/workspaceblobstore",
        f"azureml:{ARM_WORKSPACE}/datastores/workspaceblobstore",
    ],
)
def test_output_to_a_datastore_is_input_again(rehearsal: Rehearsal, where: str, store: str) -> None:
    """The documentation writes `<data-store-ID>/paths/...`."""
    rehearsal.deploy()
    address = f"{store}/paths/scored"
    rehearsal.end(rehearsal.invoke(output_path=address))
    assert (Path(where) / "datastores/workspaceblobstore/scored/predictions.csv").exists()
    assert rehearsal.end(rehearsal.invoke(input=address)).status is JobStatus.COMPLETED


@pytest.mark.parametrize(
    "path", ["/subscriptions/s/x", f"{ARM_WORKSPACE}/data/d/versions/1", "azureml:d:1", "azureml:/x", "azureml://x/y"]
)
def test_an_id_of_no_datastore_takes_no_output(rehearsal: Rehearsal, path: str) -> None:
    rehearsal.deploy()
    with pytest.raises(InvalidError, match="azureml://datastores/NAME/paths/"):
        rehearsal.invoke(output_path=path)


def test_a_script_that_fails(rehearsal: Rehearsal) -> None:
    rehearsal.deploy(script="def run(files): raise ValueError('no good')", retry_settings={"max_retries": 1})
    job = rehearsal.end(rehearsal.invoke())
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert "There is no succeeded mini batch item returned from run()." in job.error
    assert "no good" in job.error


def test_what_score_would_refuse(rehearsal: Rehearsal) -> None:
    rehearsal.deploy(script="x = 1")
    job = rehearsal.end(rehearsal.invoke())
    assert job.status is JobStatus.FAILED
    lines, _ = rehearsal.workspace.jobs.log_lines(job.name)
    assert lines[0] == "Failed"
    assert "run" in lines[1]


def test_a_job_is_followed_line_by_line(rehearsal: Rehearsal, go: Path) -> None:
    rehearsal.deploy(script=PATIENT.format(go=go))
    job = rehearsal.reach(rehearsal.invoke(), JobStatus.RUNNING)
    wait_for(lambda: rehearsal.workspace.jobs.log_lines(job.name)[1] > 0)
    first, seen = rehearsal.workspace.jobs.log_lines(job.name)
    go.touch()
    rehearsal.end(job)
    rest, count = rehearsal.workspace.jobs.log_lines(job.name, seen)
    assert "Scheduling finished." in first[0]
    assert "Completed" in rest
    assert count == seen + len(rest)


def test_jobs_newest_first(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    started = [rehearsal.invoke(experiment=experiment) for experiment in (None, "other")]
    workspace = rehearsal.workspace
    assert [job.name for job in workspace.jobs.list()] == [started[1].name, started[0].name]
    assert [job.name for job in workspace.jobs.list(experiment="other")] == [started[1].name]
    assert workspace.jobs.list(endpoint="none") == workspace.jobs.list(deployment="none") == []
    for job in started:
        rehearsal.drop(job)


def test_download(done: tuple[Rehearsal, JobRecord], tmp_path: Path) -> None:
    rehearsal, job = done
    folder = rehearsal.workspace.jobs.download(job.name, tmp_path / "got")
    assert folder == tmp_path / "got/named-outputs/score"
    assert (folder / "predictions.csv").read_text() == "0\n1\n2\n"
    assert os.listdir(tmp_path / "got") == ["named-outputs"]


def test_download_of_all(done: tuple[Rehearsal, JobRecord], tmp_path: Path) -> None:
    rehearsal, job = done
    rehearsal.workspace.jobs.download(job.name, tmp_path / "got", all=True)
    assert (tmp_path / "got/artifacts/logs/job_result.txt").exists()
    assert (tmp_path / "got/artifacts/report.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "got/named-outputs/score/predictions.csv").exists()


def test_no_download_before_the_end(rehearsal: Rehearsal, tmp_path: Path, go: Path) -> None:
    rehearsal.deploy(script=PATIENT.format(go=go))
    job = rehearsal.reach(rehearsal.invoke(), JobStatus.RUNNING)
    with pytest.raises(NotEndedError, match=r"This job is in state Running\. Download is allowed only in states"):
        rehearsal.workspace.jobs.download(job.name, tmp_path / "got")
    go.touch()
    rehearsal.end(job)


def test_no_download_of_an_output_without_files(rehearsal: Rehearsal, tmp_path: Path) -> None:
    rehearsal.deploy(script="x = 1")
    job = rehearsal.end(rehearsal.invoke())
    with pytest.raises(InvalidError, match=f"output 'score' of job '{job.name}': has no file, and the job is Failed"):
        rehearsal.workspace.jobs.download(job.name, tmp_path / "got")
    rehearsal.workspace.jobs.download(job.name, tmp_path / "got", all=True)


def test_an_output_that_is_not(done: tuple[Rehearsal, JobRecord], tmp_path: Path) -> None:
    rehearsal, job = done
    with pytest.raises(NotFoundError, match="output 'other'"):
        rehearsal.workspace.jobs.download(job.name, tmp_path, "other")


def test_a_download_does_not_follow_links(done: tuple[Rehearsal, JobRecord], tmp_path: Path) -> None:
    rehearsal, job = done
    (tmp_path / "got").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "got/named-outputs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidError, match="leads out of"):
        rehearsal.workspace.jobs.download(job.name, tmp_path / "got")
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_jobs_folder_is_an_output_folder(done: tuple[Rehearsal, JobRecord]) -> None:
    _, job = done
    verified = batchtwin("verify", job.output)
    assert (verified.code, verified.err) == (0, "")


def test_an_unknown_job(workspace: Workspace) -> None:
    with pytest.raises(NotFoundError, match="job 'none': not found"):
        workspace.jobs.get("none")


def test_output_that_cannot_be_delivered_fails_the_job(rehearsal: Rehearsal, tmp_path: Path) -> None:
    rehearsal.deploy()
    (tmp_path / "file").write_text("")
    job = rehearsal.end(rehearsal.invoke(output_path=str(tmp_path / "file/away")))
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert "file/away" in job.error
    assert (job.output / "named-outputs/score/predictions.csv").exists()


def test_the_second_job_is_warm(rehearsal: Rehearsal, where: str) -> None:
    rehearsal.deploy(ECHO)
    for expected in ("forked,", "forked from a warm server,"):
        job = rehearsal.end(rehearsal.invoke())
        logs = "".join(path.read_text() for path in (job.output / "logs/sys/node").rglob("*.txt"))
        assert expected in logs
        wait_for(lambda: any(server.state.title.startswith(where) for server in warm_servers()))
