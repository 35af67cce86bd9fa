"""Where a workspace is: a database (SQLite, or any that SQLAlchemy supports) and a folder for content.

One writer at a time: SQLite by BEGIN IMMEDIATE, other databases by the lock on one row. The folder is private to its
owner (0700), and so is the SQLite file (0600): deployments hold environment variables.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, insert, make_url, select, update
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from batchtwin.workspace.database.tables import metadata, workspace
from batchtwin.workspace.errors import StoreError

VARIABLE = "BATCHTWIN_WORKSPACE"
DEFAULT = ".batchtwin"
FILE = "workspace.sqlite"
SCHEMA = "2"
# Columns of the table `jobs` that were renamed, by the version that had the old names.
RENAMED = {"1": (("request", "fingerprint"), ("order", "request"))}
PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600
LOCK_SECONDS = 60
CREATE_TRIES = 5


class Store:
    """An open workspace: `root` holds the content, `address` opens it again from any folder."""

    def __init__(self, engine: Engine, root: Path, address: str) -> None:
        self.root = root
        self.address = address
        self._engine = engine
        self._writer = engine.execution_options(batchtwin_write=True)

    @classmethod
    def open(cls, location: str | None = None) -> Store:
        """Open the workspace of `location` (a folder or a database URL), else of the environment's, else `.batchtwin`.

        A missing workspace is created; one of an earlier version is upgraded.

        Raises:
            StoreError: it cannot be opened, or a later version of batchtwin made it.
        """
        location = location or os.environ.get(VARIABLE) or DEFAULT
        url = _url(location) if "://" in location else _sqlite_url(Path(location))
        file = _sqlite_file(url)
        with _refusals(url):
            if file is not None:
                try:
                    if not file.exists():
                        _make_sqlite(file)
                except OSError as error:
                    raise StoreError(
                        f"{error.filename or file}: {error.strerror}: no workspace can be made there; make room or "
                        f"give the right to write, or choose another folder: {VARIABLE}"
                    ) from None
                engine = _engine(_sqlite_url_of(file))
                _check_version(engine, url)
                return cls(engine, file.parent, _address(file))
            engine = _engine(url)
            root = _root(engine)
            _check_version(engine, url)
            return cls(engine, root, url.render_as_string(hide_password=False))

    @staticmethod
    def exists() -> bool:
        """Whether `open` would find a workspace rather than make one. A database elsewhere counts as one."""
        location = os.environ.get(VARIABLE) or DEFAULT
        file = _sqlite_file(_url(location) if "://" in location else _sqlite_url(Path(location)))
        return file is None or file.exists()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the database."""
        with _refusals(self._engine.url), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield the only connection that may write, until the end of the block. An exception rolls back."""
        with _refusals(self._engine.url), self._writer.begin() as connection:
            connection.execute(select(workspace.c.value).where(workspace.c.key == "schema").with_for_update())
            yield connection

    def relative(self, path: Path) -> str:
        """Return a path below the root, as the database has it: the whole workspace can be moved."""
        return path.relative_to(self.root).as_posix()


def _address(file: Path) -> str:
    """Return the address of the workspace with this SQLite file."""
    return str(file.parent) if file.name == FILE else _sqlite_url_of(file).render_as_string()


def _url(text: str) -> URL:
    try:
        return make_url(text)
    except ArgumentError:
        raise StoreError(
            f"{VARIABLE}: is neither a folder nor a database URL such as postgresql+psycopg://..."
        ) from None


def _sqlite_url(folder: Path) -> URL:
    return _sqlite_url_of(folder.absolute() / FILE)


def _sqlite_url_of(file: Path) -> URL:
    return URL.create("sqlite", database=str(file.absolute()))


def _sqlite_file(url: URL) -> Path | None:
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:":
        raise StoreError("a workspace in memory would not outlive its command; name a file: sqlite:///folder/file")
    return Path(url.database).absolute()


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url)
    engine = create_engine(url, connect_args={"timeout": LOCK_SECONDS})

    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: object) -> None:
        connection.isolation_level = None  # sqlite3 would begin its transactions too late

    @event.listens_for(engine, "begin")
    def began(connection: Connection) -> None:
        writes = connection.get_execution_options().get("batchtwin_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _make_sqlite(file: Path) -> None:
    """Create the database under a temporary name and link it to its own: other processes see it whole."""
    file.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    new.touch(mode=PRIVATE_FILE)  # SQLite gives its other files the same mode
    engine = _engine(_sqlite_url_of(new))
    try:
        with engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None  # noqa: S101 - just connected
            raw.execute("PRAGMA journal_mode=WAL")
        with engine.begin() as connection:
            metadata.create_all(connection)
            connection.execute(insert(workspace), [{"key": "schema", "value": SCHEMA}])
        engine.dispose()
        with suppress(FileExistsError):
            os.link(new, file)
    finally:
        engine.dispose()
        new.unlink(missing_ok=True)


def _root(engine: Engine) -> Path:
    """Return the folder of the content: that of the process which opened the database first."""
    for left in range(CREATE_TRIES, 0, -1):
        with suppress(DBAPIError), engine.connect() as connection:
            existing = connection.execute(select(workspace.c.value).where(workspace.c.key == "root")).scalar()
            if existing:
                return Path(existing)
        try:
            with engine.begin() as connection:
                metadata.create_all(connection)
                root = Path(DEFAULT).absolute()
                rows = [{"key": "root", "value": str(root)}, {"key": "schema", "value": SCHEMA}]
                connection.execute(insert(workspace), rows)
        except DBAPIError:
            if left == 1:
                raise
            continue  # another process makes it at this moment
        root.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        return root
    raise AssertionError("unreachable")


def _check_version(engine: Engine, url: URL) -> None:
    """Upgrade a database of an earlier version, and refuse one of a later version."""
    query = select(workspace.c.value).where(workspace.c.key == "schema")
    with engine.connect() as connection:
        version = connection.execute(query).scalar()
    if version in RENAMED:
        with engine.execution_options(batchtwin_write=True).begin() as connection:
            version = connection.execute(query.with_for_update()).scalar()
            if version in RENAMED:  # else another process was faster
                version = _upgrade(connection, version)
    if version != SCHEMA:
        raise StoreError(f"{url}: is a workspace of version {version}; this batchtwin reads version {SCHEMA}")


def _upgrade(connection: Connection, version: str) -> str:
    """Rename columns that have another name now; return the database's version then."""
    quote = connection.dialect.identifier_preparer.quote
    for old, new in RENAMED[version]:
        connection.exec_driver_sql(f"ALTER TABLE jobs RENAME COLUMN {quote(old)} TO {quote(new)}")
    connection.execute(update(workspace).where(workspace.c.key == "schema").values(value=SCHEMA))
    return SCHEMA


@contextmanager
def _refusals(url: URL) -> Iterator[None]:
    """Turn errors of the database and of its driver into StoreError, without the password of the URL."""
    try:
        yield
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise StoreError(
            f"{url}: {error}; install the database's driver, as in pip install 'psycopg[binary]'"
        ) from None
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise StoreError(f"{url}: {type(error).__name__}: {reason}") from error
