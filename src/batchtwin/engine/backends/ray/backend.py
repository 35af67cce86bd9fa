"""A Ray cluster to run a job on: one of the job's own on this machine, or an existing one."""

from __future__ import annotations

import atexit
import json
import logging
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from importlib.util import find_spec
from typing import Any

from batchtwin.engine.backends.base import Pool
from batchtwin.engine.backends.ray.environment import MachineEnvironment
from batchtwin.engine.backends.ray.head import call_with_timeout, disable_gcs_exit, lean_head
from batchtwin.engine.backends.ray.options import RayOptions
from batchtwin.engine.logs import Logs
from batchtwin.engine.prepare import Prepared
from batchtwin.environments.placement import Placement
from batchtwin.errors import BatchTwinError, UsageError
from batchtwin.extras import install_command
from batchtwin_node.machine import cpus
from batchtwin_node.protocol import JobContext

# Rows never pass through Ray's object store, so its smallest size is enough.
OBJECT_STORE_BYTES = 80 << 20
KNOCK_SECONDS = 5.0
# Ray takes about five seconds for each.
CONNECT_TRIES = "3"
# A cluster of the job's own has processes to end.
CLOSE_SECONDS = 30.0


class RayError(BatchTwinError):
    """Ray is not installed, or no cluster can be used."""


class RayBackend:
    """The cluster that `options` name; `environment` was placed here as `placement`. `connect` imports `ray`.

    Raises:
        RayError: Ray is not installed.
        UsageError: the options cannot be followed.
    """

    def __init__(self, options: RayOptions, environment: MachineEnvironment, placement: Placement) -> None:
        if find_spec("ray") is None:
            raise RayError(f"--pool ray: Ray is not installed here; install it: {install_command('ray')}")
        if options.address and options.address.startswith("ray://"):
            raise UsageError(
                f"--ray-address {options.address}: is for Ray's client; start batchtwin on a machine of the cluster, "
                "and give the address of its head, as in --ray-address 10.0.0.1:6379, or auto"
            )
        self._options, self._environment = options, environment
        self._identity = placement.identity if placement.python else ""
        self._use = placement.use()
        self._ray: Any = None

    def connect(self, prepared: Prepared) -> str:
        """Join the cluster, or start one that has room for the job's workers.

        Raises:
            RayError: it does not answer, or has another version of Ray or Python.
        """
        options = self._options
        # Secret. Ray reads it on import, and so does all that it starts.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        cluster = {} if options.address else _own_cluster(prepared.workers, options)
        if options.address:
            _knock(options.address)
            # Not for a Ray of the job's own: its processes would inherit it, and outlive a killed controller.
            disable_gcs_exit()
        import ray

        try:
            with nullcontext() if options.address else lean_head():
                ray.init(
                    address=options.address or "local",
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    namespace="batchtwin",
                    **cluster,
                )
        except Exception as error:  # Ray has no common class of errors
            option = f"--ray-address {options.address}" if options.address else "--pool ray: starting Ray here"
            first = " ".join(str(error).split())
            raise RayError(
                f"{option}: {first}; is the address right, the cluster up (`ray status` there), "
                "does it want another token (RAY_AUTH_TOKEN)?"
            ) from None
        self._ray = ray
        return self._identity

    def pool(self, context: JobContext, logs: Logs, note: Callable[[str], None]) -> Pool:
        """Return a pool of actors. They are requested here; its `events` waits for them."""
        from batchtwin.engine.backends.ray.pool import RayPool

        carried: Mapping[str, str] = {
            name: os.environ[name] for name in self._options.environment if name in os.environ
        }
        return RayPool(context, self._options, (json.dumps(carried), self._environment), logs, note)

    def explain(self, cause: str) -> str:
        """Return the cause unchanged."""
        return cause

    def close(self) -> None:
        """Leave the cluster; one of the job's own ends."""
        if self._ray is not None:
            # Ray does this again at exit, and would wait there.
            atexit.unregister(self._ray.shutdown)
            call_with_timeout(self._ray.shutdown, CLOSE_SECONDS)
            self._ray = None
        if self._use is not None:
            os.close(self._use)
            self._use = None


def _knock(address: str) -> None:
    """Check that the address answers: Ray itself waits for minutes, and repeats that on stderr.

    Raises:
        RayError: the address does not answer.
    """
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", CONNECT_TRIES)
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()
        except OSError as error:
            reason = error.strerror or str(error)
            raise RayError(
                f"--ray-address {address}: {reason}; start the cluster, or give its head's address"
            ) from None


def _own_cluster(workers: int, options: RayOptions) -> dict[str, Any]:
    """Return how to start a cluster that only this process can use: on the loopback address, with a secret token."""
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    # Ray's workers run at a lower priority than the rest of the machine; those of a local pool do not.
    os.environ.setdefault("RAY_worker_niceness", "0")
    return {
        "num_cpus": max(cpus(), -int(-workers * options.cpus // 1)),
        "object_store_memory": OBJECT_STORE_BYTES,
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
    }
