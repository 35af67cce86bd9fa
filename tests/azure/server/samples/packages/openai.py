"""A stand-in for the client of a service of embeddings, which it asks by HTTP."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from urllib.request import Request, urlopen


def embed(model: str, texts: Sequence[str]) -> list[list[float]]:
    """Return the embedding of each text. The service is at OPENAI_API_BASE."""
    body = json.dumps({"model": model, "input": list(texts)}).encode()
    request = Request(f"{os.environ['OPENAI_API_BASE']}/embeddings", body)  # noqa: S310 - the tests' own
    with urlopen(request, timeout=30) as answer:  # noqa: S310
        return [row["embedding"] for row in json.load(answer)["data"]]
