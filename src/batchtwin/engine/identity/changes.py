"""What a job was made of, what has changed since, and which changes were accepted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from batchtwin.engine.identity import NAMES, Identity, Part
from batchtwin.engine.ledger import Ledger
from batchtwin.engine.logs import timestamp
from batchtwin.engine.output.manifest import AcceptedChange
from batchtwin.engine.prepare import Prepared, Resolved
from batchtwin.errors import BatchTwinError, UsageError
from batchtwin.inputs.changes import HASHED_BYTES, HASHED_FILES, InputChange, change_of
from batchtwin.inputs.listing import list_inputs
from batchtwin.inputs.location import redact
from batchtwin_node.codec import value_object

if TYPE_CHECKING:
    from batchtwin.environments.placement import Placement

ACCEPTABLE = ("code", "deployment")
# Parts that decide where the rows are and what they mean: rows that exist cannot follow a change of these.
FIXED = ("settings.output_action", "settings.output_file_name")
# Their values may be secrets: variables, and the addresses of packages.
NOT_SHOWN = ("settings.environment_variables", "environment")
LONGEST_VALUE = 80
SHOWN = 5
NOT_HASHED = (
    f"The job does not know the content of these inputs: only inputs of at most {HASHED_FILES} files and "
    f"{HASHED_BYTES >> 20} MiB are hashed, or all of them with --hash-inputs"
)
# The largest code folder whose file names are kept.
MOST_FILES = 1000


@value_object
class Change:
    """A change since the job began, as a sentence. `fixed`: it cannot be accepted.

    `advice`: what to do about an input of which only the time has changed.
    """

    part: Part | Literal["input"]
    text: str
    fixed: bool = False
    advice: str = ""

    @property
    def in_full(self) -> str:
        """The sentence with the advice."""
        return f"{self.text}; {self.advice}" if self.advice else self.text


class MadeOf(BaseModel):
    """What an `Identity` is the hash of, so that a change can be named: the parsed deployment, and each file's hash."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    deployment: dict[str, Any]
    code: dict[str, str] | None

    @classmethod
    def of(cls, resolved: Resolved) -> MadeOf:
        """Return the present state."""
        files = resolved.code_files
        hashes = files if files is not None and len(files) <= MOST_FILES else None
        names = {name.encode(errors="backslashreplace").decode(): sha256 for name, sha256 in (hashes or {}).items()}
        return cls(deployment=resolved.deployment.model_dump(mode="json"), code=names or None)


class Acceptance(BaseModel):
    """What the ledger keeps of an accepted change: what the job is made of from then on."""

    change: AcceptedChange
    identity: Identity
    made_of: MadeOf
    environment: str


_acceptances: TypeAdapter[tuple[Acceptance, ...]] = TypeAdapter(tuple[Acceptance, ...])
FACT, MADE_OF = "accepted", "made_of"


class ChangedError(BatchTwinError):
    """What a job was made of has changed."""

    def __init__(self, root: Path, changes: Sequence[Change], *, retry_failed: bool = False) -> None:
        lines = [
            f"{root}: cannot be resumed: {'; '.join(filter(None, (change.text, change.advice)))}" for change in changes
        ]
        fixed = [change for change in changes if change.fixed]
        if not fixed:
            parts = ",".join(dict.fromkeys(change.part for change in changes))
            lines.append(
                "To go on with the changes, and keep the mini-batches that are done: "
                f"batchtwin resume {root}{' --retry-failed' if retry_failed else ''} --accept-changed {parts}"
            )
        if any(change.advice for change in changes):
            lines.append(NOT_HASHED)
        lines.append("Put it back as it was, or score again: --overwrite")
        super().__init__("\n".join(lines))


def parse_accepted(text: str | None) -> frozenset[str]:
    """Read the value of `--accept-changed`.

    Raises:
        UsageError: it names what cannot be accepted.
    """
    parts = {part.strip() for part in text.split(",")} if text is not None else set()
    for part in sorted(parts - {*ACCEPTABLE}):
        reason = "; rows of other inputs or of another model would be another job: score again" if part in NAMES else ""
        raise UsageError(f"--accept-changed {text}: '{part}' is not one of {', '.join(ACCEPTABLE)}{reason}")
    return frozenset(parts)


def acceptances(ledger: Ledger) -> tuple[Acceptance, ...]:
    """Return what was accepted since the job began, in order."""
    return _acceptances.validate_json(ledger.fact(FACT) or "[]")


def accept(ledger: Ledger, prepared: Prepared, environment: str, changes: Sequence[Change], done: int) -> None:
    """Record changes that a person accepts: from now on, the job is made of the present state.

    Raises:
        OutputError: the ledger cannot be written.
    """
    change = AcceptedChange(
        run=int(ledger.fact("runs") or 0) + 1,
        at=timestamp(),
        done=done,
        changes=tuple(change.text for change in changes),
        before=_identity(ledger),
    )
    made_of = MadeOf.of(prepared.resolved)
    latest = Acceptance(change=change, identity=prepared.identity, made_of=made_of, environment=environment)
    ledger.state(FACT, _acceptances.dump_json((*acceptances(ledger), latest)).decode())


def changes_since(prepared: Prepared, ledger: Ledger) -> list[Change]:
    """Name what differs from when the job began, or from what was accepted last: deployment, model, code, inputs."""
    before = _made_of(ledger)
    changes: list[Change] = []
    changed = _identity(ledger).changes(prepared.identity)
    for part in (part for part, name in NAMES.items() if name in changed):
        keys = list(_keys(before, prepared)) if part == "deployment" else []
        names = list(_files(before, prepared)) if part == "code" else [_describe(key, before, prepared) for key in keys]
        fixed = part == "model" or not {*FIXED}.isdisjoint(keys)
        more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        which = f": {', '.join(names[:SHOWN])}{more}" if names else ""
        changes.append(Change(part, f"{NAMES[part]} has changed{which}", fixed))
    return changes + [Change("input", change.text, True, change.advice) for change in _changed_inputs(prepared)]


def environment_change(ledger: Ledger, environment: str) -> list[Change]:
    """Return the change if the job ran in another environment."""
    before = _environment(ledger)
    if not before or environment == before:
        return []
    return [_other_environment(before, environment)]


def environment_to_come(ledger: Ledger, placement: Placement) -> list[Change]:
    """Return the change if the job would run in another environment, which is not built yet."""
    before = _environment(ledger)
    if not placement.would_build or not before or before.startswith(f"{placement.identity} "):
        return []
    return [_other_environment(before, placement.text)]


def _environment(ledger: Ledger) -> str:
    accepted = acceptances(ledger)
    return (accepted[-1].environment if accepted else ledger.fact("environment")) or ""


def _other_environment(before: str, now: str) -> Change:
    return Change("deployment", f"it ran in another environment ({before}); this is {now}")


def refused(changes: Sequence[Change], accepted: Collection[str]) -> bool:
    """Whether one of the changes was not accepted, or cannot be."""
    return any(change.fixed or change.part not in accepted for change in changes)


def _identity(ledger: Ledger) -> Identity:
    accepted = acceptances(ledger)
    return accepted[-1].identity if accepted else Identity.model_validate_json(ledger.fact("identity") or "")


def _made_of(ledger: Ledger) -> MadeOf | None:
    accepted = acceptances(ledger)
    text = ledger.fact(MADE_OF)
    return accepted[-1].made_of if accepted else MadeOf.model_validate_json(text) if text else None


def _keys(before: MadeOf | None, prepared: Prepared) -> Iterator[str]:
    """The dotted keys of the deployment whose values differ."""
    if before is None:
        return
    old, new = _flat(before.deployment), _flat(MadeOf.of(prepared.resolved).deployment)
    yield from (key for key in sorted({*old, *new}) if old.get(key) != new.get(key))


def _describe(key: str, before: MadeOf | None, prepared: Prepared) -> str:
    if before is None or key.startswith(NOT_SHOWN):
        return key
    deployments = (before.deployment, prepared.deployment.model_dump(mode="json"))
    old, new = (_cut(redact(str(_flat(deployment).get(key)))) for deployment in deployments)
    return f"{key} was {old}, is {new}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value:
        return {key: value}
    parts = (_flat(inner, f"{key}.{name}" if key else str(name)) for name, inner in value.items())
    return {name: inner for part in parts for name, inner in part.items()}


def _files(before: MadeOf | None, prepared: Prepared) -> Iterator[str]:
    """The files of the code folder that differ, are new, or are gone."""
    old, new = before.code if before else None, MadeOf.of(prepared.resolved).code
    if old is not None and new is not None:
        yield from (name for name in sorted({*old, *new}) if old.get(name) != new.get(name))


def _changed_inputs(prepared: Prepared) -> Iterator[InputChange]:
    if prepared.inputs.is_remote:
        from batchtwin.inputs.remote import changed_files

        yield from changed_files(prepared.inputs)
        return
    looked_at = (change_of(file, prepared.hashes.get(file.path)) for file in prepared.inputs.files)
    yield from (change for change in looked_at if change)


def new_files(prepared: Prepared) -> list[str]:
    """Name the input files that have come since."""
    if not prepared.inputs.is_folder:
        return []
    planned = {file.path for file in prepared.inputs.files}
    return [file.path for file in list_inputs(prepared.inputs.root).files if file.path not in planned]
