"""The outcome of a comparison of two prediction files: counts, and the first rows that differ."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from batchtwin.predictions.file import LineLayout
from batchtwin_node.codec import value_object
from batchtwin_node.readers.bad_file import printable

# Characters shown of a line.
WIDTH = 200
Kind = Literal["differs", "only left", "only right"]


@value_object
class Difference:
    """A row that differs, or that one side lacks; `times` if the same line occurs so often without a partner.

    `left` and `right` are the lines, `left_line` and `right_line` the numbers, from 1, of the first such lines.
    `file` and `row` where rows have them; `left_copies` and `right_copies` count the rows of that name.
    """

    kind: Kind
    left: str | None
    right: str | None
    file: str | None = None
    row: int | None = None
    times: int = 1
    left_line: int | None = None
    right_line: int | None = None
    left_copies: int | None = None
    right_copies: int | None = None

    def lines(self) -> list[str]:
        """Return it for people."""
        sides = (("left ", self.left_line, self.left), ("right", self.right_line, self.right))
        texts = [(side, f"line {line}: {shortened(text)}") for side, line, text in sides if text is not None]
        often = f", {self.times} times" if self.times > 1 else ""
        if self.file is None and self.kind == "differs":
            return [f"a row differs{often}", *(f"  {side} {text}" for side, text in texts)]
        if self.file is None:
            return [f"{self.kind}{often}, {text}" for _, text in texts]
        copies = [self.left_copies or 0, self.right_copies or 0]
        left, right = ("once" if count == 1 else f"{count} times" for count in copies)
        counts = f" (stands {left} left, {right} right)" if max(copies) > 1 else ""
        name = shortened(self.file) + ("" if self.row is None else f" row {self.row}")
        return [f"{name}, {self.kind}{often}{counts}", *(f"  {side} {text}" for side, text in texts)]


@value_object
class Comparison:
    """The outcome; counts are of rows. `differences` are the first ones, by file and row, else by text."""

    left: Path
    right: Path
    layout: LineLayout
    rtol: float
    atol: float
    same_bytes: bool
    left_rows: int
    right_rows: int
    only_left: int
    only_right: int
    differing: int
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether no row differs."""
        return not (self.only_left or self.only_right or self.differing)

    @property
    def exit_code(self) -> int:
        """0 if equal, else 1."""
        return 0 if self.equal else 1

    def text(self) -> str:
        """Return the outcome for people."""
        if self.same_bytes:
            return f"Equal, byte for byte: {self.left_rows} rows"
        how = f"{self.layout.by}, floats within rtol {self.rtol:g} and atol {self.atol:g}"
        if self.equal:
            return "\n".join([f"Equal: {self.left_rows} rows, {how}", *self.notes])
        counts = (
            f"Different, {how}\n"
            f"  left   {self.left_rows:>12} rows  {self.left}\n"
            f"  right  {self.right_rows:>12} rows  {self.right}\n"
            f"  differ {self.differing:>12}\n  only left {self.only_left:>9}\n  only right {self.only_right:>8}"
        )
        lines = [line for difference in self.differences for line in difference.lines()]
        shown = sum(difference.times for difference in self.differences)
        more = self.only_left + self.only_right + self.differing - shown
        return "\n".join([counts, *self.notes, *lines, *([f"and {more} more: --most N shows N"] if more else [])])

    def data(self) -> dict[str, Any]:
        """Return the outcome for programs: what JSON can hold."""
        names = {"left": str(self.left), "right": str(self.right), "layout": self.layout.value}
        return {"equal": self.equal, "exit_code": self.exit_code} | asdict(self) | names


def shortened(text: str) -> str:
    """Return one line of text that cannot act on a terminal, cut in the middle if it is long."""
    text = printable(text)
    return text if len(text) <= WIDTH else f"{text[: WIDTH // 2]} ... {text[-WIDTH // 2 :]}"
