"""A file that cannot be scored as the model's signature says, and where exactly."""

from __future__ import annotations

from batchtwin.spec.messages import BadFile


class BadFileError(Exception):
    """Raised by readers; the text of the service with column, row and value named [A, named +]."""

    def __init__(
        self,
        path: str,
        problem: str,
        *,
        column: str | None = None,
        row: int | None = None,
        line: int | None = None,
        value: str | None = None,
    ) -> None:
        places = [f"column '{column}'"] * (column is not None) + [f"row {row}"] * (row is not None)
        where = ", ".join(places) + (f" (line {line})" if line is not None else "")
        text = f"{where}: {problem}" if where else problem
        message = f"ERROR:azureml:Error processing input file: '{path}'. Exception: {text}"
        super().__init__(message)
        self.bad_file = BadFile(file=path, message=message, column=column, row=row, line=line, value=value)
