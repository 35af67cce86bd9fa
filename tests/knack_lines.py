"""What comes of the words of a command line that is made with knack: ours, and the Azure CLI's."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

from knack.events import EVENT_INVOKER_POST_PARSE_ARGS

from batchtwin.errors import BatchTwinError


class Read(BaseException):
    """Ends a command line when its words have been read."""


def result_of(cli: Any, words: Sequence[str], run: bool) -> dict[str, Any]:
    """Give words to a command line of knack; returns what comes of it."""
    values: dict[str, Any] = {}

    def read(_: Any, args: Any, **__: Any) -> None:
        values.update(vars(args))
        if not run:
            raise Read

    cli.register_event(EVENT_INVOKER_POST_PARSE_ARGS, read)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            code = cli.invoke(list(words), out_file=out)
        except SystemExit as ended:
            code = ended.code
        except Read:
            code = 0
        except BatchTwinError as error:
            code = error.exit_code
    dropped = ("func", "command", "cmd")
    options = {name: str(values[name]) for name in sorted(values) if not name.startswith("_") and name not in dropped}
    return {"code": code, "out": out.getvalue(), "values": options}
