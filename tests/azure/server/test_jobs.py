"""Jobs as the SDK sees them: streamed, listed, cancelled, downloaded, failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from azure_sdk import FAILING, Sdk

WAITING = """
    import signal

    def run(files):
        signal.pause()
"""


@pytest.fixture(scope="module")
def done(deployed: Sdk) -> str:
    """A job that has completed."""
    job = deployed.invoke()
    assert deployed.server.end(job) == "Completed"
    return job


@pytest.mark.sdk("`jobs.stream`", "the log as it grows, and the end")
def test_stream_prints_the_log_and_a_summary(deployed: Sdk) -> None:
    job = deployed.invoke()
    printed = deployed.stream(job)
    assert f"RunId: {job}" in printed
    assert "Streaming logs/azureml/executionlogs.txt" in printed
    assert "All 3 mini batches have been processed." in printed
    assert "3 succeeded, 0 failed" in printed


@pytest.mark.sdk("`jobs.get`, `list(parent_job_name=)`", "a pipeline with the child `batchscoring`")
def test_a_job_is_a_pipeline_with_one_child(deployed: Sdk, done: str) -> None:
    job = deployed.client.jobs.get(done)
    assert (job.type, job.status, job.experiment_name) == ("pipeline", "Completed", deployed.name)
    child, *others = deployed.client.jobs.list(parent_job_name=done)
    assert (child.name, child.display_name, child.status) == (f"{done}-batchscoring", "batchscoring", "Completed")
    assert others == []


@pytest.mark.sdk('`jobs.download(output_name="score")`', "of the job or its child, to `named-outputs/score/`")
@pytest.mark.parametrize("suffix", ["", "-batchscoring"])
def test_download_the_output(deployed: Sdk, done: str, target: Path, suffix: str) -> None:
    deployed.client.jobs.download(done + suffix, output_name="score", download_path=target)
    assert [path.name for path in target.rglob("*") if path.is_file()] == ["predictions.csv"]
    assert (target / "named-outputs/score/predictions.csv").read_text() == "0\n1\n2\n"


@pytest.mark.sdk("`jobs.download`", "the log tree")
def test_download_the_logs(deployed: Sdk, done: str, target: Path) -> None:
    deployed.client.jobs.download(done, download_path=target)
    assert "3 succeeded" in (target / "artifacts/logs/job_result.txt").read_text()
    assert not (target / "named-outputs").exists()


@pytest.mark.sdk("`jobs.download(all=True)`", "logs and output")
def test_download_all(deployed: Sdk, done: str, target: Path) -> None:
    deployed.client.jobs.download(done, download_path=target, all=True)
    assert (target / "artifacts/logs/job_result.txt").exists()
    assert (target / "named-outputs/score/predictions.csv").exists()


@pytest.mark.sdk("`jobs.list`, `batch_endpoints.list_jobs`, `batch_deployments.list_jobs`", "newest first")
def test_jobs_are_listed(deployed: Sdk, done: str) -> None:
    client, name = deployed.client, deployed.name
    for job_seen in (
        client.jobs.list(),
        client.batch_endpoints.list_jobs(name),
        client.batch_deployments.list_jobs(name, name="first"),
    ):
        assert done in [job.name for job in job_seen]


@pytest.mark.sdk("`jobs.stream`", "a job that failed raises `JobException`, with the first real cause")
def test_a_failed_job_raises_its_cause(azure: Sdk, target: Path) -> None:
    from azure.ai.ml.exceptions import JobException

    azure.deploy(FAILING)
    job = azure.invoke()
    with pytest.raises(JobException) as caught:
        azure.stream(job)
    assert "There is no succeeded mini batch item returned from run()" in str(caught.value)
    assert "ValueError: no heart in" in str(caught.value)
    assert azure.client.jobs.get(job).status == "Failed"
    azure.client.jobs.download(job, download_path=target)
    assert "ValueError" in (target / "artifacts/logs/user/error.txt").read_text()


@pytest.mark.sdk("`jobs.begin_cancel`", "ends the job in order; no download before it has ended")
def test_cancel(azure: Sdk, target: Path) -> None:
    from azure.ai.ml.exceptions import JobException

    azure.deploy(WAITING)
    job = azure.invoke()
    azure.server.reach(job, "Running")
    with pytest.raises(JobException, match="Download is allowed only in states"):
        azure.client.jobs.download(job, output_name="score", download_path=target)
    azure.client.jobs.begin_cancel(job).result()
    assert azure.server.end(job) == "Canceled"
    assert azure.client.jobs.get(job).status == "Canceled"


@pytest.mark.sdk("`jobs.get`", "`ResourceNotFoundError` for what is not there")
def test_no_such_job(sdk: Any) -> None:
    from azure.core.exceptions import ResourceNotFoundError

    with pytest.raises(ResourceNotFoundError, match="job 'none': not found in this workspace"):
        sdk.jobs.get("none")
