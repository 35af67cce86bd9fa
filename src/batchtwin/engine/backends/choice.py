"""The backend that a request names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchtwin.engine.backends.base import Backend
from batchtwin.engine.backends.local import LocalBackend
from batchtwin.engine.context import node_init
from batchtwin.engine.prepare import Request, Resolved
from batchtwin.errors import UsageError

if TYPE_CHECKING:
    from batchtwin.environments.placement import Placement


def backend_for(request: Request, resolved: Resolved, placement: Placement) -> Backend:
    """Return the backend. What takes time starts here and is waited for in `connect`.

    Raises:
        RayError: Ray is requested and not installed.
        UsageError: the options contradict each other.
    """
    if placement.kind == "image":
        if request.ray or request.is_remote or request.publish:
            raise UsageError("--env image: does not go with --pool ray, nor with input or output by URL")
        from batchtwin.engine.backends.container import ContainerBackend

        return ContainerBackend(request.environment)
    if request.ray is None:
        interpreter = (placement.python, placement.identity, placement.use())
        return LocalBackend(node_init(resolved), *interpreter, warm=request.warm)
    from batchtwin.engine.backends.ray.backend import RayBackend
    from batchtwin.engine.backends.ray.environment import MachineEnvironment

    environment = MachineEnvironment.of(placement, allow_builds=request.environment.allow_builds)
    return RayBackend(request.ray, environment, placement)
