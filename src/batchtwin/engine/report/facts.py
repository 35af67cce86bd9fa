"""What a job notes in its ledger for its report: what it is made of when a run begins, and how the run ended."""

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
from batchtwin.engine.logs import now
from batchtwin.engine.prepare import Prepared
from batchtwin.inputs.location import redact
from batchtwin.redaction import hide
from batchtwin_node.codec import value_object

ABOUT, RESULT = "about", "result"
DRIVER = "the MLflow driver"


@value_object
class About:
    """What a run is made of, as texts for people. No environment variable is among them: those can be secrets."""

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
class Ended:
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


_about, _ended = TypeAdapter(About), TypeAdapter(Ended)


def note_about(ledger: Ledger, prepared: Prepared) -> None:
    """Write what a run is made of.

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
    """The model by its registered name, if it has one, and where it lies."""
    path = redact(str(prepared.request.model or prepared.model.path))
    spec = prepared.deployment.model
    if isinstance(spec, str):
        return f"{spec} ({path})"
    named = spec.name and spec.version and not spec.name.startswith(ANONYMOUS)
    return f"{PREFIX}{spec.name}:{spec.version} ({path})" if named else path


def end_of(run: int, job: Job, cause: str, advice: str) -> Ended:
    """Return how a run has ended, now."""
    return Ended(run, job.status.value, job.summary, cause, now(), way_on(job).value, advice)


def note_end(ledger: Ledger, ended: Ended) -> None:
    """Write how a run ended.

    Raises:
        OutputError: the ledger cannot be written.
    """
    ledger.state(RESULT, json.dumps(_ended.dump_python(ended)))


def read_about(ledger: Ledger) -> About:
    """Return what the last run was made of; little is known of a job that an earlier version ran."""
    try:
        return _about.validate_python(json.loads(ledger.fact(ABOUT) or "{}"))
    except (ValueError, ValidationError):
        return About()


def read_end(ledger: Ledger) -> Ended | None:
    """Return how the last run ended; None if it has not, or was killed."""
    try:
        ended = _ended.validate_python(json.loads(ledger.fact(RESULT) or "null"))
    except (ValueError, ValidationError):
        return None
    return ended if str(ended.run) == ledger.fact("runs") else None


def prepare_report() -> None:
    """Import what a report needs and compile its templates: most of the time that the first one takes."""
    with suppress(Exception):  # then writing the report meets it again, and says so
        import batchtwin.engine.report.write  # noqa: F401
        from batchtwin.engine.report.templates import environment

        environment()
