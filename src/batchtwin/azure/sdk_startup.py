"""Runs when a Python starts in a shell that uses the twin: `MLClient.from_config()` finds its workspace in any folder.

`batchtwin serve` copies this file to the workspace as `sitecustomize.py`; `batchtwin env` puts its folder on
PYTHONPATH. azure-ai-ml searches config.json only in the working folder and above, and has no variable for it; what it
finds there has priority. This file imports nothing of batchtwin and runs under any Python from 3.8.
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
    """Make `from_config` look at AZUREML_CONFIG after it has found nothing."""
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
            has_path = bool(arguments) or words.get("path") is not None or words.get("file_name") is not None
            if has_path or os.environ.get("AZUREML_CURRENT_CLOUD") != CLOUD or not os.path.isfile(config):
                raise
        return from_config(cls, credential, **{**words, "path": config})

    from_config_or_twin.__doc__ = from_config.__doc__
    client.from_config = classmethod(from_config_or_twin)


def run_the_next() -> None:
    """Run the `sitecustomize` that this one hides."""
    folder = os.path.dirname(os.path.abspath(__file__))
    rest = [folder_on_path for folder_on_path in sys.path if os.path.abspath(folder_on_path) != folder]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    sys.meta_path.insert(0, Finder())
    run_the_next()
