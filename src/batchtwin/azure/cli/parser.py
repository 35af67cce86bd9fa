"""The command line of `az`, by knack, the library with which the Azure CLI parses and prints.

A table of commands becomes knack's; the options of a command are the annotated parameters of its function.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from jmespath.exceptions import JMESPathError
from knack.arguments import CLICommandArgument, enum_choice_list
from knack.cli import CLI
from knack.commands import CLICommand, CLICommandsLoader
from knack.events import EVENT_INVOKER_POST_PARSE_ARGS
from knack.help_files import helps
from knack.log import CLILogging
from knack.output import OutputProducer
from knack.parser import CLICommandParser
from knack.util import CLIError

from batchtwin.azure.cli.command import (
    NOT_FOUND,
    Command,
    CommandError,
    Group,
    confirm,
    how_to_create,
    only_errors,
    warn,
)
from batchtwin.errors import FAILED, REFUSED, BatchTwinError, UsageError
from batchtwin_node.readers.bad_file import LINES, printable

# Options that name a place in the cloud: accepted, because the workspace is BATCHTWIN_WORKSPACE.
PLACES = ("--resource-group -g", "--workspace-name -w", "--subscription")
# Options of all commands of `az` that change something, since 2.80, for policies of a subscription.
POLICY = "--acquire-policy-token"
FLAG = {"action": "store_true"}


class Az(CLI):  # type: ignore[misc]
    """The command line, with the errors and exit codes of `az`: 3 not found, 2 wrong usage, else 1."""

    def __init__(self, groups: Mapping[str, Group]) -> None:
        super().__init__(
            "batchtwin",
            config_cls=lambda **_: AzSettings(),
            logging_cls=Logging,
            output_cls=Output,
            parser_cls=Parser,
            commands_loader_cls=lambda cli_ctx: Commands(cli_ctx, groups),
        )

    def run(self, words: Sequence[str]) -> int:
        """Run the command that `words` name; return the exit code.

        Raises:
            CommandError: the arguments are wrong, or the command fails.
            SystemExit: for `--help`.
        """
        format = self.config.get("core", "output", "json")
        if format.lower() not in FORMATS:
            raise CommandError(f"AZURE_CORE_OUTPUT: '{format}' is not one of {', '.join(FORMATS)}", REFUSED)
        return int(self.invoke(list(words), out_file=sys.stdout))

    def exception_handler(self, error: Exception) -> int:
        """Raise an error as one of `az`."""
        if isinstance(error, BatchTwinError) and not isinstance(error, CommandError):
            code = error.exit_code if error.exit_code == NOT_FOUND else FAILED
            text = f"{error}{how_to_create(error, self.invocation.data['command'] or '')}"
            raise CommandError(text, REFUSED if isinstance(error, UsageError) else code) from error
        if isinstance(error, JMESPathError):
            raise CommandError(f"Invalid jmespath query supplied for `--query`: {error}") from error
        if isinstance(error, CLIError):
            raise CommandError(str(error)) from error
        raise error


class AzSettings:
    """Settings of `az` by its variables, such as AZURE_CORE_OUTPUT; there is no file of settings."""

    config_dir = ""
    defaults_section_name = "defaults"

    def get(self, section: str, option: str, fallback: Any = None) -> Any:
        """Return a setting as text."""
        return os.environ.get(f"AZURE_{section}_{option}".upper(), fallback)

    def getboolean(self, section: str, option: str, fallback: bool = False) -> bool:
        """Return a boolean setting."""
        return str(self.get(section, option, fallback)).lower() in ("1", "yes", "true", "on")


class Logging(CLILogging):  # type: ignore[misc]
    """knack logs nothing itself; `--only-show-errors` is for `warn`."""

    def configure(self, args: Sequence[str]) -> None:
        """Read the options."""
        only_errors.set(self.cli_ctx.only_show_errors)
        self.cli_ctx.register_event(EVENT_INVOKER_POST_PARSE_ARGS, _note_only_errors)


def _note_only_errors(cli_ctx: Any, args: Any, **_: object) -> None:
    only_errors.set(args._log_verbosity_only_show_errors or cli_ctx.only_show_errors)


class Output(OutputProducer):  # type: ignore[misc]
    """Prints results; no text in a value can act on the terminal."""

    def get_formatter(self, format_type: str) -> Callable[[Any], str]:
        """Return the function that formats a result."""
        formatter = super().get_formatter(format_type)
        if format_type == "table" or (format_type == "tsv" and sys.stdout.isatty()):
            return lambda result: printable(formatter(result), LINES)
        return formatter  # type: ignore[no-any-return]


FORMATS = tuple(sorted(Output._FORMAT_DICT))


class Parser(CLICommandParser):  # type: ignore[misc]
    """argparse for knack: errors are exceptions, with suggestions."""

    def error(self, message: str) -> None:
        """Raise argparse's error."""
        if self.is_group() and "required" in message:
            self.format_group_help()
        raise CommandError(message, REFUSED)

    def format_group_help(self) -> None:
        """Show the content of a group without a command, and end as wrong usage."""
        try:
            self.format_help()
        except SystemExit:
            sys.exit(REFUSED)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse arguments; unknown ones are an error of the command before them."""
        namespace, rest = super().parse_known_args(args, namespace)
        if rest:
            options = [name for name in self._option_string_actions if name.startswith("--")]
            self.error(f"unrecognized arguments: {' '.join(rest)}{_meant(rest[0].partition('=')[0], options)}")
        return namespace, rest

    def _check_value(self, action: Any, value: str) -> None:
        if action.choices is None or value in action.choices:
            return
        if action.dest in ("_command", "_subcommand"):
            text = f"'{value}' is misspelled or not recognized by the system{_meant(value, action.choices)}"
            raise CommandError(f"{text} (see '{self.prog} --help')", REFUSED)
        text = f"'{value}' is not a valid value for '{action.option_strings[0]}'."
        raise CommandError(f"{text} Allowed values: {', '.join(action.choices)}.", REFUSED)

    @staticmethod
    def _expand_prefixed_files(args: list[str]) -> list[str]:
        """Replace `@FILE`, also in `KEY=@FILE`, by the text of the file, if it exists."""
        args[:] = map(_expanded, args)
        return args


def _expanded(word: str) -> str:
    key, equals, value = word.partition("=") if not word.startswith("@") else ("", "", word)
    if not value.startswith("@") or len(value) == 1:
        return word
    try:
        text = sys.stdin.read() if value == "@-" else Path(value[1:]).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return word
    return f"{key}{equals}{text.rstrip(os.linesep)}"


def _meant(word: str, known: Sequence[str]) -> str:
    similar = get_close_matches(word, known, n=1, cutoff=0.7)
    return f"; did you mean '{similar[0]}'?" if similar else ""


class Commands(CLICommandsLoader):  # type: ignore[misc]
    """knack's table of commands. Modules of commands are imported when help or a command needs them."""

    def __init__(self, cli_ctx: Any, groups: Mapping[str, Group]) -> None:
        self.groups = groups
        super().__init__(cli_ctx)

    def load_command_table(self, args: Sequence[str]) -> dict[str, Any]:
        """Fill the table: with the command in the arguments, else with all."""
        for name, group in self.groups.items():
            helps[name] = f"type: group\nshort-summary: {group.help}\n"
        table, words = dict(commands(self.groups)), [word.lower() for word in args]
        matching = [name for name in table if words[: len(name.split())] == name.split()]
        for name in matching or table:
            self.command_table[name] = CLICommand(self.cli_ctx, name, **table[name])
        return self.command_table  # type: ignore[no-any-return]

    def load_arguments(self, command: str) -> None:
        """Load the options of a command. Its name may be in capitals."""
        super().load_arguments(command.lower())


def commands(groups: Mapping[str, Group]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of each command, and the function that makes it knack's."""
    for name, group in groups.items():
        for word, command in group.commands.items():
            load = partial(_function, group.module, command.function)
            yield (
                f"{name} {word}".strip(),
                {
                    "handler": partial(_call, load),
                    "description_loader": lambda load=load: inspect.getdoc(load()),
                    "arguments_loader": lambda load=load, command=command, word=word: [
                        *arguments(load(), command),
                        *(() if word in ("list", "show") else (_unused("--change-reference"), _unused(POLICY, **FLAG))),
                    ],
                    "confirmation": confirm if command.confirmed else None,
                },
            )


def _function(module: str, name: str) -> Callable[..., Any]:
    return getattr(import_module(f"batchtwin.azure.cli.{module}"), name)  # type: ignore[no-any-return]


def _call(load: Callable[[], Callable[..., Any]], values: dict[str, Any]) -> Any:
    function = load()
    parameters = inspect.signature(function).parameters
    for name, value in values.items():
        # An unset variable of a shell gives an empty text, which is no name.
        if value == "" != parameters[name].default:
            raise UsageError(f"--{name.replace('_', '-')}: is empty; is the variable set that it comes from?")
    if "workspace" not in parameters:
        return function(**values)
    from batchtwin.workspace.workspace import Workspace

    with Workspace.open() as workspace:
        return function(workspace, **values)


def arguments(function: Callable[..., Any], command: Command) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of a command: the parameters of its function, and those without effect."""
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        if name != "workspace":
            yield name, _argument(parameter)
    for options in (*PLACES, *command.ignored):
        validator = None if options in PLACES else _warn_of(options)
        yield _unused(options, validator=validator)
    for options in command.ignored_flags:
        yield _unused(options, **FLAG)


def _argument(parameter: inspect.Parameter) -> Any:
    hint, option = get_args(parameter.annotation)[:2]
    positional = not option.settings["options_list"]
    settings = _by_type(hint) | option.settings
    if parameter.default is parameter.empty:
        settings["required"] = True
    else:
        settings["default"] = parameter.default
    cli_argument = CLICommandArgument(parameter.name, **settings)
    if positional:
        cli_argument.options_list = []
    return cli_argument


def _by_type(hint: Any) -> dict[str, Any]:
    """Return argparse's settings for the values of a type."""
    if isinstance(hint, UnionType):
        hint = next(part for part in get_args(hint) if part is not NoneType)
    if get_origin(hint) is Literal:
        return dict(enum_choice_list(list(get_args(hint))))
    if hint is bool:
        return FLAG
    if get_origin(hint) is list:
        return {"nargs": "+", "action": "extend"}
    return {} if hint is str else {"type": hint}


def _unused(options: str, **settings: Any) -> tuple[str, Any]:
    dest, text = _unused_dest(options), "Accepted, and without effect here."
    return dest, CLICommandArgument(dest, options_list=options.split(), help=text, arg_group="Ignored", **settings)


def _unused_dest(options: str) -> str:
    """Return a name that knack leaves out when it calls the function: it starts with an underscore."""
    return f"_{options.split()[0].removeprefix('--').replace('-', '_')}"


def _warn_of(options: str) -> Callable[[Any], None]:
    def validate(namespace: Any) -> None:
        if getattr(namespace, _unused_dest(options)) is not None:
            warn(f"{options.split()[0]} has no meaning on this machine and is ignored.")

    return validate
