"""Which backend a request names."""

from __future__ import annotations

from batchtwin.engine.backends.base import Backend
from batchtwin.engine.backends.local import LocalBackend
from batchtwin.engine.backends.ray.options import RayOptions
from batchtwin.engine.context import node_init
from batchtwin.engine.prepare import Resolved


def backend_for(resolved: Resolved, ray: RayOptions | None = None) -> Backend:
    """Return where to run, at once: what takes time is begun here, and waited for in `connect`.

    Raises:
        RayError: Ray is asked for, and not installed.
    """
    if ray is None:
        return LocalBackend(node_init(resolved))
    from batchtwin.engine.backends.ray.backend import RayBackend

    return RayBackend(ray)
