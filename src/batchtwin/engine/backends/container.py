"""Run a prepared job in a container: the same command line, with nothing writable but the output."""

from __future__ import annotations

import csv
import io
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from batchtwin import errors
from batchtwin.deployment.schema import InlineEnvironment
from batchtwin.engine.prepare import Prepared
from batchtwin.errors import BatchTwinError

# The image's USER; what root runs as, because a job needs no root.
IMAGE_UID = 10001
# What the engine's client ends with if the container did not start, and if it was killed.
NOT_STARTED = range(125, 128)
KILLED = 128 + signal.SIGKILL


class ContainerError(BatchTwinError):
    """No container engine, no such image, or a container that does not start."""


class ContainerKilledError(BatchTwinError):
    """The container was killed while the job ran."""

    exit_code = errors.FAILED


@dataclass(frozen=True)
class Container:
    """How to run: `engine` is the client's command; `uid`, `gid` and `groups` (further groups) are numeric."""

    engine: str
    image: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    terminal: bool = False

    def command(self, prepared: Prepared, options: Sequence[str] = ()) -> list[str]:
        """Return the whole command: no network, read-only root, no capabilities, every path where it is outside."""
        output = os.path.abspath(prepared.output.root)
        read = {place: source for place, source in _read(prepared) if place != output}
        mounts = [_mount(read[place], place, read_only=True) for place in sorted(read)]
        mounts.append(_mount(prepared.output.root.resolve(), output, read_only=False))
        return [
            *(self.engine, "run", "--rm", "--init", "--network", "none", "--read-only"),
            *(word for place in self._scratch([output, *read]) for word in ("--tmpfs", place)),
            *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", f"{self.uid}:{self.gid}"),
            *(word for group in self.groups for word in ("--group-add", str(group))),
            *(["--tty"] if self.terminal else []),
            *(word for mount in mounts for word in ("--mount", mount)),
            self.image,
            *_arguments(prepared),
            *options,
        ]

    def _scratch(self, places: Iterable[str]) -> Iterator[str]:
        """Temporary file systems. Images close /root to others: where a path leads through it, one covers it."""
        yield "/tmp:exec"  # noqa: S108 - in the container
        if any(place.startswith("/root/") for place in places):
            yield f"/root:uid={self.uid}"


def _mount(source: Path, place: str, *, read_only: bool) -> str:
    """A file or folder at `place`, in the CSV that `--mount` reads."""
    text = io.StringIO()
    fields = ["type=bind", f"src={source}", f"dst={place}", *(["readonly"] if read_only else [])]
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()


def _read(prepared: Prepared) -> Iterator[tuple[str, Path]]:
    """Everything that the job reads, and where links among it lead: place in the container, source outside."""
    folders = [prepared.model.path, Path(prepared.inputs.root), *_code(prepared)]
    for path in (prepared.request.deployment, *folders, *_conda_file(prepared)):
        yield os.path.abspath(path), path.resolve()
    inside = tuple(os.path.abspath(folder) + os.sep for folder in folders)
    links = [Path(file.path) for file in prepared.inputs.files]
    links += [path for folder in (prepared.model.path, *_code(prepared)) for path in folder.rglob("*")]
    for place in (place for link in links for place in _hops(link)):
        if not place.startswith(inside):
            yield place, Path(place).resolve()


def _code(prepared: Prepared) -> list[Path]:
    code = prepared.deployment.code_configuration
    return [prepared.folder / code.code] if code else []


def _conda_file(prepared: Prepared) -> list[Path]:
    environment = prepared.deployment.environment
    if isinstance(environment, InlineEnvironment) and isinstance(environment.conda_file, str):
        path = prepared.folder / environment.conda_file
        return [path] if path.exists() else []
    return []


def _hops(link: Path) -> Iterator[str]:
    """Where a link leads, and where that leads if it is a link too. A broken one leads nowhere."""
    while link.is_symlink() and link.exists():
        link = Path(os.path.abspath(link.parent / link.readlink()))
        yield str(link)


def _arguments(prepared: Prepared) -> list[str]:
    request = prepared.request
    overrides = [word for key, value in request.overrides.items() for word in ("--set", f"{key}={value}")]
    return [
        *("score", os.path.abspath(request.deployment), "--input", os.path.abspath(prepared.inputs.root)),
        *("--model", os.path.abspath(prepared.model.path), "--output", os.path.abspath(prepared.output.root)),
        *(["--workers", str(request.workers)] if request.workers else []),
        *(["--overwrite"] if request.overwrite else []),
        *(["--hash-inputs"] if request.hash_inputs else []),
        *(["--coalesce"] if request.coalesce else []),
        *("--bad-files", "quarantine" if request.quarantine else "fail"),
        *overrides,
    ]


def score_in_container(prepared: Prepared, engine: str, image: str, options: Sequence[str] = ()) -> int:
    """Run the job in `image`; return the exit code of the command inside.

    `options` are further words for that command, such as `--strict-environment`.

    Raises:
        ContainerError: no engine answers, it has no such image, or the container does not start.
        ContainerKilledError: something killed the container, most often a lack of memory.
    """
    _require(engine, image)
    caller = (os.getuid(), os.getgid())
    user = caller if caller[0] else (IMAGE_UID, IMAGE_UID)
    groups = tuple(group for group in os.getgroups() if group != caller[1]) if caller[0] else ()
    terminal = sys.stdout.isatty() and sys.stderr.isatty()
    prepared.output.root.mkdir(parents=True, exist_ok=True)
    _hand_over(prepared.output.root, caller[0], *user)
    try:
        code = _run(Container(engine, image, *user, groups, terminal).command(prepared, options))
    finally:
        _hand_over(prepared.output.root, user[0], *caller)
    if code in NOT_STARTED:
        raise ContainerError(f"image '{image}' did not start; {engine} says why above")
    if code == KILLED:
        raise ContainerKilledError(
            "the container was killed, most often for want of memory; "
            "give the container engine more, or run fewer workers: --workers 1"
        )
    return code


def _require(engine: str, image: str) -> None:
    try:
        answer = subprocess.run([engine, "image", "inspect", image], capture_output=True, check=False)  # noqa: S603
    except OSError as error:
        raise ContainerError(f"{engine}: {error.strerror}; install a container engine, or leave out --image") from None
    if answer.returncode:
        last = answer.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ContainerError(
            f"image '{image}' cannot be used: {''.join(last)}; start the engine, build the image with `make image`, "
            "or leave out --image"
        )


def _hand_over(root: Path, owner: int, uid: int, gid: int) -> None:
    """Make what is `owner`'s in the output belong to `uid`. Only root can, and only root has to.

    Links are not followed, and a file with another name elsewhere, such as one of the model, stays whose it is.
    """
    if os.getuid():
        return
    for at, folders, files in os.walk(root):
        for path in (at, *(os.path.join(at, entry) for entry in folders + files)):
            info = os.lstat(path)
            if info.st_uid == owner and (info.st_nlink == 1 or stat.S_ISDIR(info.st_mode)):
                os.lchown(path, uid, gid)


def _run(command: Sequence[str]) -> int:
    """Run the client, which shows what the container prints and passes signals on to it.

    It stands in a process group of its own: the job inside counts signals, and each is to arrive once.
    """
    with subprocess.Popen(command, process_group=0) as process, _passing_on(process):  # noqa: S603 - built above
        return process.wait()


@contextmanager
def _passing_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda caught, frame: process.send_signal(caught)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
