"""Datastores: folders of the workspace that clients reach by name, like blob storage in the cloud.

What the workspace keeps elsewhere is shared into them on request: by hard links where the file system can, so that it
costs no space.
"""

from __future__ import annotations

import os
import re
import uuid
from contextlib import suppress
from pathlib import Path, PurePosixPath

from batchtwin.deployment.reference import DatastorePath, InvalidReferenceError, JobOutputPath, parse_reference
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.workspace.assets import FOLDERS, Assets
from batchtwin.workspace.entities import Asset, JobRecord, Kind
from batchtwin.workspace.errors import InvalidError, NotFoundError
from batchtwin.workspace.names import check_name
from batchtwin.workspace.snapshot import DATASTORES, JOBS, link_or_copy

DEFAULT = "workspaceblobstore"
# Where the service keeps the logs of jobs [A].
ARTIFACTS = "workspaceartifactstore"
# The one output of a job.
OUTPUT = "score"
# As the service has it [A].
NAME = re.compile(r"[A-Za-z0-9_]+")
# Where registered copies are shared, and the folder of each kind.
ASSETS = "assets"
KINDS: dict[str, Kind] = {folder: kind for kind, folder in FOLDERS.items()}


class Datastores:
    """Datastores by name. Paths in them are relative, with `/`."""

    def __init__(self, root: Path, assets: Assets) -> None:
        self.root = root / DATASTORES
        self._jobs = root / JOBS
        self.assets = assets

    def names(self) -> list[str]:
        """Return the names of the datastores, the default one first.

        A new folder among them is a datastore, if its name can be one: the containers to which clients upload code have
        a dash in theirs.
        """
        folders = self.root.iterdir() if self.root.is_dir() else ()
        names = {folder.name for folder in folders if NAME.fullmatch(folder.name) and folder.is_dir()}
        return [DEFAULT, ARTIFACTS, *sorted(names - {DEFAULT, ARTIFACTS})]

    def require(self, name: str) -> str:
        """Return the name of a datastore of this workspace.

        Raises:
            NotFoundError: there is none of this name.
        """
        if name not in self.names():
            raise NotFoundError("datastore", name)
        return name

    def locate(self, text: str) -> Path:
        """Return the path on this machine of the datastore path or job output in a reference; it need not exist.

        Raises:
            InvalidError: no reference to a path, or one that leads out of its datastore or output.
            NotFoundError: there is no such datastore or output.
        """
        try:
            reference = parse_reference(text)
        except InvalidReferenceError as error:
            raise InvalidError(str(error)) from None
        match reference:
            case DatastorePath(name, path):
                return self.path(self.require(name), path) if path else self.make(self.require(name))
            case JobOutputPath(job, output, path):
                return self._output_of(check_name("job", job), output, path)
        raise InvalidError(f"{text}: names no path; write a folder, or azureml://datastores/NAME/paths/FOLDER")

    def _output_of(self, job: str, output: str, path: str) -> Path:
        folder = OutputFolder(self._jobs / job).score
        if output != OUTPUT or not folder.is_dir():
            raise NotFoundError("output", f"{output}' of job '{job}")
        return _below(folder, path, f"output {output} of job {job}")

    def make(self, name: str) -> Path:
        """Return the folder of a datastore; a missing folder is created."""
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def path(self, name: str, path: str) -> Path:
        """Return the path of `path` of a datastore on this machine; it need not exist.

        A registered copy is shared first: lists show its path before a client requests its content.

        Raises:
            InvalidError: it leads out of the datastore, also by a link.
        """
        if not path:
            raise InvalidError(f"{path}: is no path in datastore {name}")
        location = _below(self.root / name, path, f"datastore {name}")
        if name == DEFAULT:
            self._share_at(PurePosixPath(path).parts)
        return location

    def _share_at(self, parts: tuple[str, ...]) -> None:
        """Share the registered copy at a path in the default datastore."""
        if len(parts) < 4 or parts[0] != ASSETS or parts[1] not in KINDS:
            return
        with suppress(NotFoundError):
            self.share_asset(self.assets.get(KINDS[parts[1]], parts[2], parts[3]))

    def asset_path(self, asset: Asset) -> str:
        """Return a registered copy's path in the default datastore, where it is shared."""
        name = asset.path.name if asset.path else ""
        return f"{ASSETS}/{FOLDERS[asset.kind]}/{asset.name}/{asset.version}/{name}"

    def share_asset(self, asset: Asset) -> str:
        """Share a registered copy in the default datastore, and return its path there."""
        path = self.asset_path(asset)
        if asset.path is not None:
            _share(asset.path, self.make(DEFAULT) / path)
        return path

    def output_path(self, job: JobRecord) -> str:
        """Return the path of a job's output in the default datastore [A], where it is shared."""
        return f"azureml/{job.name}/score/"

    def share_output(self, job: JobRecord) -> str:
        """Share the output of an ended job in the default datastore, and return its path there."""
        path = self.output_path(job)
        if job.status.is_final:
            _share(OutputFolder(job.output).score, self.make(DEFAULT) / path)
        return path

    def share_logs(self, job: JobRecord) -> str:
        """Share the logs of a job in the datastore of artifacts [A], and return their path there."""
        name = f"ExperimentRun/dcid.{job.name}"
        if job.status.is_final:
            output = OutputFolder(job.output)
            _share(output.logs, self.make(ARTIFACTS) / name / "logs")
            if not output.report.is_symlink():
                _share(output.report, self.make(ARTIFACTS) / name / output.report.name)
        return f"{name}/"


def _below(root: Path, path: str, uri_path: str) -> Path:
    """Return the path below `root`, even if it is a link; messages call it `uri_path`."""
    parts = PurePosixPath(path).parts
    if {"..", "/"} & set(parts) or "\0" in path:
        raise InvalidError(f"{path}: is no path in {uri_path}")
    location = root.joinpath(*parts)
    try:
        leads_out = not location.resolve().is_relative_to(root.resolve())
    except OSError as error:
        raise InvalidError(f"{path}: is no path in {uri_path}: {error.strerror}") from None
    if leads_out:
        raise InvalidError(f"{path}: leads out of {uri_path}")
    return location


def _share(source: Path, target: Path) -> None:
    """Link a file, or the files of a folder, to `target`. Existing links stay."""
    if not source.is_dir():
        if source.is_file():
            _link(source, target)
        return
    for at, _, names in os.walk(source):
        for name in names:
            file = Path(at) / name
            if file.is_file():
                _link(file, target / file.relative_to(source))


def _link(source: Path, target: Path) -> None:
    with suppress(FileNotFoundError):
        if target.samefile(source):
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{uuid.uuid4().hex}")
    try:
        link_or_copy(source, new)
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)
