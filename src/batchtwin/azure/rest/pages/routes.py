"""The routes of the pages. All of them only read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse

from batchtwin.azure.connection import IDENTITY_PATH, secret_matches
from batchtwin.azure.rest.errors import ArmError
from batchtwin.azure.rest.pages import render, session
from batchtwin.azure.rest.pages.session import ROOT, Session, job_path, model_path
from batchtwin.azure.rest.state import State
from batchtwin.azure.web import LINK_PATH
from batchtwin.deployment.reference import ANONYMOUS
from batchtwin.engine.output.folder import FAILURES, LOGS, MANIFEST, REPORT, SCORE
from batchtwin.engine.report.templates import Frame
from batchtwin.engine.report.text import size
from batchtwin.safe_open import open_file
from batchtwin.workspace.assets import made_by
from batchtwin.workspace.entities import Asset, JobRecord
from batchtwin.workspace.names import asset_reference

MOST_JOBS, MOST_FILES, LAST_LINES = 200, 2000, 200
BLOCK = 1 << 20
# What a page shows of a job's folder. The ledger and the deployment may hold secrets, and are left out.
SINGLE, TREES = (REPORT, MANIFEST, FAILURES), (SCORE, LOGS)

router = APIRouter()


def _html(text: str) -> HTMLResponse:
    return HTMLResponse(text, headers=render.HEADERS)


@router.get("/")
def home() -> RedirectResponse:
    """The way to the pages."""
    return RedirectResponse(ROOT, 303)


@router.get(f"{ROOT}open")
def open_page(state: State, request: Request, key: Annotated[str, Query(max_length=2000)]) -> RedirectResponse:
    """Exchange the key of a link for a cookie."""
    return session.exchange(state, request, key)


@router.get(LINK_PATH)
def link(
    state: State,
    job: Annotated[str, Query(max_length=300)] = "",
    x_identity_header: Annotated[str, Header()] = "",
) -> JSONResponse:
    """A link for a program of the workspace's owner, who alone can read the secret."""
    if not secret_matches(state.secret, x_identity_header):
        raise ArmError(401, "Unauthorized", f"X-IDENTITY-HEADER is not this server's, as for {IDENTITY_PATH}")
    path = job_path(state.workspace.jobs.get(job).name) if job else ROOT
    return JSONResponse({"url": session.link(state, state.origin, path)}, headers={"Cache-Control": "no-store"})


@router.get(ROOT, dependencies=[Session])
def index(state: State) -> HTMLResponse:
    """Endpoints, deployments and jobs."""
    workspace = state.workspace
    endpoints = [
        {
            "name": endpoint.name,
            "default": endpoint.default_deployment or "",
            "deployments": [
                {"name": deployment.name, **_model_link(deployment.model)}
                for deployment in workspace.deployments.list(endpoint.name)
            ],
        }
        for endpoint in workspace.endpoints.list()
    ]
    jobs = workspace.jobs.list()
    rows = [{"record": job, "address": job_path(job.name), "seconds": _seconds(job)} for job in jobs[:MOST_JOBS]]
    return _html(render.index({"endpoints": endpoints, "jobs": rows, "more": max(0, len(jobs) - MOST_JOBS)}))


def _model_link(model: Asset) -> dict[str, str]:
    """The name of a model and its page; one that came with its deployment has neither name nor page."""
    if model.name.startswith(ANONYMOUS):
        return {"model": "of the deployment", "model_address": ""}
    return {"model": f"{model.name}:{model.version}", "model_address": model_path(model.name, model.version)}


@router.get(f"{ROOT}models/{{name}}/{{version}}", dependencies=[Session])
def model_page(state: State, name: str, version: str) -> HTMLResponse:
    """A version of a model: the run that made it, and the jobs that scored with it."""
    workspace = state.workspace
    asset = workspace.assets.get("model", name, version)
    jobs = [job for job in workspace.jobs.list() if job.properties.get("model") == asset.reference][:MOST_JOBS]
    tracking = workspace.jobs.mlflow_uri()
    trained = made_by(asset) or next((run for job in jobs if (run := job.properties.get("training_run"))), "")
    facts = {
        "Trained in": f"MLflow run {trained}" if trained else "",
        "Type": asset.type or "",
        "Registered": f"{asset.created:%Y-%m-%d %H:%M:%S} UTC",
        "Tags": ", ".join(f"{key}: {value}" for key, value in asset.tags.items()),
        "Path": str(asset.path or asset.properties.get("uri", "")),
        "In MLflow": f"mlflow ui --backend-store-uri {tracking}",
    }
    rows = [{"record": job, "address": job_path(job.name)} for job in jobs]
    frame = Frame((("All jobs", ROOT),))
    return _html(render.model(asset, [(key, value) for key, value in facts.items() if value], rows, frame))


def _seconds(job: JobRecord) -> float | None:
    return (job.ended - job.started).total_seconds() if job.started and job.ended else None


@router.get(f"{ROOT}jobs/{{name}}", dependencies=[Session])
def job_page(state: State, request: Request, name: str) -> HTMLResponse:
    """The report of a job; live while it runs."""
    job = state.workspace.jobs.get(name)
    frame = _frame(job, live=not job.status.is_final)
    html = request.app.state.reports.page(job, frame)
    if html is None:
        lines, _ = state.workspace.jobs.log_lines(name)
        html = render.waiting(job, list(lines)[-LAST_LINES:], frame)
    return _html(html)


def _frame(job: JobRecord, *, live: bool = False) -> Frame:
    name = job.name
    links = [("All jobs", ROOT), (name, job_path(name)), ("Logs and files", f"{job_path(name)}/files")]
    facts = {}
    if isinstance(text := job.properties.get("model"), str):
        model = asset_reference("model", text)
        facts["Model"] = facts["Trained in"] = model_path(model.name, model.version or "")
        links.append((f"Model {model.name}:{model.version}", facts["Model"]))
    return Frame(tuple(links), live, facts)


@router.get(f"{ROOT}jobs/{{name}}/files", dependencies=[Session])
def files(state: State, name: str) -> HTMLResponse:
    """What can be downloaded of a job."""
    job = state.workspace.jobs.get(name)
    rows = [
        (path, size(length), f"{job_path(job.name)}/files/{quote(os.fsencode(path))}")
        for path, length in _files(job.output)
    ]
    return _html(render.files(job.name, rows, _frame(job)))


def _files(root: Path) -> Iterator[tuple[str, int]]:
    """Yield paths and sizes; links are left out, also below folders."""
    left = MOST_FILES
    for name in SINGLE:
        if (root / name).is_file() and not (root / name).is_symlink():
            yield name, (root / name).stat().st_size
    for tree in TREES:
        for at, folders, names in os.walk(root / tree):
            folders.sort()
            for name in sorted(names):
                path = Path(at, name)
                if path.is_symlink() or not path.is_file() or not left:
                    continue
                left -= 1
                yield path.relative_to(root).as_posix(), path.lstat().st_size


@router.get(f"{ROOT}jobs/{{name}}/files/{{path:path}}", dependencies=[Session])
def file(state: State, name: str, path: str) -> StreamingResponse:
    """A file: logs as plain text, the rest as a download. No file of a script runs as a page."""
    job = state.workspace.jobs.get(name)
    parts = PurePosixPath(path)
    is_log = parts.is_relative_to(LOGS)
    is_open = path in SINGLE or any(parts.is_relative_to(tree) for tree in TREES)
    if not is_open or ".." in parts.parts or "\0" in path:
        raise ArmError(404, "ResourceNotFound", f"{path[:200]}: is not a file of the job that is shown")
    try:
        stream = open_file(job.output / parts, "rb", job.output)
    except OSError as error:
        raise ArmError(404, "ResourceNotFound", f"{path[:200]}: {error.strerror}") from None
    with_name = f"attachment; filename*=UTF-8''{quote(parts.name, safe='')}"
    headers = {
        **render.MESSAGE_HEADERS,
        "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
        **({} if is_log else {"Content-Disposition": with_name}),
    }
    # At its present size: a log grows while it is sent.
    length = os.fstat(stream.fileno()).st_size

    def blocks() -> Iterator[bytes]:
        left = length
        with stream:
            while left > 0 and (data := stream.read(min(BLOCK, left))):
                left -= len(data)
                yield data

    return StreamingResponse(
        blocks(), media_type="text/plain; charset=utf-8" if is_log else "application/octet-stream", headers=headers
    )
