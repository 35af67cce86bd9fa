"""Checks of a request that need no data: refusals and warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchtwin.deployment.model import Model
from batchtwin.deployment.schema import Deployment
from batchtwin.errors import UsageError
from batchtwin.inputs.parts import FEWEST_ROWS, why_not_in_parts

if TYPE_CHECKING:
    from batchtwin.engine.prepare import Request, Resolved

COALESCED = "--coalesce: one predict for the files of a mini-batch; the service calls predict once per file"
IN_PARTS = "--split-rows: one predict for each part of a large file; the service calls predict once per file"
FOR_THE_DRIVER = "is for the MLflow driver; this deployment brings a scoring script, which reads and predicts"
OF_A_STORE = "requires local files; copy them from the store first"
QUARANTINED = "does not go with --bad-files quarantine: half of a bad file would be scored"
VARIABLES = (
    "settings.environment_variables: they reach the script here; the service is reported to drop them, so give "
    "defaults in the script"
)


def request_warnings(request: Request, deployment: Deployment) -> list[str]:
    """Return the warnings about a deployment that need no data."""
    variables = [VARIABLES] if deployment.settings.environment_variables else []
    chosen = [*([COALESCED] if request.coalesce else []), *([IN_PARTS] if request.split_rows else [])]
    return [*variables, *chosen]


def check_resolved(request: Request, resolved: Resolved) -> None:
    """Check what needs no input: that the MLflow driver can score the model, and that the options fit a script.

    Raises:
        ModelError: the model has no pyfunc flavor.
        UsageError: nothing would be written, or an option is for the driver only.
    """
    if resolved.script is None:
        _check_driver(resolved.deployment, resolved.model)
    else:
        _refuse_driver_options(request)
    _check_split_rows(request)


def _check_split_rows(request: Request) -> None:
    rows = request.split_rows
    if rows and request.is_remote:
        raise UsageError(f"--split-rows {OF_A_STORE}")
    if isinstance(rows, int) and rows < FEWEST_ROWS:
        reason = "fewer do not tell whether the model treats rows one by one"
        raise UsageError(f"--split-rows {rows}: expected at least {FEWEST_ROWS} rows, or auto; {reason}")
    if rows and request.quarantine:
        raise UsageError(f"--split-rows {QUARANTINED}")


def no_parts(request: Request, resolved: Resolved) -> str:
    """Return why `--split-rows` is not for this request, whatever its files are; an empty text if it is."""
    if resolved.script is not None:
        return f"--split-rows {FOR_THE_DRIVER}"
    if request.is_remote:
        return f"--split-rows {OF_A_STORE}"
    return f"--split-rows {QUARANTINED}" if request.quarantine else why_not_in_parts(resolved.model.inputs)


def _refuse_driver_options(request: Request) -> None:
    options = {
        "--coalesce": request.coalesce,
        "--split-rows": request.split_rows,
        "--bad-files quarantine": request.quarantine,
    }
    for option, is_given in options.items():
        if is_given:
            raise UsageError(f"{option} {FOR_THE_DRIVER}")


def _check_driver(deployment: Deployment, model: Model) -> None:
    """Refuse what the MLflow driver cannot do: a model without pyfunc flavor, or no output [A, R]."""
    model.require_pyfunc()
    if deployment.settings.output_action == "summary_only":
        raise UsageError(
            "settings.output_action: 'summary_only' without a scoring script would write nothing; "
            "use append_row, or name a script in code_configuration"
        )
