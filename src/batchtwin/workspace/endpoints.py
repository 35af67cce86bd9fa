"""Computes and endpoints: names that deployments need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, select, update

from batchtwin.workspace import tables
from batchtwin.workspace.assets import NOTHING
from batchtwin.workspace.entities import Compute, Endpoint
from batchtwin.workspace.environments import Environments
from batchtwin.workspace.errors import InvalidError, NotFoundError
from batchtwin.workspace.names import check_name
from batchtwin.workspace.rows import compute_of, endpoint_of, first, now, upsert

CHANGEABLE = ("description", "tags", "properties", "default_deployment")


class Endpoints(Environments):
    """The verbs for computes and endpoints. `create` is an upsert [A]."""

    def create_compute(
        self,
        name: str,
        *,
        size: str = "STANDARD_DS3_V2",
        min_instances: int = 0,
        max_instances: int = 4,
        idle_time: int = 120,
        type: str = "amlcompute",
    ) -> Compute:
        """Note a compute cluster. Jobs run on this machine whatever it says.

        Raises:
            InvalidError: a name or number that cannot be.
        """
        check_name("compute", name)
        if type.lower() != "amlcompute":
            raise InvalidError(f"compute {name}: type {type!r}: batch jobs run on amlcompute")
        if not 0 <= min_instances <= max_instances or max_instances < 1 or idle_time < 0:
            text = (
                "needs 0 <= min_instances <= max_instances, max_instances >= 1, and an idle time that is not negative"
            )
            raise InvalidError(f"compute {name}: {text}")
        values = {
            "type": "amlcompute",
            "size": size,
            "min_instances": min_instances,
            "max_instances": max_instances,
            "idle_time_before_scale_down": idle_time,
        }
        with self._store.write() as connection:
            upsert(connection, tables.computes, {"name": name}, values)
        return self.compute(name)

    def compute(self, name: str) -> Compute:
        """Return a compute.

        Raises:
            NotFoundError: there is none of this name.
        """
        with self._store.read() as connection:
            row = first(connection, select(tables.computes).where(tables.computes.c.name == name))
        if row is None:
            raise NotFoundError("compute", name)
        return compute_of(row)

    def computes(self) -> list[Compute]:
        """Return all computes by name."""
        with self._store.read() as connection:
            rows = connection.execute(select(tables.computes).order_by(tables.computes.c.name)).mappings()
            return [compute_of(row) for row in rows]

    def delete_compute(self, name: str) -> None:
        """Forget a compute.

        Raises:
            NotFoundError: there is none of this name.
        """
        with self._store.write() as connection:
            if not connection.execute(delete(tables.computes).where(tables.computes.c.name == name)).rowcount:
                raise NotFoundError("compute", name)

    def create_endpoint(
        self,
        name: str,
        *,
        description: str = "",
        tags: Mapping[str, Any] = NOTHING,
        properties: Mapping[str, Any] = NOTHING,
        default_deployment: str | None = None,
    ) -> Endpoint:
        """Create an endpoint, or give it these values. Without `default_deployment` the default stays.

        Raises:
            InvalidError: a name that cannot be.
            NotFoundError: it has no deployment of this name.
        """
        check_name("endpoint", name)
        values: dict[str, Any] = {"description": description, "tags": dict(tags), "properties": dict(properties)}
        with self._store.write() as connection:
            if default_deployment is not None:
                _require_deployment(connection, name, default_deployment)
                values["default_deployment"] = default_deployment
            upsert(connection, tables.endpoints, {"name": name}, values)
        return self.endpoint(name)

    def update_endpoint(self, name: str, **changes: Any) -> Endpoint:
        """Change `description`, `tags`, `properties` or `default_deployment` (None for none).

        Raises:
            InvalidError: something else.
            NotFoundError: there is no such endpoint, or it has no deployment of this name.
        """
        unknown = sorted(changes.keys() - set(CHANGEABLE))
        if unknown:
            raise InvalidError(f"endpoint {name}: {unknown[0]}: cannot be changed; what can: {', '.join(CHANGEABLE)}")
        with self._store.write() as connection:
            _require_endpoint(connection, name)
            if changes.get("default_deployment") is not None:
                _require_deployment(connection, name, changes["default_deployment"])
            matches = tables.endpoints.c.name == name
            connection.execute(update(tables.endpoints).where(matches).values(**changes, changed=now()))
        return self.endpoint(name)

    def endpoint(self, name: str) -> Endpoint:
        """Return an endpoint.

        Raises:
            NotFoundError: there is none of this name.
        """
        with self._store.read() as connection:
            row = first(connection, select(tables.endpoints).where(tables.endpoints.c.name == name))
        if row is None:
            raise NotFoundError("endpoint", name)
        return endpoint_of(row)

    def endpoints(self) -> list[Endpoint]:
        """Return all endpoints by name."""
        with self._store.read() as connection:
            rows = connection.execute(select(tables.endpoints).order_by(tables.endpoints.c.name)).mappings()
            return [endpoint_of(row) for row in rows]

    def delete_endpoint(self, name: str) -> None:
        """Delete an endpoint with its deployments; jobs, outputs, models, data and compute stay [A].

        Raises:
            NotFoundError: there is none of this name.
        """
        with self._store.write() as connection:
            _require_endpoint(connection, name)
            connection.execute(delete(tables.deployments).where(tables.deployments.c.endpoint == name))
            connection.execute(delete(tables.endpoints).where(tables.endpoints.c.name == name))


def _require_endpoint(connection: Connection, name: str) -> None:
    if not first(connection, select(tables.endpoints).where(tables.endpoints.c.name == name)):
        raise NotFoundError("endpoint", name)


def _require_deployment(connection: Connection, endpoint: str, name: str) -> None:
    deployments = tables.deployments
    query = select(deployments.c.name).where(deployments.c.endpoint == endpoint, deployments.c.name == name)
    if not first(connection, query):
        raise NotFoundError("deployment", name)
