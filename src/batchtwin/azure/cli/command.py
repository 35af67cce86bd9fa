"""How a function becomes a verb of `az`: options for all, printing of what it returns, errors and exit codes."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

from batchtwin.azure.cli import options
from batchtwin.azure.cli.formats import check_query, select, text_of
from batchtwin.errors import FAILED, REFUSED, BatchTwinError, UsageError
from batchtwin.typer_types import portable_type

# What `az` calls "resource not found".
NOT_FOUND = 3
# Options that take several values after one mention of their name.
SEVERAL = ("--set", "--add", "--remove", "--tags", "--inputs", "--outputs", "--defaults")
# What says where in the cloud to look: accepted, for the workspace is BATCHTWIN_WORKSPACE.
PLACES = ("--resource-group -g", "--workspace-name -w", "--subscription")

# Whether a command was told --only-show-errors.
only_errors: ContextVar[bool] = ContextVar("only_errors", default=False)

Function = TypeVar("Function", bound=Callable[..., Any])


class CommandError(BatchTwinError):
    """What ends a command of `az`, with the exit code that `az` has for it."""

    def __init__(self, text: str, exit_code: int = FAILED) -> None:
        self.exit_code = exit_code
        super().__init__(f"ERROR: {text}")


class Command(TyperCommand):
    """A command that takes `--set a=b c=d` as `--set a=b --set c=d`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words after the verb. As in `az`, the first letters of an option are enough if unique."""
        names = [name for parameter in self.params for name in parameter.opts]
        words = [whole_option(word, names) for word in args]
        return super().parse_args(ctx, list(repeated(words)))


def whole_option(word: str, names: Sequence[str]) -> str:
    """Return a word with the option that its first letters stand for.

    Raises:
        CommandError: they stand for several.
    """
    option, equals, value = word.partition("=")
    if not option.startswith("--") or option == "--" or option in names:
        return word
    matching = [name for name in names if name.startswith(option)]
    if len(matching) > 1:
        text = f"ambiguous option: {option} could match {', '.join(sorted(matching))}"
        raise CommandError(text, REFUSED)
    return f"{matching[0]}{equals}{value}" if matching else word


def repeated(words: Sequence[str], several: Sequence[str] = SEVERAL) -> Iterator[str]:
    """Mention the name of an option that takes several values before each of them."""
    name = None
    for word in words:
        if word.startswith("-") and len(word) > 1 and not word[1].isdigit():
            option, equals, _ = word.partition("=")
            name = option if option in several and not equals else None
            if name is None:
                yield word
        elif name:
            yield from (name, word)
        else:
            yield word


def group(parent: typer.Typer, name: str, help: str) -> typer.Typer:
    """Return a new group of commands below `parent`."""
    made = typer.Typer(help=help, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
    parent.add_typer(made, name=name, context_settings={"help_option_names": ["--help", "-h"]})
    return made


def verb(
    parent: typer.Typer, name: str, *, ignored: Sequence[str] = (), ignored_flags: Sequence[str] = ()
) -> Callable[[Function], Function]:
    """Make a function the verb `name`. What it returns, plain data or None, is printed as `--query` and `-o` ask.

    `ignored` are documented options that have no meaning on this machine: `"--long -s"` with a value (a warning says
    so), `ignored_flags` those without. A first parameter `workspace` is the opened workspace.
    """

    def register(function: Function) -> Function:
        own = inspect.signature(function, eval_str=True)
        passed = [parameter for parameter in own.parameters.values() if parameter.name != "workspace"]
        nothing = [*_valued(PLACES), *_valued(ignored), *_flags(ignored_flags)]

        def run(**given: Any) -> None:
            shown = {parameter.name: given.pop(parameter.name) for parameter in _common()}
            dropped = {parameter.name: given.pop(parameter.name) for parameter in nothing}
            only_errors.set(shown["only_show_errors"])
            _warn(option for option in ignored if dropped[_plain_name(option)] is not None)
            with _as_azure():
                _refuse_empty(given, own.parameters)
                check_query(shown["query"])
                result = _call(function, given, "workspace" in own.parameters)
                text = text_of(select(result, shown["query"]), shown["output"], queried=shown["query"] is not None)
            sys.stdout.write(text)

        readable = [*passed, *nothing, *_common()]
        parameters = [parameter.replace(annotation=portable_type(parameter.annotation)) for parameter in readable]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        settings = {"help_option_names": ["--help", "-h"]}
        parent.command(name, cls=Command, help=inspect.getdoc(function), context_settings=settings)(run)
        return function

    return register


def warn(text: str) -> None:
    """Say on stderr what the user should know, unless only errors are wanted."""
    if not only_errors.get():
        typer.echo(f"WARNING: {text}", err=True)


def confirm(yes: bool) -> None:
    """Ask before something is deleted, unless `--yes` was given.

    Raises:
        CommandError: there is no terminal to ask on.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError("Unable to prompt for confirmation as no tty available. Use --yes.")
    typer.confirm("Are you sure you want to perform this operation?", abort=True, err=True)


def _call(function: Callable[..., Any], given: dict[str, Any], with_workspace: bool) -> Any:
    if not with_workspace:
        return function(**given)
    from batchtwin.workspace.workspace import Workspace

    with Workspace.open() as workspace:
        return function(workspace, **given)


@contextmanager
def _as_azure() -> Iterator[None]:
    """Give errors the prefix and the exit codes of `az`: 3 not found, 2 wrong usage, else 1."""
    try:
        yield
    except CommandError:
        raise
    except BatchTwinError as error:
        code = error.exit_code if error.exit_code == NOT_FOUND else FAILED
        raise CommandError(str(error), REFUSED if isinstance(error, UsageError) else code) from error


def _refuse_empty(given: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter]) -> None:
    """A variable of a shell that is not set gives an empty text, which is no name."""
    for name, value in given.items():
        if value == "" != parameters[name].default:
            raise UsageError(f"--{name.replace('_', '-')}: is empty; is the variable set that it comes from?")


def _common() -> list[inspect.Parameter]:
    return [
        _parameter("query", options.Query, None),
        _parameter("output", options.Output, "json"),
        _parameter("only_show_errors", options.OnlyErrors, False),
        _parameter("verbose", options.Verbose, False),
        _parameter("debug", options.Debug, False),
    ]


def _valued(names: Sequence[str]) -> list[inspect.Parameter]:
    return [_unused(option, str | None, None) for option in names]


def _flags(names: Sequence[str]) -> list[inspect.Parameter]:
    return [_unused(option, bool, False) for option in names]


def _unused(names: str, kind: Any, default: object) -> inspect.Parameter:
    option = typer.Option(*names.split(), help="Accepted, and without effect here.", rich_help_panel="Without effect")
    return _parameter(_plain_name(names), Annotated[kind, option], default)


def _parameter(name: str, annotation: Any, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _plain_name(names: str) -> str:
    return names.split()[0].removeprefix("--").replace("-", "_")


def _warn(names: Iterator[str]) -> None:
    for option in names:
        warn(f"{option.split()[0]} has no meaning on this machine and is ignored.")
