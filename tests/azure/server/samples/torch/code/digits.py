"""The model of the sample of digits, beside its script."""

from __future__ import annotations

import torch


class Digits(torch.Module):  # type: ignore[misc]
    """Weights for each pixel."""
