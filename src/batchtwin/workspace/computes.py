"""Computes: names of clusters that deployments need. Nothing runs on them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select

from batchtwin.workspace.database import tables
from batchtwin.workspace.database.rows import compute_of, first, upsert
from batchtwin.workspace.database.store import Store
from batchtwin.workspace.entities import Compute
from batchtwin.workspace.errors import InvalidError, NotFoundError
from batchtwin.workspace.names import check_name


class Computes:
    """Compute clusters by name. `create` is an upsert [A]."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self,
        name: str,
        *,
        size: str = "STANDARD_DS3_V2",
        min_instances: int = 0,
        max_instances: int = 4,
        idle_time: int = 120,
        type: str = "amlcompute",
    ) -> Compute:
        """Create or update a compute cluster. Jobs run on this machine, whatever its size.

        Raises:
            InvalidError: an invalid name or number.
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
            return compute_of(upsert(connection, tables.computes, {"name": name}, values))

    def get(self, name: str) -> Compute:
        """Return a compute.

        Raises:
            NotFoundError: there is none of this name.
        """
        with self._store.read() as connection:
            row = first(connection, select(tables.computes).where(tables.computes.c.name == name))
        if row is None:
            raise NotFoundError("compute", name)
        return compute_of(row)

    def list(self) -> Sequence[Compute]:
        """Return all computes by name."""
        with self._store.read() as connection:
            rows = connection.execute(select(tables.computes).order_by(tables.computes.c.name)).mappings()
            return [compute_of(row) for row in rows]

    def delete(self, name: str) -> None:
        """Delete a compute.

        Raises:
            NotFoundError: there is none of this name.
        """
        with self._store.write() as connection:
            if not connection.execute(delete(tables.computes).where(tables.computes.c.name == name)).rowcount:
                raise NotFoundError("compute", name)
