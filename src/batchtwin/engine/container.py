"""Run a prepared job in a container: the same command line, with nothing writable but the output."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchtwin.engine.output import MADE
from batchtwin.engine.prepare import Prepared
from batchtwin.errors import BatchTwinError
from batchtwin.spec.deployment import InlineEnvironment

# The image's USER; what root runs as, because a job needs no root.
IMAGE_UID = 10001


class ContainerError(BatchTwinError):
    """No container engine, or no such image."""


@dataclass(frozen=True)
class Container:
    """How to run: `engine` is the client's command, `uid` and `gid` are numeric."""

    engine: str
    image: str
    uid: int
    gid: int
    terminal: bool = False

    def command(self, prepared: Prepared) -> list[str]:
        """Return the whole command: no network, read-only root, no capabilities, every path where it is outside."""
        read_only = [_mount(path, read_only=True) for path in sorted(set(_read(prepared)))]
        return [
            *(self.engine, "run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp:exec"),  # noqa: S108
            *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", f"{self.uid}:{self.gid}"),
            *(["--tty"] if self.terminal else []),
            *(word for mount in read_only for word in ("--mount", mount)),
            *("--mount", _mount(prepared.output.root, read_only=False)),
            self.image,
            *_arguments(prepared),
        ]


def _mount(path: Path, *, read_only: bool) -> str:
    """A path at its own place, in the CSV that `--mount` reads."""
    text = io.StringIO()
    fields = ["type=bind", f"src={path}", f"dst={path}", *(["readonly"] if read_only else [])]
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()


def _read(prepared: Prepared) -> Iterator[Path]:
    """Everything that the job reads, and where links among it lead."""
    request = prepared.request
    yield from (request.deployment.absolute(), prepared.model.path, prepared.inputs.root)
    if prepared.script:
        yield Path(prepared.script[0])
    environment = prepared.deployment.environment
    if isinstance(environment, InlineEnvironment) and isinstance(environment.conda_file, str):
        yield Path(os.path.abspath(request.deployment.absolute().parent / environment.conda_file))
    yield from _link_targets(Path(file.path) for file in prepared.inputs.files)
    yield from _link_targets(prepared.model.path.rglob("*"))


def _link_targets(paths: Iterator[Path]) -> Iterator[Path]:
    return (path.resolve() for path in paths if path.is_symlink() and path.exists())


def _arguments(prepared: Prepared) -> list[str]:
    request = prepared.request
    overrides = [word for key, value in request.overrides.items() for word in ("--set", f"{key}={value}")]
    return [
        *("score", str(request.deployment.absolute()), "--input", str(prepared.inputs.root)),
        *("--model", str(prepared.model.path), "--output", str(prepared.output.root)),
        *(["--workers", str(request.workers)] if request.workers else []),
        *(["--overwrite"] if request.overwrite else []),
        *("--bad-files", "quarantine" if request.quarantine else "fail"),
        *overrides,
    ]


def score_in_container(prepared: Prepared, engine: str, image: str) -> int:
    """Run the job in `image`; return the exit code of the command inside.

    Raises:
        ContainerError: no engine answers, or it has no such image.
    """
    _require(engine, image)
    caller = (os.getuid(), os.getgid())
    user = caller if caller[0] else (IMAGE_UID, IMAGE_UID)
    terminal = sys.stdout.isatty() and sys.stderr.isatty()
    prepared.output.root.mkdir(parents=True, exist_ok=True)
    _give(prepared.output.root, *user)
    try:
        return _run(Container(engine, image, *user, terminal).command(prepared))
    finally:
        _give(prepared.output.root, *caller)


def _require(engine: str, image: str) -> None:
    try:
        answer = subprocess.run([engine, "image", "inspect", image], capture_output=True, check=False)  # noqa: S603
    except OSError:
        raise ContainerError(f"{engine}: no such command; install a container engine, or leave out --image") from None
    if answer.returncode:
        last = answer.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ContainerError(f"image '{image}' cannot be used: {''.join(last)}; build it with `make image`")


def _give(root: Path, uid: int, gid: int) -> None:
    """Make what the job writes belong to `uid`. Links are not followed. Only root can, and only root has to."""
    if os.getuid():
        return
    os.chown(root, uid, gid)
    for name in ("named-outputs", *MADE):
        for at, folders, files in os.walk(root / name):
            for path in (at, *(os.path.join(at, entry) for entry in folders + files)):
                os.lchown(path, uid, gid)
        if (root / name).is_file():
            os.lchown(root / name, uid, gid)


def _run(command: Sequence[str]) -> int:
    """Run in the foreground. Ctrl-C reaches the container through its client; SIGTERM is passed on."""
    with subprocess.Popen(command) as process:  # noqa: S603 - built above
        before = {
            signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
            signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, frame: process.send_signal(number)),
        }
        try:
            return process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
