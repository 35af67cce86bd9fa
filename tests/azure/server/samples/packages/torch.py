"""A stand-in for PyTorch: as much of it as the sample of digits uses, on numpy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


class Module:
    """A model with a state."""

    weight: Any

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the state."""
        self.weight = state["weight"]

    def eval(self) -> Module:
        """Leave training."""
        return self

    def __call__(self, values: Any) -> Any:
        return self.forward(values)

    def forward(self, values: Any) -> Any:
        """Compute the model."""
        return values @ self.weight


def load(path: str | Path) -> dict[str, Any]:
    """Read a state."""
    with np.load(path) as arrays:
        return dict(arrays)


def softmax(logits: Any, dim: int) -> Any:
    """Make probabilities."""
    powers = np.exp(logits - logits.max(axis=dim, keepdims=True))
    return powers / powers.sum(axis=dim, keepdims=True)


@contextmanager
def no_grad() -> Iterator[None]:
    """Compute without gradients."""
    yield
