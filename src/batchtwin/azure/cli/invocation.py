"""What an invocation asks for, from its flags, `--set` and inputs.yml.

Source: "Create jobs and input data for batch endpoints", https://learn.microsoft.com/azure/machine-learning/
how-to-access-data-batch-endpoints-jobs: `--input`, or `--set inputs.NAME.type=... inputs.NAME.path=...`, or `-f`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchtwin.azure.cli.documents import InvocationDocument, JobInputDocument, JobOutputDocument
from batchtwin.azure.cli.files import Source, located, pairs
from batchtwin.errors import UsageError
from batchtwin.workspace.jobs.invocation import Invocation


def complete(flags: Invocation, file: Path | None, sets: Sequence[str]) -> Invocation:
    """Return what the flags say, completed by `--set` and the file: input, output and settings of this job.

    Raises:
        DeploymentError: the file has what cannot be.
        UsageError: more than one input or output.
    """
    split = pairs("--set", sets)
    nested = {key: text for key, text in split.items() if key.startswith(("inputs.", "outputs."))}
    document = Source.read(file, nested).check(InvocationDocument)
    folder = file.absolute().parent if file else Path.cwd()
    input, input_type = flags.input, flags.input_type
    if input is None:
        input, input_type = _only_input(document.inputs, input_type, folder)
    elif document.inputs:
        raise UsageError("--input does not go with inputs in --set or --file; give one input")
    return replace(
        flags,
        input=input,
        input_type=input_type,
        output_path=flags.output_path or _only_output(document.outputs, folder),
        overrides={key.removeprefix("compute."): text for key, text in split.items() if key not in nested},
    )


def _only_input(inputs: dict[str, JobInputDocument], kind: str | None, folder: Path) -> tuple[str | None, str | None]:
    if len(inputs) > 1:
        raise UsageError(f"a model deployment takes one input; given are {', '.join(sorted(inputs))}")
    for job_input in inputs.values():
        if job_input.path is not None:
            return located(job_input.path, folder), job_input.type or kind
        return _literal(job_input.default), job_input.type or "string"
    return None, kind


def _only_output(outputs: dict[str, JobOutputDocument], folder: Path) -> str | None:
    if len(outputs) > 1 or set(outputs) - {"score"}:
        raise UsageError(f"a model deployment has one output, score; given are {', '.join(sorted(outputs))}")
    for job_output in outputs.values():
        return located(job_output.path, folder) if job_output.path else None
    return None


def _literal(value: Any) -> str | None:
    return None if value is None else str(value)
