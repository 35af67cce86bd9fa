"""Checks of this machine: Python, uv, the container engine, disk, ports, the Azure CLI."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from batchtwin.azure.rest.commands import NEEDED
from batchtwin.doctor.answer import run_command
from batchtwin.doctor.checks import Check, Probe, Status
from batchtwin.environments.cache import cache_folder
from batchtwin.environments.uv import UvError, program
from batchtwin.extras import install_command
from batchtwin_node.machine import cpus

# Less than the first stops a job; with less than the second an environment may not fit.
LEAST_BYTES, ENOUGH_BYTES = 100 << 20, 3 << 30
# Of `batchtwin serve`.
PORTS = (8443, 8480)


def probes(engine: str, az: str, *, image: str = "") -> list[Probe]:
    """Return the checks of this machine. `image` is the image of the job, empty for none."""
    return [
        Probe("python", python),
        Probe("uv", uv),
        Probe("engine", lambda: container_engine(engine, image)),
        Probe("disk", disk),
        Probe("ports", ports),
        Probe("az", lambda: azure_cli(az)),
    ]


def python() -> Iterator[Check]:
    """Check the interpreter of batchtwin, and how many CPUs it may use."""
    yield Check("python", "ok", f"{platform.python_version()} ({sys.executable}), {cpus()} CPUs to use")


def uv() -> Iterator[Check]:
    """Check uv, which makes environments."""
    fix = f"{sys.executable} -m pip install uv"
    try:
        answer = run_command([program(), "--version"])
    except UvError:
        yield Check("uv", "note", "not installed: no environment can be made", fix)
        return
    if answer.ok:
        yield Check("uv", "ok", answer.first_line)
    else:
        yield Check("uv", "note", "does not run: no environment can be made", fix)


def container_engine(engine: str, image: str) -> Iterator[Check]:
    """Check whether the engine answers, can build, and has the image of the job."""
    missing: Status = "problem" if image else "note"
    with ThreadPoolExecutor(4) as threads:
        info = threads.submit(run_command, [engine, "info"])
        buildx = threads.submit(run_command, [engine, "buildx", "version"])
        version = threads.submit(run_command, [engine, "--version"])
        inspect = threads.submit(run_command, [engine, "image", "inspect", image]) if image else None
    answer, without = info.result(), "jobs run in venvs without it"
    if answer.kind == "missing":
        yield Check("engine", missing, f"{engine} is not installed; {without}", "install Docker or Podman (--engine)")
    elif answer.kind == "late":
        yield Check("engine", missing, f"{engine} info does not answer; {without}", "restart the engine")
    elif not answer.ok:
        yield Check("engine", missing, f"{engine} info: {answer.reason or 'failed'}; {without}", "start the engine")
    elif buildx.result().ok or "podman" in version.result().text.lower():
        yield Check("engine", "ok", f"{engine} answers and can build images")
    else:
        text = f"{engine} answers and cannot build images: no BuildKit"
        yield Check("engine", "note", text, f"install the plugin buildx ({engine} buildx version)")
    if inspect is not None and answer.ok and not inspect.result().ok:
        yield Check("image", "problem", f"{image} is not on this machine", f"{engine} pull {image}")


def disk() -> Iterator[Check]:
    """Check the space where jobs and environments are written."""
    for name, folder, option in (
        ("outputs", Path.cwd(), "--output DIR"),
        ("environments", cache_folder(), "BATCHTWIN_ENVIRONMENTS=DIR"),
    ):
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(nearest).free
        if not os.access(nearest, os.W_OK | os.X_OK):
            yield Check("disk", "problem", f"{name}: {nearest} cannot be written", f"use another folder: {option}")
        elif free < LEAST_BYTES:
            yield Check("disk", "problem", f"{name}: {free >> 20} MiB free at {nearest}", _space(name, option))
        elif free < ENOUGH_BYTES and name == "environments":
            yield Check("disk", "note", f"{name}: {free >> 20} MiB free at {nearest}", _space(name, option))
        else:
            yield Check("disk", "ok", f"{name}: {free >> 30} GiB free at {nearest}")


def _space(name: str, option: str) -> str:
    more = "batchtwin environments remove --unused 30, or " if name == "environments" else ""
    return f"{more}use another folder: {option}"


def ports() -> Iterator[Check]:
    """Check whether `batchtwin serve` could run and listen."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        text = f"batchtwin serve needs {', '.join(missing)}, not installed; jobs need none of them"
        yield Check("serve", "note", text, install_command("serve", "workspace"))
        return
    busy = [port for port in PORTS if not _is_free(port)]
    if busy:
        text = f"{', '.join(map(str, busy))} in use: batchtwin serve runs, or another program"
        yield Check("ports", "note", text, "batchtwin serve --port 0")
    else:
        yield Check("ports", "ok", f"{' and '.join(map(str, PORTS))} are free for batchtwin serve")


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def azure_cli(az: str) -> Iterator[Check]:
    """Check the Azure CLI, its extension ml, and its login. No job here needs them."""
    if shutil.which(az) is None:
        text = f"{az} is not installed; only `make deploy` and similar commands need it"
        yield Check("az", "note", text, "https://learn.microsoft.com/cli/azure/install-azure-cli")
        return
    with ThreadPoolExecutor(2) as threads:
        extension = threads.submit(run_command, [az, "extension", "show", "--name", "ml", "--output", "none"])
        account = threads.submit(run_command, [az, "account", "show", "--query", "name", "--output", "tsv"])
    yield Check("az", "ok", f"{shutil.which(az)}")
    for name, answer, good, bad, fix in (
        ("extension", extension.result(), "ml is installed", "ml is not installed", f"{az} extension add --name ml"),
        ("login", account.result(), "", "nobody is logged in", f"{az} login"),
    ):
        if answer.ok:
            yield Check(name, "ok", good or f"subscription {answer.first_line}")
        elif answer.kind == "late":
            yield Check(name, "note", f"{az} did not answer in time; run it yourself", f"{az} {_words(name)}")
        else:
            yield Check(name, "note", f"{bad}; only `make deploy` and similar commands need it", fix)


def _words(name: str) -> str:
    return "account show" if name == "login" else "extension show --name ml"
