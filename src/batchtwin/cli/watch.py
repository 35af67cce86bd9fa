"""`batchtwin watch`: the options of `score` that make sense for it, and what is shown."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchtwin.cli.errors import unexpected
from batchtwin.cli.messages import note
from batchtwin.cli.options import (
    AllowBuilds,
    BadFiles,
    Coalesce,
    DeploymentFile,
    Engine,
    Env,
    FollowLinks,
    Force,
    Image,
    Memory,
    ModelPath,
    Overrides,
    PythonVersion,
    SplitRows,
    StrictEnvironment,
    Warm,
    Workers,
)
from batchtwin.cli.summary import print_result
from batchtwin.deployment.overrides import parse_set
from batchtwin.errors import BatchTwinError, UsageError
from batchtwin.typer_types import portable

if TYPE_CHECKING:
    from batchtwin.api.watch import Watch
    from batchtwin.engine.prepare import Request

app = typer.Typer(add_completion=False)


@app.command()
@portable
def watch(
    deployment: DeploymentFile,
    input: Annotated[str, typer.Option("--input", metavar="PATH", help="A folder of files, or one file.")],
    model: ModelPath = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="An empty folder. Default: a new one in outputs/.")
    ] = None,
    workers: Workers = None,
    bad_files: BadFiles = "fail",
    overrides: Overrides = None,
    coalesce: Coalesce = False,
    split_rows: SplitRows = None,
    warm: Warm = None,
    env: Env = "auto",
    python: PythonVersion = None,
    force: Force = False,
    strict_environment: StrictEnvironment = False,
    allow_builds: AllowBuilds = False,
    follow_links: FollowLinks = False,
    memory: Memory = None,
    image: Image = None,
    engine: Engine = "docker",
) -> None:
    """Score, and again whenever script, YAML, model or input change; show what that does to the predictions.

    A broken script or YAML is shown, and waited for. Ctrl-C ends it.
    """
    from batchtwin.api.options import ScoreOptions, parse_rows, request_of
    from batchtwin.inputs.location import parse_location
    from batchtwin.watch.files import WatchedFiles
    from batchtwin.watch.rounds import Rounds

    if isinstance(parse_location(input), str):
        raise UsageError(f"--input {input}: batchtwin watch requires local files; copy them from the store first")
    options = ScoreOptions(
        model=model,
        workers=workers,
        bad_files=bad_files,
        split_rows=parse_rows(split_rows),
        coalesce=coalesce,
        warm=_is_warm(warm),
        env=env,
        python=python,
        force=force,
        strict_environment=strict_environment,
        allow_builds=allow_builds,
        follow_links=follow_links,
        memory=memory,
        image=image,
        engine=engine,
    )
    texts = parse_set(overrides)

    def request_for(folder: Path) -> Request:
        return request_of(deployment, Path(input), ScoreOptions(**{**options, "output": folder}), texts)

    root = _claimed(output)
    files = WatchedFiles(root, [deployment, Path(input)])
    raise typer.Exit(Rounds(request_for, root, files, TerminalScreen())())


class TerminalScreen:
    """Prints sentences on stderr, and results like `score`."""

    note = staticmethod(note)
    result = staticmethod(partial(print_result, as_json=False))

    def watch(self) -> Watch:
        """Return a bar on a terminal, else plain lines."""
        from batchtwin.api.watch import Watch
        from batchtwin.engine.progress import progress_for

        return Watch(note, progress_for)

    def error(self, error: Exception) -> None:
        """Print an error as the end of a command."""
        note(str(error) if isinstance(error, BatchTwinError) else unexpected(error))


def _is_warm(choice: bool | None) -> bool | None:
    """Whether workers stay between runs: by default they do."""
    from batchtwin.engine.backends.warm.settings import WARM

    return True if choice is None and not os.environ.get(WARM) else choice


def _claimed(output: Path | None) -> Path:
    from batchtwin.engine.output.folder import claim_folder
    from batchtwin.engine.prepare import fresh_folder
    from batchtwin.watch.rounds import make_runs_folder

    if output is None:
        return claim_folder(fresh_folder("watch").absolute())
    try:
        return make_runs_folder(output.absolute())
    except FileExistsError:
        raise UsageError(f"--output {output}: is not an empty folder; give another one") from None
    except OSError as error:
        raise UsageError(f"--output {output}: {error.strerror}") from None
