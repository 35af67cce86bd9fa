"""A node that does not see the job's folder: model and code travel to it, what its files grow by travels back.

Such a node has a folder of its own in the place of the job's. What workers append to segments and logs there, the
parent appends to files of the same names here, before it hears of it: so ledger, assembly and resume notice nothing.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from batchtwin.engine.launch import copies_folder
from batchtwin.engine.lock import alone
from batchtwin.engine.logs import made
from batchtwin.engine.output import OutputFolder
from batchtwin.errors import OutputError
from batchtwin.scoring.fetch import make_own
from batchtwin.spec.messages import Crew, Task
from batchtwin.spec.url import is_url

# What goes through Ray's object store at once: a fraction of the smallest store there is.
PIECE_BYTES = 16 << 20
# Below the job's folder.
MODELS, CODE, SCORE = "scratch/azureml-models", "scratch/code", "named-outputs/score"
GROWING = ("segments", "logs")
ADVICE = "has to be on a path that all machines share"

# The name of a file below the job's folder, and what it has grown by.
Grown = tuple[str, bytes]
# The events of a step, as JSON, and what files have grown by.
Answer = tuple[list[str], list[Grown]]


def shared_paths(crew: Crew) -> list[str]:
    """Return what a machine has to see that shares the job's folder: one file in it has a name of this moment."""
    mark = OutputFolder(Path(crew.root), None).scratch / f"seen-{secrets.token_hex(8)}"
    mark.touch()
    return [str(mark), *([crew.script[0]] if crew.script else [])]


def pack(crew: Crew, send: Callable[[bytes], object]) -> int:
    """Send model and code as a tar, piece by piece; return how many bytes that is."""
    pieces: Any = _Pieces(send)
    with tarfile.open(fileobj=pieces, mode="w|", dereference=True) as tar:
        code = [(CODE, Path(crew.script[0]))] if crew.script else []
        for place, top in ((MODELS, Path(crew.root) / MODELS), *code):
            for name, file in _files(top):
                if os.path.isfile(file):  # no pipe, no link that leads nowhere
                    tar.add(file, f"{place}/{name}", recursive=False)
    pieces.flush()
    return int(pieces.sent)


def _files(top: Path) -> Iterator[tuple[str, str]]:
    """Yield (name relative to `top`, path) of every file. Links to folders are followed, if they do not lead back."""
    for at, folders, names in os.walk(top, followlinks=True):
        here = f"{os.path.realpath(at)}/"
        inner = [(name, os.path.realpath(os.path.join(at, name))) for name in folders if name != "__pycache__"]
        folders[:] = [name for name, real in inner if not here.startswith(f"{real}/")]
        yield from ((os.path.relpath(os.path.join(at, name), top), os.path.join(at, name)) for name in names)


class _Pieces:
    """What tarfile writes to."""

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


class _Joined:
    """What tarfile reads from: pieces, one after the other."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._rest = memoryview(piece)
            taken = self._rest[: size - len(found)]
            self._rest = self._rest[len(taken) :]
            found += taken
        return bytes(found)


def unpack(pieces: Iterable[bytes], root: Path) -> None:
    """Write what `pack` sent below `root`.

    Raises:
        OutputError: a name leads out of it.
        OSError: the disk is full, or the like.
    """
    for place in (MODELS, CODE):
        (root / place).mkdir(parents=True)
    joined: Any = _Joined(pieces)
    with tarfile.open(fileobj=joined, mode="r|") as tar:
        for member in tar:
            target, source = _below(root, member.name, (MODELS, CODE)), tar.extractfile(member)
            if source is not None:
                with made(target).open("wb") as stream:
                    shutil.copyfileobj(source, stream, 1 << 20)
                target.chmod(member.mode & 0o777)


def moved(crew: Crew, root: Path) -> Crew:
    """Return the crew whose job's folder is `root`, with the code in it. The deployment's own variables stay."""
    code = str(root / CODE)
    places = [(crew.root, str(root)), *([(crew.script[0], code)] if crew.script else [])]
    places.sort(key=lambda place: -len(place[0]))  # one may be in the other

    def at(text: str) -> str:
        for old, new in places:
            if text == old or text.startswith(f"{old}/"):
                return new + text[len(old) :]
        return text

    script = (code, crew.script[1]) if crew.script else None
    model = crew.preload.model and at(crew.preload.model)
    return crew.model_copy(
        update={
            "root": str(root),
            "script": script,
            "preload": crew.preload.model_copy(update={"script": script, "model": model}),
            "environment": {
                name: text if name in crew.variables else at(text) for name, text in crew.environment.items()
            },
        }
    )


class Growth:
    """What files below `root` have grown by since that was taken last. They only ever grow."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._taken: dict[str, int] = {}

    def take(self, most: int, folders: Iterable[str] = GROWING) -> list[Grown]:
        """Return up to `most` bytes of it; fewer only if that is all there is."""
        return list(self._take(most, folders))

    def _take(self, room: int, folders: Iterable[str]) -> Iterator[Grown]:
        for folder in folders:
            for name, file in _files(self._root / folder):
                known = f"{folder}/{name}"
                before = self._taken.get(known, 0)
                if not room:
                    return
                if os.path.getsize(file) > before:
                    with open(file, "rb") as stream:
                        stream.seek(before)
                        data = stream.read(room)
                    self._taken[known] = before + len(data)
                    room -= len(data)
                    yield known, data


def _below(root: Path, name: str, folders: Iterable[str]) -> Path:
    """Return the path of a name that another machine has sent.

    Raises:
        OutputError: it leads to none of the folders.
    """
    path = Path(os.path.normpath(root / name))
    if not any(path.is_relative_to(root / folder) for folder in folders):
        raise OutputError(f"{name!r} leads out of {root}")
    return path


def land(root: Path, grown: Iterable[Grown]) -> None:
    """Append to files below `root` what they have grown by elsewhere.

    Raises:
        OutputError: a name leads to where it must not.
        OSError: the disk is full, or the like.
    """
    for name, data in grown:
        with made(_below(root, name, GROWING)).open("ab") as stream:
            stream.write(data)


class Away:
    """The folder of node `number` that stands for the job's, with the model and the code of `pieces` (`pack`).

    Raises:
        OSError: it cannot be made, or the script writes its own files, which would stay here.
    """

    def __init__(self, crew: Crew, number: int, pieces: Iterable[bytes]) -> None:
        if crew.output_action == "summary_only":
            raise FileNotFoundError(errno.ENOENT, f"is not there; with summary_only it {ADVICE}", crew.root)
        copies = copies_folder(crew)
        root = copies.with_name(f"{copies.name}-node{number}")
        shutil.rmtree(root, ignore_errors=True)  # of a job that was killed, and begun again
        make_own(root)
        self._lock = ExitStack()
        self._lock.enter_context(alone(root, OutputError))
        unpack(pieces, root)
        OutputFolder(root, None).make()
        self.crew = moved(crew, root)
        self._job, self._code = crew.root, crew.script[0] if crew.script else ""
        self._root, self._copies = root, copies
        self._growth = Growth(root)
        self._held: list[str] = []

    @property
    def is_behind(self) -> bool:
        """Whether events wait for what they tell of to have travelled."""
        return bool(self._held)

    def look_for(self, tasks: Iterable[Task]) -> None:
        """See that the input is here.

        Raises:
            FileNotFoundError: naming a file that is not.
        """
        for task in tasks:
            for file in task.files:
                if not is_url(file) and not os.path.exists(file):
                    text = f"is not there; input {ADVICE}, or to be a URL"
                    raise FileNotFoundError(errno.ENOENT, text, file)

    def answer(self, texts: Sequence[str]) -> Answer:
        """Return what has grown, and the events whose rows are thereby with the parent.

        Raises:
            OSError: the script has written files of its own, or one cannot be read.
        """
        if any(os.scandir(self._root / SCORE)):
            text = f"is not there; where a script writes files of its own, it {ADVICE}"
            raise FileNotFoundError(errno.ENOENT, text, self._job)
        code = str(self._root / CODE)
        self._held += [text.replace(code, self._code) for text in texts]
        grown = self._growth.take(PIECE_BYTES)
        if sum(len(data) for _, data in grown) >= PIECE_BYTES:
            return [], grown
        told, self._held = self._held, []
        return told, grown

    def close(self) -> list[Grown]:
        """Remove the folder, and those of dead nodes beside it; return what the logs have grown by."""
        try:
            return self._growth.take(PIECE_BYTES, ("logs",))
        finally:
            self._lock.close()
            for folder in self._copies.parent.glob(f"{self._copies.name}-node*"):
                with suppress(OutputError, OSError), alone(folder, OutputError):
                    shutil.rmtree(folder, ignore_errors=True)
