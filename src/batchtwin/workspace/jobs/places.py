"""The input of an invocation and the target of its output: every form of a location, in one parser."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from batchtwin.deployment.reference import AssetReference, InvalidReferenceError, is_reference, parse_reference
from batchtwin.inputs.public_blobs import blob_address, is_remote_input
from batchtwin.inputs.public_web import WebError, allows_private, refuse_private
from batchtwin.workspace import snapshot
from batchtwin.workspace.datastores import Datastores
from batchtwin.workspace.errors import InputTypeError, InvalidError
from batchtwin_node.codec import value_object

# Types of a job's input: the SDK's names for `type:` of an Input, and the service's.
LITERALS = ("string", "number", "integer", "boolean", "literal")
REFUSED = {
    **dict.fromkeys(LITERALS, "LiteralJobInput"),
    "mltable": "MLTableJobInput",
    "mlflow_model": "MLFlowModelJobInput",
    "custom_model": "CustomModelJobInput",
    "triton_model": "TritonModelJobInput",
}
INPUT_TYPES = ("uri_folder", "uri_file")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


@value_object
class ResolvedInput:
    """The input of a job: its name, and its path; a text if the job has to fetch it from the web."""

    name: str
    path: Path | str
    type: str | None = None


@value_object
class ResolvedOutput:
    """The target of a job's output: a folder, and the name of the predictions file; None for the deployment's own."""

    folder: Path | None = None
    file_name: str | None = None


class Places:
    """Finds inputs and outputs in the workspace at `root`."""

    def __init__(self, root: Path, datastores: Datastores) -> None:
        self._root = root
        self._assets = datastores.assets
        self._datastores = datastores

    def input(self, text: str | None, type: str | None) -> ResolvedInput:
        """Find the input: a registered one, or a local file or folder, which is copied, as it is uploaded to Azure.

        Raises:
            InputTypeError: a literal, a table or a model [A].
            InvalidError: no input, or one that does not exist or cannot be reached.
            NotFoundError: no such data asset, datastore or job output.
        """
        if type in REFUSED:
            raise InputTypeError(REFUSED[type])
        if type is not None and type not in INPUT_TYPES:
            raise InvalidError(f"input type {type!r}: must be {' or '.join(INPUT_TYPES)}")
        if not text:
            raise InvalidError("the invocation names no input: --input azureml:DATA@latest, or a folder, or a file")
        if _is_asset(text):
            return self._registered(text, type)
        return self._unregistered(text, text, type)

    def output(self, text: str | None, type: str | None, *, names_file: bool) -> ResolvedOutput:
        """Return the target of the output. With the type uri_file, `text` is a file, if the deployment writes one.

        Raises:
            InvalidError: it is no folder of a datastore, and no folder of this machine.
            NotFoundError: there is no such datastore.
        """
        if type is not None and type not in INPUT_TYPES:
            raise InvalidError(f"output type {type!r}: must be {' or '.join(INPUT_TYPES)}")
        if text is None:
            return ResolvedOutput()
        path = self._local(text)
        if path is None:
            raise InvalidError(f"{text}: remote output is not written here; give a folder")
        path = path.absolute()
        is_file = type == "uri_file" and names_file and not text.endswith("/") and not path.is_dir()
        return ResolvedOutput(path.parent, path.name) if is_file else ResolvedOutput(path)

    def _registered(self, text: str, type: str | None) -> ResolvedInput:
        asset = self._assets.resolve("data", text)
        if asset.type in REFUSED:
            raise InputTypeError(REFUSED[asset.type])
        if type is not None and type != asset.type:
            raise InvalidError(f"{asset.reference}: is a {asset.type}, and the input type is {type}")
        if asset.path is None:
            uri = str(asset.properties.get("uri"))
            return self._unregistered(uri, f"{asset.reference}: lies at {uri}", asset.type)
        return ResolvedInput(asset.reference, asset.path)

    def _unregistered(self, text: str, label: str, type: str | None) -> ResolvedInput:
        if is_remote_input(text):
            return _on_the_web(text, label, type)
        path = self._local(text)
        if path is None:
            raise InvalidError(f"{label}: remote input is not read here; download it, and give the folder")
        if path.exists():
            _check_type(label, path, type)
        elif is_reference(text):
            raise InvalidError(f"{label}: nothing was uploaded there")
        copy = snapshot.upload(self._root, path)
        return ResolvedInput(str(copy), copy)

    def _local(self, text: str) -> Path | None:
        """Return the path on this machine; datastores are folders of the workspace. None if it is remote."""
        if is_reference(text):
            return self._datastores.locate(text)
        if text.lower().startswith("file:"):
            return Path(unquote(urlsplit(text).path))
        return None if _URI.match(text) else Path(text)


def _on_the_web(text: str, label: str, type: str | None) -> ResolvedInput:
    try:
        address = blob_address(text)
        if not allows_private():
            refuse_private(str(urlsplit(address).hostname))
        return ResolvedInput(text, address, type)
    except WebError as error:
        raise InvalidError(str(error) if label == text else f"{label}: {error}") from None


def _is_asset(text: str) -> bool:
    try:
        return is_reference(text) and isinstance(parse_reference(text), AssetReference)
    except InvalidReferenceError as error:
        raise InvalidError(str(error)) from None


def _check_type(label: str, path: Path, type: str | None) -> None:
    if type is not None and path.is_dir() is (type == "uri_file"):
        raise InvalidError(f"{label}: is a {'folder' if path.is_dir() else 'file'}, and the input type is {type}")
