"""Deployments for the Python API: a model that gives its rows back, and scripts in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import DEADLINE

# The prediction of a row is the value of its column `out`, with its type.
ECHO = """
class Echo:
    def predict(self, frame, params=None):
        return frame["out"].tolist()

def _load_pyfunc(path):
    return Echo()
"""
Deploy = Callable[..., Path]
InProcess = Callable[..., Any]


@pytest.fixture
def echo(tmp_path: Path) -> Deploy:
    """Write a deployment of the MLflow driver whose model gives back the column `out`; `signature` as in MLmodel."""

    def write(signature: dict[str, Any] | None = None, **settings: Any) -> Path:
        model = tmp_path / "echo-model"
        (model / "code").mkdir(parents=True)
        (model / "code/echo_model.py").write_text(ECHO)
        flavor = {"loader_module": "echo_model", "code": "code", "python_version": "3.11.0"}
        mlmodel: dict[str, Any] = {"flavors": {"python_function": flavor}}
        if signature:
            mlmodel["signature"] = {name: json.dumps(value) for name, value in signature.items()}
        (model / "MLmodel").write_text(yaml.safe_dump(mlmodel))
        path = tmp_path / "deployment.yml"
        deployment = {
            "type": "model",
            "name": "echo-deployment",
            "endpoint_name": "echo-endpoint",
            "model": {"path": "echo-model"},
            "compute": "azureml:cluster",
            "settings": {"mini_batch_size": 1, **settings},
        }
        path.write_text(yaml.safe_dump(deployment))
        return path

    return write


@pytest.fixture
def in_process(tmp_path: Path) -> InProcess:
    """Run a Python script in a process of its own in the test's folder; return what it printed as JSON, last line."""

    def run(script: str, *words: str | Path, env: dict[str, str] | None = None) -> Any:
        path = tmp_path / "caller.py"
        path.write_text(textwrap.dedent(script))
        command = [sys.executable, "-W", "error", str(path), *map(str, words)]
        options = {"capture_output": True, "text": True, "timeout": DEADLINE, "check": False}
        done = subprocess.run(command, cwd=tmp_path, env={**os.environ, **(env or {})}, **options)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run
