"""The six model samples of batch endpoints, in our own words and with small models: what they are made of."""

from __future__ import annotations

import hashlib
import json
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml
from PIL import Image

from package_server import wheel
from support import ROOT

HERE = ROOT / "tests/azure/server/samples"
# Environments and packages stay, so that a second run makes none.
BUILD = ROOT / "build/samples"
PANDAS = ("pandas==2.3.2", "numpy==2.3.3")
# What each environment has beside Python: packages of the index, and those of `packages/`.
PACKAGES: dict[str, tuple[str, ...]] = {
    "parquet": (*PANDAS, "pyarrow==21.0.0"),
    "torch": (*PANDAS, "pillow==11.3.0", "torch"),
    "keras": (*PANDAS, "pillow==11.3.0", "tensorflow"),
    "summaries": (*PANDAS, "transformers"),
    "embeddings": (*PANDAS, "openai"),
}
SUMMARY_ONLY = ("parquet", "embeddings")
SAMPLES = ("tabular", *PACKAGES)
CSV = {"a.csv": "age,chol\n63,233\n37,250\n", "b.csv": "age,chol\n41,204\n"}
TEXTS = {
    "bills-0.csv": 'text\n"one two three four five six"\n"short"\n',
    "bills-1.csv": "text\nalpha beta gamma delta\n",
}


class Service(ThreadingHTTPServer):
    """A service of embeddings: of each text its length, and how many words it has. It counts the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.requests = 0

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Service)
        self.server.requests += 1
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        rows = [{"embedding": embedding(text)} for text in request["input"]]
        body = json.dumps({"data": rows, "model": request["model"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


def embedding(text: str) -> list[float]:
    """What the service answers for a text."""
    return [float(len(text)), float(len(text.split()))]


def make(name: str, folder: Path) -> Path:
    """Write a sample: model, data, environment, code and deployment; returns the deployment's file."""
    shutil.copytree(HERE / name, folder)
    (folder / "data").mkdir()
    data: dict[str, Any] = {
        "name": "classic",
        "endpoint_name": f"{name}-batch",
        "type": "model",
        "model": f"azureml:{name}-model@latest",
        "compute": "azureml:batch-cluster",
        "settings": {"mini_batch_size": 2, "retry_settings": {"max_retries": 0, "timeout": 60}},
    }
    if name != "tabular":
        (folder / "model").mkdir()
        data["environment"] = {"name": f"{name}-env", "image": "python:3.11", "conda_file": "conda.yaml"}
        data["code_configuration"] = {"code": "code", "scoring_script": "batch_driver.py"}
        pip = [_requirement(package) for package in PACKAGES[name]]
        (folder / "conda.yaml").write_text(yaml.safe_dump({"dependencies": ["python=3.11", "pip", {"pip": pip}]}))
    if name in SUMMARY_ONLY:
        data["settings"]["output_action"] = "summary_only"
    _fill(name, folder / "model", folder / "data")
    (folder / "deployment.yml").write_text(yaml.safe_dump(data))
    return folder / "deployment.yml"


def _requirement(package: str) -> str:
    """A line of the conda file: a package of the index, or a wheel of one of ours."""
    if "==" in package:
        return package
    source = HERE / "packages" / f"{package}.py"
    folder = BUILD / "wheels" / hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob("*.whl")):
        # Written beside and renamed: a run that is interrupted leaves no half of one.
        with TemporaryDirectory(dir=folder) as beside:
            made = wheel(Path(beside), package, "2.0.0", text=source.read_text())
            made.rename(folder / made.name)
    [path] = folder.glob("*.whl")
    return f"{package} @ {path.as_uri()}"


def _fill(name: str, model: Path, data: Path) -> None:
    """Write a model that can be computed by hand, and its data."""
    files: dict[str, str] = CSV if name in ("tabular", "parquet") else {}
    if name == "parquet":
        shutil.copy(HERE / "tabular/model/weights.json", model)
    elif name == "torch":
        np.savez(model / "digits.npz", weight=np.eye(16, 3, dtype=np.float32) * 5)
        _images(data, "L")
    elif name == "keras":
        np.save(model / "saved_model.npy", np.repeat(np.eye(16, 3, dtype=np.float32), 3, axis=0))
        _images(data, "RGB")
    elif name == "summaries":
        (model / "config.json").write_text('{"max_length": 3}')
        files = TEXTS
    elif name == "embeddings":
        (model / "model.json").write_text('{"model": "text-embedding-small"}')
        files = TEXTS
    for file, text in files.items():
        (data / file).write_text(text)


def _images(data: Path, mode: str) -> None:
    """Write an image of 4 x 4 pixels for each class: one pixel is white."""
    for digit in range(3):
        image = Image.new(mode, (4, 4))
        image.putpixel((digit, 0), 255 if mode == "L" else (255, 255, 255))
        image.save(data / f"digit-{digit}.png")
