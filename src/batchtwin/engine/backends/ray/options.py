"""What a person says of the Ray cluster that a job is to run on. No Ray here."""

from __future__ import annotations

from batchtwin_node.codec import value_object

WAIT_SECONDS = 300.0


@value_object
class RayOptions:
    """Without `address` (`host:port`, or `auto`) a Ray of the job's own, on this machine.

    `cpus` and `gpus` are for each worker; `wait` is how many seconds the job waits for what it asks for while none of
    it is there; `environment` names variables of this process that workers get, too.
    """

    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    wait: float = WAIT_SECONDS
    environment: tuple[str, ...] = ()
