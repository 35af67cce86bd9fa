"""What a job would do: the function behind `batchtwin plan`."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

from batchtwin.api.data import Input, as_rows, location_of, with_data
from batchtwin.api.options import PlanOptions, ScoreOptions, check, overrides_of, request_of, warm_of
from batchtwin.api.registered import registered
from batchtwin.api.watch import Watch, watch_for
from batchtwin.engine.prepare import Prepared, Request, place_request, prepare, resolve
from batchtwin.engine.progress import Progress
from batchtwin.errors import UsageError

if TYPE_CHECKING:
    from batchtwin.environments.placement import Placement


@dataclass(frozen=True)
class JobPlan:
    """A job that may start. `facts` are its numbers and names, `details` its mini-batches and what is left out.

    `warnings` are its warnings; `doubts` are probable failures; `environment_differences` say how its environment
    differs from the requested one. `exit_code` is 0, or that of a trial that failed.
    """

    facts: dict[str, Any]
    details: dict[str, Any]
    warnings: tuple[str, ...]
    doubts: tuple[str, ...]
    environment_differences: tuple[str, ...]
    exit_code: int = 0

    @property
    def trial_cause(self) -> str:
        """Why the trial failed, empty if it did not."""
        return str(self.details.get("trial_cause", ""))

    @property
    def mini_batches(self) -> list[list[str]]:
        """The names of the files of each mini-batch."""
        batches: list[list[str]] = self.details.get("mini_batch_files", [])
        return batches

    def data(self) -> dict[str, Any]:
        """Return the plan for programs: what `--json` prints."""
        lists = {"doubts": list(self.doubts), "environment_differences": list(self.environment_differences)}
        return {**self.facts, **self.details, **lists}


def plan(
    deployment: str | os.PathLike[str],
    input: Input | None = None,
    *,
    trial: bool = False,
    progress: bool | Progress = False,
    **options: Unpack[PlanOptions],
) -> JobPlan:
    """Check all that can be checked before scoring, and return what would run. With `trial`, run one mini-batch.

    Without an input, everything but the data is checked.

    The input is that of `score`; the options are those of `batchtwin plan`, see `PlanOptions`.

    Raises:
        BatchTwinError: the job would be refused, by kind.
        TypeError: an option does not exist.
    """
    check(options, PlanOptions, "plan")
    location = location_of(input) if input is not None else ""
    overrides = overrides_of(options.get("set"))
    options["warm"] = warm_of(options, default=True)
    request = request_of(deployment, location or "", cast(ScoreOptions, options), overrides)
    return look_ahead(request, watch_for(progress), trial=trial, data=None if location else input)


def look_ahead(request: Request, watch: Watch, *, trial: bool = False, data: Input | None = None) -> JobPlan:
    """Plan a request. `data` is the input if that is no location; it is written to a temporary folder.

    Raises:
        BatchTwinError: as in `plan`.
    """
    from batchtwin.engine import preview
    from batchtwin.engine.checks import check_resolved, request_warnings

    if trial and not request.input and data is None:
        raise UsageError("--try requires --input PATH: it runs one mini-batch")
    rows = None if data is None else as_rows(data)
    resolved = resolve(request)
    placement = place_request(request, resolved, watch.note, may_build=trial, registered=registered)
    imports = preview.missing_imports(resolved, placement, registered)
    if not request.input and rows is None:
        check_resolved(request, resolved)
        return JobPlan(
            facts=preview.summary_without_input(request, resolved) | {"environment": placement.text},
            details={},
            warnings=(*placement.warnings, *request_warnings(request, resolved.deployment)),
            doubts=(*imports, *preview.warnings_without_input(resolved)),
            environment_differences=tuple(placement.differences),
        )
    with ExitStack() as stack:
        if rows is not None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="batchtwin-plan-"))
            request = replace(request, output=Path(folder) / "job")
            request = stack.enter_context(with_data(request, resolved, rows, reads_parquet=placement.reads_parquet))
        prepared = prepare(request, resolved).placed(placement)
        outcome = JobPlan(
            facts=preview.summary(prepared) | {"environment": placement.text},
            details=preview.details(prepared),
            warnings=prepared.warnings,
            doubts=(*imports, *preview.warnings(prepared)),
            environment_differences=tuple(placement.differences),
        )
        return _tried(outcome, prepared, placement) if trial else outcome


def _tried(outcome: JobPlan, prepared: Prepared, placement: Placement) -> JobPlan:
    """Add the result of one mini-batch."""
    from batchtwin.engine import preview
    from batchtwin.engine.backends.choice import backend_for

    with closing(backend_for(prepared.request, prepared.resolved, placement)) as backend:
        tried = preview.dry_run(prepared, backend)
    facts = outcome.facts | {"trial": tried.text}
    details = outcome.details | ({"trial_cause": tried.cause} if tried.cause else {})
    return replace(outcome, facts=facts, details=details, exit_code=tried.exit_code)
