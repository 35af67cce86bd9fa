"""The server's log on stderr: errors only, without repetitions."""

from __future__ import annotations

import logging
import time

REPEAT_SECONDS = 60.0
MOST_MESSAGES = 1000


class RepeatFilter(logging.Filter):
    """Drops a message that was logged less than `seconds` ago; the next one says how many were dropped."""

    def __init__(self, seconds: float = REPEAT_SECONDS) -> None:
        super().__init__()
        self._seconds = seconds
        # By message: when it was logged last, and how many were dropped since.
        self._logged: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log a record."""
        text = record.getMessage()
        key, now = (record.name, text), time.monotonic()
        last, dropped = self._logged.get(key, (-self._seconds, 0))
        if now - last < self._seconds:
            self._logged[key] = last, dropped + 1
            return False
        if len(self._logged) >= MOST_MESSAGES:
            self._logged.clear()
        self._logged[key] = now, 0
        if dropped:
            record.msg, record.args = f"{text} ({dropped} more in the last {now - last:.0f} s)", ()
        return True


def log_to_stderr() -> None:
    """Log warnings and errors of this process on stderr."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(RepeatFilter())
    # Connections that are open when the server ends are no error.
    logging.getLogger("uvicorn.error").addFilter(lambda record: "graceful shutdown" not in record.getMessage())
