"""Messages between controller, node and worker: one JSON object per line.

An exception of a user's code crosses as text, never as an object.
"""

from __future__ import annotations

from typing import ClassVar, Dict, Optional, Tuple, Union

from batchtwin_node.codec import value_object
from batchtwin_node.warm.messages import Keep

VERSION = 1
# How long workers may take to end, `shutdown()` included.
SHUTDOWN_SECONDS = 10.0
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Beginning of the message when a worker was killed because its `init()` took too long.
INIT_TIMEOUT = "init() did not finish in"
# Kinds of failures: raised, wrong_type, timeout, crashed, script, init, bad_file, write, not_in_parts.
FailureKind = str


@value_object
class ForkServerConfig:
    """What a fork server imports and loads before workers are forked from it.

    `script` is (absolute code folder, path of the script in it), None for the MLflow driver; `model` is the folder of
    an MLflow model, for its driver only. `skops`: the model was saved with skops. `keep`: how it stays for later jobs.
    """

    script: Optional[Tuple[str, str]]
    model: Optional[str]
    skops: bool = False
    keep: Optional[Keep] = None


@value_object
class NodeInit:
    """The first message to a node: the node answers with `nonce`, and starts a fork server if `preload` is given.

    `variables` are the deployment's own environment variables, `timeout` is the seconds of one `run()`.
    """

    TYPE: ClassVar[str] = "init"
    nonce: str
    preload: Optional[ForkServerConfig]
    variables: Dict[str, str]
    timeout: float


@value_object
class JobContext:
    """What the workers of one run of a job have in common, on any machine.

    `key` is of this job alone, `run` numbers its runs from 1, `first` is the number of the first worker. Workers are
    dealt to `nodes` nodes in turn; all are of node `node` if that is given. `root` is the job's folder, `score` the
    folder that the script may write to. `environment` is what the job adds to a machine's variables. `cpus` are those
    of all workers together, None for all of the machine; `gpus` those of each worker. `inputs` is the JSON text of the
    model's signature, for the MLflow driver only.
    """

    TYPE: ClassVar[str] = "job"
    key: str
    root: str
    run: int
    nodes: int
    workers: int
    timeout: float
    script: Optional[Tuple[str, str]]
    logging_level: str
    output_action: str
    preload: ForkServerConfig
    inputs: str
    variables: Dict[str, str]
    environment: Dict[str, str]
    first: int = 0
    node: Optional[int] = None
    cpus: Optional[float] = None
    gpus: float = 0.0


@value_object
class FilePart:
    """Some rows of a file: `length` bytes from `start`, after a header of `header` bytes; or as many row groups.

    `row` is the number of the first row, from 0, on line `line`; `rows` is how many there are.
    """

    start: int
    length: int
    row: int
    rows: int
    line: int
    header: int


@value_object
class Task:
    """One mini-batch to run: `files` are absolute paths, `attempt` counts from 1; `part` is that of the only file."""

    TYPE: ClassVar[str] = "task"
    mini_batch: int
    attempt: int
    files: Tuple[str, ...]
    part: Optional[FilePart] = None


@value_object
class Ping:
    """A node answers with Pong."""

    TYPE: ClassVar[str] = "ping"


@value_object
class Shutdown:
    """End all workers: idle ones call `shutdown()`, busy ones are killed. A node answers with Closed, and ends."""

    TYPE: ClassVar[str] = "shutdown"


ToNode = Union[NodeInit, JobContext, Task, Ping, Shutdown]
TO_NODE = {kind.TYPE: kind for kind in (NodeInit, JobContext, Task, Ping, Shutdown)}


@value_object
class WorkerInit:
    """The first line that a worker gets: its name and what it runs: absolute code folder and script in it, or None."""

    worker: str
    segment: str
    script: Optional[Tuple[str, str]]
    logging_level: str
    output_action: str


@value_object
class ForkRequest:
    """A worker to fork: variables that differ from the fork server's own, its folder, its parent's pid."""

    env: Dict[str, str]
    folder: str
    parent: int


@value_object
class PrefetchRequest:
    """Files to read before there is a worker: `inputs` is the JSON text of the model's signature."""

    folder: str
    inputs: str
    files: Tuple[str, ...]


@value_object
class BadFile:
    """A file that does not fit the model's signature.

    `row` counts the file's records from 0, as the output's `row` column does; `line` its lines from 1.
    """

    file: str
    message: str
    column: Optional[str] = None
    row: Optional[int] = None
    line: Optional[int] = None
    value: Optional[str] = None


@value_object
class NodeReady:
    """A node's first line: what it is, and the `nonce` of its NodeInit. `python` is (major, minor, micro)."""

    TYPE: ClassVar[str] = "node"
    nonce: str
    version: int
    python: Tuple[int, int, int]
    pid: int


@value_object
class WorkerStarted:
    """A worker process was started; `how` says in words whether it was forked."""

    TYPE: ClassVar[str] = "started"
    worker: str
    pid: int
    how: str


@value_object
class Ready:
    """`init()` returned after `seconds`; the worker takes mini-batches."""

    TYPE: ClassVar[str] = "ready"
    worker: str
    seconds: float


@value_object
class Outcome:
    """A mini-batch with its rows in `segment[offset:offset + length]`, with CRC-32 `crc`.

    `succeeded` and `failed` count items (files); `rows` counts output lines. `started` is in seconds since the epoch;
    `seconds` is the whole try, `run_seconds` the call of `run()`. `file_rows` holds (rows read, rows written) of each
    good file, if the script counts them. `notes` are sentences for the user.
    """

    TYPE: ClassVar[str] = "outcome"
    mini_batch: int
    attempt: int
    worker: str
    segment: str
    offset: int
    length: int
    crc: int
    rows: int
    succeeded: int
    failed: int
    pid: int
    started: float
    seconds: float
    run_seconds: float
    bad_files: Tuple[BadFile, ...] = ()
    file_rows: Optional[Tuple[Tuple[int, int], ...]] = None
    notes: Tuple[str, ...] = ()


@value_object
class Failure:
    """A failed try; without `mini_batch`, a worker that never became ready.

    `file` is the file that failed, if that is known; a file that cannot be read is in `bad_file` instead. `at` is the
    file that the script was at, and how that is known.
    """

    TYPE: ClassVar[str] = "failure"
    worker: str
    kind: FailureKind
    message: str
    pid: int
    started: float
    traceback: str = ""
    mini_batch: Optional[int] = None
    attempt: int = 0
    seconds: float = 0.0
    run_seconds: float = 0.0
    bad_file: Optional[BadFile] = None
    file: Optional[str] = None
    at: Optional[Tuple[str, str]] = None


@value_object
class ProcessUsage:
    """CPU (per cent of one core) and resident memory (bytes) of a worker since the last sample."""

    worker: str
    pid: int
    cpu_percent: float
    rss: int


@value_object
class Usage:
    """CPU (per cent of all cores) and memory (bytes) of a node's machine, and of its workers."""

    TYPE: ClassVar[str] = "usage"
    cpu_percent: float
    memory_used: int
    memory_total: int
    processes: Tuple[ProcessUsage, ...]


@value_object
class Pong:
    """The answer to Ping."""

    TYPE: ClassVar[str] = "pong"


@value_object
class Closed:
    """A node's last line: all workers have ended."""

    TYPE: ClassVar[str] = "closed"


Event = Union[Ready, Outcome, Failure]
EVENTS = {kind.TYPE: kind for kind in (Ready, Outcome, Failure)}
FromNode = Union[NodeReady, WorkerStarted, Ready, Outcome, Failure, Usage, Pong, Closed]
FROM_NODE = {kind.TYPE: kind for kind in (NodeReady, WorkerStarted, Ready, Outcome, Failure, Usage, Pong, Closed)}


def segment_name(run: int, worker: str) -> str:
    """Return the name of the file that a worker appends its rows to. No segment has two writers."""
    return f"run{run}-{worker.replace('/', '-')}.segment"
