"""The heart classifier on a batch endpoint with the Azure ML SDK: from a model folder to a table of predictions.

    python scripts/deploy.py [--endpoint-name NAME] [--custom] [--delete]

The steps are those of the Python tab of Azure ML's documentation for MLflow models on batch endpoints. Where they go
is said by the environment alone: the credential is what `DefaultAzureCredential` finds, the workspace that of
`config.json` here, in a folder above, or where AZUREML_CONFIG says. Each step can be taken again.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path

import pandas as pd
from azure.ai.ml import Input, MLClient
from azure.ai.ml.constants import AssetTypes, BatchDeploymentOutputAction
from azure.ai.ml.entities import (
    AmlCompute,
    BatchEndpoint,
    BatchRetrySettings,
    CodeConfiguration,
    Data,
    Environment,
    Model,
    ModelBatchDeployment,
    ModelBatchDeploymentSettings,
)
from azure.core.exceptions import ResourceNotFoundError
from azure.identity import DefaultAzureCredential

ROOT = Path(__file__).resolve().parent.parent
NAME_FILE = ROOT / ".endpoint-name"
MODEL = "heart-classifier-mlflow"
DATA = "heart-dataset-unlabeled"
COMPUTE = "batch-cluster"
SIMPLE = "classifier-xgboost-mlflow"
CUSTOM = "classifier-xgboost-custom"
COLUMNS = ["row", "prediction", "file"]


def connect() -> MLClient:
    """Return a client of the workspace that the environment says."""
    return MLClient.from_config(DefaultAzureCredential(), path=os.environ.get("AZUREML_CONFIG"))


def register_model(client: MLClient, folder: Path) -> Model:
    """Register the MLflow model of a folder."""
    return client.models.create_or_update(Model(name=MODEL, path=str(folder), type=AssetTypes.MLFLOW_MODEL))


def register_data(client: MLClient, folder: Path) -> Data:
    """Register a folder of files to be scored."""
    text = "An unlabeled dataset for heart classification"
    return client.data.create_or_update(Data(name=DATA, path=str(folder), type=AssetTypes.URI_FOLDER, description=text))


def create_compute(client: MLClient) -> None:
    """Create the cluster, with no nodes while idle; one that is there is left as it is."""
    try:
        client.compute.get(COMPUTE)
    except ResourceNotFoundError:
        cluster = AmlCompute(name=COMPUTE, min_instances=0, max_instances=2)
        client.compute.begin_create_or_update(cluster).result()


def create_endpoint(client: MLClient, name: str) -> None:
    """Create the endpoint; one that is there is left as it is."""
    try:
        client.batch_endpoints.get(name)
    except ResourceNotFoundError:
        endpoint = BatchEndpoint(name=name, description="A heart condition classifier for batch inference")
        client.batch_endpoints.begin_create_or_update(endpoint).result()


def settings() -> ModelBatchDeploymentSettings:
    """Return how the deployments score, as `deployment-simple/deployment.yml` says it."""
    return ModelBatchDeploymentSettings(
        instance_count=2,
        max_concurrency_per_instance=2,
        mini_batch_size=2,
        output_action=BatchDeploymentOutputAction.APPEND_ROW,
        output_file_name="predictions.csv",
        retry_settings=BatchRetrySettings(max_retries=3, timeout=300),
        error_threshold=-1,
        logging_level="info",
    )


def deploy_simple(client: MLClient, endpoint_name: str, model: Model) -> None:
    """Create the deployment without a scoring script, and make it the endpoint's default."""
    deployment = ModelBatchDeployment(
        name=SIMPLE,
        description="A heart condition classifier based on XGBoost",
        endpoint_name=endpoint_name,
        model=model,
        compute=COMPUTE,
        settings=settings(),
    )
    client.batch_deployments.begin_create_or_update(deployment).result()
    endpoint = client.batch_endpoints.get(endpoint_name)
    endpoint.defaults.deployment_name = SIMPLE
    client.batch_endpoints.begin_create_or_update(endpoint).result()


def deploy_custom(client: MLClient, endpoint_name: str, model: Model) -> None:
    """Create the deployment with a scoring script, that appends its predictions to the records."""
    deployment = ModelBatchDeployment(
        name=CUSTOM,
        description="A heart condition classifier based on XGBoost, that appends its predictions to the records",
        endpoint_name=endpoint_name,
        model=model,
        environment=Environment(
            name="batch-mlflow-xgboost",
            image="mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest",
            conda_file=str(ROOT / "environment/conda.yaml"),
        ),
        code_configuration=CodeConfiguration(
            code=str(ROOT / "deployment-custom/code"), scoring_script="batch_driver.py"
        ),
        compute=COMPUTE,
        settings=settings(),
    )
    client.batch_deployments.begin_create_or_update(deployment).result()


def score(client: MLClient, endpoint_name: str, deployment_name: str, data: Data) -> str:
    """Run a job over the data to its end; return the name of the child that did the scoring.

    Raises:
        JobException: it failed; the text has the cause.
    """
    job = client.batch_endpoints.invoke(
        endpoint_name=endpoint_name,
        deployment_name=deployment_name,
        input=Input(type=AssetTypes.URI_FOLDER, path=data.id),
    )
    client.jobs.stream(name=job.name)
    children = client.jobs.list(parent_job_name=job.name)
    return next(str(child.name) for child in children)


def read_predictions(client: MLClient, job_name: str, folder: Path) -> pd.DataFrame:
    """Download the predictions of the deployment without a scoring script, and read them."""
    client.jobs.download(name=job_name, download_path=folder, output_name="score")
    return pd.read_csv(folder / "named-outputs/score/predictions.csv", names=COLUMNS)


def own_endpoint_name() -> str:
    """Return the endpoint name of this folder; names are unique in a region, so it has a suffix of its own."""
    if not NAME_FILE.exists():
        NAME_FILE.write_text(f"heart-classifier-batch-{secrets.token_hex(3)}\n")
    return NAME_FILE.read_text().strip()


def main(words: list[str] | None = None) -> None:
    """Take all steps."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--endpoint-name", help="default: what .endpoint-name says, which is made up once")
    parser.add_argument("--model", type=Path, default=ROOT / "model", help="folder of the MLflow model")
    parser.add_argument("--download-path", type=Path, default=Path(), help="where named-outputs/ goes")
    parser.add_argument("--custom", action="store_true", help="create the deployment with a scoring script, too")
    parser.add_argument("--delete", action="store_true", help="delete the endpoint in the end")
    asked = parser.parse_args(words)
    name = asked.endpoint_name or own_endpoint_name()
    client = connect()
    model = register_model(client, asked.model)
    data = register_data(client, ROOT / "data")
    create_compute(client)
    create_endpoint(client, name)
    deploy_simple(client, name, model)
    if asked.custom:
        deploy_custom(client, name, model)
    predictions = read_predictions(client, score(client, name, SIMPLE, data), asked.download_path)
    print(predictions)
    print(predictions.groupby("file")["prediction"].value_counts().unstack(fill_value=0))
    if asked.delete:
        client.batch_endpoints.begin_delete(name).result()
        print(f"Deleted the endpoint {name}", file=sys.stderr)


if __name__ == "__main__":
    main()
