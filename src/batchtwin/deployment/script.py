"""The scoring script of a deployment on this machine."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from batchtwin.deployment.reference import is_reference
from batchtwin.deployment.schema import Deployment
from batchtwin.deployment.yaml_file import key_location
from batchtwin.errors import UsageError
from batchtwin_node.script import entry_script


def find_script(deployment: Deployment, file: Path, overrides: Collection[str] = ()) -> tuple[str, str] | None:
    """Find and check the script that `file`, a deployment YAML, names; None for the MLflow driver.

    Returns (code folder, path in it). `overrides` holds the dotted keys that `--set` gave.

    Raises:
        UsageError: there is no such folder or script, or it cannot be run.
    """
    code = deployment.code_configuration
    if code is None:
        return None
    if is_reference(code.code):
        location = key_location(file, ("code_configuration", "code"), overrides)
        raise UsageError(f"{location}: code_configuration.code: {code.code!r} is in Azure ML, not here; give a folder")
    base = (file.absolute().parent / code.code).resolve()
    try:
        entry_script.check(base, code.scoring_script)
    except entry_script.ScriptError as error:
        location = key_location(file, ("code_configuration", error.key), overrides) + ": " if error.key else ""
        raise UsageError(f"{location}{error}") from None
    return str(base), code.scoring_script
