"""What an invocation asks for, from its flags, `--set` and inputs.yml.

Source: "Create jobs and input data for batch endpoints", https://learn.microsoft.com/azure/machine-learning/
how-to-access-data-batch-endpoints-jobs: `--input`, or `--set inputs.NAME.type=... inputs.NAME.path=...`, or `-f`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchtwin.azure.cli.documents import InvocationDocument, JobInput, JobOutput
from batchtwin.azure.cli.files import Source, located, pairs
from batchtwin.errors import UsageError


@dataclass(frozen=True)
class Invocation:
    """One data input, at most one place for the output, and settings for this job only."""

    input: str | None
    input_type: str | None
    output_path: str | None
    overrides: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        file: Path | None,
        sets: Sequence[str],
        *,
        input: str | None = None,
        input_type: str | None = None,
        output_path: str | None = None,
    ) -> Invocation:
        """Put together what was asked for.

        Raises:
            DeploymentError: the file has what cannot be.
            UsageError: more than one input or output.
        """
        split = pairs("--set", sets)
        nested = {key: text for key, text in split.items() if key.startswith(("inputs.", "outputs."))}
        source = Source.read(file, nested)
        document = source.check(InvocationDocument)
        folder = file.absolute().parent if file else Path.cwd()
        if input is None:
            input, input_type = _only_input(document.inputs, input_type, folder)
        elif document.inputs:
            raise UsageError("--input does not go with inputs in --set or --file; give one input")
        overrides = {key.removeprefix("compute."): text for key, text in split.items() if key not in nested}
        return cls(input, input_type, output_path or _only_output(document.outputs, folder), overrides)


def _only_input(inputs: dict[str, JobInput], kind: str | None, folder: Path) -> tuple[str | None, str | None]:
    if len(inputs) > 1:
        raise UsageError(f"a model deployment takes one input; given are {', '.join(sorted(inputs))}")
    for given in inputs.values():
        if given.path is not None:
            return located(given.path, folder), given.type or kind
        return _literal(given.default), given.type or "string"
    return None, kind


def _only_output(outputs: dict[str, JobOutput], folder: Path) -> str | None:
    if len(outputs) > 1 or set(outputs) - {"score"}:
        raise UsageError(f"a model deployment has one output, score; given are {', '.join(sorted(outputs))}")
    for given in outputs.values():
        return located(given.path, folder) if given.path else None
    return None


def _literal(value: Any) -> str | None:
    return None if value is None else str(value)
