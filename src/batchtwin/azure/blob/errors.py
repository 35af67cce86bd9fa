"""Errors of the blob service: a status, a code in `x-ms-error-code`, a message."""

from __future__ import annotations

from collections.abc import Mapping


class BlobError(Exception):
    """A refused request. `code` is one of Azure Storage, so that its clients raise the same exceptions."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        super().__init__(f"{status} {code}: {message}")


def blob_not_found(container: str, blob: str) -> BlobError:
    """The blob does not exist."""
    return BlobError(404, "BlobNotFound", f"{container}/{blob}: there is no such blob.")


def container_not_found(container: str) -> BlobError:
    """The container does not exist."""
    return BlobError(404, "ContainerNotFound", f"{container}: there is no such container.")


def path_conflict(container: str, blob: str) -> BlobError:
    """A blob and a folder of blobs have the same name. Blobs are files here, so that cannot be."""
    return BlobError(
        409, "PathConflict", f"{container}/{blob}: a blob and the folder of other blobs cannot have the same name here."
    )


def condition_not_met() -> BlobError:
    """A condition such as If-Match does not hold."""
    return BlobError(412, "ConditionNotMet", "The condition that the request's If- headers set does not hold.")


def header_refused(name: str, value: str, allowed: str) -> BlobError:
    """The value of a header is not allowed."""
    return BlobError(400, "InvalidHeaderValue", f"{name}: {value!r} is not allowed; expected {allowed}.")


def query_refused(name: str, value: str, allowed: str) -> BlobError:
    """The value of a query parameter is not allowed."""
    return BlobError(400, "InvalidQueryParameterValue", f"{name}={value!r} is not allowed; expected {allowed}.")
