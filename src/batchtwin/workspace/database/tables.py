"""The tables of a workspace's database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)


class Moment(TypeDecorator[datetime]):
    """A time in UTC; SQLite keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Write it in UTC."""
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Read it as UTC."""
        if value is None:
            return None
        moment: datetime = value
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _times() -> tuple[Column[Any], Column[Any]]:
    return Column("created", Moment, nullable=False), Column("changed", Moment, nullable=False)


def _described() -> tuple[Column[Any], Column[Any], Column[Any]]:
    return (
        Column("description", Text, nullable=False),
        Column("tags", JSON, nullable=False),
        Column("properties", JSON, nullable=False),
    )


metadata = MetaData()

# `schema` and `root`; a writer locks its row `schema`.
workspace = Table(
    "workspace",
    metadata,
    Column("key", String(32), primary_key=True),
    Column("value", Text, nullable=False),
)

# In order of `id`, as they were created. `path` is relative to the workspace's folder.
assets = Table(
    "assets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("name", String(255), nullable=False),
    Column("version", String(255), nullable=False),
    Column("type", String(32)),
    Column("path", Text),
    Column("content_hash", String(64), nullable=False),
    Column("archived", Boolean, nullable=False, default=False),
    *_described(),
    *_times(),
    UniqueConstraint("kind", "name", "version"),
)

computes = Table(
    "computes",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("type", String(32), nullable=False),
    Column("size", String(64), nullable=False),
    Column("min_instances", Integer, nullable=False),
    Column("max_instances", Integer, nullable=False),
    Column("idle_time_before_scale_down", Integer, nullable=False),
    *_times(),
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("default_deployment", String(64)),
    *_described(),
    *_times(),
)

deployments = Table(
    "deployments",
    metadata,
    Column("endpoint", String(64), ForeignKey("endpoints.name"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("spec", Text, nullable=False),
    Column("model", Integer, ForeignKey("assets.id"), nullable=False),
    Column("code", Integer, ForeignKey("assets.id")),
    Column("environment", Integer, ForeignKey("assets.id")),
    *_times(),
)

# `request` holds `input` and `output_path` (paths) and `parameters` (settings by name, for MLflow); `fingerprint` is
# the hash of the invocation. `pid` and `pid_started` (seconds since the epoch) are the process that is responsible for
# the job until it has ended: the command that invokes it, then the job's own process, which has `claimed` it and
# handles signals. The lock in the job's folder tells whether it is alive; for a job without one `pid_started` does.
jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("display_name", String(255), nullable=False),
    Column("endpoint", String(64), nullable=False, index=True),
    Column("deployment", String(64), nullable=False),
    Column("experiment", String(255), nullable=False),
    Column("status", String(32), nullable=False),
    Column("input", Text, nullable=False),
    Column("output", Text, nullable=False),
    Column("output_file_name", Text),
    Column("fingerprint", String(64), nullable=False),
    Column("request_id", String(255), unique=True),
    Column("request", JSON, nullable=False),
    Column("pid", Integer),
    Column("pid_started", Double),
    Column("claimed", Boolean, nullable=False, default=False),
    Column("created", Moment, nullable=False),
    Column("started", Moment),
    Column("ended", Moment),
    Column("error", Text),
    Column("mlflow_run_id", String(64)),
    Column("tags", JSON, nullable=False),
    Column("properties", JSON, nullable=False),
)
