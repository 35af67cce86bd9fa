"""The image that a deployment asks for: its environment in our Dockerfile, tagged by what is in it."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from batchtwin.deployment.schema import Deployment, InlineEnvironment
from batchtwin.environments.requested import RequestedEnvironment, requested_environment
from batchtwin.errors import BatchTwinError
from batchtwin.inputs.plan import content_hash

BASE_IMAGE = "python:3.11-slim-bookworm"
# What the Dockerfile copies, beside the environment and its lock, which are made here.
CONTEXT = ("docker", "scripts/lock.py", "pyproject.toml", "README.md", "LICENSE", "src")
# What builds batchtwin in the image; pyproject.toml names it too.
BUILD = "hatchling==1.33.0"


class ImageError(BatchTwinError):
    """An image that cannot be built."""


@dataclass(frozen=True)
class Recipe:
    """`base`: the image to start from; `python`: as conda writes it; `pip` and `conda`: requirements."""

    base: str
    python: str
    conda: tuple[str, ...]
    pip: tuple[str, ...]

    def conda_file(self) -> str:
        """The environment file that goes into the image."""
        entries = [self.python, *self.conda, "pip", {"pip": list(self.pip)}]
        return yaml.safe_dump({"name": "job", "channels": ["conda-forge"], "dependencies": entries}, sort_keys=False)


def recipe_for(deployment: Deployment, folder: Path, model: Path) -> Recipe:
    """Return what the deployment's image is made of: its `environment`, else the MLflow model's own requirements.

    Raises:
        ImageError: the deployment names an environment that only Azure ML has, or nothing at all.
    """
    environment = deployment.environment
    asked = requested_environment(deployment, folder, model)
    if isinstance(environment, str):
        raise ImageError(
            f"environment: '{environment}' is registered in Azure ML, not here; write image and conda_file"
        )
    if asked is None:
        raise ImageError(
            f"environment: no conda_file, and no requirements.txt in {model}: nothing says what to install"
        )
    image = environment.image if isinstance(environment, InlineEnvironment) else None
    return Recipe(image or BASE_IMAGE, asked.python or _python_of(model), asked.conda, _pinned(asked))


def _python_of(model: Path) -> str:
    """MLflow writes the Python that a model was trained with; of that the minor version counts."""
    path = model / "python_env.yaml"
    found = yaml.safe_load(path.read_text(encoding="utf-8")).get("python") if path.is_file() else None
    version = str(found) if found else f"{sys.version_info.major}.{sys.version_info.minor}"
    return "python=" + ".".join(version.split(".")[:2])


def _pinned(asked: RequestedEnvironment) -> tuple[str, ...]:
    local = [line for line in asked.pip if line.startswith((".", "/")) or "file:" in line]
    if local:
        raise ImageError(f"{asked.source}: {local[0]}: local packages cannot be put into an image; publish it first")
    return asked.pip


def build_image(recipe: Recipe, engine: str, flags: Sequence[str] = ()) -> str:
    """Build the image, unless one of this content is there, and return its tag.

    Raises:
        ImageError: a tool is missing, the requirements do not go together, or the engine refuses.
    """
    root = Path(__file__).resolve().parents[3]
    if not (root / "docker/Dockerfile").is_file():
        raise ImageError("images are built from a checkout of the project; this batchtwin was installed without one")
    with tempfile.TemporaryDirectory(prefix="batchtwin-image-") as folder:
        context = Path(folder)
        _fill(context, root, recipe)
        tag = f"batchtwin:{hashlib.sha256(f'{recipe.base} {content_hash(context)}'.encode()).hexdigest()[:16]}"
        if not _run([engine, "image", "inspect", tag], quiet=True):
            arguments = ["--build-arg", f"BASE_IMAGE={recipe.base}", "--tag", tag]
            command = [engine, "build", *flags, "--file", str(context / "docker/Dockerfile"), *arguments, folder]
            if not _run(command):
                raise ImageError(f"the image could not be built on {recipe.base}; see above")
    return tag


def _fill(context: Path, root: Path, recipe: Recipe) -> None:
    for name in CONTEXT:
        target = context / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (root / name).is_dir():
            shutil.copytree(root / name, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(root / name, target)
    (context / "environment").mkdir()
    (context / "environment/conda.yaml").write_text(recipe.conda_file(), encoding="utf-8")
    _lock(context, recipe)


def _lock(context: Path, recipe: Recipe) -> None:
    """Resolve the requirements to versions with hashes, as the Dockerfile wants them."""
    if importlib.util.find_spec("uv") is None:
        raise ImageError("uv is not installed, which resolves the requirements: pip install uv")
    version = recipe.python.removeprefix("python").strip("=<>! ") or "3.11"
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", version),
        *("--generate-hashes", "--no-emit-index-url", "--no-strip-extras", "--output-file", "requirements.lock"),
        *("pyproject.toml", "-"),
    ]
    lines = "\n".join([*recipe.pip, BUILD])
    done = subprocess.run(command, cwd=context, input=lines, text=True, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        raise ImageError(f"the requirements do not go together:\n{done.stderr.strip()}")


def _run(command: Sequence[str], *, quiet: bool = False) -> bool:
    """Run a command and tell whether it succeeded; what it says goes to stderr, or nowhere."""
    where = subprocess.DEVNULL if quiet else sys.stderr
    try:
        return subprocess.run(command, stdout=where, stderr=where, check=False).returncode == 0  # noqa: S603
    except OSError:
        raise ImageError(f"{command[0]}: no such command; install a container engine") from None
