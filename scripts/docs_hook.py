"""What MkDocs does with the pages beyond rendering them: links to files of the repository, and the list of commands."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import typer

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
COMMANDS = "<!-- commands -->"
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(((?:\.\./)+[^)#\s]+)(#[^)\s]*)?\)")
log = logging.getLogger("mkdocs.hooks.batchtwin")


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Change the text of a page before it is rendered. `page` and `config` are MkDocs' own."""
    text = markdown.replace(COMMANDS, "\n".join(command_lines())) if COMMANDS in markdown else markdown
    return LINK.sub(lambda match: _link(match, DOCS / page.file.src_path, config.repo_url), text)


def _link(match: re.Match[str], page: Path, repository: str | None) -> str:
    """A link that leaves docs/ leads to the repository, if the site knows where that is; the file has to be there."""
    text, target, anchor = match[1], match[2], match[3] or ""
    path = (page.parent / target).resolve()
    if path.is_relative_to(DOCS):
        return match[0]
    if not path.exists():
        log.warning("%s: links to %s, which is not there", page.relative_to(ROOT), target)  # --strict makes it an error
    where = path.relative_to(ROOT).as_posix()
    return f"[{text}]({repository.rstrip('/')}/blob/main/{where}{anchor})" if repository else text


def command_lines() -> Iterator[str]:
    """Yield the reference of the command line as Markdown, from the commands themselves."""
    from batchtwin.cli import app

    yield from _group(typer.main.get_command(app), "batchtwin")


def _group(group: Any, name: str) -> Iterator[str]:
    for word, command in sorted(group.commands.items()):
        if command.hidden or word == "ml":
            continue
        if hasattr(command, "commands"):
            yield from _group(command, f"{name} {word}")
        else:
            yield from _command(command, f"{name} {word}")


def _command(command: Any, name: str) -> Iterator[str]:
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = [parameter.metavar or parameter.name.upper() for parameter in shown if _is_argument(parameter)]
    yield from (f"## `{' '.join([name, *arguments])}`", "", (command.help or "").strip(), "")
    if shown:
        yield from ("| | |", "|---|---|", *(f"| `{words}` | {text} |" for words, text in map(_row, shown)), "")


def _is_argument(parameter: Any) -> bool:
    return str(parameter.param_type_name) == "argument"


def _row(parameter: Any) -> tuple[str, str]:
    """The words of an argument or option, and what it is for."""
    text = " ".join((parameter.help or "").split()).replace("|", "\\|")
    if _is_argument(parameter):
        return parameter.metavar or parameter.name.upper(), text
    words = ", ".join([*parameter.opts, *parameter.secondary_opts])
    if not parameter.is_flag:
        words += f" {parameter.metavar or _kind(parameter)}"
    default = parameter.default
    if isinstance(default, str | int | float) and not isinstance(default, bool) and str(default):
        text += f" Default: {default}."
    return words, text.strip()


def _kind(parameter: Any) -> str:
    """What an option takes: its choices, or the kind of value."""
    annotation = parameter.type_descriptor.annotation
    choices = [choice for choice in _parts(annotation) if isinstance(choice, str)]
    kinds = [part.__name__.upper() for part in _parts(annotation) if isinstance(part, type) and part is not NoneType]
    return "/".join(choices) or "/".join(kinds) or "VALUE"


def _parts(annotation: Any) -> list[Any]:
    inner = get_args(annotation)
    return [part for argument in inner for part in _parts(argument)] if inner else [annotation]
