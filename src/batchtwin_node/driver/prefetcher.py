"""The process that reads ahead, seen from the parent: which files are worth it, its start and its end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import accumulate, islice, takewhile
from pathlib import Path

from batchtwin.inputs.listing import ending
from batchtwin_node.protocol import PrefetchRequest

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
    return [path for (path, _), _ in zip(fit, ends, strict=False)]


class Prefetcher:
    """Reads files into `folder`, once it is told to begin. `inputs` is the JSON text of the model's signature."""

    def __init__(self, inputs: str, folder: Path, env: Mapping[str, str]) -> None:
        self._inputs = inputs
        self._folder = folder
        self._env = dict(env)
        self._begun = False
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, paths: Iterable[str]) -> None:
        """Start to read the files, in this order, where that helps; a second call does nothing."""
        if self._begun:
            return
        self._begun = True
        if self._inputs and len(os.sched_getaffinity(0)) > 1:
            free = shutil.disk_usage(self._folder.parent).free
            files = worth_reading(_sizes(islice(paths, FIRST)), free)
            if files:
                self._folder.mkdir()
                self._start(PrefetchRequest(folder=str(self._folder), inputs=self._inputs, files=tuple(files)))

    def _start(self, asked: PrefetchRequest) -> None:
        words = [sys.executable, "-P", "-m", "batchtwin_node.driver.prefetch", str(os.getpid())]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            words,
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if self._process.stdin:
            # It may have died already: workers read for themselves.
            with suppress(BrokenPipeError), self._process.stdin as pipe:
                pipe.write(asked.model_dump_json().encode())

    def close(self) -> None:
        """End it, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _sizes(paths: Iterable[str]) -> Iterator[tuple[str, int]]:
    for path in paths:
        with suppress(OSError):  # it has gone, or is not here
            yield path, os.stat(path).st_size
