"""Errors of requests to a workspace. Exit codes as in `az ml`: not found 3, anything else 1 [R]."""

from __future__ import annotations

from batchtwin.errors import FAILED, BatchTwinError

NOT_FOUND = 3


class NotFoundError(BatchTwinError):
    """There is no such thing of this kind."""

    exit_code = NOT_FOUND

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        super().__init__(self.describe_error())

    def describe_error(self) -> str:
        """Name what is missing."""
        return f"{self.kind} '{self.name}': not found in this workspace"


class UnknownDeploymentError(NotFoundError):
    """An invocation names a deployment that its endpoint does not have [A]."""

    def __init__(self, name: str) -> None:
        super().__init__("deployment", name)

    def describe_error(self) -> str:
        """Return the service's own text."""
        return f"Deployment name {self.name} not found for this endpoint"


class ConflictError(BatchTwinError):
    """The name is taken by something else."""

    exit_code = FAILED


class InvalidError(BatchTwinError):
    """An invalid value."""

    exit_code = FAILED


class NoRouteError(InvalidError):
    """An invocation names no deployment, and the endpoint has no default [A]."""

    def __init__(self) -> None:
        super().__init__(
            "No valid deployments to route to. Please check that the endpoint has at least one deployment "
            "with positive weight values or use a deployment specific header to route."
        )


class InputTypeError(InvalidError):
    """An input type that a model deployment refuses [A]. `type_name` is the service's own, as LiteralJobInput."""

    def __init__(self, type_name: str) -> None:
        super().__init__(
            f"The specified job input type '{type_name}' is not supported. "
            "The supported types are: UriFileJobInput, UriFolderJobInput."
        )


class NotEndedError(InvalidError):
    """A download from a job that has not ended [A]."""

    def __init__(self, status: str, allowed: list[str]) -> None:
        super().__init__(f"This job is in state {status}. Download is allowed only in states {allowed}")


class StoreError(BatchTwinError):
    """The workspace's database cannot be used."""

    exit_code = FAILED
