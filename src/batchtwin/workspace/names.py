"""Rules for names, and references such as `azureml:NAME:VERSION`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from batchtwin.workspace.entities import Kind
from batchtwin.workspace.errors import InvalidError

# Assets that came with a deployment, without a name of their own; lists leave them out.
ANONYMOUS = "azureml_anonymous_"
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
# An experiment is named as the service has it [A], but for a 256th character. It serves as a folder's name, too.
_RULES = {"compute": _COMPUTE, "endpoint": _ENDPOINT, "deployment": _ENDPOINT, "job": _JOB, "experiment": _JOB}
# The kind of an asset, as ARM ids write it.
_COLLECTIONS = {
    "models": "model",
    "data": "data",
    "codes": "code",
    "environments": "environment",
    "computes": "compute",
}
_ARM = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.MachineLearningServices/workspaces/[^/]+"
    r"/(?P<collection>[^/]+)/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+)|/labels/(?P<label>[^/]+))?",
    re.IGNORECASE,
)
_SHORT = re.compile(r"(?P<name>[^/:@\s]+)(?::(?P<version>[^/:@\s]+)|@(?P<label>[^/:@\s]+))?")


def check_name(kind: Named, name: str) -> str:
    """Return `name` if it can be the name of such a thing; it then serves as a file name too.

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
    """Return `version` if it can be one.

    Raises:
        InvalidError: saying what is allowed.
    """
    if not re.fullmatch(_ASSET[0], version):
        raise InvalidError(f"version {version!r}: must be {_ASSET[1]}")
    return version


@dataclass(frozen=True, slots=True)
class Reference:
    """A thing by name. With neither version nor label it is a name alone."""

    kind: str
    name: str
    version: str | None = None
    label: str | None = None

    @classmethod
    def parse(cls, kind: Kind | Literal["compute"], text: str) -> Reference:
        """Read `azureml:NAME:VERSION`, `azureml:NAME@LABEL`, `NAME`, or an ARM id, with or without `azureml:`.

        Raises:
            InvalidError: it is none of these, or an id of another kind of thing.
        """
        bare = text.removeprefix("azureml:")
        arm = _ARM.fullmatch(bare)
        if arm:
            kind_of_id = _COLLECTIONS.get(arm["collection"].lower(), arm["collection"])
            if kind_of_id != kind:
                raise InvalidError(f"{kind} {text!r}: is the id of a {kind_of_id}")
            return cls(kind, check_name(kind, arm["name"]), arm["version"], arm["label"])
        short = _SHORT.fullmatch(bare)
        if not short:
            raise InvalidError(f"{kind} {text!r}: must be azureml:NAME:VERSION, azureml:NAME@latest, or a full id")
        return cls(kind, check_name(kind, short["name"]), short["version"], short["label"])
