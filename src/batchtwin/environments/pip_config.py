"""pip's own configuration, handed on to uv: indexes, links, certificates. Credentials in it are never logged."""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Mapping
from pathlib import Path

# pip's key -> uv's variable.
KEYS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "constraint": "UV_CONSTRAINT",
    "cert": "SSL_CERT_FILE",
}
# uv reads lists with commas in these, with spaces in the others.
WITH_COMMAS = {"UV_FIND_LINKS"}
# Where these settings stand is part of what an environment is made from; a certificate is not.
OF_THE_KEY = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS", "UV_CONSTRAINT")


def uv_variables(machine: Mapping[str, str]) -> dict[str, str]:
    """Return variables for uv that say what pip's configuration and PIP_* variables say; those that are set stay."""
    variables = {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never"}
    for key, value in pip_settings(machine).items():
        name = KEYS[key]
        words = value.split()
        if words and name not in machine:
            variables[name] = (",".join if name in WITH_COMMAS else " ".join)(words)
    return {name: value for name, value in variables.items() if name not in machine}


def pip_settings(machine: Mapping[str, str]) -> dict[str, str]:
    """Return what pip is told, by pip's keys: files first, then variables, the last word wins."""
    settings: dict[str, str] = {}
    for path in _files(machine):
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                settings.update({key: text for key, text in parser.items(section) if key in KEYS})
    for key in KEYS:
        value = machine.get(f"PIP_{key.upper().replace('-', '_')}")
        if value:
            settings[key] = value
    return settings


def _files(machine: Mapping[str, str]) -> list[Path]:
    if machine.get("PIP_CONFIG_FILE"):
        return [] if machine["PIP_CONFIG_FILE"] == os.devnull else [Path(machine["PIP_CONFIG_FILE"])]
    home = Path.home()
    system = [Path(folder) / "pip/pip.conf" for folder in machine.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")]
    user = Path(machine.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf"
    return [*system, Path("/etc/pip.conf"), home / ".pip/pip.conf", user, Path(sys.prefix) / "pip.conf"]
