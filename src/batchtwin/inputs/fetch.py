"""Input in a store: copied to a folder of this machine before `run()` gets its path, as a mount would be.

A process of its own makes the copies, under the interpreter of batchtwin: a store that hangs blocks nothing else, and
the deployment's environment needs no driver of a store. `python -m batchtwin.inputs.fetch FOLDER THREADS` reads one URL
per line and answers each with one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock

from batchtwin import atomic
from batchtwin.inputs.location import redact
from batchtwin.inputs.remote import CopyError, RemoteError, RemoteStore, name_of
from batchtwin_node.children import die_with_parent


def make_own(folder: Path) -> None:
    """Make a folder and the one above it. Other users can neither read them nor have made them before.

    Raises:
        CopyError: another user has, or it cannot be made.
    """
    advice = "name another folder for copies: BATCHTWIN_COPIES"
    try:
        for path in (folder.parent, folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                path.mkdir(mode=0o700)
            if path.is_symlink() or (hasattr(os, "getuid") and path.stat().st_uid != os.getuid()):
                raise CopyError(f"{path}: belongs to another user; {advice}")
    except OSError as error:
        raise CopyError(f"{error.filename}: {error.strerror}; {advice}") from None


def copy(folder: Path, url: str) -> str:
    """Copy an object to `folder`, unless it is there, and return its path. The copy is whole or missing.

    Raises:
        RemoteError: the store does not give it.
        CopyError: it cannot be written here.
    """
    make_own(folder)
    target = folder / name_of(url)
    if not target.exists():
        atomic.remove_temporaries(target)  # of a killed try
        RemoteStore(url).fetch(target)
    return str(target)


def answer(folder: Path, url: str) -> Mapping[str, str]:
    """Return the object that answers: the copy's path, or what went wrong."""
    try:
        return {"url": url, "path": copy(folder, url)}
    except (RemoteError, CopyError) as error:
        return {"url": url, "kind": "write" if isinstance(error, CopyError) else "raised", "error": str(error)}
    except Exception as error:
        return {"url": url, "kind": "raised", "error": f"{redact(url)}: {type(error).__name__}: {error}"}


def main(folder: Path, threads: int, parent: int) -> None:
    """Copy the objects in the lines of standard input, `threads` at a time."""
    die_with_parent(parent)
    lock = Lock()

    def work(url: str) -> None:
        line = json.dumps(answer(folder, url))
        with lock:
            print(line, flush=True)

    with ThreadPoolExecutor(threads) as executor:
        for line in sys.stdin:
            executor.submit(work, json.loads(line))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
