"""The packages that only some users need, as this installation's metadata lists them."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires


def install_command(*extras: str) -> str:
    """Return the command that installs what these extras bring; names of packages, for batchtwin is on no index."""
    return f"pip install {' '.join(repr(line) for line in requirements(*extras))}"


def requirements(*extras: str) -> list[str]:
    """Return the requirement lines of extras, without their markers.

    A copy that is not installed has none; then the names of the extras stand for them.
    """
    try:
        lines = requires("batchtwin") or []
    except PackageNotFoundError:
        return [f".[{','.join(extras)}]"]
    texts = [line.partition(";") for line in lines]
    wanted = [text for text, _, marker in texts if any(_names(marker, extra) for extra in extras)]
    return [text.strip().replace(" ", "") for text in wanted if not text.startswith("batchtwin")]


def _names(marker: str, extra: str) -> bool:
    return re.search(rf"""extra\s*==\s*["']{re.escape(extra)}["']""", marker) is not None
