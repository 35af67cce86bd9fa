"""The process that reads ahead, seen from the parent: whether one is worth it, and its end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Self

from batchtwin.engine.prepare import Prepared
from batchtwin.spec.inputs import InputFile, ending
from batchtwin.spec.messages import ReadAhead

# Smaller files are read together by the worker; larger ones are not held twice, as file and as table.
SMALLEST, LARGEST = 1 << 20, 1 << 25
# Of text, in all; the tables of it take some three times as much.
MOST = 1 << 27


def worth_reading(files: Iterable[InputFile], free: int) -> list[str]:
    """Return the paths of the first files that are worth reading ahead, with `free` bytes of disk for their tables."""
    fit = [file for file in files if ending(file.path) == ".csv" and SMALLEST <= file.size <= LARGEST]
    sizes = accumulate(file.size for file in fit)
    return [
        file.path for file, _ in takewhile(lambda pair: pair[1] <= min(MOST, free // 10), zip(fit, sizes, strict=True))
    ]


class Ahead:
    """A process that reads files into `folder`."""

    def __init__(self, asked: ReadAhead, env: Mapping[str, str]) -> None:
        words = [sys.executable, "-P", "-m", "batchtwin.scoring.ahead", str(os.getpid())]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            words,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with suppress(BrokenPipeError), self._process.stdin as pipe:
            pipe.write(asked.model_dump_json().encode())

    @classmethod
    def start(cls, prepared: Prepared, files: Sequence[InputFile], folder: Path, env: Mapping[str, str]) -> Self | None:
        """Start one for the files of a job in the order of their turn; None where it would not help."""
        if prepared.script is not None or not prepared.model.inputs or (os.cpu_count() or 1) < 2:
            return None
        paths = worth_reading(files, shutil.disk_usage(folder.parent).free)
        if not paths:
            return None
        folder.mkdir()
        return cls(ReadAhead(folder=str(folder), inputs=prepared.model.inputs, files=tuple(paths)), env)

    def close(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.wait()
