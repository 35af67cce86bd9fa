"""The image of a deployment's environment, without batchtwin, which is mounted when a job starts.

Packages are resolved, downloaded and built inside the engine's build, never on this machine.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from batchtwin.deployment.model import Model
from batchtwin.deployment.schema import Deployment
from batchtwin.environments.build import OVERRIDES, SEEDS
from batchtwin.environments.named import Registered
from batchtwin.environments.placement import requested_or_reason
from batchtwin.environments.requested import RequestedEnvironment
from batchtwin.errors import BatchTwinError
from batchtwin.inputs.plan import content_hash
from batchtwin_node.codec import value_object

BASE_IMAGE = "python:3.11-slim-bookworm"
# Package and file of what the build reads beside the recipe.
FILES = {
    "Dockerfile": "batchtwin.environments.image_files",
    "make-environment.sh": "batchtwin.environments.image_files",
    "skops_startup.py": "batchtwin_node.driver",
}
# Options of pip that work in a build: they name no file of this machine.
OPTIONS = re.compile(r"(-i|--index-url|--extra-index-url|-f|--find-links|--pre|--prefer-binary|--only-binary)\b")


class ImageError(BatchTwinError):
    """An image that cannot be built."""


@value_object
class Recipe:
    """`base`: the image to start from; `requested`: what to install in it.

    `allow_builds`: source packages may be built, which runs their code inside the image's build.
    """

    base: str
    requested: RequestedEnvironment
    allow_builds: bool = False

    def files(self) -> dict[str, str]:
        """Return the input files of image_files/make-environment.sh, by name."""
        requested = self.requested
        python = requested.python or "python"
        conda = {"name": "job", "channels": ["conda-forge"], "dependencies": [python, *requested.conda, "pip"]}
        names = {re.split(r"[^\w-]", line, maxsplit=1)[0].lower() for line in requested.pip_lines}
        seeds = [seed for seed in SEEDS if re.split(r"[<=>]", seed)[0] not in names]
        mapped = requested.pip_lines[: len(requested.pip_lines) - len(requested.pip)]
        return {
            "python.txt": _for_uv(python) + "\n",
            "conda.yaml": yaml.safe_dump(conda, sort_keys=False),
            "conda.txt": _lines(requested.conda_only),
            "from-conda.txt": _lines(mapped),
            "requirements.txt": _lines([*requested.pip, *seeds, *requested.options]),
            "overrides.txt": _lines(OVERRIDES),
            **({} if self.allow_builds else {"no-build": ""}),
        }


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _for_uv(python: str) -> str:
    """Return conda's `python=3.8.5` as uv's `3.8`: the minor version counts. Ranges are the same in both."""
    version = python.split("::")[-1].removeprefix("python").strip()
    exact = re.match(r"=*\s*(\d+\.\d+)(\.[\d*]+)*(=.*)?$", version)
    return exact[1] if exact else version or "3"


def recipe_for(
    deployment: Deployment,
    folder: Path,
    model: Model,
    *,
    allow_builds: bool = False,
    registered: Registered | None = None,
) -> Recipe:
    """Return the recipe of the deployment's image: from its `environment`, else from the MLflow model's requirements.

    `registered` looks up environments of a workspace.

    Raises:
        ImageError: nothing says what to install, or a requirement cannot be put into an image.
        BatchTwinError: a file that says it cannot be read.
    """
    requested, reason = requested_or_reason(deployment, folder, model, registered)
    if requested is None:
        nothing = f"no conda_file, and no MLflow model in {model.path}: nothing says what to install"
        raise ImageError(f"environment: {reason or nothing}")
    _check(requested)
    return Recipe(requested.image or BASE_IMAGE, requested, allow_builds)


def _check(requested: RequestedEnvironment) -> None:
    """Raise ImageError for a line that names a file of this machine, or contains a variable."""
    for line in (*requested.pip, *requested.options):
        # pip and uv would insert values of the build's own environment.
        if variable := re.search(r"\$\{\w+\}", line):
            raise ImageError(f"{requested.source}: {line}: {variable[0]} is not expanded; write its value")
        if line.startswith("-"):
            local = not OPTIONS.match(line) or re.search(r"[\s=]([./~]|file:)", line) is not None
        else:
            local = "file:" in line or re.match(r"[./~]|[^:]+\.(whl|zip|tar\.gz)$", line) is not None
        if local:
            raise ImageError(
                f"{requested.source}: {line}: files of this machine cannot be put into an image; publish them"
            )


def build_image(recipe: Recipe, engine: str, flags: Sequence[str] = ()) -> str:
    """Build the image, unless one with this content exists, and return its tag.

    Raises:
        ImageError: there is no engine, the requirements contradict each other, or the engine refuses.
    """
    with tempfile.TemporaryDirectory(prefix="batchtwin-image-") as folder:
        context = Path(folder)
        for name, package in FILES.items():
            (context / name).write_bytes(files(package).joinpath(name).read_bytes())
        for name, text in recipe.files().items():
            (context / name).write_text(text, encoding="utf-8")
        tag = f"batchtwin:{hashlib.sha256(f'{recipe.base} {content_hash(context)}'.encode()).hexdigest()[:16]}"
        if not _run([engine, "image", "inspect", tag], quiet=True):
            _add_uv(context)
            arguments = ["--build-arg", f"BASE_IMAGE={recipe.base}", "--tag", tag]
            command = [engine, "build", *flags, "--file", str(context / "Dockerfile"), *arguments, folder]
            if not _run(command):
                raise ImageError(f"the image could not be built on {recipe.base}; see above")
    return tag


def _add_uv(context: Path) -> None:
    """Put this machine's uv into the build, so that the base image needs neither pip nor Python."""
    from uv import find_uv_bin

    if sys.platform == "linux":
        shutil.copy(find_uv_bin(), context / "uv")


def _run(command: Sequence[str], *, quiet: bool = False) -> bool:
    """Run a command and return whether it succeeded; its output goes to stderr, or nowhere."""
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    # An engine draws on a terminal. The build must not fail because its output cannot be written.
    output: Any = subprocess.DEVNULL if quiet else sys.stderr if sys.stderr.isatty() else subprocess.PIPE
    try:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)  # noqa: S603
    except OSError:
        raise ImageError(f"{command[0]}: no such command; install a container engine") from None
    with process:
        for line in process.stdout or ():
            sys.stderr.write(line.decode(errors="replace"))
    return process.returncode == 0
