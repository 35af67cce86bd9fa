"""The second argument of `run(mini_batch, context)`, and which scripts get one.

Source: the parallel run step passes its mini-batch context to a `run` of two arguments. Microsoft's scripts read
`minibatch_index` (azureml-assets, component batch_score; promptflow), `global_row_index_lower_bound` (promptflow) and
`partition_key_value` (azureml-examples), which only data cut by a key has.
"""

from __future__ import annotations

import inspect
import os
from typing import Any, Callable, Dict, Optional

from batchtwin_node.codec import value_object

# Set by the controller.
SIZE_VARIABLE = "BATCHTWIN_MINI_BATCH_SIZE"
NAME = "context"


@value_object
class MiniBatchContext:
    """Which mini-batch this is: its number from 0, and the number of its first item among all items."""

    minibatch_index: int
    global_row_index_lower_bound: int
    partition_key_value: Optional[Dict[str, Any]] = None

    @classmethod
    def of(cls, number: int) -> MiniBatchContext:
        """Return the context of mini-batch `number`."""
        return cls(number, number * int(os.environ.get(SIZE_VARIABLE) or 1))


def takes_context(run: Callable[..., object]) -> bool:
    """Whether `run` has a second argument that is required, or that is named like a context."""
    try:
        parameters = list(inspect.signature(run).parameters.values())
    except (TypeError, ValueError):
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) < 2:
        return False
    second = positional[1]
    return second.default is second.empty or NAME in second.name.lower()
