"""path -> ordered list of input files, with what was left out and why."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from batchtwin.errors import InputError, UnsupportedFileError
from batchtwin.inputs.location import is_url, without_query
from batchtwin_node.codec import value_object
from batchtwin_node.readers import ending

# A folder with a file of this name is known to be no input, and needs no warning.
MARKER = ".not-input"
MARKED = f"no input, as its {MARKER} says"


@value_object
class InputFile:
    """One item: `path` is absolute, `size` in bytes, `mtime_ns` as the file system has it.

    If `path` is a URL, `mtime_ns` is a number that changes with the object.
    """

    path: str
    size: int
    mtime_ns: int

    @property
    def name(self) -> str:
        """The bare file name."""
        return os.path.basename(without_query(self.path) if self.is_remote else self.path)

    @property
    def is_remote(self) -> bool:
        """Whether it is in a store."""
        return is_url(self.path)


@value_object
class LeftOut:
    """A directory entry that is not an item of the job, and why."""

    name: str
    why: str


@value_object
class Inputs:
    """The input of a job: `files` sorted by name (by code point), and what is left out.

    `root` is a text if it is a URL.
    """

    root: Path | str
    is_folder: bool
    files: tuple[InputFile, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def is_remote(self) -> bool:
        """Whether the files are in a store."""
        return is_url(self.root)

    def warnings(self) -> list[str]:
        """One sentence per reason for leaving something out, except folders that are marked as no input."""
        kinds = Counter(entry.why for entry in self.left_out if entry.why != MARKED)
        first = {entry.why: entry.name for entry in reversed(self.left_out)}
        return [_warning(reason, count, first[reason]) for reason, count in kinds.items()]


def _warning(reason: str, count: int, name: str) -> str:
    return f"left out {name!r}: {reason}" if count == 1 else f"left out {count} entries ({name!r} and others): {reason}"


def list_inputs(path: Path | str) -> Inputs:
    """List the items of a `uri_folder` or `uri_file` input, on this machine, or in a store if `path` is a URL.

    Nested folders are not explored [A]. Hidden and empty files, pipes and devices are left out [+].

    Raises:
        InputError: the path is missing, cannot be read, or holds no file to score.
    """
    if is_url(path):
        from batchtwin.inputs.remote import list_remote

        return list_remote(str(path))
    root = Path(os.path.abspath(path))
    try:
        if root.is_dir():
            return _list_folder(root)
        info = root.stat()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file or folder; --input takes a folder of files, or one file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    reason = _refusal(info) or _unreadable(str(root))
    if reason:
        raise InputError(f"{path}: {reason}; --input takes a folder of files, or one file")
    return Inputs(root, False, (InputFile(str(root), info.st_size, info.st_mtime_ns),))


def _list_folder(root: Path) -> Inputs:
    files: list[InputFile] = []
    left_out: list[LeftOut] = []
    folders: list[str] = []
    with os.scandir(root) as entries:
        for entry in entries:
            item = _look_at(entry)
            if isinstance(item, InputFile):
                files.append(item)
            elif item is None:
                folders.append(entry.path)
            else:
                left_out.append(item)
    left_out += _nested(folders)
    files.sort(key=lambda file: file.name)
    inputs = Inputs(root, True, tuple(files), tuple(sorted(left_out, key=lambda entry: (entry.why, entry.name))))
    if not files:
        reasons = "".join(f"; {warning}" for warning in inputs.warnings())
        raise InputError(f"{root}: holds no file to score{reasons}. Put the files directly into this folder")
    return inputs


def _look_at(entry: os.DirEntry[str]) -> InputFile | LeftOut | None:
    """Return an item, a reason to leave the entry out, or None for a folder."""
    if entry.name.startswith("."):
        return LeftOut(entry.name, "hidden")
    try:
        if entry.is_dir():
            return None
        info = entry.stat()
    except OSError as error:
        return LeftOut(entry.name, f"cannot be read ({error.strerror}; a broken link?)")
    reason = _refusal(info)
    if reason:
        return LeftOut(entry.name, reason)
    if problem := _unreadable(entry.path):
        raise InputError(f"{entry.path!r}: {problem}")
    return InputFile(entry.path, info.st_size, info.st_mtime_ns)


def _refusal(info: os.stat_result) -> str | None:
    if not stat.S_ISREG(info.st_mode):
        return "not a regular file"
    return None if info.st_size else "empty"


def _unreadable(path: str) -> str | None:
    """Return what would fail the job later, while it runs."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "the name is not valid UTF-8; rename the file"
    return None if os.access(path, os.R_OK) else "may not be read by this user; allow it with chmod +r"


def _nested(folders: Sequence[str]) -> list[LeftOut]:
    """Return one entry for all sub-folders that are not marked: how many they are, and the files at any depth.

    Links to folders are counted, not followed: they may lead anywhere.
    """
    marked = [folder for folder in folders if os.path.isfile(os.path.join(folder, MARKER))]
    left_out = [LeftOut(os.path.basename(folder) + "/", MARKED) for folder in marked]
    others = [folder for folder in folders if folder not in marked]
    if not others:
        return left_out
    files = sum(len(names) for folder in others if not os.path.islink(folder) for _, _, names in os.walk(folder))
    name = os.path.basename(min(others))
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return [*left_out, LeftOut(name + "/", f"nested folders are not explored ({name}/{more}, {files} files)")]


def check_supported(files: Iterable[InputFile], endings: Sequence[str]) -> None:
    """Refuse a job with a file that the MLflow driver cannot read, before anything is scored [A, early +].

    Raises:
        UnsupportedFileError: naming the first such file.
    """
    wrong = [file for file in files if ending(file.name) not in endings]
    if wrong:
        raise UnsupportedFileError(wrong[0].path, ending(wrong[0].name), endings, len(wrong) - 1)
