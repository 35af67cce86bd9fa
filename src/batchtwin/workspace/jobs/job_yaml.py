"""The deployment YAML of a job: the deployment as it was created, with the overrides of the invocation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchtwin.errors import DeploymentError
from batchtwin.workspace.entities import Asset, DeploymentRecord
from batchtwin.workspace.errors import InvalidError

if TYPE_CHECKING:
    from batchtwin.deployment.schema import Deployment

NAME = "deployment.yml"


def job_deployment(deployment: DeploymentRecord, overrides: Mapping[str, str]) -> Deployment:
    """Return the deployment that a job runs. `overrides` is that of `Deployment.load`.

    Raises:
        InvalidError: the value of an override cannot be used.
    """
    from batchtwin.deployment.schema import Deployment
    from batchtwin.deployment.yaml_file import YamlFile

    try:
        return Deployment.of(YamlFile(Path(NAME), job_data(deployment), {}), overrides)
    except DeploymentError as error:
        raise InvalidError("; ".join(f"{problem.key}: {problem.text}" for problem in error.problems)) from None


def write_yaml(deployment: Deployment, folder: Path) -> None:
    """Write the deployment YAML of a job, as JSON. Only its owner may read it: it holds environment variables."""
    data: dict[str, Any] = deployment.model_dump(mode="json", exclude_unset=True)
    data["type"] = "model"
    if "settings" in data:
        data["settings"].setdefault("mini_batch_size", deployment.settings.mini_batch_size)
    path = folder / NAME
    path.touch(mode=0o600)
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def job_data(deployment: DeploymentRecord) -> dict[str, Any]:
    """Return the data of the deployment YAML that a job runs: assets by the paths of their copies."""
    data: dict[str, Any] = deployment.spec.model_dump(mode="json", exclude_unset=True)
    model, environment = deployment.model, deployment.environment
    data["type"] = "model"
    data["model"] = {"name": model.name, "version": model.version, "type": model.type, "path": str(model.path)}
    if deployment.code:
        data["code_configuration"]["code"] = str(deployment.code.path)
    if environment:
        data["environment"] = _inline(environment)
    if "settings" in data:
        data["settings"].setdefault("mini_batch_size", deployment.spec.settings.mini_batch_size)
    return data


def _inline(environment: Asset) -> dict[str, Any]:
    properties = environment.properties
    inline: dict[str, Any] = {"name": environment.name, "version": environment.version}
    if "image" in properties:
        inline["image"] = properties["image"]
        if environment.path:
            inline["conda_file"] = str(environment.path)
        return inline
    inline["build"] = {"path": properties.get("build") or str(environment.path)}
    if "dockerfile_path" in properties:
        inline["build"]["dockerfile_path"] = properties["dockerfile_path"]
    return inline
