"""Errors in ARM's form: a status and `{"error": {"code", "message"}}`."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from batchtwin.azure.unsupported import HERE
from batchtwin.errors import BatchTwinError
from batchtwin.workspace.errors import ConflictError, NotFoundError, StoreError

# A full disk or quota.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
log = logging.getLogger("batchtwin.serve")
STATUSES: Mapping[type[BatchTwinError], tuple[int, str]] = {
    NotFoundError: (404, "ResourceNotFound"),
    ConflictError: (409, "Conflict"),
    StoreError: (503, "ServiceUnavailable"),
    BatchTwinError: (400, "BadRequest"),
}


class ArmError(Exception):
    """A refused request. `status` is the HTTP status, `code` ARM's error code."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers
        super().__init__(message)

    def response(self) -> JSONResponse:
        """Return the response for the client."""
        return answer(self.status, self.code, self.message, self.headers)


def answer(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return an ARM error as a response."""
    text = message.encode(errors="backslashreplace").decode()
    return JSONResponse({"error": {"code": code, "message": text}}, status, dict(headers or {}))


def add_handlers(app: FastAPI) -> None:
    """Register handlers that answer every error of the application in this form, without a traceback."""
    app.add_exception_handler(ArmError, _on_arm_error)
    app.add_exception_handler(BatchTwinError, _on_batchtwin_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(UnicodeError, _on_unicode_error)
    app.add_exception_handler(RecursionError, _on_recursion_error)
    app.add_exception_handler(OSError, _on_os_error)
    app.add_exception_handler(Exception, _on_unexpected_error)


async def _on_arm_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ArmError)  # noqa: S101 - registered for it
    return error.response()


async def _on_batchtwin_error(request: Request, error: Exception) -> JSONResponse:
    status, code = next(pair for kind, pair in STATUSES.items() if isinstance(error, kind))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("%s %s: %s", request.method, request.url.path, error)
    return answer(status, code, str(error))


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    problems = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
    return answer(400, "InvalidRequest", "; ".join(problems[:5]))


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    code = HTTPStatus(error.status_code).phrase.replace(" ", "")
    text = f"{request.method} {request.url.path}: {error.detail}"
    if error.status_code in {404, 405}:
        text += f"; this call is not imitated: {HERE}, and docs/sdk.md lists the calls"
    return answer(error.status_code, code, text, error.headers)


async def _on_unicode_error(request: Request, error: Exception) -> JSONResponse:
    return answer(400, "InvalidRequest", "the request holds characters that are no text in UTF-8")


async def _on_recursion_error(request: Request, error: Exception) -> JSONResponse:
    return answer(400, "InvalidRequest", "the request is nested too deep")


async def _on_os_error(request: Request, error: Exception) -> JSONResponse:
    """Answer that the file system is full, or that a client has put a file in the place of a folder."""
    assert isinstance(error, OSError)  # noqa: S101 - registered for it
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    text = f"the workspace cannot be written: {error.strerror or type(error).__name__}"
    return answer(507, "InsufficientStorage", text) if error.errno in FULL else answer(409, "StorageConflict", text)


async def _on_unexpected_error(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    return answer(500, "InternalServerError", f"{type(error).__name__}; the server's output says where")
