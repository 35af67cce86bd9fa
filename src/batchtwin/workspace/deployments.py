"""Deployments: a deployment YAML and the assets that it names, at their present versions."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, select, update

from batchtwin.deployment.reference import is_reference
from batchtwin.errors import DeploymentError
from batchtwin.workspace.assets import NOTHING
from batchtwin.workspace.computes import Computes
from batchtwin.workspace.database import tables
from batchtwin.workspace.database.rows import deployment_of, first, upsert, utc_now
from batchtwin.workspace.database.store import Store
from batchtwin.workspace.deployment_parts import Parts
from batchtwin.workspace.endpoints import Endpoints
from batchtwin.workspace.entities import Asset, DeploymentRecord
from batchtwin.workspace.errors import InvalidError, NotFoundError
from batchtwin.workspace.names import asset_reference

if TYPE_CHECKING:
    from batchtwin.deployment.schema import Deployment


class Deployments:
    """Deployments of endpoints. Nothing runs here."""

    def __init__(self, store: Store, parts: Parts, computes: Computes, endpoints: Endpoints) -> None:
        self._store = store
        self._parts = parts
        self._computes = computes
        self._endpoints = endpoints

    def create(
        self,
        yaml_file: Path,
        overrides: Mapping[str, str] = NOTHING,
        *,
        endpoint: str | None = None,
        name: str | None = None,
        set_default: bool = False,
    ) -> DeploymentRecord:
        """Create a deployment, or replace it [A: an upsert]. What its YAML brings along is registered.

        `overrides` as in `Deployment.load`; `endpoint` and `name` override the YAML's.

        Raises:
            DeploymentError: the YAML is invalid.
            InvalidError: its parts contradict each other.
            NotFoundError: its endpoint, compute, model or environment does not exist.
        """
        from batchtwin.deployment.schema import Deployment

        names = {"endpoint_name": endpoint, "name": name}
        name_overrides = {key: json.dumps(value) for key, value in names.items() if value is not None}
        spec = Deployment.load(yaml_file, {**overrides, **name_overrides})
        return self._create(spec, yaml_file, set_default)

    def put(self, data: Mapping[str, Any]) -> DeploymentRecord:
        """Create a deployment, as `create` does, from the data of its YAML.

        It may only name registered assets, no path of this machine.

        Raises:
            InvalidError: it is invalid.
            NotFoundError: its endpoint, compute, model, code or environment does not exist.
        """
        from batchtwin.deployment.schema import Deployment

        with tempfile.TemporaryDirectory(dir=self._store.root, prefix=".deployment-") as scratch:
            path = Path(scratch) / "deployment.yml"
            path.write_text(json.dumps(data), encoding="utf-8")  # JSON is YAML
            try:
                spec = Deployment.load(path)
            except DeploymentError as error:
                raise InvalidError("; ".join(f"{problem.key}: {problem.text}" for problem in error.problems)) from None
            _require_registered(spec)
            return self._create(spec, path, set_default=False)

    def _create(self, spec: Deployment, yaml_file: Path, set_default: bool) -> DeploymentRecord:
        self._endpoints.get(spec.endpoint_name)
        self._computes.get(asset_reference("compute", spec.compute).name)
        folder = yaml_file.absolute().parent
        model = self._parts.model(spec, folder)
        code = self._parts.code(spec, folder)
        environment = self._parts.environment(spec, folder)
        stored = _with_references(spec, model, code, environment)
        with self._store.write() as connection:
            key = {"endpoint": spec.endpoint_name, "name": spec.name}
            ids = {
                "model": _id(connection, model),
                "code": _id(connection, code),
                "environment": _id(connection, environment),
            }
            if not first(connection, select(tables.endpoints).where(tables.endpoints.c.name == spec.endpoint_name)):
                raise NotFoundError("endpoint", spec.endpoint_name)  # deleted meanwhile
            row = upsert(connection, tables.deployments, key, {"spec": stored, **ids})
            if set_default:
                _set_default(connection, spec.endpoint_name, spec.name)
            return deployment_of(row, connection, self._store.root)

    def warnings(self, deployment: DeploymentRecord) -> Sequence[str]:
        """Return warnings about its jobs: how the environment differs, mistakes in the script. Nothing runs.

        `batchtwin plan` and the job itself give the same warnings.
        """
        from batchtwin.workspace.jobs.preview import warnings

        return warnings(deployment, self._store.root)

    def get(self, endpoint: str, name: str) -> DeploymentRecord:
        """Return a deployment.

        Raises:
            NotFoundError: there is no such endpoint, or it has no such deployment.
        """
        for deployment in self.list(endpoint):
            if deployment.name == name:
                return deployment
        raise NotFoundError("deployment", name)

    def list(self, endpoint: str) -> Sequence[DeploymentRecord]:
        """Return the deployments of an endpoint by name.

        Raises:
            NotFoundError: there is no such endpoint.
        """
        self._endpoints.get(endpoint)
        table = tables.deployments
        with self._store.read() as connection:
            query = select(table).where(table.c.endpoint == endpoint).order_by(table.c.name)
            rows = connection.execute(query).mappings().all()
            return [deployment_of(row, connection, self._store.root) for row in rows]

    def delete(self, endpoint: str, name: str) -> None:
        """Delete a deployment; if it was its endpoint's default, there is no default then [R].

        Raises:
            NotFoundError: there is no such deployment.
        """
        table = tables.deployments
        with self._store.write() as connection:
            done = connection.execute(delete(table).where(table.c.endpoint == endpoint, table.c.name == name))
            if not done.rowcount:
                raise NotFoundError("deployment", name)
            matches = (tables.endpoints.c.name == endpoint, tables.endpoints.c.default_deployment == name)
            values = {"default_deployment": None, "changed": utc_now()}
            connection.execute(update(tables.endpoints).where(*matches).values(**values))


def _require_registered(spec: Deployment) -> None:
    """Refuse paths of this machine: a client that sends a deployment must not read its files."""
    if not isinstance(spec.model, str):
        raise InvalidError("model: must be registered; name its version")
    if spec.environment is not None and not isinstance(spec.environment, str):
        raise InvalidError("environment: must be registered; name its version")
    if spec.code_configuration and not is_reference(spec.code_configuration.code):
        raise InvalidError("code_configuration.code: must be registered; name its version")


def _with_references(spec: Deployment, model: Asset, code: Asset | None, environment: Asset | None) -> str:
    """Return the deployment as JSON, with `azureml:NAME:VERSION` for each of its parts."""
    data = spec.model_dump(mode="json", exclude_unset=True)
    data["model"] = model.reference
    if code:
        data["code_configuration"]["code"] = code.reference
    if environment:
        data["environment"] = environment.reference
    return json.dumps(data)


def _id(connection: Connection, asset: Asset | None) -> int | None:
    if asset is None:
        return None
    table = tables.assets
    matches = (table.c.kind == asset.kind, table.c.name == asset.name, table.c.version == asset.version)
    number: int = connection.execute(select(table.c.id).where(*matches)).scalar_one()
    return number


def _set_default(connection: Connection, endpoint: str, name: str) -> None:
    matches = tables.endpoints.c.name == endpoint
    connection.execute(update(tables.endpoints).where(matches).values(default_deployment=name, changed=utc_now()))
