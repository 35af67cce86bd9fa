"""Each model sample through the command line, then through the SDK, in an environment of its own."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from model_samples import SAMPLES, TEXTS, Service, embedding, make
from served import Server

from support import batchtwin


def lines(folder: Path) -> list[str]:
    """The lines of the predictions, sorted: mini-batches end in any order."""
    return sorted((folder / "predictions.csv").read_text().splitlines())


def tabular(folder: Path) -> None:
    """The model's own values, without a script: row, value, file."""
    assert lines(folder) == ["0,184.0,b.csv", "0,242.5,a.csv", "1,199.0,a.csv"]


def parquet(folder: Path) -> None:
    """A file for each file, with the columns of the input."""
    assert pd.read_parquet(folder / "a.parquet").to_dict("list") == {
        "age": [63, 37],
        "chol": [233, 250],
        "prediction": [242.5, 199.0],
    }
    assert pd.read_parquet(folder / "b.parquet")["prediction"].tolist() == [184.0]


def torch(folder: Path) -> None:
    """A row for each image: file, class, probability."""
    assert lines(folder) == [f"digit-{digit}.png {digit} 0.9867" for digit in range(3)]


def keras(folder: Path) -> None:
    """A row for each image: file, class."""
    assert lines(folder) == [f"digit-{digit}.png {digit}" for digit in range(3)]


def summaries(folder: Path) -> None:
    """A row for each text, quoted where it has spaces."""
    assert lines(folder) == [
        'bills-0.csv "one two three"',
        "bills-0.csv short",
        'bills-1.csv "alpha beta gamma"',
    ]


def embeddings(folder: Path) -> None:
    """A file of vectors for each file, as the service computes them."""
    for name, text in TEXTS.items():
        expected = [embedding(line.strip('"')) for line in text.splitlines()[1:]]
        assert json.loads((folder / name).with_suffix(".json").read_text()) == expected


CHECKS: dict[str, Callable[[Path], None]] = {
    check.__name__: check for check in (tabular, parquet, torch, keras, summaries, embeddings)
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_runs_from_the_command_line_and_from_the_sdk(
    name: str, sdk: Any, server: Server, service: Service, tmp_path: Path
) -> None:
    deployment = make(name, tmp_path / "sample")
    by_words(name, deployment, server, service, tmp_path)
    CHECKS[name](tmp_path / "named-outputs/score")
    by_sdk(name, deployment, sdk, service, tmp_path / "sdk")
    CHECKS[name](tmp_path / "sdk/named-outputs/score")
    assert service.requests == (4 if name == "embeddings" else 0)


def by_words(name: str, deployment: Path, server: Server, service: Service, folder: Path) -> None:
    """What the samples' scripts do with `az`."""
    endpoint, kind = f"{name}-batch", "mlflow_model" if name == "tabular" else "custom_model"

    def az(*words: str | Path) -> str:
        done = batchtwin("ml", *words, cwd=folder, env=server.environment)
        assert done.code == 0, done.err
        return done.out.strip()

    az("model", "create", "--name", f"{name}-model", "--type", kind, "--path", deployment.with_name("model"))
    az("data", "create", "--name", f"{name}-data", "--path", deployment.with_name("data"), "-t", "uri_folder")
    az("compute", "create", "-n", "batch-cluster", "--type", "amlcompute", "--min-instances", "0")
    az("batch-endpoint", "create", "--name", endpoint)
    variable = f"settings.environment_variables.OPENAI_API_BASE={service.address}"
    az("batch-deployment", "create", "--file", deployment, "-e", endpoint, "--set-default", "--set", variable)
    words = ("--name", endpoint, "--input", f"azureml:{name}-data@latest", "--query", "name", "-o", "tsv")
    job = az("batch-endpoint", "invoke", *words)
    az("job", "stream", "-n", job)
    assert az("job", "show", "-n", job, "--query", "status", "-o", "tsv") == "Completed"
    az("job", "download", "--name", job, "--output-name", "score", "--download-path", "./")


def by_sdk(name: str, path: Path, sdk: Any, service: Service, folder: Path) -> None:
    """What the samples' notebooks do, with the same files, as another deployment of the endpoint."""
    from azure.ai.ml import Input
    from azure.ai.ml.entities._load_functions import load_model_batch_deployment

    endpoint = f"{name}-batch"
    deployment = load_model_batch_deployment(path, params_override=[{"name": "by-sdk"}])
    deployment.settings.environment_variables = {"OPENAI_API_BASE": service.address}
    deployment.model = sdk.models.get(f"{name}-model", label="latest").id
    sdk.batch_deployments.begin_create_or_update(deployment).result()
    data = sdk.data.get(f"{name}-data", label="latest")
    job = sdk.batch_endpoints.invoke(
        endpoint_name=endpoint, deployment_name="by-sdk", input=Input(type="uri_folder", path=data.id)
    )
    with contextlib.redirect_stdout(io.StringIO()):
        sdk.jobs.stream(job.name)
    assert sdk.jobs.get(job.name).status == "Completed"
    sdk.jobs.download(job.name, output_name="score", download_path=folder)
