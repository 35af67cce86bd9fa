"""Models, data, code and environments: registered copies, with versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, insert, select, update

from batchtwin.deployment.model import read_model
from batchtwin.deployment.reference import ANONYMOUS
from batchtwin.errors import ModelError
from batchtwin.workspace import snapshot
from batchtwin.workspace.database.rows import asset_of, first, utc_now
from batchtwin.workspace.database.store import Store
from batchtwin.workspace.database.tables import assets
from batchtwin.workspace.entities import NO_METADATA, Asset, Kind, Metadata
from batchtwin.workspace.errors import ConflictError, InvalidError, NotFoundError
from batchtwin.workspace.names import asset_reference, check_name, check_version
from batchtwin.workspace.snapshot import Staged

TYPES: Mapping[Kind, tuple[str, ...]] = {
    "model": ("custom_model", "mlflow_model", "triton_model"),
    "data": ("uri_folder", "uri_file", "mltable"),
    "code": (),
    "environment": (),
}
FOLDERS: Mapping[Kind, str] = {"model": "models", "data": "data", "code": "code", "environment": "environments"}
NOTHING: Mapping[str, Any] = {}


class Assets:
    """Registered things, by name and version."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self,
        kind: Kind,
        name: str,
        *,
        path: Path | None = None,
        uri: str | None = None,
        type: str | None = None,
        version: str | None = None,
        metadata: Metadata = NO_METADATA,
    ) -> Asset:
        """Register a copy of `path`, or a remote address.

        Without `version` it becomes the next version, unless the newest version already has this content [R]. An
        existing version with this content gets the new description, tags and properties.

        Raises:
            InvalidError: an invalid name, type or path.
            ConflictError: this version exists with other content.
        """
        check_name(kind, name)
        if version is not None:
            check_version(version)
        draft = {
            "kind": kind,
            "name": name,
            "type": _type(kind, type, path),
            "description": metadata.description,
            "tags": dict(metadata.tags),
            "properties": dict(metadata.properties) | ({"uri": uri} if uri else {}),
        }
        if path is None:
            if uri is None and kind != "environment":
                raise InvalidError(f"{kind} {name}: a path is required")
            return self._register(draft, version, None)
        registered = self._registered_content(draft, version)
        if registered and snapshot.unchanged(self._store.root, path, registered):
            existing = self._same(draft, version, registered)
            if existing:
                return existing
        with snapshot.staged(self._store.root, path) as copy:
            return self._register(draft, version, copy)

    def get(self, kind: Kind, name: str, version: str | None = None, label: str | None = None) -> Asset:
        """Return one version; for the label `latest`, or without both, the newest that is not archived.

        Raises:
            NotFoundError: there is none.
            InvalidError: another label.
        """
        if label not in {None, "latest"}:
            raise InvalidError(f"{kind} {name}@{label}: the only label is latest")
        with self._store.read() as connection:
            row = first(connection, _query(kind, name, version))
        if row is None:
            raise NotFoundError(kind, f"{name}:{version}" if version else name)
        return asset_of(row, self._store.root)

    def list(self, kind: Kind, name: str | None = None, include_archived: bool = False) -> Sequence[Asset]:
        """Return the newest version of every name; with `name` all its versions, newest first."""
        query = select(assets).where(assets.c.kind == kind).order_by(assets.c.id.desc())
        if name is not None:
            query = query.where(assets.c.name == name)
        if not include_archived:
            query = query.where(assets.c.archived.is_(False))
        with self._store.read() as connection:
            versions = [asset_of(row, self._store.root) for row in connection.execute(query).mappings()]
        if name is not None:
            return versions
        newest: dict[str, Asset] = {}
        for asset in versions:
            if not asset.name.startswith(ANONYMOUS):
                newest.setdefault(asset.name, asset)
        return list(newest.values())

    def next_version(self, kind: Kind, name: str) -> str:
        """Return the version that the next asset of this name gets by default."""
        with self._store.read() as connection:
            return _next(connection, kind, name)

    def with_property(self, kind: Kind, key: str, value: str) -> Sequence[Asset]:
        """Return the assets that have this property, the oldest first."""
        matches = (assets.c.kind == kind, assets.c.archived.is_(False), assets.c.properties[key].as_string() == value)
        with self._store.read() as connection:
            rows = connection.execute(select(assets).where(*matches).order_by(assets.c.id)).mappings()
            return [asset_of(row, self._store.root) for row in rows]

    def archive(self, kind: Kind, name: str, version: str | None = None, archived: bool = True) -> None:
        """Hide a version, or all of them, from lists and from `latest`; or show it again.

        Raises:
            NotFoundError: there is none.
        """
        matches = [assets.c.kind == kind, assets.c.name == name]
        if version is not None:
            matches.append(assets.c.version == version)
        with self._store.write() as connection:
            done = connection.execute(update(assets).where(*matches).values(archived=archived, changed=utc_now()))
            if not done.rowcount:
                raise NotFoundError(kind, f"{name}:{version}" if version else name)

    def resolve(self, kind: Kind, reference: str) -> Asset:
        """Return the asset that `azureml:NAME:VERSION`, `azureml:NAME@latest` or an ARM id names.

        Raises:
            InvalidError: it is no reference, or has neither version nor label, which the SDK refuses too.
            NotFoundError: there is no such asset.
        """
        parsed = asset_reference(kind, reference)
        if parsed.version is None and parsed.label is None:
            raise InvalidError(
                f"Failed to extract version when parsing asset {reference} of type {kind} as arm id. "
                "Version must be provided."
            )
        return self.get(kind, parsed.name, parsed.version, parsed.label)

    def _registered_content(self, draft: Mapping[str, Any], version: str | None) -> str | None:
        """Return the content hash of the version that may be the same."""
        with self._store.read() as connection:
            row = first(connection, _query(draft["kind"], draft["name"], version))
        return row["content_hash"] if row else None

    def _same(self, draft: Mapping[str, Any], version: str | None, content: str) -> Asset | None:
        """Return the version with this content, with the new metadata; None if there is none (any more)."""
        with self._store.write() as connection:
            row = first(connection, _query(draft["kind"], draft["name"], version))
            if row is None or row["content_hash"] != content or row["type"] != draft["type"]:
                return None
            return asset_of(_describe(connection, row, draft), self._store.root)

    def _register(self, draft: Mapping[str, Any], version: str | None, copy: Staged | None) -> Asset:
        """Insert the row and move the copy to its folder, in one transaction."""
        kind, name, root = draft["kind"], draft["name"], self._store.root
        content = _content(draft, copy)
        existing = self._same(draft, version, content)
        if existing:
            return existing
        with self._store.write() as connection:
            row = first(connection, _query(kind, name, version))
            if row and row["content_hash"] == content and row["type"] == draft["type"]:
                return asset_of(row, root)  # another process was faster
            if row and version is not None:
                raise ConflictError(
                    f"{kind} {name}:{version}: exists with other content; leave the version out for the next one"
                )
            version = version or _next(connection, kind, name)
            moment = utc_now()
            values = {**draft, "version": version, "content_hash": content, "created": moment, "changed": moment}
            if copy:
                values["path"] = self._store.relative(copy.commit(root / FOLDERS[kind] / name / version))
            connection.execute(insert(assets).values(**values, archived=False))
            inserted = first(connection, _query(kind, name, version))
            assert inserted is not None  # noqa: S101 - just inserted
            return asset_of(inserted, root)

    def register_unnamed(
        self, kind: Kind, path: Path | None, type: str | None = None, properties: Mapping[str, Any] = NOTHING
    ) -> Asset:
        """Register an inline asset of a deployment that has no name: its content names it.

        Raises:
            InvalidError: it is missing or cannot be read.
        """
        draft = {
            "kind": kind,
            "type": type,
            "description": "",
            "tags": {},
            "properties": dict(properties),
        }
        if path is None:
            return self._register({**draft, "name": ANONYMOUS + _content(draft, None)[:32]}, "1", None)
        with snapshot.staged(self._store.root, path) as copy:
            return self._register({**draft, "name": ANONYMOUS + _content(draft, copy)[:32]}, "1", copy)


def made_by(asset: Asset) -> str | None:
    """Return the MLflow run that made a model, as its MLmodel file says; the service calls it the model's job."""
    if asset.kind != "model" or asset.path is None:
        return None
    try:
        return read_model(asset.path).run or None
    except ModelError:
        return None


def _query(kind: Kind, name: str, version: str | None) -> Select[Any]:
    query = select(assets).where(assets.c.kind == kind, assets.c.name == name).order_by(assets.c.id.desc()).limit(1)
    return query.where(assets.c.archived.is_(False) if version is None else assets.c.version == version)


def _next(connection: Connection, kind: Kind, name: str) -> str:
    query = select(assets.c.version).where(assets.c.kind == kind, assets.c.name == name)
    versions: list[str] = list(connection.execute(query).scalars())
    return str(max((int(version) for version in versions if version.isdecimal()), default=0) + 1)


def _describe(connection: Connection, row: RowMapping, draft: Mapping[str, Any]) -> RowMapping:
    """Update the description, tags and properties of an existing version where they are new."""
    columns = ("description", "tags", "properties")
    values = {name: draft[name] for name in columns if draft[name] and draft[name] != row[name]}
    if not values:
        return row
    connection.execute(update(assets).where(assets.c.id == row["id"]).values(**values, changed=utc_now()))
    updated = first(connection, select(assets).where(assets.c.id == row["id"]))
    return updated or row


def _content(draft: Mapping[str, Any], copy: Staged | None) -> str:
    """Return the identity of a version: its files; for an environment also its image; a remote address itself."""
    if copy and draft["kind"] != "environment":
        return copy.content_hash
    facts = [copy.content_hash if copy else None, draft["properties"]]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _type(kind: Kind, requested: str | None, path: Path | None) -> str | None:
    allowed = TYPES[kind]
    if requested is not None and requested not in allowed:
        raise InvalidError(f"type {requested!r}: must be {' or '.join(allowed)} for {kind}")
    if kind != "data" or path is None:
        return requested or next(iter(allowed), None)
    is_folder = snapshot.source_of(path).is_dir()
    if requested is not None and is_folder is (requested == "uri_file"):
        raise InvalidError(f"{path}: is a {'folder' if is_folder else 'file'}, and the type is {requested}")
    return requested or ("uri_folder" if is_folder else "uri_file")
