"""Lines that pip reads: requirements and options, with the lines of `-r` files, and with absolute paths."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from batchtwin.errors import BatchTwinError
from batchtwin_node.codec import value_object

OPTION = re.compile(r"^(?P<name>--?[A-Za-z][A-Za-z-]*?)(?:\s+|=|(?<=^-[A-Za-z])(?=\S)|$)(?P<value>.*)$")
SHORT = {"-r": "--requirement", "-c": "--constraint", "-e": "--editable", "-f": "--find-links", "-i": "--index-url"}
INCLUDES = {"--requirement", "--constraint"}
NAME_PATHS = {*INCLUDES, "--editable", "--find-links"}
# A path, or a file of this kind, is no package name.
LOCAL = re.compile(r"^(\.{1,2}(/|$)|/|file:|[^@;\s]+\.(whl|zip|tar\.gz|tgz)(\[|$|\s))")
# Options of a requirement follow it.
BEHIND = re.compile(r"\s+--(hash|global-option|config-settings?)\b.*$")
Kind = Literal["requirement", "constraint", "option"]


class RequirementsFileError(BatchTwinError):
    """A file of requirements or constraints that cannot be read."""


@value_object
class PipLine:
    """A line that pip reads the same anywhere: its paths are absolute. `path` is the file or folder in it, if any.

    `written` is the line in its file. A `constraint` limits versions, and requests nothing.
    """

    text: str
    kind: Kind
    written: str
    path: Path | None = None

    @property
    def requirement(self) -> Requirement | None:
        """The requirement; None for options, local packages and invalid lines."""
        return requirement_of(self.text) if self.kind != "option" else None

    @property
    def name(self) -> str:
        """The canonical name of the distribution, empty if the line has none."""
        requirement = self.requirement
        return canonicalize_name(requirement.name) if requirement else ""

    @property
    def option(self) -> tuple[str, str]:
        """The long name of an option, and its value."""
        return split_option(self.text)


def requirement_of(text: str) -> Requirement | None:
    """Return a line's requirement, without the options after it; None if it has none."""
    try:
        return Requirement(BEHIND.sub("", text))
    except InvalidRequirement:
        return None


def split_option(text: str) -> tuple[str, str]:
    """Return the long name of an option of pip, and its value."""
    match = OPTION.match(text)
    if match is None:
        return text, ""
    return SHORT.get(match["name"], match["name"]), match["value"].strip().strip("'\"")


def clean(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a requirements file without comments and empty lines; continued lines are joined."""
    text = "\n".join(lines).replace("\\\n", " ")
    for line in text.splitlines():
        stripped = re.sub(r"(^|\s)#.*$", "", line).strip()
        if stripped:
            yield stripped


def read(path: Path, line: str = "") -> list[str]:
    """Return the lines of a requirements file; `line` is the line that names it, if one does.

    Raises:
        RequirementsFileError: it is missing, or no text.
    """
    named = f"; '{line}' names it" if line else ""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise RequirementsFileError(f"{path}: is no file{named}")
        return list(clean(path.read_text(encoding="utf-8-sig").splitlines()))
    except OSError as error:
        raise RequirementsFileError(f"{path}: cannot be read: {error.strerror}{named}") from None
    except UnicodeDecodeError:
        raise RequirementsFileError(f"{path}: is not UTF-8 text; save it as such") from None


def expand(lines: Iterable[str], folder: Path) -> Iterator[PipLine]:
    """Yield lines with absolute paths, and those of `-r` files in their place; relative paths start from `folder`.

    Constraints of `-c` files are lines of their own, after their option.

    Raises:
        RequirementsFileError: a file that a line names cannot be read.
    """
    yield from _expand(lines, folder, ())


def path_in(line: str, folder: Path) -> Path | None:
    """Return the file or folder of this machine that a line names; None if it names none."""
    if not line.startswith("-"):
        return _requirement(line, folder).path
    name, value = split_option(line)
    return _local_path(value, folder) if value and name in NAME_PATHS else None


def local_files(lines: Iterable[str], folder: Path) -> Iterator[Path]:
    """Yield the files and folders that lines name, existing or not, and those that their `-r` and `-c` files name.

    Raises:
        RequirementsFileError: a file that exists is no text.
    """
    waiting = [(line, folder) for line in lines]
    seen: set[Path] = set()
    while waiting:
        line, base = waiting.pop()
        path = path_in(line, base)
        if path is None or path in seen:
            continue
        seen.add(path)
        yield path
        if split_option(line)[0] in INCLUDES and path.is_file():
            waiting += [(text, path.parent) for text in read(path, line)]


def _expand(lines: Iterable[str], folder: Path, readers: tuple[Path, ...]) -> Iterator[PipLine]:
    for line in lines:
        if not line.startswith("-"):
            yield _requirement(line, folder)
            continue
        name, value = split_option(line)
        if not value and name in SHORT.values():
            raise RequirementsFileError(f"'{line}': has no value; add one, or remove the line")
        path = _local_path(value, folder)
        if path is None or name not in NAME_PATHS:
            yield PipLine(line, "option", line)
        elif name == "--requirement":
            if path not in readers:  # a file that includes itself ends here
                yield from _expand(read(path, line), path.parent, (*readers, path))
        else:
            yield PipLine(f"{name} {path}", "option", line, path)
            if name == "--constraint":
                yield from (PipLine(text, "constraint", text) for text in read(path, line) if not text.startswith("-"))


def _requirement(line: str, folder: Path) -> PipLine:
    if LOCAL.match(line):
        name, separator, rest = line.partition(";")
        path = _local_path(re.sub(r"\[[^\]]*\]\s*$", "", name).strip(), folder)
        return PipLine(f"{path}{separator}{rest}" if path else line, "requirement", line, path)
    match = re.match(r"^(?P<name>[^@;]+@\s*)(?P<url>(?:file:|\.{1,2}/|/)[^\s;]*)(?P<rest>.*)$", line)
    path = _local_path(match["url"], folder) if match else None
    if match is None or path is None:
        return PipLine(line, "requirement", line)
    return PipLine(f"{match['name']}{path.as_uri()}{match['rest']}", "requirement", line, path)


def _local_path(text: str, folder: Path) -> Path | None:
    """Return the path in a value; None for a URL."""
    if text.startswith("file:"):
        return (folder / re.sub(r"^file:(//)?", "", text)).resolve()
    return None if "://" in text else (folder / Path(text).expanduser()).resolve()
