"""`batchtwin ml ...`: the commands and flags of `az ml`, on the local workspace.

Each group's functions are in a module of its own; `parser` makes commands of them, `views` prints their results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from batchtwin.azure.cli.command import Command, CommandError, Group
from batchtwin.azure.unsupported import unsupported_reason
from batchtwin.errors import REFUSED, UsageError
from batchtwin.extras import install_command

# Packages of the extra `workspace`.
NEEDED = ("jmespath", "knack", "psutil", "sqlalchemy")

# Documented, and without a meaning here. `REGISTRY`: about registries; `MACHINES`: about machines of the cloud.
NO_WAIT = ("--no-wait",)
REGISTRY = ("--registry-name",)
SECRETS = ("--include-secrets",)
MACHINES = (
    *("--admin-password", "--admin-username", "--enable-node-public-ip", "--identity-type", "--location -l"),
    *("--ssh-key-value", "--ssh-public-access-enabled -p", "--subnet", "--user-assigned-identities -i"),
    *("--user-object-id", "--user-tenant-id", "--vnet-name"),
)
# All commands, by group; `account` has the commands that scripts call before `az ml`.
GROUPS: Mapping[str, Group] = {
    "ml": Group("", "Manage Azure Machine Learning resources, in the local workspace."),
    "ml model": Group(
        "assets",
        "Manage Azure ML models.",
        {
            "create": Command("create_model", ("--datastore", "--stage", *REGISTRY), NO_WAIT),
            "show": Command("show_model", REGISTRY),
            "list": Command("list_models", ("--stage", *REGISTRY)),
            "download": Command("download_model", REGISTRY),
            "archive": Command("archive_model", REGISTRY),
        },
    ),
    "ml data": Group(
        "assets",
        "Manage Azure ML data assets.",
        {
            "create": Command(
                "create_data", ("--datastore", "--datastore-name -z", *REGISTRY), ("--skip-validation", *NO_WAIT)
            ),
            "show": Command("show_data", REGISTRY),
            "list": Command("list_data", REGISTRY),
        },
    ),
    "ml environment": Group(
        "assets",
        "Manage Azure ML environments.",
        {
            "create": Command("create_environment", ("--datastore", *REGISTRY), NO_WAIT),
            "show": Command("show_environment", REGISTRY),
            "list": Command("list_environments", REGISTRY),
            "archive": Command("archive_environment", REGISTRY),
            "restore": Command("restore_environment", REGISTRY),
        },
    ),
    "ml compute": Group(
        "computes",
        "Manage Azure ML compute resources. Here nothing runs on them.",
        {
            "create": Command("create", MACHINES, NO_WAIT),
            "show": Command("show"),
            "list": Command("list_all"),
            "delete": Command("delete", (), NO_WAIT, confirmed=True),
        },
    ),
    "ml datastore": Group(
        "datastores",
        "Manage Azure ML datastores. Here they are folders of the workspace.",
        {"show": Command("show", (), SECRETS), "list": Command("list_all", (), SECRETS)},
    ),
    "ml batch-endpoint": Group(
        "endpoints",
        "Manage Azure ML batch endpoints.",
        {
            "create": Command("create", (), NO_WAIT),
            "show": Command("show"),
            "list": Command("list_all"),
            "update": Command("update", (), NO_WAIT),
            "delete": Command("delete", (), NO_WAIT, confirmed=True),
            "invoke": Command("invoke"),
            "list-jobs": Command("list_jobs"),
        },
    ),
    "ml batch-deployment": Group(
        "deployments",
        "Manage Azure ML batch deployments.",
        {
            "create": Command("create", (), ("--skip-script-validation", *NO_WAIT)),
            "show": Command("show"),
            "list": Command("list_all"),
            "update": Command("update", (), NO_WAIT),
            "delete": Command("delete", (), NO_WAIT, confirmed=True),
            "list-jobs": Command("list_jobs"),
        },
    ),
    "ml job": Group(
        "jobs",
        "Manage Azure ML jobs.",
        {
            "show": Command("show"),
            "list": Command("list_all"),
            "stream": Command("stream"),
            "download": Command("download"),
            "cancel": Command("cancel"),
        },
    ),
    "account": Group(
        "account",
        "Manage Azure subscription information.",
        {
            "show": Command("show_account"),
            "list": Command("list_accounts"),
            "set": Command("do_nothing", ("--name -n",)),
            "get-access-token": Command("get_access_token", ("--scope", "--tenant -t", "--resource-type")),
        },
    ),
    "extension": Group(
        "account",
        "Manage CLI extensions.",
        {
            "show": Command("show_extension"),
            "list": Command("list_extensions"),
            "add": Command("change_extension", ("--source -s", "--version"), ("--yes -y", "--upgrade -U")),
            "update": Command("change_extension"),
            "remove": Command("change_extension"),
        },
    ),
    "config": Group(
        "account", "Manage Azure CLI configuration.", {"get": Command("get"), "set": Command("set_values")}
    ),
    "": Group(
        "account",
        "",
        {
            "configure": Command("configure"),
            "login": Command("login", ("--username -u", "--password -p", "--tenant -t")),
            "version": Command("version"),
        },
    ),
}


def run(words: Sequence[str]) -> int:
    """Run what was said to `az`: `ml`, or what scripts ask before they use it; returns the exit code.

    Raises:
        UsageError: the extra that the workspace needs is not installed.
        CommandError: what ended the command, or a part of Azure ML that does not run here.
        SystemExit: help was asked for.
    """
    if words[:1] == ["ml"] and (text := unsupported_reason(words[1:])):
        raise CommandError(text, REFUSED)
    try:
        from batchtwin.azure.cli.parser import Az

        return Az(GROUPS).run(words)
    except ModuleNotFoundError as error:
        if error.name not in NEEDED:
            raise
        raise UsageError(f"the local workspace needs {error.name}: {install_command('workspace')}") from error
