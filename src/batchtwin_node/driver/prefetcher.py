"""The process that prefetches, seen from the node: which files are worth it, its start and its end."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, islice, takewhile

from batchtwin_node.bootstrap import command
from batchtwin_node.children import Child
from batchtwin_node.codec import to_json
from batchtwin_node.protocol import PrefetchRequest
from batchtwin_node.readers import ending

# Smaller files are read together by the worker; larger ones are not held twice, as file and as table.
SMALLEST, LARGEST = 1 << 20, 1 << 25
# Of text, in all; the tables of it take some three times as much.
MOST = 1 << 27
# Files that are looked at.
FIRST = 1000


def worth_reading(files: Iterable[tuple[str, int]], free: int) -> list[str]:
    """Return the paths of the first files that are worth reading ahead, of (path, size) pairs.

    `free`: bytes of disk for the tables.
    """
    fit = [(path, size) for path, size in files if ending(path) == ".csv" and SMALLEST <= size <= LARGEST]
    limit = min(MOST, free // 10)
    ends = takewhile(limit.__ge__, accumulate(size for _, size in fit))
    return [path for (path, _), _ in zip(fit, ends)]


class Prefetcher:
    """Reads files into `folder`, once it is told to begin. `inputs` is the JSON text of the model's signature.

    `cpus` is the number of CPUs: prefetching needs one that is idle.
    """

    def __init__(self, inputs: str, folder: str, env: Mapping[str, str], cpus: int) -> None:
        self._inputs = inputs
        self._folder = folder
        self._env = dict(env)
        self._is_worth_it = bool(inputs) and cpus > 1
        self._child: Child | None = None

    def begin(self, paths: Iterable[str]) -> None:
        """Start to read the files, in this order, where that helps; a second call with files does nothing."""
        if not self._is_worth_it:
            return
        files = list(islice(paths, FIRST))
        if not files:
            return
        self._is_worth_it = False
        free = shutil.disk_usage(os.path.dirname(self._folder)).free
        files = worth_reading(_sizes(files), free)
        if files:
            os.mkdir(self._folder)
            self._start(PrefetchRequest(folder=self._folder, inputs=self._inputs, files=tuple(files)))

    def _start(self, request: PrefetchRequest) -> None:
        process = subprocess.Popen(
            command("driver.prefetch", os.getpid()),
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._child = Child(process.pid, process)
        if process.stdin is not None:
            try:
                with process.stdin as pipe:
                    pipe.write(to_json(request).encode())
            except BrokenPipeError:  # it has died already: workers read for themselves
                pass

    def close(self) -> None:
        """End it, whatever it is doing."""
        if self._child is not None:
            self._child.kill()
            self._child = None


def _sizes(paths: Iterable[str]) -> Iterator[tuple[str, int]]:
    for path in paths:
        try:
            yield path, os.stat(path).st_size
        except OSError:  # it has gone, or is not here
            continue
