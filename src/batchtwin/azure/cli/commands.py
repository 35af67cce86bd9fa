"""`batchtwin ml ...`: the words and flags of `az ml`, on the local workspace.

Each group's functions stand in a module of its own; `parser` makes commands of them, `views` says what they print.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from batchtwin.azure.cli.command import CommandError, Group, Verb
from batchtwin.azure.unsupported import sentence
from batchtwin.errors import REFUSED, UsageError
from batchtwin.extras import install_command

# What the extra `workspace` brings.
NEEDED = ("jmespath", "knack", "psutil", "sqlalchemy")

# Documented, and without a meaning here. `REGISTRY`: of registries; `MACHINES`: about machines that are not here.
NO_WAIT = ("--no-wait",)
REGISTRY = ("--registry-name",)
SECRETS = ("--include-secrets",)
MACHINES = (
    *("--admin-password", "--admin-username", "--enable-node-public-ip", "--identity-type", "--location -l"),
    *("--ssh-key-value", "--ssh-public-access-enabled -p", "--subnet", "--user-assigned-identities -i"),
    *("--user-object-id", "--user-tenant-id", "--vnet-name"),
)
# All commands, by group; what scripts ask of `az` before they use it is in `account`.
GROUPS: Mapping[str, Group] = {
    "ml": Group("", "Manage Azure Machine Learning resources, in the local workspace."),
    "ml model": Group(
        "assets",
        "Manage Azure ML models.",
        {
            "create": Verb("create_model", ("--datastore", "--stage", *REGISTRY), NO_WAIT),
            "show": Verb("show_model", REGISTRY),
            "list": Verb("list_models", ("--stage", *REGISTRY)),
            "download": Verb("download_model", REGISTRY),
            "archive": Verb("archive_model", REGISTRY),
        },
    ),
    "ml data": Group(
        "assets",
        "Manage Azure ML data assets.",
        {
            "create": Verb(
                "create_data", ("--datastore", "--datastore-name -z", *REGISTRY), ("--skip-validation", *NO_WAIT)
            ),
            "show": Verb("show_data", REGISTRY),
            "list": Verb("list_data", REGISTRY),
        },
    ),
    "ml environment": Group(
        "assets",
        "Manage Azure ML environments.",
        {
            "create": Verb("create_environment", ("--datastore", *REGISTRY), NO_WAIT),
            "show": Verb("show_environment", REGISTRY),
            "list": Verb("list_environments", REGISTRY),
            "archive": Verb("archive_environment", REGISTRY),
            "restore": Verb("restore_environment", REGISTRY),
        },
    ),
    "ml compute": Group(
        "computes",
        "Manage Azure ML compute resources. Here nothing runs on them.",
        {
            "create": Verb("create", MACHINES, NO_WAIT),
            "show": Verb("show"),
            "list": Verb("list_all"),
            "delete": Verb("delete", (), NO_WAIT, confirmed=True),
        },
    ),
    "ml datastore": Group(
        "datastores",
        "Manage Azure ML datastores. Here they are folders of the workspace.",
        {"show": Verb("show", (), SECRETS), "list": Verb("list_all", (), SECRETS)},
    ),
    "ml batch-endpoint": Group(
        "endpoints",
        "Manage Azure ML batch endpoints.",
        {
            "create": Verb("create", (), NO_WAIT),
            "show": Verb("show"),
            "list": Verb("list_all"),
            "update": Verb("update", (), NO_WAIT),
            "delete": Verb("delete", (), NO_WAIT, confirmed=True),
            "invoke": Verb("invoke"),
            "list-jobs": Verb("list_jobs"),
        },
    ),
    "ml batch-deployment": Group(
        "deployments",
        "Manage Azure ML batch deployments.",
        {
            "create": Verb("create", (), ("--skip-script-validation", *NO_WAIT)),
            "show": Verb("show"),
            "list": Verb("list_all"),
            "update": Verb("update", (), NO_WAIT),
            "delete": Verb("delete", (), NO_WAIT, confirmed=True),
            "list-jobs": Verb("list_jobs"),
        },
    ),
    "ml job": Group(
        "jobs",
        "Manage Azure ML jobs.",
        {
            "show": Verb("show"),
            "list": Verb("list_all"),
            "stream": Verb("stream"),
            "download": Verb("download"),
            "cancel": Verb("cancel"),
        },
    ),
    "account": Group(
        "account",
        "Manage Azure subscription information.",
        {
            "show": Verb("show_account"),
            "list": Verb("list_accounts"),
            "set": Verb("do_nothing", ("--name -n",)),
            "get-access-token": Verb("get_access_token", ("--scope", "--tenant -t", "--resource-type")),
        },
    ),
    "extension": Group(
        "account",
        "Manage CLI extensions.",
        {
            "show": Verb("show_extension"),
            "list": Verb("list_extensions"),
            "add": Verb("change_extension", ("--source -s", "--version"), ("--yes -y", "--upgrade -U")),
            "update": Verb("change_extension"),
            "remove": Verb("change_extension"),
        },
    ),
    "config": Group("account", "Manage Azure CLI configuration.", {"get": Verb("get"), "set": Verb("set_values")}),
    "": Group(
        "account",
        "",
        {
            "configure": Verb("configure"),
            "login": Verb("login", ("--username -u", "--password -p", "--tenant -t")),
            "version": Verb("version"),
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
    if words[:1] == ["ml"] and (text := sentence(words[1:])):
        raise CommandError(text, REFUSED)
    try:
        from batchtwin.azure.cli.parser import Az

        return Az(GROUPS).run(words)
    except ModuleNotFoundError as error:
        if error.name not in NEEDED:
            raise
        raise UsageError(f"the local workspace needs {error.name}: {install_command('workspace')}") from error
