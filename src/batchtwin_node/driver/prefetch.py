"""Large CSV files, read while the fork server still imports: a second core is idle then.

Started with the pid of its node. PrefetchRequests come on its standard input, a line each. Each table is left in a
file of its own, whole or not at all; a worker that finds none reads for itself. Nothing waits for this process, and
what goes wrong in it, a bad file above all, is left to the worker, which reports it.
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

# In a worker's environment: where the tables are.
FOLDER = "BATCHTWIN_AHEAD"
# Types of columns that come back from an Arrow file as they went in.
TYPES = frozenset({"long", "integer", "double", "float", "string"})
STAMP = b"batchtwin.stamp"


def load(path: str) -> pd.DataFrame | None:
    """Return the table of a file that was read ahead, once; None if there is none, or the file has changed since."""
    folder = os.environ.get(FOLDER)
    if not folder or not has_arrow():
        return None
    import pyarrow as pa

    place = _place(folder, path)
    try:
        with pa.memory_map(place) as source:
            os.unlink(place)
            table = pa.ipc.open_file(source).read_all()
            if table.schema.metadata[STAMP] != _stamp(path):
                return None
            return _writable(table.to_pandas(use_threads=False))
    except (OSError, pa.ArrowException):
        return None


def keep(folder: str, path: str, signature: Signature) -> None:
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
    place = _place(folder, path)
    partial = f"{place}.partial"
    try:
        with pa.OSFile(partial, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        os.replace(partial, place)
    except OSError:
        os.unlink(partial)
        raise


def _writable(table: pd.DataFrame) -> pd.DataFrame:
    """Copy what is still the mapped file: what predict gets may be written to, as what was read from a CSV may."""
    kinds = table.dtypes.value_counts()
    for name, kind in table.dtypes.items():
        if kinds[kind] == 1 and kind.kind in "if":  # several of one type were put together, and so copied
            table[name] = table[name].to_numpy(copy=True)
    return table


def _place(folder: str, path: str) -> str:
    return os.path.join(folder, hashlib.sha256(os.fsencode(path)).hexdigest() + ".arrow")


def _stamp(path: str) -> bytes:
    status = os.stat(path)
    return f"{status.st_size} {status.st_mtime_ns}".encode()


def main(arguments: list[str]) -> None:
    """Read one file after the other, until all are read or the node `arguments[0]` has had enough."""
    die_with_parent(int(arguments[0]))
    os.nice(5)  # the fork server goes first
    for line in sys.stdin.buffer:
        request = from_json(PrefetchRequest, line)
        signature = Signature.of_json(request.inputs, TYPES)
        if signature is None or not has_arrow():
            return
        for path in request.files:
            try:
                keep(request.folder, path, signature)
            except BadFileError:
                continue
