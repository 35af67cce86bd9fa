"""What `az ml` prints of an entity: the same keys, as plain data.

Source: the schemas that azure-ai-ml 1.35.2 dumps (`_to_dict`), and `BatchJob` for what an invocation returns. Names of
the cloud (subscription, group, workspace, region) are all `local`. Keys without a value are left out, as there.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote

import yaml

from batchtwin.deployment.reference import COLLECTIONS, PREFIX, WORKSPACE_ID
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.tracking.choice import MACHINE_LEARNING
from batchtwin.workspace.entities import Asset, Compute, DeploymentRecord, Endpoint, JobRecord
from batchtwin.workspace.names import CHILD_SUFFIX, asset_reference

LOCAL = "local"
WORKSPACE = WORKSPACE_ID.format(subscription=LOCAL, group=LOCAL, workspace=LOCAL)
# Where a viewer that was started with `mlflow ui` listens.
VIEWER = "http://127.0.0.1:5000"
BATCH_JOB = "Microsoft.MachineLearningServices/workspaces/batchEndpoints/jobs"


def asset_id(asset: Asset) -> str:
    """The full id of a version of a model, of data, code or an environment."""
    return f"{PREFIX}{WORKSPACE}/{COLLECTIONS[asset.kind]}/{asset.name}/versions/{asset.version}"


def endpoint_id(name: str) -> str:
    """The full id of an endpoint."""
    return f"{WORKSPACE}/batchEndpoints/{name}"


def compute_id(name: str) -> str:
    """The full id of a compute."""
    return f"{WORKSPACE}/computes/{name}"


def job_id(name: str) -> str:
    """The full id of a job."""
    return f"{PREFIX}{WORKSPACE}/jobs/{name}"


def asset(asset: Asset) -> dict[str, Any]:
    """Return what `model show` and `data show` print. `path` is that of the copy, or the registered address; `job_name`
    is the run that made a model.
    """
    from batchtwin.workspace.assets import made_by  # imports SQLAlchemy, which most commands do not need

    return _present(
        creation_context=_context(asset.created, asset.changed),
        description=asset.description,
        id=asset_id(asset),
        job_name=made_by(asset),
        name=asset.name,
        path=str(asset.path) if asset.path else asset.properties.get("uri"),
        properties=dict(asset.properties),
        resourceGroup=LOCAL,
        tags=dict(asset.tags),
        type=asset.type,
        version=asset.version,
    )


def environment(asset: Asset) -> dict[str, Any]:
    """Return what `environment show` prints; of a conda file the content."""
    properties, is_context = asset.properties, "image" not in asset.properties
    context = {"path": properties.get("build") or str(asset.path), "dockerfile_path": properties.get("dockerfile_path")}
    return _present(
        build=_present(**context) if is_context else None,
        conda_file=yaml.safe_load(asset.path.read_bytes()) if asset.path and not is_context else None,
        creation_context=_context(asset.created, asset.changed),
        description=asset.description,
        id=asset_id(asset),
        image=properties.get("image"),
        name=asset.name,
        os_type=properties.get("os_type", "linux"),
        resourceGroup=LOCAL,
        tags=dict(asset.tags),
        version=asset.version,
    )


def container(asset: Asset) -> dict[str, Any]:
    """Return what a list without `--name` prints of the newest version: the name, and which version is the last."""
    return _present(
        creation_context=_context(asset.created, asset.changed),
        id=asset_id(asset).rpartition("/versions/")[0],
        latest_version=asset.version,
        name=asset.name,
        properties={},
        resourceGroup=LOCAL,
        tags={},
        type=asset.type,
    )


def compute(compute: Compute) -> dict[str, Any]:
    """What `compute show` prints."""
    return _present(
        created_on=_time(compute.created),
        enable_node_public_ip=True,
        id=compute_id(compute.name),
        idle_time_before_scale_down=compute.idle_time_before_scale_down,
        location=LOCAL,
        max_instances=compute.max_instances,
        min_instances=compute.min_instances,
        name=compute.name,
        provisioning_state="Succeeded",
        resourceGroup=LOCAL,
        size=compute.size,
        tier="dedicated",
        type=compute.type,
    )


def datastore(name: str) -> dict[str, Any]:
    """Return what `datastore show` prints. The id has no prefix, so that `ID/paths/PATH` names a path in it [A]."""
    return {
        "account_name": LOCAL,
        "container_name": name,
        "credentials": {},
        "description": "",
        "endpoint": "core.windows.net",
        "id": f"{WORKSPACE}/datastores/{name}",
        "name": name,
        "protocol": "https",
        "resourceGroup": LOCAL,
        "tags": {},
        "type": "azure_blob",
    }


def endpoint(endpoint: Endpoint) -> dict[str, Any]:
    """Return what `batch-endpoint show` prints. `scoring_uri` has the form of the cloud; no server answers there."""
    host = f"https://{endpoint.name}.{LOCAL}.inference.ml.azure.com"
    return _present(
        auth_mode=endpoint.auth_mode,
        defaults={"deployment_name": endpoint.default_deployment} if endpoint.default_deployment else {},
        description=endpoint.description,
        id=endpoint_id(endpoint.name),
        location=LOCAL,
        name=endpoint.name,
        openapi_uri=None,
        properties=dict(endpoint.properties),
        provisioning_state="Succeeded",
        resourceGroup=LOCAL,
        scoring_uri=f"{host}/jobs",
        tags=dict(endpoint.tags),
    )


def deployment(deployment: DeploymentRecord) -> dict[str, Any]:
    """What `batch-deployment show` prints."""
    spec, settings = deployment.spec, deployment.spec.settings
    dumped = settings.model_dump(exclude={"instance_count", "environment_variables"})
    if settings.output_action == "summary_only":
        dumped.pop("output_file_name")
    return _present(
        code_configuration=_code(deployment),
        compute=compute_name(spec.compute),
        creation_context=_context(deployment.created, deployment.changed),
        description=spec.description,
        endpoint_name=deployment.endpoint,
        environment=asset_id(deployment.environment) if deployment.environment else _named_environment(deployment),
        environment_variables=dict(settings.environment_variables),
        error_threshold=settings.error_threshold,
        id=f"{endpoint_id(deployment.endpoint)}/deployments/{deployment.name}",
        model=asset_id(deployment.model),
        name=deployment.name,
        properties=dict(spec.properties),
        provisioning_state="Succeeded",
        resourceGroup=LOCAL,
        resources={"instance_count": spec.instance_count, "properties": {}},
        settings=dumped,
        tags=dict(spec.tags),
        type="model",
    )


def invoked(job: JobRecord) -> dict[str, Any]:
    """What `batch-endpoint invoke` prints, and `list-jobs` of each job."""
    return {
        "id": f"{endpoint_id(job.endpoint)}/jobs/{job.name}",
        "name": job.name,
        "resourceGroup": LOCAL,
        "status": job.status.value,
        "type": BATCH_JOB,
    }


def job(job: JobRecord, tracking: str) -> dict[str, Any]:
    """What `job show` prints: a pipeline with one child, `batchscoring`. `tracking` is MLflow's URI."""
    child = job.name.endswith(CHILD_SUFFIX)
    return _present(
        creation_context=_context(job.created, job.ended or job.started or job.created),
        display_name=job.display_name,
        end_time=_time(job.ended) if job.ended else None,
        error={"message": job.error} if job.error else None,
        experiment_name=job.experiment,
        id=job_id(job.name),
        inputs={"job_data_path": {"mode": "ro_mount", "path": job.input, "type": _input_type(job)}},
        jobs=None if child else {"batchscoring": {"type": "parallel", "name": job.name + CHILD_SUFFIX}},
        name=job.name,
        outputs={"score": {"mode": "upload", "path": str(OutputFolder(job.output).score), "type": "uri_folder"}},
        parent_job_name=job.name.removesuffix(CHILD_SUFFIX) if child else None,
        properties={**job.properties, **job.times},
        resourceGroup=LOCAL,
        services={
            "Studio": {"endpoint": web_address(job, tracking), "type": "Studio"},
            "Tracking": {"endpoint": tracking, "type": "Tracking"},
            **_origins(job, tracking),
        },
        start_time=_time(job.started) if job.started else None,
        status=job.status.value,
        tags=dict(job.tags),
        type="parallel" if child else "pipeline",
    )


def web_address(job: JobRecord, tracking: str) -> str:
    """Return the address of the job's page in MLflow: of the server that `tracking` is, or of `mlflow ui` here."""
    return _page(f"runs/{quote(job.mlflow_run_id)}" if job.mlflow_run_id else "experiments", tracking)


def _page(path: str, tracking: str) -> str:
    server = tracking.rstrip("/") if tracking.startswith(("http://", "https://")) else VIEWER
    return f"{server}/#/{path}{MACHINE_LEARNING}"


def _origins(job: JobRecord, tracking: str) -> dict[str, dict[str, str]]:
    """Return the pages in MLflow of the job's model and of the run that trained it, as far as known."""
    pages = {}
    if job.mlflow_run_id and isinstance(model := job.properties.get("model"), str):
        pages["Model"] = f"models/{quote(asset_reference('model', model).name)}"
    if isinstance(run := job.properties.get("training_run"), str):
        pages["Training"] = f"runs/{quote(run)}"
    return {name: {"endpoint": _page(path, tracking), "type": name} for name, path in pages.items()}


def compute_name(reference: str) -> str:
    """The full id of the compute that a deployment names."""
    return f"{PREFIX}{compute_id(asset_reference('compute', reference).name)}"


def _code(deployment: DeploymentRecord) -> dict[str, str] | None:
    configuration = deployment.spec.code_configuration
    if configuration is None:
        return None
    code = asset_id(deployment.code).removeprefix(PREFIX) if deployment.code else configuration.code
    return {"code": code, "scoring_script": configuration.scoring_script}


def _named_environment(deployment: DeploymentRecord) -> str | None:
    spec = deployment.spec.environment
    return spec if isinstance(spec, str) else None


def _input_type(job: JobRecord) -> str:
    kind = job.properties.get("input_type")
    return kind if isinstance(kind, str) else "uri_folder"


def _context(created: datetime, changed: datetime) -> dict[str, str]:
    return {
        "created_at": _time(created),
        "created_by": LOCAL,
        "created_by_type": "User",
        "last_modified_at": _time(changed),
        "last_modified_by": LOCAL,
        "last_modified_by_type": "User",
    }


def _time(moment: datetime) -> str:
    return moment.isoformat()


def _present(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
