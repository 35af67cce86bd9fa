"""What a job would do: the function, and what `batchtwin plan` calls."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack, cast

from batchtwin.api.data import Input, as_rows, location_of, with_data
from batchtwin.api.options import PlanOptions, ScoreOptions, check, overrides_of, request_of
from batchtwin.api.watch import Watch, watch_for
from batchtwin.engine.prepare import Request, place_request, resolve
from batchtwin.engine.progress import Progress


@dataclass(frozen=True)
class JobPlan:
    """A job that may start. `facts` are its numbers and names, `details` its mini-batches and what is left out.

    `warnings` are what it would warn of; `doubts` are what would probably fail; `environment_differences` say what
    of the requested environment is not there.
    """

    facts: dict[str, Any]
    details: dict[str, Any]
    warnings: tuple[str, ...]
    doubts: tuple[str, ...]
    environment_differences: tuple[str, ...]

    @property
    def mini_batches(self) -> list[list[str]]:
        """The names of the files of each mini-batch."""
        batches: list[list[str]] = self.details["mini_batch_files"]
        return batches

    def data(self) -> dict[str, Any]:
        """Return the plan for programs: what `--json` prints."""
        lists = {"doubts": list(self.doubts), "environment_differences": list(self.environment_differences)}
        return {**self.facts, **self.details, **lists}


def plan(
    deployment: str | os.PathLike[str],
    input: Input,
    *,
    trial: bool = False,
    progress: bool | Progress = False,
    **options: Unpack[PlanOptions],
) -> JobPlan:
    """Check all that can be checked before scoring, and say what would run. With `trial`, run one mini-batch.

    The input is that of `score`; the options are those of `batchtwin plan`, see `PlanOptions`.

    Raises:
        BatchTwinError: the job would be refused, by kind.
        TypeError: an option does not exist.
    """
    check(options, PlanOptions, "plan")
    location = location_of(input)
    overrides = overrides_of(options.get("set"))
    request = request_of(deployment, location or Path(), cast(ScoreOptions, options), overrides)
    return look_ahead(request, watch_for(progress), trial=trial, data=None if location else input)


def look_ahead(request: Request, watch: Watch, *, trial: bool = False, data: Input | None = None) -> JobPlan:
    """Plan a request. `data` is the input where that is no location; it is written to a temporary folder.

    Raises:
        BatchTwinError: as of `plan`.
    """
    from batchtwin.engine import preview
    from batchtwin.engine.backends.choice import backend_for
    from batchtwin.engine.prepare import prepare

    rows = None if data is None else as_rows(data)
    resolved = resolve(request)
    placement = place_request(request, resolved, watch.note, may_build=trial)
    with ExitStack() as stack:
        if rows is not None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="batchtwin-plan-"))
            request = replace(request, output=Path(folder) / "job")
            is_here = placement.kind == "here"
            request = stack.enter_context(with_data(request, resolved, rows, is_here=is_here))
        prepared = prepare(request, resolved)
        facts = preview.summary(prepared) | {"environment": placement.text}
        if trial:
            with closing(backend_for(request, resolved, placement)) as backend:
                facts["trial"] = preview.dry_run(prepared, backend)
        return JobPlan(
            facts=facts,
            details=preview.details(prepared),
            warnings=placement.warnings + prepared.warnings,
            doubts=tuple(preview.warnings(prepared)),
            environment_differences=tuple(placement.differences),
        )
