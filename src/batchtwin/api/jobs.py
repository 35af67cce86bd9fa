"""Score, resume, verify, compare: the functions, and what the commands of the same names call."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from batchtwin.api.data import Input, as_rows, location_of, with_data
from batchtwin.api.options import ResumeOptions, ScoreOptions, check, overrides_of, pooling_of, request_of
from batchtwin.api.registered import registered
from batchtwin.api.result import Result
from batchtwin.api.watch import Watch, watch_for
from batchtwin.engine.output.remote import work_folder
from batchtwin.engine.prepare import Request, place_request, prepare, resolve
from batchtwin.engine.progress import Progress
from batchtwin.inputs.location import parse_location
from batchtwin.interrupts import Interrupts, of_a_caller, of_a_command

if TYPE_CHECKING:
    from batchtwin.engine.verify import Verdict
    from batchtwin.predictions.comparison import Comparison


def score(
    deployment: str | os.PathLike[str],
    input: Input,
    *,
    progress: bool | Progress = False,
    **options: Unpack[ScoreOptions],
) -> Result:
    """Score an input as the deployment's batch job would.

    `input` is a folder, a file, a URL, a list of files, a DataFrame or a list of dicts. `progress=True` shows a bar in
    a notebook or on a terminal, and lines elsewhere. The options are those of `batchtwin score`, see `ScoreOptions`. A
    job that fails, or that Ctrl-C cancels, is a result like any other: see `Result.raise_for_status`.

    Raises:
        BatchTwinError: by kind: the job is refused, and nothing was scored.
        TypeError: an option does not exist.
    """
    check(options, ScoreOptions, "score")
    location = location_of(input)
    overrides = overrides_of(options.get("set"))
    request = request_of(deployment, location or Path(), options, overrides)
    return run(request, watch_for(progress), of_a_caller, None if location else input)


def run(request: Request, watch: Watch, interrupts: Interrupts = of_a_command, data: Input | None = None) -> Result:
    """Run a request to the end of its job. `data` is the input if that is no location.

    Raises:
        BatchTwinError: as in `score`.
    """
    from batchtwin.engine.backends.choice import backend_for

    began = time.monotonic()
    rows = None if data is None else as_rows(data)
    resolved = resolve(request)
    placement = place_request(request, resolved, watch.note, registered=registered)
    with with_data(request, resolved, rows, reads_parquet=placement.reads_parquet) as request:
        with closing(backend_for(request, resolved, placement)) as backend:
            from batchtwin.engine.new_job import new_job  # while the node starts

            prepared = prepare(request, resolved).placed(placement)
            watch.warn(prepared.warnings)
            watch.begin()
            with closing(watch):
                ended = new_job(prepared, watch, backend, interrupts=interrupts)
    if ended.cause and placement.kind == "here":  # a user who names an environment knows its versions
        watch.warn(f"environment: {text}" for text in placement.differences)
    return Result.of(ended, time.monotonic() - began, watch.warnings)


def resume(
    output: Result | str | os.PathLike[str], *, progress: bool | Progress = False, **options: Unpack[ResumeOptions]
) -> Result:
    """Finish an interrupted or failed job: run only what was not committed. `output` is its folder, URL or result.

    The options are those of `batchtwin resume`, see `ResumeOptions`.

    Raises:
        BatchTwinError: there is no job, it is in use, or what it was made of has changed.
        TypeError: an option does not exist.
    """
    check(options, ResumeOptions, "resume")
    return run_again(folder_of(output), options, watch_for(progress), of_a_caller)


def run_again(root: Path, options: ResumeOptions, watch: Watch, interrupts: Interrupts = of_a_command) -> Result:
    """Finish the job of a folder.

    Raises:
        BatchTwinError: as in `resume`.
    """
    from batchtwin.engine.identity.changes import parse_accepted
    from batchtwin.engine.resume import resume as resume_job

    began = time.monotonic()
    accepted = parse_accepted(options.get("accept_changed"))
    pooling = pooling_of(options)
    watch.begin()
    with closing(watch):
        ended = resume_job(
            root,
            watch,
            options.get("workers"),
            retry_failed=options.get("retry_failed", False),
            where=pooling,
            registered=registered,
            accepted=accepted,
            interrupts=interrupts,
        )
    return Result.of(ended, time.monotonic() - began, watch.warnings)


def verify(output: Result | str | os.PathLike[str]) -> Verdict:
    """Prove that the output of a job is whole, and what these inputs, model and script gave; or say what is not.

    Raises:
        BatchTwinError: there is no job, or its ledger or manifest cannot be read.
    """
    from batchtwin.engine.verify import verify as verify_job

    return verify_job(folder_of(output))


def compare(
    left: Result | str | os.PathLike[str],
    right: Result | str | os.PathLike[str],
    *,
    rtol: float = 1e-9,
    atol: float = 0.0,
    most: int = 10,
) -> Comparison:
    """Compare two prediction files, or those of two jobs, whatever the order of their lines.

    Floats are equal within `rtol` (of the larger one) or `atol`; `most` differences are listed.

    Raises:
        BatchTwinError: a file is missing, is not made of lines, or cannot be read, or an option makes no sense.
    """
    from batchtwin.predictions.compare import compare as compare_files

    first, second = (side.folder if isinstance(side, Result) else Path(side) for side in (left, right))
    return compare_files(first, second, rtol, atol, most)


def folder_of(output: Result | str | os.PathLike[str]) -> Path:
    """Return the folder that a job works in, by its result, folder or URL."""
    return output.folder if isinstance(output, Result) else work_folder(parse_location(os.fspath(output)))
