"""The names of scikit-learn's estimators, kept beside it: listing them imports all of it, which takes a second.

skops lists them on import, to know which types it may trust, and uses only their module and name. The list is kept as
Python keeps bytecode: by the installer (`python -m batchtwin_node.driver.skops_startup`), or by the first process that
needs it, if it may write there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, List, Tuple

FOLDER = Path(sys.prefix) / "share/batchtwin"
Names = List[Tuple[str, str]]  # module, name


def import_skops(folder: Path = FOLDER) -> None:
    """Import `skops.io`, with the lists of trusted types that it would make itself.

    Raises:
        ImportError: it is not installed.
    """
    if "skops.io" in sys.modules:
        return
    names = _cached_names(folder)
    if names is not None:
        try:
            with _answering(names):
                import_module("skops.io")
            return
        except Exception:  # another version of skops may need more of an estimator than its name
            for module in [name for name in sys.modules if name.partition(".")[0] == "skops"]:
                del sys.modules[module]
    import_module("skops.io")
    if not sys.dont_write_bytecode:
        with suppress(OSError):
            write_names(folder)


def write_names(folder: Path = FOLDER) -> Path:
    """Ask scikit-learn, and write the names; return the file, which is written whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    from sklearn.utils import all_estimators

    folder.mkdir(parents=True, exist_ok=True)
    path = _file(folder)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(json.dumps([(kind.__module__, kind.__name__) for _, kind in all_estimators()]), encoding="utf-8")
    new.replace(path)
    return path


def _file(folder: Path) -> Path:
    from importlib.metadata import version  # a fifth of what a fork server imports, and most have no skops

    return folder / f"estimators-{version('scikit-learn')}.json"


def _cached_names(folder: Path) -> Names | None:
    try:
        return [(str(module), str(name)) for module, name in json.loads(_file(folder).read_bytes())]
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def _answering(names: Names) -> Iterator[None]:
    """Make `all_estimators` return classes that have only a name and a module."""
    utils: Any = import_module("sklearn.utils")
    ask: Callable[..., Any] = utils.all_estimators
    utils.all_estimators = lambda: [(name, type(name, (), {"__module__": module})) for module, name in names]
    try:
        yield
    finally:
        utils.all_estimators = ask


if __name__ == "__main__":
    with suppress(ImportError):  # an environment without scikit-learn does not need it
        write_names()
