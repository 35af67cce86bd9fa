"""What a job records for its report: what a run is made of when it begins, and how it ended."""

from __future__ import annotations

import json
import platform
from contextlib import suppress
from dataclasses import field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from batchtwin import __version__
from batchtwin.deployment.reference import ANONYMOUS, PREFIX
from batchtwin.engine.job import Job, way_on
from batchtwin.engine.ledger import Ledger
from batchtwin.engine.logs import timestamp
from batchtwin.engine.prepare import Prepared
from batchtwin.inputs.location import redact
from batchtwin.redaction import hide
from batchtwin_node.codec import value_object

ABOUT, RESULT = "about", "result"
DRIVER = "the MLflow driver"


@value_object
class About:
    """What a run is made of, as texts. Environment variables are left out: they can be secrets."""

    deployment: str = ""
    endpoint: str = ""
    yaml: str = ""
    model: str = ""
    model_path: str = ""
    training: str = ""
    script: str = DRIVER
    input: str = ""
    output_file: str | None = None
    environment: str = ""
    workers: int = 0
    batchtwin: str = __version__
    python: str = ""
    platform: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@value_object
class RunEnd:
    """How run number `run` ended; `at` is a time as in the logs.

    `way` and `advice` say how to go on; both are empty in the ledger of an earlier version.
    """

    run: int
    status: str
    summary: str
    cause: str
    at: str
    way: str = ""
    advice: str = ""


_about, _ended = TypeAdapter(About), TypeAdapter(RunEnd)


def note_about(ledger: Ledger, prepared: Prepared) -> None:
    """Record what a run is made of.

    Raises:
        OutputError: the ledger cannot be written.
    """
    deployment, settings = prepared.deployment, prepared.deployment.settings
    about = About(
        deployment=deployment.name,
        endpoint=deployment.endpoint_name or "",
        yaml=str(prepared.request.deployment.absolute()),
        model=_model(prepared),
        model_path=str(prepared.model.path),
        training=f"MLflow run {prepared.model.run}" if prepared.model.run else "",
        script=str(Path(*prepared.script)) if prepared.script else DRIVER,
        input=redact(str(prepared.inputs.root)),
        output_file=prepared.output.file_name,
        environment=prepared.environment,
        workers=prepared.workers,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        settings={
            "mini_batch_size": str(settings.mini_batch_size),
            "output_action": settings.output_action,
            "error_threshold": str(settings.error_threshold),
            "tries": str(settings.retry_settings.tries),
            "timeout": f"{settings.retry_settings.timeout:g} s",
        },
        warnings=tuple(map(hide, prepared.warnings)),
        outputs=prepared.model.outputs,
    )
    # As ASCII: SQLite takes no lone surrogates.
    ledger.state(ABOUT, json.dumps(_about.dump_python(about)))


def _model(prepared: Prepared) -> str:
    """Return the model's registered name, if it has one, and its path."""
    path = redact(str(prepared.request.model or prepared.model.path))
    spec = prepared.deployment.model
    if isinstance(spec, str):
        return f"{spec} ({path})"
    has_name = spec.name and spec.version and not spec.name.startswith(ANONYMOUS)
    return f"{PREFIX}{spec.name}:{spec.version} ({path})" if has_name else path


def end_of(run: int, job: Job, cause: str, advice: str) -> RunEnd:
    """Return how a run has ended, as of now."""
    return RunEnd(run, job.status.value, job.summary, cause, timestamp(), way_on(job).value, advice)


def note_end(ledger: Ledger, ended: RunEnd) -> None:
    """Record how a run ended.

    Raises:
        OutputError: the ledger cannot be written.
    """
    ledger.state(RESULT, json.dumps(_ended.dump_python(ended)))


def read_about(ledger: Ledger) -> About:
    """Return what the last run was made of; jobs of earlier versions recorded little."""
    try:
        return _about.validate_python(json.loads(ledger.fact(ABOUT) or "{}"))
    except (ValueError, ValidationError):
        return About()


def read_end(ledger: Ledger) -> RunEnd | None:
    """Return how the last run ended; None if it still runs or was killed."""
    try:
        ended = _ended.validate_python(json.loads(ledger.fact(RESULT) or "null"))
    except (ValueError, ValidationError):
        return None
    return ended if str(ended.run) == ledger.fact("runs") else None


def prepare_report() -> None:
    """Import what a report needs and compile its templates: that takes most of the time of the first report."""
    with suppress(Exception):  # writing the report meets the error again, and reports it
        import batchtwin.engine.report.write  # noqa: F401
        from batchtwin.engine.report.templates import template_environment

        template_environment()
