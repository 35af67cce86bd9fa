"""The options of a job in Python -> the engine's request. The commands use these functions, too."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from batchtwin.api.registered import find_registered
from batchtwin.engine.backends.ray.options import RayOptions
from batchtwin.engine.backends.warm.settings import is_warm
from batchtwin.engine.output.remote import work_folder
from batchtwin.engine.prepare import Request
from batchtwin.environments.options import EnvironmentOptions
from batchtwin.errors import UsageError
from batchtwin.inputs.location import parse_location

if TYPE_CHECKING:
    from batchtwin.engine.resume import Pooling

PathLike = str | os.PathLike[str]


class RayChoice(TypedDict, total=False):
    """Where workers run. `pool`: `"local"` (the default) or `"ray"`; the rest is for a Ray cluster.

    `ray_address` is `host:port` or `"auto"`, None for a Ray of the job's own; each worker gets `ray_cpus` and
    `ray_gpus`; the job waits `ray_wait` seconds for them; `ray_env` names variables that workers get, too.
    """

    pool: Literal["local", "ray"] | None
    ray_address: str | None
    ray_cpus: float
    ray_gpus: float
    ray_wait: float
    ray_env: Sequence[str] | None


class PlanOptions(TypedDict, total=False):
    """`model`: the model's folder, or its URL. `set`: dotted keys of the deployment, with values that override them.

    `env` is `"auto"`, `"here"`, `"venv"`, the path of an environment, or `"image:TAG"`; `python` is a version for it.
    `split_rows` scores large files in parts of so many rows, or of a size that fits (`"auto"`). `warm` keeps the
    imports ready for the next job; None means BATCHTWIN_WARM, else only for a trial.
    """

    model: PathLike | None
    workers: int | None
    bad_files: Literal["fail", "quarantine"]
    split_rows: int | Literal["auto"] | None
    set: Mapping[str, object] | None
    warm: bool | None
    env: PathLike
    python: str | None
    force: bool
    strict_environment: bool


class ScoreOptions(PlanOptions, RayChoice, total=False):
    """`output`: the folder of the job, or a URL; by default a new one in `outputs/`. `overwrite` replaces its job."""

    output: PathLike | None
    overwrite: bool
    hash_inputs: bool
    strict_inputs: bool
    coalesce: bool
    allow_builds: bool
    follow_links: bool
    memory: str | None
    image: str | None
    engine: str


class ResumeOptions(RayChoice, total=False):
    """`retry_failed` runs the failed mini-batches again, too.

    `accept_changed` names the parts that may have changed: `"code"`, `"deployment"` or both, with a comma.
    """

    workers: int | None
    retry_failed: bool
    accept_changed: str | None


CHOICES: Mapping[str, tuple[object, ...]] = {
    "bad_files": ("fail", "quarantine"),
    "pool": ("local", "ray", None),
}
LEAST: Mapping[str, float] = {"workers": 1, "ray_cpus": 0.01, "ray_gpus": 0, "ray_wait": 0, "split_rows": 1}
FLAGS = frozenset({"force", "strict_environment", "overwrite", "hash_inputs", "strict_inputs", "retry_failed"}) | {
    *("coalesce", "warm", "allow_builds", "follow_links")
}


def check(options: Mapping[str, Any], known: type, function: str) -> None:
    """Refuse unknown options, and values that the command line would refuse.

    Raises:
        TypeError: there is no such option, in Python's words.
        UsageError: a value is not allowed.
    """
    names = known.__annotations__
    for name, value in options.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(names))}"
            raise TypeError(f"{function}() got an unexpected keyword argument '{name}'{hint}")
        if name in CHOICES and value not in CHOICES[name]:
            allowed = ", ".join(str(choice) for choice in CHOICES[name] if choice is not None)
            raise UsageError(f"{name}={value!r}: expected one of {allowed}")
        if name in FLAGS and not isinstance(value, bool) and (name, value) != ("warm", None):
            raise UsageError(f"{name}={value!r}: expected True or False")
        if name in LEAST and value is not None and (name, value) != ("split_rows", "auto"):
            _check_number(name, value)


def _check_number(name: str, value: object) -> None:
    whole = name in {"workers", "split_rows"}
    is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not is_number or not isinstance(value, int | float) or not value >= LEAST[name]:
        raise UsageError(f"{name}={value!r}: expected a {'whole ' if whole else ''}number from {LEAST[name]:g}")


def parse_rows(text: str | None) -> int | Literal["auto"] | None:
    """Return the rows per part from the text of the command line.

    Raises:
        UsageError: it is no such number.
    """
    if text is None or text == "auto":
        return cast("Literal['auto'] | None", text)
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise UsageError(f"--split-rows {text}: expected a number of rows from 1, or auto")
    return int(text)


def overrides_of(values: Mapping[str, object] | None) -> dict[str, str]:
    """Return the values of `set` as YAML texts for `--set`.

    Raises:
        UsageError: YAML cannot hold a value.
    """
    texts = {}
    for key, value in (values or {}).items():
        if not key or not all(key.split(".")):
            raise UsageError(f"set: {key!r}: expected a key such as settings.mini_batch_size")
        try:
            texts[key] = json.dumps(value, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise UsageError(f"set: {key}: {error}; give text, a number, a list or a mapping") from None
    return texts


def request_of(deployment: PathLike, input: Path | str, options: ScoreOptions, overrides: Mapping[str, str]) -> Request:
    """Return the request with these options, and the command line's defaults for the rest.

    `overrides` are YAML texts by dotted key, instead of the option `set`.

    Raises:
        UsageError: the options contradict each other.
    """
    output, model = options.get("output"), options.get("model")
    location = parse_location(os.fspath(output)) if output else None
    return Request(
        deployment=Path(deployment),
        input=input,
        model=find_registered(Path(deployment), os.fspath(model) if model else None, overrides),
        output=work_folder(location) if location else None,
        publish=location if isinstance(location, str) else None,
        workers=options.get("workers"),
        overwrite=options.get("overwrite", False),
        quarantine=options.get("bad_files", "fail") == "quarantine",
        hash_inputs=options.get("hash_inputs", False),
        strict_inputs=options.get("strict_inputs", False),
        split_rows=options.get("split_rows"),
        coalesce=options.get("coalesce", False),
        warm=warm_of(options, default=False),
        overrides=overrides,
        ray=ray_of(options),
        environment=_environment_of(options),
    )


def warm_of(options: PlanOptions, *, default: bool) -> bool:
    """Return whether a job is warm: by its option, else by the environment.

    Raises:
        UsageError: the variable is invalid.
    """
    choice = options.get("warm")
    return is_warm(os.environ, default) if choice is None else choice


def _environment_of(options: ScoreOptions) -> EnvironmentOptions:
    image = options.get("image")
    env = options.get("env")
    if env is None:
        env = os.environ.get("BATCHTWIN_ENV") or "auto"
    return EnvironmentOptions(
        f"image:{image}" if image else os.fspath(env),
        python=options.get("python"),
        force=options.get("force", False),
        strict=options.get("strict_environment", False),
        allow_builds=options.get("allow_builds", False),
        engine=options.get("engine") or os.environ.get("DOCKER") or "docker",
        memory=options.get("memory"),
        follow_links=options.get("follow_links", False),
    )


def ray_of(options: RayChoice) -> RayOptions | None:
    """Return the options for Ray, None if the job does not run on it.

    Raises:
        UsageError: a variable for workers does not exist, or Ray's options come without Ray.
    """
    # RAY_ADDRESS is for any user of Ray, not for this job in particular.
    default = os.environ.get("RAY_ADDRESS")
    address = options.get("ray_address") or default
    usual = RayOptions()
    choice = RayOptions(
        address,
        options.get("ray_cpus", usual.cpus),
        options.get("ray_gpus", usual.gpus),
        options.get("ray_wait", usual.wait),
        tuple(options.get("ray_env") or ()),
    )
    if options.get("pool") != "ray":
        is_given = {
            "--ray-address": address != default,
            "--ray-cpus": choice.cpus != usual.cpus,
            "--ray-gpus": choice.gpus != usual.gpus,
            "--ray-wait": choice.wait != usual.wait,
            "--ray-env": bool(choice.environment),
        }
        if idle := [name for name, is_said in is_given.items() if is_said]:
            raise UsageError(f"{idle[0]} requires --pool ray")
        return None
    if missing := [name for name in choice.environment if name not in os.environ]:
        raise UsageError(f"--ray-env {missing[0]}: there is no such variable here; set it, or leave the option out")
    return choice


def pooling_of(options: RayChoice) -> Pooling | None:
    """Return where a resumed job runs; None for where it ran before.

    Raises:
        UsageError: as in `ray_of`.
    """
    return ray_of(options) or ("local" if options.get("pool") else None)
