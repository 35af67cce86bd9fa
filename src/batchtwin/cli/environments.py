"""`batchtwin environments`: the cached environments of deployments."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from batchtwin.api.registered import find_registered, registered
from batchtwin.cli.messages import note
from batchtwin.cli.options import AllowBuilds, DeploymentFile, ModelPath, PythonVersion
from batchtwin.environments import cache
from batchtwin.errors import UsageError
from batchtwin.typer_types import portable

app = typer.Typer(help="The environments that were made for deployments.", no_args_is_help=True, add_completion=False)
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="The first characters of the key are enough.")]


@app.command("list")
@portable
def list_all(as_json: AsJson = False) -> None:
    """List the environments: key, Python, size, last use, what for."""
    rows = [_facts(environment) for environment in cache.environments()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    typer.echo(f"{'key':22}{'python':8}{'MiB':>6}  {'last used':18}for")
    for entry in rows:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry["last_used"]))
        used = "by a job, now" if entry["is_used"] else used
        typer.echo(f"{entry['key']:22}{entry['python']:8}{entry['size'] >> 20:>6}  {used:18}{entry['source']}")
    total = sum(entry["size"] for entry in rows)
    maximum = cache.limit()
    most = "without a limit" if maximum is None else f"of at most {maximum >> 20} MiB ({cache.MAXIMUM})"
    typer.echo(f"{len(rows)} environments, {total >> 20} MiB {most}, in {cache.cache_folder()}")
    _list_warm()


def _list_warm() -> None:
    """List what `--warm` keeps ready: its share of memory, its jobs, and what for."""
    from batchtwin.engine.backends.warm.servers import warm_servers

    try:
        servers = [server.state for server in warm_servers()]
    except UsageError as error:
        note(f"nothing is warm: {error}")
        return
    if not servers:
        return
    typer.echo(f"\n{'warm, pid':22}{'jobs':8}{'MiB':>6}  {'ends in':18}for")
    for state in servers:
        left = f"{max(0.0, state.seconds - state.idle) / 60:.1f} minutes" if not state.jobs else "runs a job, now"
        typer.echo(f"{state.pid:<22}{state.served:<8}{state.size >> 20:>6}  {left:18}{state.title}")
    typer.echo(f"{len(servers)} warm, {sum(state.size for state in servers) >> 20} MiB of memory")


@app.command()
@portable
def show(key: Key, as_json: AsJson = False) -> None:
    """Show one environment: what was requested, and the versions that are installed."""
    environment = cache.find(key)
    facts = {**_facts(environment), "lock": environment.lock.splitlines()}
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        text = "\n  ".join(["", *map(str, value)]) if isinstance(value, list | tuple) else f" {value}"
        typer.echo(f"{name}:{text}")


@app.command()
@portable
def build(
    deployment: DeploymentFile,
    model: ModelPath = None,
    python: PythonVersion = None,
    upgrade: Annotated[bool, typer.Option("--upgrade", help="Make it again, with the newest versions.")] = False,
    allow_builds: AllowBuilds = False,
) -> None:
    """Make the environment of a deployment, and print its folder."""
    from batchtwin.engine.prepare import Request, resolve
    from batchtwin.environments.placement import requested_or_reason
    from batchtwin.environments.venv import environment_for

    resolved = resolve(Request(deployment, Path(), find_registered(deployment, model, {})))
    requested, reason = requested_or_reason(resolved.deployment, resolved.folder, resolved.model, registered)
    if requested is None:
        raise UsageError(f"environment: {reason or 'nothing says what to install'}")
    environment = environment_for(requested, python=python, allow_builds=allow_builds, upgrade=upgrade, progress=note)
    typer.echo(environment.path)


@app.command()
@portable
def remove(
    keys: Annotated[list[str] | None, typer.Argument(metavar="KEY...", help="Which.")] = None,
    unused: Annotated[
        float | None, typer.Option("--unused", min=0, metavar="DAYS", help="Those not used for so many days.")
    ] = None,
) -> None:
    """Remove environments, and print what goes."""
    if not keys and unused is None:
        raise UsageError("environments remove: name keys, or --unused DAYS")
    cache.sweep()
    selected = [cache.find(key) for key in keys or []]
    idle = cache.unused(unused) if unused is not None else []
    for environment in selected + [other for other in idle if other not in selected]:
        if environment in selected or not cache.is_used(environment.record.key):
            cache.remove(environment)
            typer.echo(f"removed {environment.record.key} ({environment.record.size >> 20} MiB)")


@app.command()
@portable
def stop() -> None:
    """End what `--warm` keeps ready for the next job."""
    from batchtwin.engine.backends.warm.servers import stop_servers

    count = stop_servers()
    typer.echo(f"stopped {count} warm server{'' if count == 1 else 's'}")


def _facts(environment: cache.Environment) -> dict[str, Any]:
    record = environment.record
    return {
        "key": record.key,
        "source": record.source,
        "python": record.python,
        "base": record.base,
        "path": str(environment.path),
        "size": record.size,
        "created": record.created,
        "last_used": environment.last_used,
        "is_used": cache.is_used(record.key),
        "lines": list(record.lines),
        "left_out": list(record.left_out),
    }
