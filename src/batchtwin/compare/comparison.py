"""What a comparison has found, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from batchtwin.compare.layout import Layout
from batchtwin.compare.numbers import Tolerance

WIDTH = 200
Kind = Literal["differs", "only left", "only right"]


@dataclass(frozen=True)
class Difference:
    """A row that differs, or that one side lacks; `times` where the same line stands so often without a partner.

    `file` and `row` where rows have them; `left` and `right` are the lines, `left_line` and `right_line` the numbers,
    from 1, of the first such lines. `left_copies` and `right_copies` say how often this file and row stand there,
    None if it was not counted.
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

    @property
    def name(self) -> str:
        """The row's name, if it has one."""
        if self.file is None:
            return ""
        return printable(self.file) if self.row is None else f"{printable(self.file)} row {self.row}"

    def lines(self) -> list[str]:
        """Return it for people."""
        sides = (("left ", self.left_line, self.left), ("right", self.right_line, self.right))
        found = [(side, f"{_place(line)}{printable(text)}") for side, line, text in sides if text is not None]
        often = f", {self.times} times" if self.times > 1 else ""
        if not self.name:
            return [f"{self.kind}{often}, {text}" for _, text in found]
        title = f"{self.name}, {self.kind}{often}"
        if max(self.left_copies or 0, self.right_copies or 0) > 1:
            title += f" (stands {_times(self.left_copies)} left, {_times(self.right_copies)} right)"
        return [title, *(f"  {side} {text}" for side, text in found)]


@dataclass(frozen=True)
class Comparison:
    """The outcome; counts are of rows. `differences` are the first ones, by file and row, else by text."""

    left: Path
    right: Path
    layout: Layout
    tolerance: Tolerance
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
        how = f"{self.layout.by}, floats within rtol {self.tolerance.rtol:g} and atol {self.tolerance.atol:g}"
        if self.equal:
            return "\n".join([f"Equal: {self.left_rows} rows, {how}", *self.notes])
        head = [
            f"Different, {how}",
            f"  left   {self.left_rows:>12} rows  {self.left}",
            f"  right  {self.right_rows:>12} rows  {self.right}",
            f"  differ {self.differing:>12}",
            f"  only left {self.only_left:>9}",
            f"  only right {self.only_right:>8}",
        ]
        found = [line for difference in self.differences for line in difference.lines()]
        return "\n".join([*head, *self.notes, *found, *self._more()])

    def _more(self) -> list[str]:
        shown = sum(difference.times for difference in self.differences)
        more = self.only_left + self.only_right + self.differing - shown
        return [f"and {more} more: --most N shows N"] if more else []

    def data(self) -> dict[str, Any]:
        """Return the outcome for programs: what JSON can hold."""
        return asdict(self) | {
            "equal": self.equal,
            "left": str(self.left),
            "right": str(self.right),
            "layout": self.layout.value,
        }


def printable(text: str) -> str:
    """Return one line of text that harms no terminal, cut in the middle where it is long."""
    text = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
    half = WIDTH // 2
    return text if len(text) <= WIDTH else f"{text[:half]} ... {text[-half:]}"


def _place(line: int | None) -> str:
    return f"line {line}: " if line else ""


def _times(count: int | None) -> str:
    return "once" if count == 1 else f"{count or 0} times"
