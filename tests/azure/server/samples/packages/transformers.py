"""A stand-in for transformers: a pipeline object that shortens texts to their first words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path


class Pipeline:
    """What `pipeline` returns."""

    def __init__(self, model: str) -> None:
        self.words = int(json.loads((Path(model) / "config.json").read_text())["max_length"])

    def __call__(self, texts: Sequence[str], truncation: bool = False) -> list[dict[str, str]]:
        return [{"summary_text": " ".join(text.split()[: self.words])} for text in texts]


def pipeline(task: str, model: str) -> Pipeline:
    """Return a pipeline for a task."""
    if task != "summarization":
        raise ValueError(task)
    return Pipeline(model)
