"""Model and code for nodes that do not see the job's folder: sent as a tar, in pieces."""

from __future__ import annotations

import os
import secrets
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchtwin.engine.logs import with_parent
from batchtwin.engine.output.folder import MODELS, SCRATCH, OutputFolder
from batchtwin.errors import OutputError
from batchtwin_node.protocol import JobContext

# Size of a piece in Ray's object store: a fraction of the smallest store.
PIECE_BYTES = 16 << 20
# Below the job's folder.
CODE = f"{SCRATCH}/code"


def shared_paths(context: JobContext) -> list[str]:
    """Return the paths that a machine sees if it shares the job's folder; one of them was named just now."""
    mark = OutputFolder(Path(context.root), None).scratch / f"seen-{secrets.token_hex(8)}"
    mark.touch()
    return [str(mark), *([context.script[0]] if context.script else [])]


def pack(context: JobContext, send: Callable[[bytes], object]) -> int:
    """Send model and code as a tar, piece by piece; return how many bytes that is."""
    pieces: Any = _ChunkWriter(send)
    with tarfile.open(fileobj=pieces, mode="w|", dereference=True) as tar:
        code = [(CODE, Path(context.script[0]))] if context.script else []
        for place, top in ((MODELS, Path(context.root) / MODELS), *code):
            for name, file in files_to_send(top, without=context.root if place == CODE else ""):
                with suppress(FileNotFoundError):  # files come and go
                    if os.path.isfile(file):  # no pipe, no dangling link
                        tar.add(file, f"{place}/{name}", recursive=False)
    pieces.flush()
    return int(pieces.sent)


def files_to_send(top: Path, without: str = "") -> Iterator[tuple[str, str]]:
    """Yield (name relative to `top`, path) of every file, except those in `without`.

    Links to folders are followed, unless they lead back.
    """
    ways = {str(top): {os.path.realpath(top), os.path.realpath(without or top)}}
    for at, folders, names in os.walk(top, followlinks=True):
        way = ways.pop(at)
        inner = {name: os.path.realpath(os.path.join(at, name)) for name in folders if name != "__pycache__"}
        folders[:] = [name for name, real in inner.items() if real not in way]
        ways.update({os.path.join(at, name): way | {inner[name]} for name in folders})
        yield from ((os.path.relpath(os.path.join(at, name), top), os.path.join(at, name)) for name in names)


class _ChunkWriter:
    """The stream that tarfile writes to."""

    def __init__(self, send: Callable[[bytes], object]) -> None:
        self._send = send
        self._waiting: list[bytes] = []
        self._size = self.sent = 0

    def write(self, data: bytes) -> int:
        self._waiting.append(bytes(data))
        self._size += len(data)
        if self._size >= PIECE_BYTES:
            self.flush()
        return len(data)

    def flush(self) -> None:
        self._send(b"".join(self._waiting))
        self.sent += self._size
        self._waiting, self._size = [], 0


class _ChunkReader:
    """The stream that tarfile reads from: one piece after the other."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._rest = memoryview(piece)
            chunk = self._rest[: size - len(data)]
            self._rest = self._rest[len(chunk) :]
            data += chunk
        return bytes(data)


def unpack(pieces: Iterable[bytes], root: Path) -> None:
    """Write what `pack` sent below `root`.

    Raises:
        OutputError: a name leads out of it.
        OSError: the disk is full, or the like.
    """
    for name in (MODELS, CODE):
        (root / name).mkdir(parents=True)
    joined: Any = _ChunkReader(pieces)
    with tarfile.open(fileobj=joined, mode="r|") as tar:
        for member in tar:
            target, source = below(root, member.name, (MODELS, CODE)), tar.extractfile(member)
            if source is not None:
                with with_parent(target).open("wb") as stream:
                    shutil.copyfileobj(source, stream, 1 << 20)
                target.chmod(member.mode & 0o777)


def relocate(context: JobContext, root: Path) -> JobContext:
    """Return the context with the job's folder at `root`, and the code in it. The deployment's own variables stay."""
    code = str(root / CODE)
    places = [*([(context.script[0], code)] if context.script else []), (context.root, str(root))]
    places.sort(key=lambda place: -len(place[0]))  # one may contain the other

    def at(text: str) -> str:
        for old, new in places:
            if text == old or text.startswith(f"{old}/"):
                return new + text[len(old) :]
        return text

    script = (code, context.script[1]) if context.script else None
    model = context.preload.model and at(context.preload.model)
    return replace(
        context,
        root=str(root),
        script=script,
        preload=replace(context.preload, script=script, model=model),
        environment={**{name: at(text) for name, text in context.environment.items()}, **context.variables},
    )


def below(root: Path, name: str, folders: Iterable[str]) -> Path:
    """Return the path of a name that another machine has sent.

    Raises:
        OutputError: it leads out of the folders.
    """
    path = Path(os.path.normpath(root / name))
    if not any(path.is_relative_to(root / folder) for folder in folders):
        raise OutputError(f"{name!r} leads out of {root}")
    return path
