"""The prefetching process, seen from its node: which files are worth it, its start and its end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from batchtwin_node.bootstrap import command
from batchtwin_node.children import Child
from batchtwin_node.codec import to_json
from batchtwin_node.lines import LineWriter
from batchtwin_node.protocol import PrefetchRequest
from batchtwin_node.readers import ending

# Smaller files are read together by the worker; larger ones would be in memory twice, as file and as table.
SMALLEST, LARGEST = 1 << 20, 1 << 25
# The limit for all text; its tables take about three times as much.
MOST = 1 << 27
# How many files are considered.
FIRST = 1000


def worth_reading(files: Iterable[tuple[str, int]], limit: int) -> tuple[list[str], int]:
    """Return the paths of the first files that are worth reading ahead, of (path, size) pairs, and the remaining limit.

    `limit`: bytes of files; 0 remains after a file that exceeds it.
    """
    paths: list[str] = []
    for path, size in files:
        if ending(path) == ".csv" and SMALLEST <= size <= LARGEST:
            if size > limit:
                return paths, 0
            limit -= size
            paths.append(path)
    return paths, limit


class Prefetcher:
    """Reads files into `folder` as they become known. `inputs` is the JSON text of the model's signature.

    `cpus` is the number of CPUs: prefetching needs one that is idle.
    """

    def __init__(self, inputs: str, folder: str, env: Mapping[str, str], cpus: int) -> None:
        self._inputs = inputs
        self._folder = folder
        self._env = dict(env)
        # The remaining limit in bytes; None before the first files.
        self._budget = None if inputs and cpus > 1 else 0
        self._known = 0
        self._child: Child | None = None
        self._requests: LineWriter | None = None

    def look(self, paths: Iterable[str]) -> None:
        """Read the files, in this order, where that helps. The next call has the same files first, and more of them."""
        if self._requests is not None:
            self._requests.flush()
        files = list(islice(paths, self._known, FIRST)) if self._budget != 0 else []
        if not files:
            return
        self._known += len(files)
        if self._budget is None:
            disk = os.statvfs(os.path.dirname(self._folder))
            self._budget = min(MOST, disk.f_bavail * disk.f_frsize // 10)
        files, self._budget = worth_reading(_sizes(files), self._budget)
        if files:
            requests = self._requests = self._requests or self._start()
            requests.put(to_json(PrefetchRequest(folder=self._folder, inputs=self._inputs, files=tuple(files))))

    def _start(self) -> LineWriter:
        os.mkdir(self._folder)
        read_end, write_end = os.pipe()
        try:
            process = subprocess.Popen(
                command("driver.prefetch", os.getpid()),
                env=self._env,
                stdin=read_end,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            os.close(read_end)
        self._child = Child(process.pid, process)
        os.set_blocking(write_end, False)
        return LineWriter(write_end)

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._child is not None:
            self._child.kill()
            self._child = None
        if self._requests is not None:
            os.close(self._requests.fd)
            self._requests = None


def _sizes(paths: Iterable[str]) -> Iterator[tuple[str, int]]:
    for path in paths:
        try:
            yield path, os.stat(path).st_size
        except OSError:  # it has ended, or is elsewhere
            continue
