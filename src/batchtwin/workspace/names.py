"""Rules for names, and references such as `azureml:NAME:VERSION`. Pure."""

from __future__ import annotations

import re
from typing import Literal

from batchtwin.deployment.reference import PREFIX, AssetReference, InvalidReferenceError, is_reference, parse_reference
from batchtwin.workspace.entities import Kind
from batchtwin.workspace.errors import InvalidError

CHILD_SUFFIX = "-batchscoring"

Named = Literal["model", "data", "code", "environment", "compute", "endpoint", "deployment", "job", "experiment"]

_ASSET = (r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,254}", "1-255 letters, digits, '.', '-', '_', the first a letter or digit")
_ENDPOINT = (
    r"(?=.{3,32}\Z)[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?",
    "3-32 letters, digits and '-', the first a letter, the last a letter or digit",
)
_COMPUTE = (
    r"(?=.{2,32}\Z)[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?",
    "2-32 letters, digits and '-', the first a letter, the last a letter or digit",
)
_JOB = (r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}", "1-255 letters, digits, '-', '_', the first a letter or digit")
# A valid experiment name as in the service [A], except a 256th character. It is a folder's name, too.
_RULES = {"compute": _COMPUTE, "endpoint": _ENDPOINT, "deployment": _ENDPOINT, "job": _JOB, "experiment": _JOB}


def check_name(kind: Named, name: str) -> str:
    """Return `name` if it is valid; it then is a valid file name too.

    Raises:
        InvalidError: saying what is allowed.
    """
    pattern, allowed = _RULES.get(kind, _ASSET)
    if not re.fullmatch(pattern, name):
        raise InvalidError(f"{kind} name {name!r}: must be {allowed}")
    if kind == "job" and name.endswith(CHILD_SUFFIX):
        raise InvalidError(f"job name {name!r}: must not end in {CHILD_SUFFIX}, as the child of a job does")
    return name


def check_version(version: str) -> str:
    """Return `version` if it is valid.

    Raises:
        InvalidError: saying what is allowed.
    """
    if not re.fullmatch(_ASSET[0], version):
        raise InvalidError(f"version {version!r}: must be {_ASSET[1]}")
    return version


def asset_reference(kind: Kind | Literal["compute"], text: str) -> AssetReference:
    """Read a reference to an asset or compute of this kind; `NAME` and `NAME:VERSION` are also valid without prefix.

    Raises:
        InvalidError: no reference, or one to a resource of another kind.
    """
    try:
        reference = parse_reference(text if is_reference(text) else PREFIX + text)
    except InvalidReferenceError:
        raise InvalidError(
            f"{kind} {text!r}: must be azureml:NAME:VERSION, azureml:NAME@latest, or a full id"
        ) from None
    if not isinstance(reference, AssetReference) or reference.kind not in {kind, None}:
        other = reference.kind if isinstance(reference, AssetReference) else "path"
        raise InvalidError(f"{kind} {text!r}: is the id of a {other}")
    if reference.registry is not None:
        raise InvalidError(f"{kind} {text!r}: is in the registry {reference.registry}; register a copy, and name that")
    check_name(kind, reference.name)
    return reference
