"""A container whose first process is the node. The controller, the ledger and the assembly of the output stay outside.

Any image with Python 3.8 or later will do: only the package `batchtwin_node` is mounted. Messages go over the
container's standard streams. The container can write to the workers' folders, their segments and logs, and the script's
own output folder; nothing in these is linked to a file outside.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from batchtwin.engine.backends.base import Note
from batchtwin.engine.backends.local import node_folder
from batchtwin.engine.backends.node_client import NodeClient, NodeLostError
from batchtwin.engine.backends.node_pool import Client, NodePool
from batchtwin.engine.backends.node_process import StartedProcess
from batchtwin.engine.logs import Logs
from batchtwin.engine.output.folder import SCORE, SCRATCH, SEGMENTS, USER_LOGS
from batchtwin.engine.prepare import Prepared
from batchtwin.environments.options import EnvironmentOptions
from batchtwin.errors import BatchTwinError
from batchtwin_node import bootstrap
from batchtwin_node.codec import value_object
from batchtwin_node.protocol import JobContext, NodeInit
from batchtwin_node.script.entry_script import NO_MLFLOW

# The image's USER. Where that is root, this user instead: a job needs no root.
IMAGE_UID = 10001
# Exit codes of the engine's client when the container did not start, or its program is missing.
NOT_STARTED = range(125, 128)
NODE_FOLDER = "/opt/batchtwin-node"
INTERPRETERS = ("python3", "python")
START_SECONDS = 120.0
# Limits: processes that a script may start, and bytes in /tmp, which count as memory.
PROCESSES, TMP_SIZE = 4096, "2g"


class ContainerError(BatchTwinError):
    """No container engine, no such image, or a container that does not start."""


class ContainerBackend:
    """Runs the node of a job in `options.image`."""

    def __init__(self, options: EnvironmentOptions) -> None:
        self._options = options
        self._folder = node_folder()
        self._prepared: Prepared | None = None

    def connect(self, prepared: Prepared) -> str:
        """Check that the engine answers and has the image, and that no link leads out of code and model.

        Raises:
            ContainerError: saying what is missing.
        """
        identity = f"image {image_id(self._options)}, {self._options.engine}"
        check_links(prepared, self._options.follow_links)
        self._prepared = prepared
        return identity

    def pool(self, context: JobContext, logs: Logs, note: Note) -> NodePool:
        """Return a pool of processes in the container.

        Raises:
            ContainerError: it does not start.
        """
        make_writable(context)

        def start() -> Client:
            return self._start(context)

        return NodePool(start(), start, context, logs, note)

    def _start(self, context: JobContext) -> Client:
        init = NodeInit("", context.preload, context.variables, context.timeout)
        candidates = [self._options.python] if self._options.python else list(INTERPRETERS)
        for python in candidates:
            node = NodeClient(StartedProcess(self.command(context, python), os.environ), init)
            try:
                node.wait_until_ready(START_SECONDS)
            except NodeLostError as error:
                code = node.returncode
                node.kill()
                if code in NOT_STARTED and python != candidates[-1]:
                    continue
                raise ContainerError(self._why_not(python, code, str(error))) from None
            _refuse_old(node)
            return node
        raise ContainerError(f"image '{self._options.image}': no interpreter was named")

    def _why_not(self, python: str, code: int | None, text: str) -> str:
        image = self._options.image
        if code in NOT_STARTED:
            return f"image '{image}' did not start {python}: {text}; name its interpreter: --python PATH"
        return f"image '{image}' did not start: {text}"

    def command(self, context: JobContext, python: str) -> list[str]:
        """Return the whole command: no network, read-only root, no capabilities, paths the same inside as outside."""
        options, (uid, gid) = self._options, user()
        if self._prepared is None:
            raise ContainerError("not connected")
        mounts = mounts_for(self._prepared, context, self._folder)
        node = bootstrap.node_command(python, NODE_FOLDER, 0)
        return [
            *(options.engine, "run", "--interactive", "--rm", "--pull", "never", "--network", "none", "--read-only"),
            *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", f"{uid}:{gid}"),
            *("--memory", options.memory or default_memory(), "--pids-limit", str(PROCESSES)),
            *("--tmpfs", f"/tmp:exec,size={TMP_SIZE}"),  # noqa: S108 - in the container
            *self._covered_home(mounts, uid),
            *("--env", "HOME=/tmp", "--env", "USER=batch", "--workdir", "/"),
            *(word for mount in mounts for word in ("--mount", _as_option(mount))),
            *("--entrypoint", node[0], options.image, *node[1:]),
        ]

    def _covered_home(self, mounts: Sequence[Mount], uid: int) -> Sequence[str]:
        """Return the home folder to cover, where a path leads through it: images close /root to others."""
        if any(mount.target.startswith("/root/") for mount in mounts):
            return ("--tmpfs", f"/root:uid={uid}")
        return ()

    def explain(self, cause: str) -> str:
        """Name the image that lacks MLflow, and the command that builds one that has it."""
        advice = "build one that has it: batchtwin image DEPLOYMENT.yml"
        return cause.replace(NO_MLFLOW, f"no module mlflow in image {self._options.image}; {advice}")

    def close(self) -> None:
        """Give the output to the caller, and remove the node's package."""
        if self._prepared is not None:
            _hand_over(self._prepared.output.root, user()[0], os.getuid(), os.getgid())
        shutil.rmtree(self._folder, ignore_errors=True)


@value_object
class Mount:
    """A file or folder `source` outside, seen at `target` inside."""

    source: Path
    target: str
    is_writable: bool = False


def user() -> tuple[int, int]:
    """Return the uid and gid of the container: the caller's, or the image's user where that is root."""
    return (os.getuid(), os.getgid()) if os.getuid() else (IMAGE_UID, IMAGE_UID)


def default_memory() -> str:
    """Return nine tenths of the machine's memory: a script that takes too much is killed, not the machine."""
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') * 9 // 10 >> 20}m"


def mounts_for(prepared: Prepared, context: JobContext, node: str) -> list[Mount]:
    """Return the mounts, outer folders first."""
    output = prepared.output
    readable = {
        NODE_FOLDER: Path(node),
        str(output.models): output.models,
        os.path.abspath(prepared.inputs.root): Path(prepared.inputs.root).resolve(),
    }
    if context.script is not None:
        readable[context.script[0]] = Path(context.script[0]).resolve()
    readable.update(dict(_input_links(prepared)))
    writable = [output.scratch, output.segments, output.score, output.logs / "user"]
    mounts = {target: Mount(source, target) for target, source in readable.items()}
    mounts.update({str(folder): Mount(folder.resolve(), str(folder), is_writable=True) for folder in writable})
    return [mounts[target] for target in sorted(mounts)]


def _input_links(prepared: Prepared) -> Iterator[tuple[str, Path]]:
    """Return the targets of links among the input files: each is an item of the job, and a regular file."""
    root = os.path.abspath(prepared.inputs.root) + os.sep
    for file in prepared.inputs.files:
        link = Path(file.path)
        while link.is_symlink():
            link = Path(os.path.abspath(link.parent / link.readlink()))
            if not str(link).startswith(root):
                yield str(link), link.resolve()


def _as_option(mount: Mount) -> str:
    """Return a mount as the CSV that `--mount` reads."""
    text = io.StringIO()
    fields = ["type=bind", f"src={mount.source}", f"dst={mount.target}"]
    csv.writer(text, lineterminator="").writerow(fields + ([] if mount.is_writable else ["readonly"]))
    return text.getvalue()


def check_links(prepared: Prepared, follow: bool) -> None:
    """Refuse links in the code and the model that lead out of them: their targets would be visible inside.

    `follow` allows links in the model to regular files and folders of the caller, because the model is put together
    outside. Links to sockets, pipes and devices are never allowed.

    Raises:
        ContainerError: naming the link.
    """
    folders = [prepared.model.path, *([Path(prepared.script[0])] if prepared.script else [])]
    for folder in folders:
        top = folder.resolve()
        for place, names, files in os.walk(top):
            for name in (*names, *files):
                path = Path(place, name)
                if problem := _link_problem(path, top, follow):
                    raise ContainerError(f"{path}: {problem}")


def _link_problem(path: Path, top: Path, follow: bool) -> str | None:
    info = path.lstat()
    if not (stat.S_ISLNK(info.st_mode) or stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode)):
        return "not a regular file or folder: remove it, a container would get it too"
    if not stat.S_ISLNK(info.st_mode) or not path.exists():
        return None
    target = path.resolve()
    if target.is_relative_to(top):
        return None
    if not follow:
        return f"a link to {target}, outside of {top}: copy the file there, or allow it with --follow-links"
    if not (target.is_file() or target.is_dir()):
        return f"a link to {target}, which is neither a regular file nor a folder"
    return None


def image_id(options: EnvironmentOptions) -> str:
    """Return the id of the image.

    Raises:
        ContainerError: no engine answers, or it has no such image.
    """
    words = [options.engine, "image", "inspect", "--format", "{{.Id}}", options.image]
    try:
        answer = subprocess.run(words, capture_output=True, check=False)  # noqa: S603
    except OSError as error:
        advice = "install a container engine, or run without an image: --env auto"
        raise ContainerError(f"{options.engine}: {error.strerror}; {advice}") from None
    if answer.returncode:
        last = answer.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ContainerError(
            f"image '{options.image}' cannot be used: {''.join(last)}; start the engine, build the image "
            "(`batchtwin image DEPLOYMENT.yml`, or `make image` in this project), or run without one: --env auto"
        )
    return answer.stdout.decode().strip()


def _refuse_old(node: NodeClient) -> None:
    if node.ready is not None and node.ready.python < (3, 8, 0):
        node.kill()
        raise ContainerError(f"the image has Python {'.'.join(map(str, node.ready.python))}; 3.8 or later is needed")


def make_writable(context: JobContext) -> None:
    """Make the folders that the container may write to, and give them to its user."""
    root = Path(context.root)
    for name in (SCRATCH, SEGMENTS, USER_LOGS, SCORE):
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        _hand_over(folder, os.getuid(), *user())


def _hand_over(root: Path, owner: int, uid: int, gid: int) -> None:
    """Give what `owner` owns below a folder to `uid`. Only root can, and only root has to.

    Links are not followed. A file with another name elsewhere, such as a file of the model, keeps its owner.
    """
    if os.getuid():
        return
    for at, folders, files in os.walk(root):
        for path in (at, *(os.path.join(at, entry) for entry in folders + files)):
            info = os.lstat(path)
            if info.st_uid == owner and (info.st_nlink == 1 or stat.S_ISDIR(info.st_mode)):
                os.lchown(path, uid, gid)
