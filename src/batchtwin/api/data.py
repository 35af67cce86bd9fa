"""Input in memory, or a list of files -> a folder or file that a job can read, in the job's own folder.

For the MLflow driver a frame becomes Parquet, which keeps every type. For a scoring script, and where the job may have
no pyarrow, it becomes CSV: the model's signature, or the script, then decides what the texts mean. Values that CSV
would change are refused.
"""

from __future__ import annotations

import csv
import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import date
from importlib.util import find_spec
from numbers import Number
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from batchtwin import safe_open
from batchtwin.api.losses import refuse_missing_in_csv, refuse_no_text
from batchtwin.engine.ledger import Ledger
from batchtwin.engine.output.folder import NAMED_INPUTS, OutputFolder, claim_folder
from batchtwin.engine.prepare import Request, Resolved, fresh_folder
from batchtwin.errors import BatchTwinError, InputError, OutputError
from batchtwin.inputs.location import is_url, parse_location

if TYPE_CHECKING:
    import pandas as pd


Rows: TypeAlias = "pd.DataFrame | Sequence[Mapping[str, object]]"
Input: TypeAlias = (
    "str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | pd.DataFrame | Sequence[Mapping[str, object]]"
)
"""What `score` and `plan` take: a folder, a file, a URL, a list of files, a DataFrame, or a list of dicts."""
EXPECTED = "expected a path, a URL, a list of files, a DataFrame or a list of dicts"
NAME = "data"


def location_of(value: Input) -> Path | str | None:
    """Return the path or URL of an input; None if it is data, or several files.

    Raises:
        UsageError: as of `parse_location`.
    """
    return parse_location(os.fspath(value)) if isinstance(value, str | os.PathLike) else None


def as_rows(value: object) -> Rows | list[Path]:
    """Return an input that is no location as a list of files, or as rows.

    Raises:
        InputError: it is neither.
    """
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return _usable_frame(value)
    if isinstance(value, Mapping | bytes) or not isinstance(value, Iterable) or hasattr(value, "__array__"):
        raise InputError(f"input: {type(value).__name__}: {EXPECTED}")
    items = list(value)
    if not items:
        raise InputError(f"input: is empty; {EXPECTED}")
    if all(isinstance(item, str | os.PathLike) for item in items):
        return _files(items)
    if all(isinstance(item, Mapping) for item in items):
        return items
    kinds = ", ".join(sorted({type(item).__name__ for item in items}))
    raise InputError(f"input: a list of {kinds}: {EXPECTED}")


def _usable_frame(frame: pd.DataFrame) -> pd.DataFrame:
    names = [str(name) for name in frame.columns]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"input: column {twice!r} stands twice; rename one of them")
    if not names:
        raise InputError("input: the DataFrame has no columns")
    return frame.set_axis(names, axis=1)


def _files(items: Sequence[str | os.PathLike[str]]) -> list[Path]:
    paths: dict[str, Path] = {}
    for item in items:
        if is_url(item):
            raise InputError(f"input: {item}: a list holds files of this machine; give the URL of their folder")
        path = Path(item).absolute()
        if not path.is_file():
            problem = "is no file; a list holds files" if path.exists() else "no such file"
            raise InputError(f"input: {path}: {problem}")
        if path.name in paths:
            raise InputError(f"input: {paths[path.name]} and {path} have one name, by which predictions identify files")
        if path.name.startswith("."):
            raise InputError(f"input: {path}: is hidden, and hidden files of a folder are left out; rename it")
        paths[path.name] = path
    return list(paths.values())


@contextmanager
def with_data(
    request: Request, resolved: Resolved, rows: Rows | list[Path] | None, *, reads_parquet: bool
) -> Iterator[Request]:
    """Yield the request with `rows` as its input, written to the folder of its job; without rows, the request itself.

    If no job comes of it, the input is removed. `reads_parquet`: the job's environment can read Parquet.

    Raises:
        BatchTwinError: the folder holds another job or cannot be written, or a file cannot hold the rows.
    """
    if rows is None:
        yield request
        return
    deployment, model = resolved.deployment, resolved.model
    is_new = request.output is None
    root = (
        claim_folder(fresh_folder(deployment.name).absolute()) if request.output is None else request.output.absolute()
    )
    output = OutputFolder(root, deployment.output_file)
    # A folder of its own: the input of other jobs in this folder, present or past, stays unchanged.
    folder = root / NAMED_INPUTS / secrets.token_hex(4)
    try:
        output.check(request.overwrite)
        is_driver = resolved.script is None
        is_typed = bool(model.required_columns)
        as_parquet = is_driver and can_write_parquet() and (reads_parquet or not is_typed)
        with output.hold():
            path = write_input(rows, folder, as_parquet=as_parquet, is_driver=is_driver, is_typed=is_typed)
        yield replace(request, input=path, output=root)
    except OSError as error:
        raise OutputError(f"{error.filename or root}: {error.strerror}; choose another folder: --output DIR") from None
    finally:
        if not _is_read(output, folder):
            _discard(output, folder, whole=is_new)


def _is_read(output: OutputFolder, folder: Path) -> bool:
    """Whether the job of the folder has these rows as its input."""
    with suppress(BatchTwinError), closing(Ledger.open(output.ledger)) as ledger:
        return Path(ledger.fact("root") or "").is_relative_to(folder)
    return False


def _discard(output: OutputFolder, folder: Path, *, whole: bool) -> None:
    """Remove the rows of a job that never began; its folder too, if that is new."""
    safe_open.remove(folder, output.root, ignore_errors=True)
    with suppress(OSError):
        folder.parent.rmdir()
    if whole:
        with suppress(OSError):
            output.lock.unlink(missing_ok=True)
            output.root.rmdir()


def write_input(value: Rows | list[Path], folder: Path, *, as_parquet: bool, is_driver: bool, is_typed: bool) -> Path:
    """Write rows to a file in a new `folder`, or link files there; return the input of the job.

    `is_driver`: the MLflow driver reads the file. `is_typed`: the model's signature has the types of its columns.

    Raises:
        InputError: the file cannot hold a value.
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True)
    if isinstance(value, list) and isinstance(value[0], Path):
        for path in value:
            os.symlink(path, folder / path.name)
        return folder
    if as_parquet:
        return _write_parquet(value, folder / f"{NAME}.parquet")
    frame: Any = value
    columns = _columns(frame) if isinstance(frame, list) else {name: frame[name].tolist() for name in frame.columns}
    _check_csv(columns, is_driver, is_typed)
    return _write_csv(columns, folder / f"{NAME}.csv")


def can_write_parquet() -> bool:
    """Whether pyarrow is installed here."""
    return find_spec("pyarrow") is not None


def _write_parquet(rows: Any, path: Path) -> Path:
    import pyarrow
    from pyarrow import parquet

    columns = _columns(rows) if isinstance(rows, list) else {}
    try:
        if isinstance(rows, list):
            table = pyarrow.table(columns)
        else:
            table = pyarrow.Table.from_pandas(rows, preserve_index=False)
        parquet.write_table(table, path)
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
        refuse_no_text(columns or rows)
        first = str(error).splitlines()[0]
        raise InputError(f"input: cannot be written as Parquet: {first}; give each column values of one type") from None
    return path


def _columns(rows: Sequence[Mapping[str, object]]) -> dict[str, list[object]]:
    names = dict.fromkeys(name for row in rows for name in row)
    if not names:
        raise InputError("input: the dicts are empty")
    columns = {str(name): [row.get(name) for row in rows] for name in names}
    if len(columns) < len(names):
        raise InputError("input: two keys have the same text; rename one of them")
    return columns


def _check_csv(columns: Mapping[str, Sequence[object]], is_driver: bool, is_typed: bool) -> None:
    """Refuse values that the reader of the CSV would not get back unchanged."""
    refuse_no_text(columns)
    if is_driver:
        refuse_missing_in_csv(columns, _advice())
    for name, values in columns.items():
        present = [value for value in values if not _is_missing(value)]
        for value in present:
            if not isinstance(value, str | Number | date):
                raise InputError(f"input: column {name!r} holds a {type(value).__name__}, CSV cannot; {_advice()}")
        is_told = is_typed or not is_driver
        if not is_told and present and all(isinstance(value, str) and _reads_as_number(value) for value in present):
            raise InputError(
                f"input: column {name!r}: texts such as {present[0]!r} would be read as numbers from CSV, and the "
                f"model has no signature that says otherwise; {_advice()}"
            )


def _write_csv(columns: Mapping[str, Sequence[object]], path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        cells = zip(*columns.values(), strict=True)
        writer.writerows([None if _is_missing(cell) else cell for cell in row] for row in cells)
    return path


def _is_missing(value: object) -> bool:
    """Whether this is None, NaN, NaT or NA. NA cannot be compared, and an array not as a whole."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, Number) and value != value


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in {"True", "False", "true", "false", "TRUE", "FALSE", ""}
    return True


def _advice() -> str:
    return (
        "install pyarrow here and list it in the deployment's environment, so that it is written as Parquet, or write "
        "a file yourself and give its path"
    )
