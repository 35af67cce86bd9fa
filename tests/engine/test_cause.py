"""What a cause tells the user to change."""

from __future__ import annotations

import pytest

from batchtwin.engine.cause import what_to_change
from batchtwin_node.protocol import INIT_TIMEOUT, Failure

UNSET = "; the variable THRESHOLD is not set: give a default in the script, or add it to environment_variables"
TRACEBACK = """Traceback (most recent call last):
  File "/project/driver.py", line 4, in init
    limit = float(os.environ["THRESHOLD"])
{frame}
KeyError: 'THRESHOLD'
"""


@pytest.mark.parametrize(
    "frame",
    [
        '  File "/usr/lib/python3.10/os.py", line 680, in __getitem__\n    raise KeyError(key) from None',
        '  File "<frozen os>", line 685, in __getitem__',
    ],
)
def test_a_variable_that_is_not_set(frame: str) -> None:
    failure = Failure("worker", "init", "KeyError: 'THRESHOLD'", 1, 0.0, TRACEBACK.format(frame=frame))
    assert what_to_change(failure, 0) == UNSET


@pytest.mark.parametrize("rest", ["", "\nTraceback (most recent call last):\nValueError: no\n"])
def test_a_key_of_something_else_is_no_variable(rest: str) -> None:
    frame = '  File "/project/os.py", line 4, in __getitem__' if rest else '  File "/project/a.py", line 4, in init'
    traceback = TRACEBACK.format(frame=frame) + rest
    assert what_to_change(Failure("worker", "raised", "KeyError: 'THRESHOLD'", 1, 0.0, traceback), 1) == ""


@pytest.mark.parametrize(("files", "text"), [(1, ""), (2, ", or lower settings.mini_batch_size")])
def test_a_mini_batch_that_takes_too_long(files: int, text: str) -> None:
    failure = Failure("worker", "timeout", "mini batch 0 did not finish in 2 seconds.", 1, 0.0, mini_batch=0)
    assert what_to_change(failure, files) == f"; raise settings.retry_settings.timeout{text}"


def test_an_init_that_takes_too_long() -> None:
    failure = Failure("worker", "init", f"{INIT_TIMEOUT} 36 seconds.", 1, 0.0)
    assert "3 times settings.retry_settings.timeout, and 30 seconds" in what_to_change(failure, 0)
    assert what_to_change(Failure("worker", "init", f"{INIT_TIMEOUT} time", 1, 0.0, "Traceback"), 0) == ""
