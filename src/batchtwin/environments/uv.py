"""uv, which makes environments: how it is run, its messages, and pip's configuration, which applies to it as well.

Indexes, links, certificates and proxies of pip hold for uv too. Credentials in them are never logged.
"""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from batchtwin import user_folders
from batchtwin.environments.cache import FOLDER
from batchtwin.errors import BatchTwinError

# pip's key -> uv's variable.
KEYS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "constraint": "UV_CONSTRAINT",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
    "retries": "UV_HTTP_RETRIES",
}
# uv splits lists at commas in these, at spaces in the others.
WITH_COMMAS = {"UV_FIND_LINKS"}
# The settings that decide what an environment contains; a certificate does not.
OF_THE_KEY = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS", "UV_NO_INDEX", "UV_CONSTRAINT")
# Variables that would make another interpreter behave as this one.
OF_THIS_PYTHON = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX", "__PYVENV_LAUNCHER__")
# Options of pip that are arguments of uv, with their names there.
AS_WORDS = {"--pre": "--prerelease=allow", "--trusted-host": "--allow-insecure-host"}
# Options of pip that uv reads in a file as pip does.
IN_FILES = {
    *("--editable", "--constraint", "--requirement", "--index-url", "--extra-index-url", "--find-links"),
    *("--no-index", "--no-binary", "--only-binary", "--require-hashes"),
}
# Options of pip that do not change what is installed.
WITHOUT_EFFECT = {
    *("--prefer-binary", "--disable-pip-version-check", "--no-cache-dir", "--upgrade", "-U", "--quiet", "-q"),
    *("--no-input", "--progress-bar", "--no-warn-script-location", "--timeout", "--retries", "--user"),
}
NETWORK = re.compile(
    r"dns error|error sending request|client error \(connect\)|network is unreachable|connection refused|timed out|"
    r"failed to lookup|failed to fetch|tunnel error|network was disabled",
    re.IGNORECASE,
)


class UvError(BatchTwinError):
    """uv's error message, without credentials."""

    @property
    def is_network(self) -> bool:
        """Whether something could not be reached."""
        return NETWORK.search(str(self)) is not None


def without_credentials(text: str) -> str:
    """Return a text without user names and passwords in its URLs."""
    return re.sub(r"(\w://)[^/@\s'\"`]+@", r"\1", text)


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Run a program that makes environments, and return its output.

    It runs in the root folder: a pyproject.toml above the working folder has settings for other environments.

    Raises:
        UvError: it failed, or does not exist.
    """
    try:
        done = subprocess.run(  # noqa: S603
            command, env=environment or variables(), cwd="/", capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise UvError(f"{command[0]}: cannot be run: {error.strerror}") from None
    if done.returncode:
        raise UvError(without_credentials((done.stderr or done.stdout).strip()))
    return done.stdout


def uv(words: Sequence[str]) -> str:
    """Run uv. If the network fails, run it offline: its cache may have everything.

    Raises:
        UvError: it failed, or is not installed.
    """
    command = [program(), *words]
    try:
        return run(command)
    except UvError as error:
        if not error.is_network:
            raise
        try:
            return run(command, {**variables(), "UV_OFFLINE": "1"})
        except UvError:
            raise error from None


def program() -> str:
    """Return the path of uv.

    Raises:
        UvError: it is not installed.
    """
    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError):
        raise UvError(f"uv is not installed beside batchtwin; {sys.executable} -m pip install uv") from None


def variables() -> dict[str, str]:
    """Return uv's variables: this process's, and pip's configuration."""
    machine = {**os.environ, **uv_variables(os.environ)}
    return {name: value for name, value in machine.items() if name not in OF_THIS_PYTHON}


def uv_variables(machine: Mapping[str, str]) -> dict[str, str]:
    """Return variables for uv with pip's configuration and its PIP_* variables; existing ones of uv stay."""
    result = {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never"}
    for key, value in pip_settings(machine).items():
        name = KEYS[key]
        words = [_absolute(word) for word in value.split()] if key == "find-links" else value.split()
        if words:
            result[name] = (",".join if name in WITH_COMMAS else " ".join)(words)
    return {name: value for name, value in result.items() if name not in machine}


def _absolute(link: str) -> str:
    return link if ":" in link else str(Path(link).expanduser().absolute())


def pip_settings(machine: Mapping[str, str]) -> dict[str, str]:
    """Return pip's settings, by pip's keys: files first, then variables; the last one wins."""
    settings: dict[str, str] = {}
    for path in _files(machine):
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                lines = ((key.replace("_", "-"), text) for key, text in parser.items(section))
                settings.update({key: text for key, text in lines if key in KEYS})
    for key in KEYS:
        value = machine.get(f"PIP_{key.upper().replace('-', '_')}")
        if value:
            settings[key] = value
    return settings


def _files(machine: Mapping[str, str]) -> list[Path]:
    if machine.get("PIP_CONFIG_FILE") == os.devnull:
        return []
    home = user_folders.home()
    system = [Path(folder) / "pip/pip.conf" for folder in machine.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")]
    user = Path(machine.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf"
    config_files = [Path(machine["PIP_CONFIG_FILE"])] if machine.get("PIP_CONFIG_FILE") else []
    return [*system, Path("/etc/pip.conf"), home / ".pip/pip.conf", user, Path(sys.prefix) / "pip.conf", *config_files]


def translate(options: Iterable[tuple[str, str]]) -> tuple[list[str], list[str], list[str]]:
    """Sort pip's options (name, value): lines of uv's file, arguments of its command, and what it cannot do."""
    lines, words, unknown = [], [], []
    for name, value in options:
        text = f"{name} {value}".strip()
        if name in IN_FILES:
            lines.append(text)
        elif name in AS_WORDS:
            words += [AS_WORDS[name], *([value] if value else [])]
        elif name not in WITHOUT_EFFECT:
            unknown.append(text)
    return lines, words, unknown


def explain_uv_error(error: UvError, source: str, names: Mapping[str, str]) -> str:
    """Return uv's message as one paragraph about `source`, with `names` in place of paths, and advice."""
    text = str(error)
    for path, name in names.items():
        text = text.replace(path, name)
    words = " ".join(re.sub(r"[\u00d7\u2570\u2500\u25b6\u251c\u2502]|^error:", " ", text).split())
    words = (
        words.split(" hint: ")[0]
        .replace(" cause: ", ": ")
        .removesuffix(".")
        .replace("your requirements", f"the lines of {source}")
    )
    advice = ""
    if re.search(r"no-build|building (from )?source|building is disabled|no usable wheels", text, re.IGNORECASE):
        advice = "; a package has no wheel for this Python: --allow-builds builds it, which runs its code"
    elif re.search(r"no space left on device|disk quota exceeded", text, re.IGNORECASE):
        advice = f"; make room, or choose another folder ({FOLDER}, and UV_CACHE_DIR for what uv keeps)"
    elif error.is_network:
        advice = "; is there a network connection? --env here needs none"
    return f"{source}: the environment cannot be made: {words[:2000]}{advice}"
