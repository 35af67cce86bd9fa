"""conda.yaml of a new deployment: what the model requests, and what the service needs beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from batchtwin.environments import pip_lines
from batchtwin.environments.requested import HERE, RequestedEnvironment, of_model

HEAD = """\
# What the deployment runs in, on a cluster and here{origin}.
# azureml-core is what Azure ML needs beside a scoring script or a driver.
"""
# The service needs it to start the script; without a version it fits whatever the model requests.
SERVICE = "azureml-core"


def conda_text(model: Path, folder: Path, *, with_pillow: bool) -> str:
    """Return the text of conda.yaml in `folder`; relative paths of the model's own file start from there.

    Raises:
        BatchTwinError: a file with the model's requirements cannot be read.
    """
    requested = of_model(model)
    origin = f": what {os.path.basename(requested.source)} of the model asks for" if requested else ""
    return HEAD.format(origin=origin) + yaml.safe_dump(
        _content(requested, folder, with_pillow), sort_keys=False, allow_unicode=True
    )


def _content(requested: RequestedEnvironment | None, folder: Path, with_pillow: bool) -> dict[str, Any]:
    lines = list(_pip(requested, folder)) if requested else []
    conda = requested.conda if requested else ()
    for name in (SERVICE, *(["pillow"] if with_pillow else [])):
        if name not in map(_name, (*lines, *conda)):
            lines.append(name)
    python = requested.python if requested else None
    return {
        "name": "batch-deployment",
        "channels": list((requested.channels if requested else ()) or ("conda-forge",)),
        "dependencies": [python or f"python={HERE}", "pip", *conda, {"pip": lines}],
    }


def _pip(requested: RequestedEnvironment, folder: Path) -> Iterator[str]:
    """Yield the lines for pip, with those of `-r` files in their place, because these files stay with the model."""
    for line in pip_lines.expand((*requested.pip, *requested.options), requested.folder):
        if line.kind != "constraint":
            relative = f"./{os.path.relpath(line.path, folder)}" if line.path else ""
            text = line.text if line.path is None else line.text.replace(line.path.as_uri(), relative)
            yield text if line.path is None else text.replace(str(line.path), relative)


def _name(text: str) -> str:
    requirement = pip_lines.requirement_of(text.replace(" ", ""))
    return requirement.name.lower() if requirement else text.partition("=")[0].strip().lower()
