"""The user's options for the Ray cluster of a job. This module does not import Ray."""

from __future__ import annotations

from batchtwin_node.codec import value_object

WAIT_SECONDS = 300.0


@value_object
class RayOptions:
    """Without `address` (`host:port`, or `auto`) the job starts a Ray of its own on this machine.

    `cpus` and `gpus` are per worker. `wait` is how many seconds the job waits while the cluster gives it no node.
    `environment` lists variables of this process that workers get, too.
    """

    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    wait: float = WAIT_SECONDS
    environment: tuple[str, ...] = ()
