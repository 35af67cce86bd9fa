"""Commands of `az` that scripts call first: who is logged in, where, with which extension. Here the answer is fixed.

With them, a script for the cloud runs with an `az` that is `exec batchtwin "$@"`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from batchtwin import __version__
from batchtwin.azure import web
from batchtwin.azure.cli.command import NOT_FOUND, CommandError
from batchtwin.azure.cli.options import option
from batchtwin.azure.cli.views import LOCAL

ExtensionName = Annotated[str, option("--name", "-n", help="Name of the extension.")]
DEFAULTS = {"group": LOCAL, "workspace": LOCAL, "location": LOCAL}
EXTENSION = {"name": "ml", "version": __version__, "preview": False, "experimental": False, "extensionType": LOCAL}


def show_account() -> dict[str, Any]:
    """Show the subscription: this machine."""
    return {
        "environmentName": "AzureCloud",
        "id": LOCAL,
        "isDefault": True,
        "name": LOCAL,
        "state": "Enabled",
        "tenantId": LOCAL,
        "user": {"name": LOCAL, "type": "user"},
    }


def list_accounts(everything: Annotated[bool, option("--all", help="All of them.")] = False) -> list[dict[str, Any]]:
    """List the subscriptions: this machine."""
    return [show_account()]


def login(
    identity: Annotated[bool, option("--identity", "-i", help="Accepted.")] = False,
    service_principal: Annotated[bool, option("--service-principal", help="Accepted.")] = False,
    use_device_code: Annotated[bool, option("--use-device-code", help="Accepted.")] = False,
) -> list[dict[str, Any]]:
    """Show who is logged in: there is one user here, and nothing to log in to."""
    return [show_account()]


def get_access_token(
    resource: Annotated[str, option("--resource", help="As in https://ml.azure.com.")] = "https://management.azure.com",
) -> dict[str, Any]:
    """Get a token for requests to the server of this workspace, which has to run."""
    from batchtwin.workspace.workspace import Workspace

    with Workspace.open() as workspace:
        token, expires = web.access_token(workspace.root, resource)
    local = datetime.fromtimestamp(expires).strftime("%Y-%m-%d %H:%M:%S.%f")
    tenant = {"subscription": LOCAL, "tenant": LOCAL, "tokenType": "Bearer"}
    return {"accessToken": token, "expiresOn": local, "expires_on": expires, **tenant}


def set_values(pairs: Annotated[list[str], option(help="KEY=VALUE...; accepted, without effect.", nargs="+")]) -> None:
    """Accept settings, without effect here."""


def do_nothing() -> None:
    """Accepted, without effect here."""


def change_extension(name: ExtensionName) -> None:
    """Accepted for the extension that is here, without effect."""
    show_extension(name)


def show_extension(name: ExtensionName) -> dict[str, Any]:
    """Show an extension."""
    if name != EXTENSION["name"]:
        raise CommandError(f"The extension {name} is not installed.", NOT_FOUND)
    return EXTENSION


def list_extensions() -> list[dict[str, Any]]:
    """List the extensions."""
    return [EXTENSION]


def configure(
    list_defaults: Annotated[bool, option("--list-defaults", "-l", help="Show them.")] = False,
    defaults: Annotated[
        list[str] | None, option("--defaults", "-d", help="KEY=VALUE; accepted, without effect.")
    ] = None,
) -> list[dict[str, Any]] | None:
    """Show the defaults."""
    return [_default(name) for name in DEFAULTS] if list_defaults else None


def get(key: Annotated[str, option(help="As in defaults.group.", nargs="?")] = "") -> Any:
    """Show a default, or all of them."""
    section, _, name = key.partition(".")
    if name and (section != "defaults" or name not in DEFAULTS):
        raise CommandError(f"Configuration '{key}' is not set.")
    defaults = [_default(default) for default in DEFAULTS]
    return _default(name) if name else defaults if section else {"defaults": defaults}


def _default(name: str) -> dict[str, Any]:
    return {"name": name, "source": LOCAL, "value": DEFAULTS[name]}


def version() -> dict[str, Any]:
    """Show the versions."""
    return {"azure-cli": __version__, "extensions": {EXTENSION["name"]: __version__}}
