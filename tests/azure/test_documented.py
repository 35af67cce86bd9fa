"""The commands of the documentation of batch endpoints: each works, or says in one sentence what does not run here.

Sources, on learn.microsoft.com/azure/machine-learning: DEPLOY is how-to-use-batch-model-deployments with the script
that it shows, INPUTS how-to-access-data-batch-endpoints-jobs, OUTPUTS how-to-deploy-model-custom-output, IMAGES
how-to-image-processing-batch, TROUBLE how-to-troubleshoot-batch-endpoints. Names are ours; public data lies in the
workspace's datastore, for tests need no network.
"""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from batchtwin.azure.cli.command import CommandError
from batchtwin.azure.cli.commands import run
from batchtwin.azure.cli.views import WORKSPACE
from batchtwin.workspace.workspace import Workspace
from support import Project, wait_for

DEPLOY, INPUTS, OUTPUTS, IMAGES, TROUBLE = "deploy", "inputs", "outputs", "images", "trouble"
STORE = f"{WORKSPACE}/datastores/workspaceblobstore"
DATA = f"{WORKSPACE}/data/heart-data/versions/1"
SHORT = "azureml://datastores/workspaceblobstore/paths"
INVOKE = "ml batch-endpoint invoke --name heart"
# Page, command, and what is printed of the result: a text, or `None` for nothing.
PREPARE = [
    (DEPLOY, "login", "local"),
    (DEPLOY, "account set --subscription 00000000-0000-0000-0000-000000000000", None),
    (DEPLOY, "configure --defaults workspace=w group=g location=l", None),
    (DEPLOY, "extension add -n ml", None),
    (DEPLOY, "version", "extensions"),
    (
        DEPLOY,
        "ml compute create -n batch-cluster --type amlcompute --min-instances 0 --max-instances 5",
        "max_instances",
    ),
    (IMAGES, "ml compute create -n gpu-cluster --type amlcompute --size STANDARD_NC6s_v3 --max-instances 2", "NC6s"),
    (DEPLOY, "ml model create --name mnist --type custom_model --path ./project/model/", "custom_model"),
    (IMAGES, "ml model create --name imagenet-classifier --path project/model", "imagenet-classifier"),
    (OUTPUTS, "ml model create --name heart-classifier --type mlflow_model --path project/mlflow", "mlflow_model"),
    (DEPLOY, "ml batch-endpoint create --file endpoint.yml --name heart", "scoring_uri"),
    (OUTPUTS, "ml batch-endpoint create -n heart -f endpoint.yml", "aad_token"),
    (DEPLOY, "ml batch-deployment create --file project/deployment.yml --endpoint-name heart --set-default", "model"),
    (DEPLOY, "ml batch-deployment show --name test-deployment --endpoint-name heart", "mini_batch_size"),
    (DEPLOY, "ml batch-endpoint show --name heart", "scoring_uri"),
    (DEPLOY, "ml batch-endpoint update --name heart --set defaults.deployment_name=test-deployment", "test-deployment"),
    (DEPLOY, "ml batch-endpoint show --name heart --query '{Name:name, Defaults:defaults}'", "Defaults"),
    (INPUTS, "ml data create -f heart-data.yml", "heart-data"),
    (INPUTS, "ml data show -n heart-data --label latest", DATA),
    (INPUTS, "ml datastore show -n workspaceblobstore", STORE),
]
# Page, command, and the input, the output and the settings that the job has.
INVOCATIONS: list[tuple[str, str, dict[str, Any]]] = [
    (INPUTS, f"{INVOKE} --input azureml:{DATA}", {}),
    (INPUTS, f"{INVOKE} --input {DATA}", {}),
    (INPUTS, f"{INVOKE} --set inputs.heart_dataset.type uri_folder inputs.heart_dataset.path {DATA}", {}),
    (INPUTS, f'{INVOKE} --set inputs.heart_data.type="uri_folder" inputs.heart_data.path={DATA}', {}),
    (INPUTS, f"{INVOKE} --file inputs.yml", {}),
    (INPUTS, f"{INVOKE} --file inputs-short.yml", {}),
    (INPUTS, f"{INVOKE} --file inputs-id.yml", {}),
    (INPUTS, f"{INVOKE} --input {STORE}/paths/heart-uci --input-type uri_folder", {}),
    (INPUTS, f"{INVOKE} --input {SHORT}/heart-uci --input-type uri_folder", {}),
    (INPUTS, f"{INVOKE} --set inputs.heart_data.type=uri_folder inputs.heart_data.path={SHORT}/heart-uci", {}),
    (INPUTS, f"{INVOKE} --set inputs.d.type uri_folder inputs.d.path {STORE}/paths/heart-uci", {}),
    (
        INPUTS,
        f"{INVOKE} --set inputs.heart_dataset.path {SHORT}/heart-uci --set outputs.score.path {STORE}/paths/jobs/a",
        {"output": "jobs/a/predictions.csv"},
    ),
    (
        INPUTS,
        f"{INVOKE} --set inputs.heart_data.path={SHORT}/heart-uci --set outputs.score.path={SHORT}/jobs/b",
        {"output": "jobs/b/predictions.csv"},
    ),
    (INPUTS, f"{INVOKE} --deployment-name test-deployment --input {DATA}", {}),
    (INPUTS, f"{INVOKE} -d test-deployment --input {DATA}", {}),
    (INPUTS, f"{INVOKE} --experiment-name my-experiment --input {DATA}", {"experiment": "my-experiment"}),
    (
        DEPLOY,
        f"{INVOKE} --input {DATA} --output-path {SHORT}/heart --set output_file_name=predictions_7.csv",
        {"output": "heart/predictions_7.csv"},
    ),
    (DEPLOY, f"{INVOKE} --input {DATA} --mini-batch-size 20 --instance-count 5", {"batches": 1}),
    (DEPLOY, f"{INVOKE} --input {DATA} -m 2 -c 1", {"batches": 2}),
    (IMAGES, f"{INVOKE} --input azureml:heart-data:1", {}),
    (OUTPUTS, f"{INVOKE} --input azureml:heart-data@latest", {}),
    (OUTPUTS, f"{INVOKE} --input azureml:heart-data@latest --job-name my-job", {"name": "my-job"}),
]
AFTER = [
    (DEPLOY, "ml job show -n my-job", "Completed"),
    (DEPLOY, "ml job show -n my-job --query status -o tsv", "Completed"),
    (TROUBLE, "ml job show --name my-job --query services.Studio.endpoint -o tsv", "http"),
    (DEPLOY, "ml job show -n my-job --query '[start_time,end_time]' -o tsv", "+00:00"),
    (TROUBLE, "ml job stream --name my-job", "Execution Summary"),
    (DEPLOY, "ml job download --name my-job --output-name score --download-path ./", None),
    (DEPLOY, "ml job list --parent-job-name my-job", "my-job-batchscoring"),
    (DEPLOY, "ml batch-deployment list-jobs --name test-deployment --endpoint-name heart --query [].name", "my-job"),
    (DEPLOY, "ml batch-endpoint list-jobs --name heart --query [0].name -o tsv", "my-job"),
    (DEPLOY, "ml batch-deployment update -n test-deployment -e heart --set settings.mini_batch_size=4", "test-"),
    (
        TROUBLE,
        "ml batch-deployment update -n test-deployment -e heart --set settings.retry_settings.timeout=300",
        '"timeout": 300',
    ),
    (DEPLOY, "ml batch-deployment delete --name test-deployment --endpoint-name heart --yes", None),
    (DEPLOY, "ml batch-endpoint delete --name heart --yes", None),
]
REFUSED = [
    (INPUTS, f"{INVOKE} --file literal.yml", "The specified job input type 'LiteralJobInput' is not supported."),
    (
        INPUTS,
        f"{INVOKE} --set inputs.mode.type=string inputs.mode.default=append",
        "'LiteralJobInput' is not supported",
    ),
    (
        INPUTS,
        f"{INVOKE} --set inputs.mode.type string inputs.mode.default append",
        "'LiteralJobInput' is not supported",
    ),
    (INPUTS, f"{INVOKE} --input {DATA} --input-type mltable", "'MLTableJobInput' is not supported"),
    (INPUTS, "account get-access-token --resource https://ml.azure.com --query accessToken -o tsv", "batchtwin serve"),
    (DEPLOY, "ml workspace show", "here is one workspace"),
    (DEPLOY, "ml job create -f pipeline.yml", "do not run here"),
    (DEPLOY, "ml component create -f component.yml", "do not run here"),
]


SCRIPT = "def run(mini_batch): return [path.rsplit('/', 1)[-1] for path in mini_batch]\n"


def ids(rows: list[Any]) -> list[str]:
    """Names of the tests of a table."""
    return [f"{row[0]}: {row[1].replace(WORKSPACE, 'WORKSPACE').replace('/', '|')}" for row in rows]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the files that the pages show, and its workspace, where the commands of `PREPARE` have run."""
    folder = tmp_path_factory.mktemp("documented")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("BATCHTWIN_WORKSPACE", str(folder / "workspace"))
        patch.setenv("BATCHTWIN_MLFLOW", "off")
        project = Project(
            folder / "project", "def run(mini_batch): return [f.rsplit('/', 1)[-1] for f in mini_batch]\n"
        )
        project.files(3)
        project.write()
        (folder / "project/mlflow").mkdir()
        (folder / "project/mlflow/MLmodel").write_text("flavors: {python_function: {}}\n")
        (folder / "workspace/datastores/workspaceblobstore").mkdir(parents=True)
        (folder / "project/inputs").rename(folder / "workspace/datastores/workspaceblobstore/heart-uci")
        schema = "$schema: https://azuremlschemas.azureedge.net/latest/data.schema.json\n"
        store = "workspace/datastores/workspaceblobstore/heart-uci"
        files = {
            "endpoint.yml": "name: other\nauth_mode: aad_token\n",
            "heart-data.yml": f"{schema}name: heart-data\ntype: uri_folder\npath: {store}\n",
            "inputs.yml": f"inputs: {{heart_dataset: {{type: uri_folder, path: '{SHORT}/heart-uci'}}}}\n",
            "inputs-short.yml": "inputs:\n  heart_dataset: azureml:/heart-data@latest\n",
            "inputs-id.yml": f"inputs:\n  heart_data:\n    type: uri_folder\n    path: {DATA}\n",
            "literal.yml": "inputs:\n  score_mode:\n    type: string\n    default: append\n",
        }
        for name, text in files.items():
            (folder / name).write_text(text)
        with Workspace.open() as workspace:
            workspace.computes.create("cluster", type="amlcompute")
        yield folder


Said = Callable[[str], str]


@pytest.fixture
def said(folder: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """Run a command, which must succeed; returns what it prints."""

    def run_words(words: str) -> str:
        assert run(shlex.split(words)) == 0
        return capsys.readouterr().out

    return run_words


@pytest.mark.parametrize(("page", "words", "text"), PREPARE, ids=ids(PREPARE))
def test_what_pages_prepare(page: str, words: str, text: str | None, said: Said) -> None:
    printed = said(words)
    assert (text or "") in printed
    assert text is not None or printed == ""


@pytest.fixture(scope="module")
def jobs(folder: Path) -> list[str]:
    """The jobs that the pages start: all at once, so that none waits for the test of another."""
    names = []
    for _, words, _ in INVOCATIONS:
        out = io.StringIO()
        with redirect_stdout(out):
            assert run(shlex.split(words)) == 0
        names.append(json.loads(out.getvalue())["name"])
    return names


@pytest.mark.parametrize("row", range(len(INVOCATIONS)), ids=ids(INVOCATIONS))
def test_how_pages_invoke(row: int, jobs: list[str], folder: Path) -> None:
    expected = INVOCATIONS[row][2]
    with Workspace.open() as workspace:
        wait_for(lambda: workspace.jobs.get(jobs[row]).status.is_final)
        job = workspace.jobs.get(jobs[row])
    assert (job.status.value, job.name) == ("Completed", expected.get("name", job.name))
    assert job.experiment == expected.get("experiment", job.experiment)
    manifest = json.loads((job.output / "manifest.json").read_text())
    assert manifest["mini_batches"] == expected.get("batches", 3)
    if "output" in expected:
        written = folder / "workspace/datastores/workspaceblobstore" / expected["output"]
        assert sorted(written.read_text().split()) == ["00.txt", "01.txt", "02.txt"]


@pytest.mark.parametrize(("page", "words", "text"), REFUSED, ids=ids(REFUSED))
def test_what_does_not_run_here_is_said(page: str, words: str, text: str, folder: Path) -> None:
    with pytest.raises(CommandError) as caught:
        run(shlex.split(words))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("page", "words", "text"), AFTER, ids=ids(AFTER))
def test_what_pages_do_with_a_job(page: str, words: str, text: str | None, said: Said) -> None:
    printed = said(words)
    assert (text or "") in printed
    assert text is not None or printed == ""
