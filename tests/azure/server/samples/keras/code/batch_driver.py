"""Tells the class of images, a mini-batch at once, with a saved TensorFlow model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
from PIL import Image

model: tf.Model


def init() -> None:
    """Load the model."""
    global model
    model = tf.keras.models.load_model(Path(os.environ["AZUREML_MODEL_DIR"]) / "model")


def run(mini_batch: list[str]) -> Any:
    """Score images; returns a row for each."""
    images = np.stack([np.asarray(Image.open(path).resize((4, 4)), dtype=np.float32) / 255 for path in mini_batch])
    predicted = model.predict(images, verbose=0)
    best = predicted.argmax(axis=1)
    return pd.DataFrame({"file": [Path(path).name for path in mini_batch], "class": best})
