"""What must not be printed, logged or written: keys in URLs, and secrets of the environment.

An exception of MLflow, a driver or a scoring script repeats the address that it could not reach, with the password in
it. So texts are redacted where they enter what a job reports, not where they are made.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

HIDDEN = "***"
# Names of possible keys, in variables and after the `?` of a URL, whatever service they are for.
KEY = re.compile(
    r"(^|[-_.])(sig|signature|code|pass|password|passwd|pwd|auth|credential)$|(key|token|secret)$", re.IGNORECASE
)
KEY_VARIABLE = re.compile(r"(key|token|secret|pass|password|passwd|pwd|connection_string)$", re.IGNORECASE)
# On the web a slash ends a possible user and password; the key of a store may contain one.
WEB_USER = re.compile(r"(https?://)[^/?#\s]*@", re.IGNORECASE)
# A password without URL quoting: what follows the colon is no port.
WEB_PASSWORD = re.compile(r"(https?://)[^/?#@:\[\s]*:(?!\d{1,5}(?![^/?#\s]))\S*@", re.IGNORECASE)
STORE_KEY = re.compile(r"((?<!http)(?<!https)://)[^/@:\s]*:\S*@", re.IGNORECASE)
PARAMETER = re.compile(r"([?&;#])([\w.-]+)=([^&\s\"'<>]+)")
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?P<rest>\S+)")
# A shorter value may be a part of a word. In a URL it is hidden all the same.
SHORTEST = 6

_seen: set[tuple[str, str]] = set()
_learned: list[str] = []


def hide(text: str) -> str:
    """Return a text without the secrets of this process's environment and without possible keys in its URLs."""
    return Redactor()(text)


class Redactor:
    """Does what `hide` does in many texts: it reads the environment once, in the constructor."""

    def __init__(self) -> None:
        learn(os.environ)

    def __call__(self, text: str) -> str:
        """Return a text without secrets."""
        for secret in _learned:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        if "://" in text:
            text = STORE_KEY.sub(r"\1", WEB_PASSWORD.sub(r"\1", WEB_USER.sub(r"\1", text)))
        return PARAMETER.sub(_parameter, text) if "=" in text else text


def hide_in(data: Any, hidden: Callable[[str], str] | None = None) -> Any:
    """Return data for programs with `hide`, or `hidden`, applied to every text."""
    hidden = hidden or Redactor()
    if isinstance(data, str):
        return hidden(data)
    if isinstance(data, Mapping):
        return {key: hide_in(value, hidden) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [hide_in(value, hidden) for value in data]
    return data


def learn(variables: Mapping[str, str]) -> None:
    """Remember the secrets of variables; they stay hidden after the variables are removed."""
    for variable in variables.items():
        if variable in _seen:
            continue
        _seen.add(variable)
        secrets = {secret for secret in _secrets(*variable) if len(secret) >= SHORTEST}
        for spell in (str, unquote, _quoted, _in_json):
            _learned.extend({spell(secret) for secret in secrets} - {*_learned})
        _learned.sort(key=len, reverse=True)  # one may be a part of another


def has_key(url: str) -> bool:
    """Whether a URL holds a possible key, which would be written down."""
    names = (name for name, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True))
    return bool(WEB_USER.match(url) or WEB_PASSWORD.match(url) or STORE_KEY.search(url) or any(map(KEY.search, names)))


def print_traceback() -> None:
    """Print the traceback of the exception that is being handled to stderr."""
    print(hide(traceback.format_exc()), file=sys.stderr, end="", flush=True)


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _in_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def _parameter(match: re.Match[str]) -> str:
    mark, name, value = match.groups()
    return f"{mark}{name}={HIDDEN if KEY.search(name) else value}"


def _secrets(name: str, value: str) -> Iterator[str]:
    if KEY_VARIABLE.search(name) and not os.path.exists(value):
        yield value.strip()
    if "://" in value and (match := URL.search(value)):
        yield from _secrets_of_url(match["rest"])


def _secrets_of_url(rest: str) -> Iterator[str]:
    """Return the password and the keys of a URL without its scheme."""
    server = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, at, _ = server.rpartition("@")
    port = server.rpartition(":")[2]
    if not at and ":" in server and not server.startswith("[") and not port.isdecimal():
        user = rest.rpartition("@")[0]  # a password that is not quoted
    yield user.partition(":")[2]
    for key, value in parse_qsl(rest.partition("?")[2], keep_blank_values=True):
        if KEY.search(key):
            yield value
