"""Large CSV files, read while the fork server still imports: a second core is idle then.

Started with the pid of its node. PrefetchRequests come on its standard input, one per line. Each table goes to a file
of its own, whole or not at all; a worker without one reads for itself. Prefetching blocks nothing, and leaves errors,
such as bad files, to the worker, which reports them.
"""

from __future__ import annotations

import hashlib
import os
import sys
from typing import TYPE_CHECKING

from batchtwin_node.children import die_with_parent
from batchtwin_node.codec import from_json
from batchtwin_node.protocol import PrefetchRequest
from batchtwin_node.readers.arrow import has_arrow
from batchtwin_node.readers.bad_file import BadFileError
from batchtwin_node.readers.signature import Signature

if TYPE_CHECKING:
    import pandas as pd

# In a worker's environment: the folder of the tables.
FOLDER = "BATCHTWIN_AHEAD"
# Types of columns that an Arrow file gives back unchanged.
TYPES = frozenset({"long", "integer", "double", "float", "string"})
STAMP = b"batchtwin.stamp"


def load(path: str) -> pd.DataFrame | None:
    """Return the prefetched table of a file, once; None if there is none, or the file has changed since."""
    folder = os.environ.get(FOLDER)
    if not folder or not has_arrow():
        return None
    import pyarrow as pa

    path_of_table = _place(folder, path)
    try:
        with pa.memory_map(path_of_table) as source:
            os.unlink(path_of_table)
            table = pa.ipc.open_file(source).read_all()
            if table.schema.metadata[STAMP] != _stamp(path):
                return None
            return _writable(table.to_pandas(use_threads=False))
    except (OSError, pa.ArrowException):
        return None


def store_table(folder: str, path: str, signature: Signature) -> None:
    """Read a file and leave its table for `load`.

    Raises:
        BadFileError: it is not what the signature asks for.
        OSError: it cannot be written.
    """
    import pyarrow as pa

    from batchtwin_node.readers import read

    stamp = _stamp(path)
    table = pa.Table.from_pandas(read(path, signature), preserve_index=False, nthreads=1)
    table = table.replace_schema_metadata({**table.schema.metadata, STAMP: stamp})
    path_of_table = _place(folder, path)
    partial = f"{path_of_table}.partial"
    try:
        with pa.OSFile(partial, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        os.replace(partial, path_of_table)
    except OSError:
        os.unlink(partial)
        raise


def _writable(table: pd.DataFrame) -> pd.DataFrame:
    """Copy columns that are still the mapped file: the model may write to its input, as to a table from a CSV."""
    kinds = table.dtypes.value_counts()
    for name, kind in table.dtypes.items():
        if kinds[kind] == 1 and kind.kind in "if":  # several of one type were joined, and so copied
            table[name] = table[name].to_numpy(copy=True)
    return table


def _place(folder: str, path: str) -> str:
    return os.path.join(folder, hashlib.sha256(os.fsencode(path)).hexdigest() + ".arrow")


def _stamp(path: str) -> bytes:
    status = os.stat(path)
    return f"{status.st_size} {status.st_mtime_ns}".encode()


def main(arguments: list[str]) -> None:
    """Read one file after the other, until all are read or the node `arguments[0]` stops this."""
    die_with_parent(int(arguments[0]))
    os.nice(5)  # the fork server has priority
    for line in sys.stdin.buffer:
        request = from_json(PrefetchRequest, line)
        signature = Signature.of_json(request.inputs, TYPES)
        if signature is None or not has_arrow():
            return
        for path in request.files:
            try:
                store_table(request.folder, path, signature)
            except BadFileError:
                continue
