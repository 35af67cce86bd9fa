"""Rows of the database -> entities."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, Table, insert, select, update

from batchtwin.workspace.database import tables
from batchtwin.workspace.entities import Asset, Compute, DeploymentRecord, Endpoint, JobRecord, JobStatus


def utc_now() -> datetime:
    """Return the present time, in UTC."""
    return datetime.now(UTC)


def first(connection: Connection, query: Select[Any]) -> RowMapping | None:
    """Return the first row of the query."""
    return connection.execute(query).mappings().first()


def upsert(connection: Connection, table: Table, key: dict[str, Any], values: dict[str, Any]) -> RowMapping:
    """Update the row with this key, or insert it; set `changed` and, for a new row, `created`. Return the row."""
    moment = utc_now()
    matches = [table.c[name] == value for name, value in key.items()]
    if first(connection, select(table).where(*matches)):
        connection.execute(update(table).where(*matches).values(**values, changed=moment))
    else:
        connection.execute(insert(table).values(**key, **values, created=moment, changed=moment))
    return connection.execute(select(table).where(*matches)).mappings().one()


def asset_of(row: RowMapping, root: Path) -> Asset:
    """Return the asset of a row; its path is absolute."""
    return Asset(
        kind=row["kind"],
        name=row["name"],
        version=row["version"],
        type=row["type"],
        path=root / row["path"] if row["path"] else None,
        content_hash=row["content_hash"],
        description=row["description"],
        tags=row["tags"],
        properties=row["properties"],
        created=row["created"],
        changed=row["changed"],
        archived=row["archived"],
    )


def compute_of(row: RowMapping) -> Compute:
    """Return the compute of a row."""
    return Compute(**row)


def endpoint_of(row: RowMapping) -> Endpoint:
    """Return the endpoint of a row."""
    return Endpoint(**row)


def deployment_of(row: RowMapping, connection: Connection, root: Path) -> DeploymentRecord:
    """Return the deployment of a row, with its assets."""
    from batchtwin.deployment.schema import Deployment

    def asset(number: int | None) -> Asset | None:
        asset_row = first(connection, select(tables.assets).where(tables.assets.c.id == number)) if number else None
        return asset_of(asset_row, root) if asset_row else None

    model = asset(row["model"])
    assert model is not None  # noqa: S101 - the database sees to it
    return DeploymentRecord(
        endpoint=row["endpoint"],
        name=row["name"],
        spec=Deployment.model_validate_json(row["spec"]),
        model=model,
        code=asset(row["code"]),
        environment=asset(row["environment"]),
        created=row["created"],
        changed=row["changed"],
    )


def job_record(row: RowMapping, root: Path) -> JobRecord:
    """Return the job of a row, as it was recorded last."""
    return JobRecord(
        name=row["name"],
        display_name=row["display_name"],
        endpoint=row["endpoint"],
        deployment=row["deployment"],
        experiment=row["experiment"],
        status=JobStatus(row["status"]),
        input=row["input"],
        output=root / row["output"],
        output_file_name=row["output_file_name"],
        created=row["created"],
        started=row["started"],
        ended=row["ended"],
        error=row["error"],
        mlflow_run_id=row["mlflow_run_id"],
        tags=row["tags"],
        properties=row["properties"],
    )
