"""Where a workspace lies: a database (SQLite, or any that SQLAlchemy speaks to) and a folder for content.

One writer at a time: SQLite by BEGIN IMMEDIATE, other databases by the lock on one row.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, insert, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from batchtwin.workspace.errors import StoreError
from batchtwin.workspace.tables import metadata, workspace

VARIABLE = "BATCHTWIN_WORKSPACE"
DEFAULT = ".batchtwin"
FILE = "workspace.sqlite"
SCHEMA = "1"
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
    def open(cls, where: str | None = None) -> Store:
        """Open the workspace of `where` (a folder or a database URL), else of the environment's, else `.batchtwin`.

        It is made if it is not there.

        Raises:
            StoreError: it cannot be opened, or another version of batchtwin made it.
        """
        place = where or os.environ.get(VARIABLE) or DEFAULT
        url = _url(place) if "://" in place else _sqlite_url(Path(place))
        file = _sqlite_file(url)
        with _refusals(url):
            if file is not None:
                if not file.exists():
                    _make_sqlite(file)
                engine = _engine(_sqlite_url_of(file))
                _check(engine, url)
                return cls(engine, file.parent, result_location(file))
            engine = _engine(url)
            root = _root(engine)
            _check(engine, url)
            return cls(engine, root, url.render_as_string(hide_password=False))

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the database."""
        with _refusals(self._engine.url), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection that alone may write, until the end of the block; an exception undoes what it wrote."""
        with _refusals(self._engine.url), self._writer.begin() as connection:
            connection.execute(select(workspace.c.value).where(workspace.c.key == "schema").with_for_update())
            yield connection

    def relative(self, path: Path) -> str:
        """A path below the root, as the database has it: the whole workspace can be moved."""
        return path.relative_to(self.root).as_posix()


def result_location(file: Path) -> str:
    """What opens the workspace with this SQLite file."""
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
    """Make the database beside its place and link it there: it is there whole, or not, whoever else makes it too."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
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
    """The folder of the content, which the first to open the database decides."""
    for left in range(CREATE_TRIES, 0, -1):
        with suppress(DBAPIError), engine.connect() as connection:
            found = connection.execute(select(workspace.c.value).where(workspace.c.key == "root")).scalar()
            if found:
                return Path(found)
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
        root.mkdir(parents=True, exist_ok=True)
        return root
    raise AssertionError("unreachable")


def _check(engine: Engine, url: URL) -> None:
    with engine.connect() as connection:
        found = connection.execute(select(workspace.c.value).where(workspace.c.key == "schema")).scalar()
    if found != SCHEMA:
        raise StoreError(f"{url}: is a workspace of version {found}; this batchtwin reads version {SCHEMA}")


@contextmanager
def _refusals(url: URL) -> Iterator[None]:
    """Errors of the database and of its driver, as ours; a password in the URL is not shown."""
    try:
        yield
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise StoreError(
            f"{url}: {error}; install the database's driver, as in pip install 'psycopg[binary]'"
        ) from None
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise StoreError(f"{url}: {type(error).__name__}: {reason}") from error
