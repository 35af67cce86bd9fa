"""Runs when a Python starts in a shell that uses the twin: `MLClient.from_config()` finds its workspace in any folder.

`batchtwin serve` copies this file to the workspace as `sitecustomize.py`; `batchtwin env` puts its folder on
PYTHONPATH. azure-ai-ml looks for config.json in the current folder and above only, and has no variable for it. What it
finds there goes first. This file stands alone and runs under any Python from 3.8; it imports nothing of batchtwin.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from typing import Any

CLOUD = "BatchTwin"
MODULE = "azure.ai.ml._ml_client"


class Finder(importlib.abc.MetaPathFinder):
    """Completes the module of MLClient once it is imported."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        """Find a module as the other finders do, with a loader that completes it."""
        if name != MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_and_complete(module: Any) -> None:
                run(module)
                complete(module)

            spec.loader.exec_module = run_and_complete  # type: ignore[method-assign]
        return spec


def complete(module: Any) -> None:
    """Have `from_config` look where AZUREML_CONFIG says after it has found nothing."""
    client: Any = getattr(module, "MLClient", None)
    method = getattr(client, "__dict__", {}).get("from_config")
    if not isinstance(method, classmethod):
        return
    from_config = method.__func__

    def from_config_or_twin(cls: Any, credential: Any, *arguments: Any, **words: Any) -> Any:
        try:
            return from_config(cls, credential, *arguments, **words)
        except Exception:
            config = os.environ.get("AZUREML_CONFIG", "")
            named = bool(arguments) or words.get("path") is not None or words.get("file_name") is not None
            if named or os.environ.get("AZUREML_CURRENT_CLOUD") != CLOUD or not os.path.isfile(config):
                raise
        return from_config(cls, credential, **{**words, "path": config})

    from_config_or_twin.__doc__ = from_config.__doc__
    client.from_config = classmethod(from_config_or_twin)


def run_the_next() -> None:
    """Run the `sitecustomize` that this one hides."""
    here = os.path.dirname(os.path.abspath(__file__))
    rest = [place for place in sys.path if os.path.abspath(place) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    sys.meta_path.insert(0, Finder())
    run_the_next()
