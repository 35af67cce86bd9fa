"""The environment of a job on the machines of a Ray cluster: at a path, or built as on the controller's machine."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from batchtwin.environments.cache import Environment, versions
from batchtwin.environments.placement import Placement
from batchtwin.environments.requested import RequestedEnvironment
from batchtwin.environments.venv import EnvironmentBuildError, build
from batchtwin.errors import BatchTwinError
from batchtwin_node.codec import value_object

BUILD_SECONDS = 1800.0


@value_object
class MachineEnvironment:
    """What a machine has to have. `python` is an interpreter at the same path everywhere; empty for Ray's own.

    Otherwise `requested` is built for Python `minor`, in the versions of `lock`: those of the controller's environment.
    """

    python: str = ""
    requested: RequestedEnvironment | None = None
    minor: str = ""
    lock: str = ""
    allow_builds: bool = False

    @classmethod
    def of(cls, placement: Placement, *, allow_builds: bool) -> MachineEnvironment:
        """Return the environment for other machines that corresponds to a placement on this one."""
        if placement.environment is not None and placement.requested is not None:
            environment = placement.environment
            return cls("", placement.requested, environment.record.python, environment.lock, allow_builds)
        return cls(str(placement.python) if placement.python else "")

    @property
    def seconds(self) -> float:
        """Seconds that building may take; 0 where nothing is built."""
        return BUILD_SECONDS if self.requested is not None else 0.0

    def to_json(self) -> str:
        """Return it as text."""
        return _environments.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> MachineEnvironment:
        """Read what `to_json` wrote."""
        return _environments.validate_json(text)

    def make(self) -> tuple[Path | None, Environment | None]:
        """Return the interpreter on this machine (None for this one), and the cached environment that has it.

        Raises:
            BatchTwinError: it is missing, cannot be built, or differs from the controller's versions.
        """
        if self.requested is not None:
            environment = build(
                self.requested, self.minor, lambda _: None, allow_builds=self.allow_builds, lock=self.lock
            )
            self._compare(environment)
            return environment.python, environment
        if not self.python:
            return None, None
        if not Path(self.python).is_file():
            raise BatchTwinError(f"{self.python}: not here; every machine needs the environment at this path")
        return Path(self.python), None

    def _compare(self, environment: Environment) -> None:
        built, requested = versions(environment.lock), versions(self.lock)
        if built != requested:
            name = min(built ^ requested)
            raise EnvironmentBuildError(
                f"{environment.path}: has other versions than the controller's ({name}); "
                f"remove it here: batchtwin environments remove {environment.record.key}"
            )


_environments: TypeAdapter[MachineEnvironment] = TypeAdapter(MachineEnvironment)
