"""The options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]
DeploymentFile = Annotated[Path, typer.Argument(metavar="DEPLOYMENT.yml", help="The deployment, as for `az ml`.")]
InputPath = Annotated[str, typer.Option("--input", metavar="PATH", help="A folder of files, or one file; or a URL.")]
OptionalInputPath = Annotated[
    str | None,
    typer.Option("--input", metavar="PATH", help="A folder, a file or a URL; without it, all but the data."),
]
ModelPath = Annotated[
    str | None, typer.Option("--model", metavar="DIR", help="The folder of the deployment's model; or its URL.")
]
JobPath = Annotated[str, typer.Argument(metavar="OUTPUT", help="The output folder of a job, or the URL it was given.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override, as in settings.mini_batch_size=4.")
]
Engine = Annotated[str, typer.Option("--engine", envvar="DOCKER", help="The container engine's client.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Worker processes; not capped by the CPUs.")]
Env = Annotated[
    str,
    typer.Option(
        "--env",
        envvar="BATCHTWIN_ENV",
        metavar="WHERE",
        help="auto, here, venv, the path of an environment, or image:TAG.",
    ),
]
Image = Annotated[str | None, typer.Option("--image", metavar="TAG", help="As --env image:TAG.", hidden=True)]
PythonVersion = Annotated[
    str | None, typer.Option("--python", metavar="VERSION", help="Such as 3.8, not the requested one; or an image's.")
]
Force = Annotated[bool, typer.Option("--force", help="Run here what may be wrong without an error.")]
AllowBuilds = Annotated[bool, typer.Option("--allow-builds", help="Build packages without wheels: runs their code.")]
FollowLinks = Annotated[bool, typer.Option("--follow-links", help="Let a container see where links lead.")]
Memory = Annotated[str | None, typer.Option("--memory", metavar="SIZE", help="Of a container, as 4g.")]
StrictEnvironment = Annotated[
    bool, typer.Option("--strict-environment", help="Refuse to run in another environment than asked for.")
]
Coalesce = Annotated[
    bool, typer.Option("--coalesce", help="One predict for all files of a mini-batch, if the model allows it.")
]
SplitRows = Annotated[
    str | None,
    typer.Option("--split-rows", metavar="N|auto", help="Score large files in parts of N rows, on all workers."),
]
Warm = Annotated[
    bool | None,
    typer.Option("--warm/--no-warm", help="Keep the imports of this job for the next one, for ten minutes."),
]
BadFiles = Annotated[
    Literal["fail", "quarantine"],
    typer.Option("--bad-files", help="A file that cannot be read: fail the job, or list it and go on."),
]
PoolKind = Annotated[
    Literal["local", "ray"] | None,
    typer.Option("--pool", help="Processes of this machine (the default), or a Ray cluster."),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address", envvar="RAY_ADDRESS", metavar="HOST:PORT", help="Its head, or auto. Default: one here."
    ),
]
RayCpus = Annotated[float, typer.Option("--ray-cpus", min=0.01, help="CPUs of Ray's for each worker.")]
RayGpus = Annotated[float, typer.Option("--ray-gpus", min=0, help="GPUs of Ray's for each worker.")]
RayWait = Annotated[float, typer.Option("--ray-wait", min=0, metavar="SECONDS", help="How long to wait for them.")]
RayVariables = Annotated[
    list[str] | None, typer.Option("--ray-env", metavar="NAME", help="A variable of yours that workers get too.")
]
