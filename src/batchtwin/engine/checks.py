"""What of a request is refused, or told in a warning, whatever its data is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchtwin.deployment.model import Model
from batchtwin.deployment.schema import Deployment
from batchtwin.errors import UsageError

if TYPE_CHECKING:
    from batchtwin.engine.prepare import Request, Resolved

COALESCED = "--coalesce: one predict for the files of a mini-batch; the service calls predict once per file"
IN_PARTS = "--split-rows: one predict for each part of a large file; the service calls predict once per file"
VARIABLES = (
    "settings.environment_variables: they reach the script here; the service is reported to drop them, so give "
    "defaults in the script"
)


def request_warnings(request: Request, deployment: Deployment) -> list[str]:
    """Return what a person should know of a deployment whatever its data."""
    variables = [VARIABLES] if deployment.settings.environment_variables else []
    chosen = [*([COALESCED] if request.coalesce else []), *([IN_PARTS] if request.split_rows else [])]
    return [*variables, *chosen]


def check_resolved(request: Request, resolved: Resolved) -> None:
    """Check what needs no input: that the MLflow driver can score the model, and that the options go with a script.

    Raises:
        ModelError: the model has no pyfunc flavor.
        UsageError: nothing would be written, or an option is for the driver only.
    """
    if resolved.script is None:
        _check_driver(resolved.deployment, resolved.model)
    else:
        _refuse_driver_options(request)


def _refuse_driver_options(request: Request) -> None:
    options = {
        "--coalesce": request.coalesce,
        "--split-rows": request.split_rows,
        "--bad-files quarantine": request.quarantine,
    }
    for option, is_given in options.items():
        if is_given:
            raise UsageError(
                f"{option} is for the MLflow driver; this deployment brings a scoring script, which reads and predicts"
            )


def _check_driver(deployment: Deployment, model: Model) -> None:
    """What the MLflow driver refuses: no pyfunc, nothing to write to [A, R]."""
    model.require_pyfunc()
    if deployment.settings.output_action == "summary_only":
        raise UsageError(
            "settings.output_action: 'summary_only' without a scoring script would write nothing; "
            "use append_row, or name a script in code_configuration"
        )
