"""The log tree of a job (folder `logs/`), in the places where users of the service look."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from batchtwin.engine.job import Job
from batchtwin.spec.messages import Failure


def now() -> str:
    """UTC time, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def duration(seconds: float) -> str:
    """`H:MM:SS`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


@dataclass
class Logs:
    """Writes what the parent logs, and says where workers write. A worker is named `node/process`."""

    root: Path
    errors: Counter[str] = field(default_factory=Counter)
    first_file: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True)
        stamp = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
        self._overview = self.root / f"job_progress_overview.{stamp}.txt"

    def stream(self, worker: str, name: str) -> Path:
        """The file that holds a worker's `stdout` or `stderr`."""
        return _made(self.root / "user" / name / f"{worker}.{name}.txt")

    def progress(self, message: str) -> None:
        """Add a line to the progress overview."""
        with self._overview.open("a", encoding="utf-8") as stream:
            stream.write(f"{now()} {message}\n")

    def failure(self, failure: Failure, first_file: str) -> None:
        """Write the full text of a failed try, and the digest of all so far, one line per distinct error."""
        with _made(self.root / "user" / "error" / f"{failure.worker}.txt").open("a", encoding="utf-8") as stream:
            place = f"mini batch {failure.mini_batch}, try {failure.attempt}" if failure.attempt else "start"
            stream.write(f"{now()} {place}: {failure.kind}: {failure.traceback or failure.message}\n")
        key = " ".join(failure.message.split())
        self.errors[key] += 1
        self.first_file.setdefault(key, first_file)
        lines = [f"{count} x {text} (first: {self.first_file[text]})\n" for text, count in self.errors.most_common()]
        (self.root / "user" / "error.txt").write_text("".join(lines), encoding="utf-8")

    def result(self, job: Job, cause: str) -> None:
        """Write `job_result.txt`: status, summary line, cause."""
        lines = [job.status.value, job.summary, *([cause] if cause else [])]
        (self.root / "job_result.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
