"""The workspace: every verb once, for every face."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from batchtwin.workspace.datastores import Datastores
from batchtwin.workspace.store import Store


class Workspace(Datastores):
    """Models, data, computes, endpoints, deployments and jobs by name. A context manager."""

    @classmethod
    def open(cls, where: str | None = None) -> Self:
        """Open a workspace: a folder or a database URL; else BATCHTWIN_WORKSPACE; else `.batchtwin/` here.

        It is made if it is not there.

        Raises:
            StoreError: it cannot be opened.
        """
        return cls(Store.open(where))

    def close(self) -> None:
        """Close the database."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
