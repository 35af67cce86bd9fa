"""A stand-in for TensorFlow: as much of it as the sample of images uses, on numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


class Model:
    """A model with one dense layer and softmax."""

    def __init__(self, weight: Any) -> None:
        self.weight = weight

    def predict(self, images: Any, verbose: int = 1) -> Any:
        """Return the probabilities of each image."""
        logits = images.reshape(len(images), -1) @ self.weight
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)


class models:
    """`keras.models`."""

    @staticmethod
    def load_model(path: str | Path) -> Model:
        """Read a saved model."""
        return Model(np.load(Path(path) / "saved_model.npy"))


class keras:
    """`tensorflow.keras`."""

    models = models
