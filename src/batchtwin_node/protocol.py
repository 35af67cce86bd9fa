"""What crosses between the parent and a worker: one JSON object per line, nothing else.

A user's exception crosses as text, never as an object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

FailureKind = Literal["raised", "wrong_type", "timeout", "crashed", "script", "init", "bad_file", "write"]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WorkerInit(_Message):
    """The first line that a worker gets: who it is and what it runs.

    `script` is None for the MLflow driver; otherwise the absolute code folder and the script's path in it. `copies` is
    the folder for copies of input that lies in a store.
    """

    worker: str
    segment: str
    script: tuple[str, str] | None
    logging_level: str
    output_action: str
    copies: str


class ForkServerConfig(_Message):
    """What a template process makes ready before workers are forked from it.

    `script` as in WorkerSettings; `model` is the folder of an MLflow model, for its driver only. `skops` says that the
    model was saved with it.
    """

    script: tuple[str, str] | None
    model: str | None
    skops: bool = False


class PrefetchRequest(_Message):
    """Files to read before there is a worker: `inputs` is the JSON text of the model's signature."""

    folder: str
    inputs: str
    files: tuple[str, ...]


class JobContext(_Message):
    """What the workers of one run of a job have in common, on whatever machine they are started.

    `root` is the job's folder, `run` numbers its runs from 1. `variables` are the deployment's own, `environment` is
    what the job adds to a machine's, those among it. `workers` run on one machine, with `timeout` seconds for a
    `run()`. `nodes` is what the deployment says. `key` is of this job alone. `inputs` is the JSON text of the model's
    signature, for the MLflow driver only.
    """

    key: str
    root: str
    run: int
    nodes: int
    workers: int
    timeout: float
    script: tuple[str, str] | None
    logging_level: str
    output_action: str
    preload: ForkServerConfig
    inputs: str
    variables: dict[str, str]
    environment: dict[str, str]


class ForkRequest(_Message):
    """A worker to fork: its variables where they are not the template's own, its folder, its parent's pid."""

    env: dict[str, str]
    folder: str
    parent: int


class Task(_Message):
    """One mini-batch to run: `files` are absolute paths, `attempt` counts from 1."""

    mini_batch: int
    attempt: int
    files: tuple[str, ...]


class BadFile(_Message):
    """A file that cannot be read as the model's signature says.

    `row` counts the file's records from 0, as the output's `row` column does; `line` its lines from 1.
    """

    file: str
    message: str
    column: str | None = None
    row: int | None = None
    line: int | None = None
    value: str | None = None


class Ready(_Message):
    """`init()` returned after `seconds`; the worker takes mini-batches."""

    type: Literal["ready"] = "ready"
    worker: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A mini-batch whose rows stand in `segment[offset:offset + length]`, with CRC-32 `crc`.

    `succeeded` and `failed` count items (files); `rows` counts output lines. `started` is in seconds since the
    epoch; `seconds` is the whole try, `run_seconds` the call of `run()`. `file_rows` holds (rows read, rows
    written) of each file that is not bad, where the script tells. `notes` are sentences for the person.

    A plain dataclass: the parent keeps one for each mini-batch.
    """

    type: Literal["outcome"] = "outcome"
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
    bad_files: tuple[BadFile, ...] = ()
    file_rows: tuple[tuple[int, int], ...] | None = None
    notes: tuple[str, ...] = ()

    __pydantic_config__ = ConfigDict(extra="forbid")


class Failure(_Message):
    """A try that failed; without `mini_batch`, a worker that never became ready."""

    type: Literal["failure"] = "failure"
    worker: str
    kind: FailureKind
    message: str
    traceback: str = ""
    mini_batch: int | None = None
    attempt: int = 0
    pid: int
    started: float
    seconds: float = 0.0
    run_seconds: float = 0.0
    bad_file: BadFile | None = None


Event = Annotated[Ready | Outcome | Failure, Field(discriminator="type")]
events: TypeAdapter[Ready | Outcome | Failure] = TypeAdapter(Event)
