"""Tells the digit of each image, with a torch model whose class lies beside this script."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from digits import Digits
from PIL import Image

model: Digits


def init() -> None:
    """Load the model."""
    global model
    model = Digits()
    model.load_state_dict(torch.load(glob.glob(f"{os.environ['AZUREML_MODEL_DIR']}/*/*.npz")[-1]))
    model.eval()


def run(mini_batch: list[str]) -> Any:
    """Score images; returns a row for each."""
    results = []
    with torch.no_grad():
        for path in mini_batch:
            pixels = np.asarray(Image.open(path), dtype=np.float32).reshape(1, -1) / 255
            predicted = torch.softmax(model(pixels), dim=-1)[0]
            best = int(predicted.argmax())
            results.append({"file": Path(path).name, "class": best, "probability": round(float(predicted[best]), 4)})
    return pd.DataFrame(results)
