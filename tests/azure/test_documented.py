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
from collections.abc import Iterator, Sequence
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


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with the files that the pages show, and an empty workspace."""
    folder = tmp_path
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


def said(words: str) -> tuple[int, str]:
    """Run a command; returns its exit code, and what it prints or what its error says."""
    out = io.StringIO()
    try:
        with redirect_stdout(out):
            code = run(shlex.split(words))
    except CommandError as error:
        return error.exit_code, str(error)
    return code, out.getvalue()


def test_the_commands_of_the_pages_in_their_order(folder: Path) -> None:
    """One test, for each command needs what those before it have made."""
    wrong = list(differing(PREPARE))
    jobs = [json.loads(said(words)[1])["name"] for _, words, _ in INVOCATIONS]
    wrong += [f"{words}: {text}" for _, words, text in REFUSED if not is_refused(words, text)]
    for name, (page, words, expected) in zip(jobs, INVOCATIONS, strict=True):
        wrong += [f"{page}: {words}: {problem}" for problem in problems(name, expected, folder)]
    wrong += list(differing(AFTER))
    assert wrong == []


def differing(rows: Sequence[tuple[str, str, str | None]]) -> Iterator[str]:
    """Run commands that must succeed; yield those that print something else."""
    for page, words, text in rows:
        code, printed = said(words)
        if code != 0 or (text or "") not in printed or (text is None and printed):
            yield f"{page}: {words}: {code}: {printed}"


def is_refused(words: str, text: str) -> bool:
    """Whether a command ends with an error of one line that has this text."""
    code, error = said(words)
    return code != 0 and text in error and "\n" not in error


def problems(name: str, expected: dict[str, Any], folder: Path) -> Iterator[str]:
    """Wait for a job; yield what is not as expected."""
    with Workspace.open() as workspace:
        wait_for(lambda: workspace.jobs.get(name).status.is_final)
        job = workspace.jobs.get(name)
    if (job.status.value, job.name) != ("Completed", expected.get("name", job.name)):
        yield f"{job.name} is {job.status.value}"
        return
    if job.experiment != expected.get("experiment", job.experiment):
        yield f"experiment {job.experiment}"
    manifest = json.loads((job.output / "manifest.json").read_text())
    if manifest["mini_batches"] != expected.get("batches", 3):
        yield f"{manifest['mini_batches']} mini-batches"
    if "output" in expected:
        written = folder / "workspace/datastores/workspaceblobstore" / expected["output"]
        if sorted(written.read_text().split()) != ["00.txt", "01.txt", "02.txt"]:
            yield written.read_text()
