"""What the blob service refuses, in its own words: a status, a code in `x-ms-error-code`, a sentence."""

from __future__ import annotations

from collections.abc import Mapping


class BlobError(Exception):
    """A refusal. `code` is one of the service's, so that its clients raise what they raise there."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        super().__init__(f"{status} {code}: {message}")


def blob_not_found(container: str, blob: str) -> BlobError:
    """There is no such blob."""
    return BlobError(404, "BlobNotFound", f"{container}/{blob}: there is no such blob.")


def container_not_found(container: str) -> BlobError:
    """There is no such container."""
    return BlobError(404, "ContainerNotFound", f"{container}: there is no such container.")


def path_conflict(container: str, blob: str) -> BlobError:
    """A blob is a file here, so that none can be called as a folder of others, nor lie below another blob."""
    return BlobError(
        409, "PathConflict", f"{container}/{blob}: a blob and the folder of other blobs cannot have the same name here."
    )


def condition_not_met() -> BlobError:
    """If-Match and the like do not hold."""
    return BlobError(412, "ConditionNotMet", "The condition that the request's If- headers set does not hold.")


def header_refused(name: str, value: str, allowed: str) -> BlobError:
    """A header has a value that cannot be used."""
    return BlobError(400, "InvalidHeaderValue", f"{name}: {value!r} is not allowed; expected {allowed}.")


def query_refused(name: str, value: str, allowed: str) -> BlobError:
    """A query parameter has a value that cannot be used."""
    return BlobError(400, "InvalidQueryParameterValue", f"{name}={value!r} is not allowed; expected {allowed}.")
