"""Run command lines with the Azure CLI's own core, given batchtwin's table of commands.

It runs in the environment of real-az.txt. Standard input has a JSON list of command lines: each the words, and whether
the command is to run, not only its words to be read. Standard output has a JSON list of what came of each: `code`,
`out` and `values`, the options as the command gets them.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

os.environ |= {"AZURE_CONFIG_DIR": tempfile.mkdtemp(), "AZURE_CORE_COLLECT_TELEMETRY": "false"}

from azure.cli.core import AzCli, AzCommandsLoader
from azure.cli.core._help import AzCliHelp
from azure.cli.core._output import AzOutputProducer
from azure.cli.core.azlogging import AzCliLogging
from azure.cli.core.commands import AzCliCommand, AzCliCommandInvoker
from azure.cli.core.parser import AzCliCommandParser
from knack_lines import result_of

from batchtwin.azure.cli.commands import GROUPS
from batchtwin.azure.cli.parser import commands


class Loader(AzCommandsLoader):  # type: ignore[misc]
    """batchtwin's commands, as an extension would bring them."""

    def __init__(self, cli_ctx: Any = None) -> None:
        super().__init__(cli_ctx=cli_ctx)
        self.cmd_to_loader_map: dict[str, list[Any]] = {}

    def load_command_table(self, args: Sequence[str]) -> dict[str, Any]:
        """Fill the table."""
        for name, settings in commands(GROUPS):
            settings["handler"] = partial(without_context, settings["handler"])
            self.command_table[name] = AzCliCommand(self, name, **settings)
            self.cmd_to_loader_map[name] = [self]
        return self.command_table  # type: ignore[no-any-return]

    def load_arguments(self, command: str) -> None:
        """Load the options of a command."""
        if command in self.command_table:
            self.command_table[command].load_arguments()
            self._apply_parameter_info(command, self.command_table[command])


def without_context(handler: Callable[[dict[str, Any]], Any], given: dict[str, Any]) -> Any:
    """Call a command without what az hands to those of its own."""
    return handler({name: value for name, value in given.items() if name != "cmd"})


def az() -> Any:
    """A new command line, as azure-cli makes it."""
    return AzCli(
        cli_name="az",
        config_dir=os.environ["AZURE_CONFIG_DIR"],
        config_env_var_prefix="AZURE",
        commands_loader_cls=Loader,
        invocation_cls=AzCliCommandInvoker,
        parser_cls=AzCliCommandParser,
        logging_cls=AzCliLogging,
        output_cls=AzOutputProducer,
        help_cls=AzCliHelp,
    )


if __name__ == "__main__":
    json.dump([result_of(az(), words, run) for words, run in json.load(sys.stdin)], sys.stdout)
