"""Packages that tests make: wheels, a hostile source package, and a web server of this machine that serves it."""

from __future__ import annotations

import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def sdist(touched: Path) -> bytes:
    """A source package whose setup.py writes a file on the machine that builds it."""
    setup = f"open({str(touched)!r}, 'w').close()\nfrom setuptools import setup\nsetup(name='evil', version='1.0')\n"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in {"setup.py": setup, "PKG-INFO": "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n"}.items():
            entry = tarfile.TarInfo(f"evil-1.0/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def wheel(
    folder: Path, name: str, version: str = "1.0", requires: tuple[str, ...] = (), script: str = "", text: str = ""
) -> Path:
    """Write a wheel with one module of its name; `script` is a console script that prints the module's version.

    `text` is the module's, in the place of one that only has the version.
    """
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {r}" for r in requires)]
    files = {
        f"{module}.py": text or f"VERSION = {version!r}\ndef main():\n    print(VERSION)\n",
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if script:
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{script} = {module}:main\n"
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in files.items():
            archive.writestr(member, text)
    return path


class Shop(ThreadingHTTPServer):
    """A web server of this machine that serves one file at every path, and notes the paths."""

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.body = body
        self.paths: list[str] = []


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        shop = self.server
        assert isinstance(shop, Shop)
        shop.paths.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(shop.body)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(shop: Shop) -> Iterator[None]:
    """Serve from another thread."""
    thread = threading.Thread(target=shop.serve_forever)
    thread.start()
    try:
        yield
    finally:
        shop.shutdown()
        thread.join()
