"""The workspace: one part for each kind of thing, over one database and one folder."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from batchtwin.workspace.assets import Assets
from batchtwin.workspace.computes import Computes
from batchtwin.workspace.database.store import Store
from batchtwin.workspace.datastores import Datastores
from batchtwin.workspace.deployment_parts import Parts
from batchtwin.workspace.deployments import Deployments
from batchtwin.workspace.endpoints import Endpoints
from batchtwin.workspace.environments import Environments
from batchtwin.workspace.jobs.jobs import Jobs
from batchtwin.workspace.jobs.places import Places


class Workspace:
    """Models, data, computes, endpoints, deployments and jobs by name, as `workspace.jobs.get(name)`.

    A context manager: the end of the block closes the database.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.assets = Assets(store)
        self.environments = Environments(store.root, self.assets)
        self.computes = Computes(store)
        self.endpoints = Endpoints(store)
        self.datastores = Datastores(store.root, self.assets)
        parts = Parts(self.datastores, self.environments)
        self.deployments = Deployments(store, parts, self.computes, self.endpoints)
        self.jobs = Jobs(store, self.endpoints, self.deployments, Places(store.root, self.datastores))

    @classmethod
    def open(cls, location: str | None = None) -> Self:
        """Open a workspace: a folder or a database URL; else BATCHTWIN_WORKSPACE; else `.batchtwin/` here.

        A missing workspace is created; its folder is private to its owner.

        Raises:
            StoreError: it cannot be opened.
        """
        return cls(Store.open(location))

    @property
    def root(self) -> Path:
        """The folder that holds the content."""
        return self.store.root

    def close(self) -> None:
        """Close the database."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
