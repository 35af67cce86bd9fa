"""Models, data, code and environments: registered copies, with versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, insert, select, update

from batchtwin.workspace import snapshot
from batchtwin.workspace.entities import Asset, Kind
from batchtwin.workspace.errors import ConflictError, InvalidError, NotFoundError
from batchtwin.workspace.names import ANONYMOUS, Reference, check_name, check_version
from batchtwin.workspace.rows import asset_of, first, now
from batchtwin.workspace.snapshot import Staged
from batchtwin.workspace.store import Store
from batchtwin.workspace.tables import assets

TYPES: Mapping[Kind, tuple[str, ...]] = {
    "model": ("custom_model", "mlflow_model", "triton_model"),
    "data": ("uri_folder", "uri_file", "mltable"),
    "code": (),
    "environment": (),
}
FOLDERS: Mapping[Kind, str] = {"model": "models", "data": "data", "code": "code", "environment": "environments"}
NOTHING: Mapping[str, Any] = {}


class Assets:
    """The verbs for what is registered by name and version."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create_asset(
        self,
        kind: Kind,
        name: str,
        *,
        path: Path | None = None,
        uri: str | None = None,
        type: str | None = None,
        version: str | None = None,
        description: str = "",
        tags: Mapping[str, Any] = NOTHING,
        properties: Mapping[str, Any] = NOTHING,
    ) -> Asset:
        """Register a copy of `path`, or a remote address.

        Without `version` it becomes the next one, unless the newest has this content already [R]. A version that is
        there with this content gets the new description, tags and properties.

        Raises:
            InvalidError: a name, type or path that cannot be.
            ConflictError: this version is there with other content.
        """
        check_name(kind, name)
        if version is not None:
            check_version(version)
        draft = {
            "kind": kind,
            "name": name,
            "type": _type(kind, type, path),
            "description": description,
            "tags": dict(tags),
            "properties": dict(properties) | ({"uri": uri} if uri else {}),
        }
        if path is None:
            if uri is None and kind != "environment":
                raise InvalidError(f"{kind} {name}: give the path of what it holds")
            return self._register(draft, version, None)
        standing = self._standing(draft, version)
        if standing and snapshot.unchanged(self._store.root, path, standing):
            found = self._same(draft, version, standing)
            if found:
                return found
        with snapshot.staged(self._store.root, path) as copy:
            return self._register(draft, version, copy)

    def asset(self, kind: Kind, name: str, version: str | None = None, label: str | None = None) -> Asset:
        """Return one version; the newest that is not archived for the label `latest`, or with neither.

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

    def assets(self, kind: Kind, name: str | None = None, include_archived: bool = False) -> list[Asset]:
        """Return the newest version of every name; with `name` all its versions, newest first."""
        query = select(assets).where(assets.c.kind == kind).order_by(assets.c.id.desc())
        if name is not None:
            query = query.where(assets.c.name == name)
        if not include_archived:
            query = query.where(assets.c.archived.is_(False))
        with self._store.read() as connection:
            found = [asset_of(row, self._store.root) for row in connection.execute(query).mappings()]
        if name is not None:
            return found
        newest: dict[str, Asset] = {}
        for asset in found:
            if not asset.name.startswith(ANONYMOUS):
                newest.setdefault(asset.name, asset)
        return list(newest.values())

    def next_version(self, kind: Kind, name: str) -> str:
        """Return the version that the next one of this name gets, if it is given none."""
        with self._store.read() as connection:
            return _next(connection, kind, name)

    def assets_with(self, kind: Kind, key: str, value: str) -> list[Asset]:
        """Return the assets that have this property, the oldest first."""
        matches = (assets.c.kind == kind, assets.c.archived.is_(False), assets.c.properties[key].as_string() == value)
        with self._store.read() as connection:
            rows = connection.execute(select(assets).where(*matches).order_by(assets.c.id)).mappings()
            return [asset_of(row, self._store.root) for row in rows]

    def archive_asset(self, kind: Kind, name: str, version: str | None = None, archived: bool = True) -> None:
        """Hide a version, or all of them, from lists and from `latest`; or show it again.

        Raises:
            NotFoundError: there is none.
        """
        matches = [assets.c.kind == kind, assets.c.name == name]
        if version is not None:
            matches.append(assets.c.version == version)
        with self._store.write() as connection:
            done = connection.execute(update(assets).where(*matches).values(archived=archived, changed=now()))
            if not done.rowcount:
                raise NotFoundError(kind, f"{name}:{version}" if version else name)

    def resolve(self, kind: Kind, reference: str) -> Asset:
        """Return the asset that `azureml:NAME:VERSION`, `azureml:NAME@latest` or an ARM id names.

        Raises:
            InvalidError: it is no reference, or has neither version nor label, which the SDK refuses too.
            NotFoundError: there is no such asset.
        """
        parsed = Reference.parse(kind, reference)
        if parsed.version is None and parsed.label is None:
            raise InvalidError(
                f"Failed to extract version when parsing asset {reference} of type {kind} as arm id. "
                "Version must be provided."
            )
        return self.asset(kind, parsed.name, parsed.version, parsed.label)

    def _standing(self, draft: Mapping[str, Any], version: str | None) -> str | None:
        """The content of the version that may be the same."""
        with self._store.read() as connection:
            row = first(connection, _query(draft["kind"], draft["name"], version))
        return row["content_hash"] if row else None

    def _same(self, draft: Mapping[str, Any], version: str | None, content: str) -> Asset | None:
        """The version that is there with this content, described anew; None if there is none (any more)."""
        with self._store.write() as connection:
            row = first(connection, _query(draft["kind"], draft["name"], version))
            if row is None or row["content_hash"] != content or row["type"] != draft["type"]:
                return None
            return asset_of(_describe(connection, row, draft), self._store.root)

    def _register(self, draft: Mapping[str, Any], version: str | None, copy: Staged | None) -> Asset:
        """Write it down and move its copy in, in one transaction."""
        kind, name, root = draft["kind"], draft["name"], self._store.root
        content = _content(draft, copy)
        found = self._same(draft, version, content)
        if found:
            return found
        with self._store.write() as connection:
            row = first(connection, _query(kind, name, version))
            if row and row["content_hash"] == content and row["type"] == draft["type"]:
                return asset_of(row, root)  # another process was faster
            if row and version is not None:
                raise ConflictError(
                    f"{kind} {name}:{version}: exists with other content; leave the version out for the next one"
                )
            version = version or _next(connection, kind, name)
            moment = now()
            values = {**draft, "version": version, "content_hash": content, "created": moment, "changed": moment}
            if copy:
                values["path"] = self._store.relative(copy.settle(root / FOLDERS[kind] / name / version))
            connection.execute(insert(assets).values(**values, archived=False))
            written = first(connection, _query(kind, name, version))
            assert written is not None  # noqa: S101 - just written
            return asset_of(written, root)

    def _register_unnamed(
        self, kind: Kind, path: Path | None, type: str | None = None, properties: Mapping[str, Any] = NOTHING
    ) -> Asset:
        """Register what a deployment brings along without a name: it is named by its content."""
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


def _query(kind: Kind, name: str, version: str | None) -> Select[Any]:
    query = select(assets).where(assets.c.kind == kind, assets.c.name == name).order_by(assets.c.id.desc()).limit(1)
    return query.where(assets.c.archived.is_(False) if version is None else assets.c.version == version)


def _next(connection: Connection, kind: Kind, name: str) -> str:
    query = select(assets.c.version).where(assets.c.kind == kind, assets.c.name == name)
    versions: list[str] = list(connection.execute(query).scalars())
    return str(max((int(version) for version in versions if version.isdecimal()), default=0) + 1)


def _describe(connection: Connection, row: RowMapping, draft: Mapping[str, Any]) -> RowMapping:
    """Give a version that is there the description, tags and properties that are new."""
    named = ("description", "tags", "properties")
    values = {name: draft[name] for name in named if draft[name] and draft[name] != row[name]}
    if not values:
        return row
    connection.execute(update(assets).where(assets.c.id == row["id"]).values(**values, changed=now()))
    found = first(connection, select(assets).where(assets.c.id == row["id"]))
    return found or row


def _content(draft: Mapping[str, Any], copy: Staged | None) -> str:
    """What tells one version from another: the files; for an environment its image too; for an address, that."""
    if copy and draft["kind"] != "environment":
        return copy.content_hash
    facts = [copy.content_hash if copy else None, draft["properties"]]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _type(kind: Kind, asked: str | None, path: Path | None) -> str | None:
    allowed = TYPES[kind]
    if asked is not None and asked not in allowed:
        raise InvalidError(f"type {asked!r}: must be {' or '.join(allowed)} for {kind}")
    if kind != "data" or path is None:
        return asked or next(iter(allowed), None)
    is_folder = snapshot.source_of(path).is_dir()
    if asked is not None and is_folder is (asked == "uri_file"):
        raise InvalidError(f"{path}: is a {'folder' if is_folder else 'file'}, and the type is {asked}")
    return asked or ("uri_folder" if is_folder else "uri_file")
