"""The resources that nodes request from a Ray cluster, and their description."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from batchtwin.engine.backends.ray.options import RayOptions


def resources_for(options: RayOptions, workers: int) -> dict[str, float]:
    """Return the resources of a node. Ray counts in ten-thousandths, and GPUs above one in whole numbers."""
    cpus, gpus = round(options.cpus * workers, 4), round(options.gpus * workers, 4)
    resources = {"CPU": cpus, "GPU": math.ceil(gpus) if gpus > 1 else gpus}
    return {name: amount for name, amount in resources.items() if amount}


def in_words(resources: Mapping[str, Any]) -> str:
    """Return `2 CPU and 1 GPU`."""
    return " and ".join(f"{resources.get(name, 0):g} {name}" for name in ("CPU", "GPU") if name in resources) or "0 CPU"


def counted_in_words(counted: Counter[str]) -> str:
    """Return `2 x 4 CPU, 1 x 8 CPU`."""
    return ", ".join(f"{count} x {text}" for text, count in counted.items())
