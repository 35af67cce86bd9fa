"""Endpoints: names that route an invocation to a deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, update

from batchtwin.workspace.assets import NOTHING
from batchtwin.workspace.database import tables
from batchtwin.workspace.database.rows import endpoint_of, first, upsert, utc_now
from batchtwin.workspace.database.store import Store
from batchtwin.workspace.entities import Endpoint
from batchtwin.workspace.errors import InvalidError, NotFoundError
from batchtwin.workspace.names import check_name

CHANGEABLE = ("description", "tags", "properties", "default_deployment")


class Endpoints:
    """Endpoints and their default deployment. `create` is an upsert [A]."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self,
        name: str,
        *,
        description: str = "",
        tags: Mapping[str, Any] = NOTHING,
        properties: Mapping[str, Any] = NOTHING,
        default_deployment: str | None = None,
    ) -> Endpoint:
        """Create an endpoint, or update it. Without `default_deployment` the default stays.

        Raises:
            InvalidError: an invalid name.
            NotFoundError: it has no deployment of this name.
        """
        check_name("endpoint", name)
        values: dict[str, Any] = {"description": description, "tags": dict(tags), "properties": dict(properties)}
        with self._store.write() as connection:
            if default_deployment is not None:
                _require_deployment(connection, name, default_deployment)
                values["default_deployment"] = default_deployment
            return endpoint_of(upsert(connection, tables.endpoints, {"name": name}, values))

    def update(self, name: str, **changes: Any) -> Endpoint:
        """Update `description`, `tags`, `properties` or `default_deployment` (None for none).

        Raises:
            InvalidError: another key.
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
            connection.execute(update(tables.endpoints).where(matches).values(**changes, changed=utc_now()))
        return self.get(name)

    def get(self, name: str) -> Endpoint:
        """Return an endpoint.

        Raises:
            NotFoundError: there is none of this name.
        """
        with self._store.read() as connection:
            row = first(connection, select(tables.endpoints).where(tables.endpoints.c.name == name))
        if row is None:
            raise NotFoundError("endpoint", name)
        return endpoint_of(row)

    def list(self) -> Sequence[Endpoint]:
        """Return all endpoints by name."""
        with self._store.read() as connection:
            rows = connection.execute(select(tables.endpoints).order_by(tables.endpoints.c.name)).mappings()
            return [endpoint_of(row) for row in rows]

    def delete(self, name: str) -> None:
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
