"""What a client may say when it invokes an endpoint, and what that means for the deployment and its input."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from batchtwin.deployment.reference import (
    AssetReference,
    InvalidReferenceError,
    datastore_path,
    is_reference,
    parse_reference,
)
from batchtwin.workspace import snapshot
from batchtwin.workspace.assets import Assets
from batchtwin.workspace.entities import DeploymentRecord
from batchtwin.workspace.errors import InputTypeError, InvalidError

# What may be overridden when a deployment is invoked [A], and where it stands in the YAML.
OVERRIDABLE = {
    "mini_batch_size": "settings.mini_batch_size",
    "instance_count": "resources.instance_count",
    "max_retries": "settings.retry_settings.max_retries",
    "timeout": "settings.retry_settings.timeout",
    "error_threshold": "settings.error_threshold",
    "output_file_name": "settings.output_file_name",
}
# Job input types, as the SDK names them for `type:` of an Input, and as the service calls them.
LITERALS = ("string", "number", "integer", "boolean", "literal")
REFUSED = {
    **dict.fromkeys(LITERALS, "LiteralJobInput"),
    "mltable": "MLTableJobInput",
    "mlflow_model": "MLFlowModelJobInput",
    "custom_model": "CustomModelJobInput",
    "triton_model": "TritonModelJobInput",
}
TAKEN = ("uri_folder", "uri_file")


@dataclass(frozen=True, slots=True)
class Invocation:
    """A request to run a deployment of an endpoint over one input. None: the deployment's own value, or the default.

    `deployment` is the name of one; `input` is `azureml:NAME:VERSION`, a datastore URI, or a local file or folder;
    `overrides` maps keys of the deployment YAML to YAML text; `timeout` is in seconds. The same `job_name` or
    `request_id` with the same request is the same job [+].
    """

    endpoint: str
    deployment: str | None = None
    input: str | None = None
    input_type: str | None = None
    job_name: str | None = None
    experiment: str | None = None
    output_path: str | None = None
    output_file_name: str | None = None
    instance_count: int | None = None
    mini_batch_size: int | None = None
    max_retries: int | None = None
    timeout: int | None = None
    error_threshold: int | None = None
    request_id: str | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)

    def overrides_for(self, deployment: DeploymentRecord) -> dict[str, str]:
        """Return the overrides for `Deployment.load`: the fields that are set, and `overrides`, which win.

        Raises:
            InvalidError: a key that belongs to the deployment, as those of its model, code and environment do [A].
        """
        keys = dict(OVERRIDABLE)
        if deployment.spec.resources is None and deployment.spec.settings.instance_count is not None:
            keys["instance_count"] = "settings.instance_count"
        values = {key: getattr(self, name) for name, key in keys.items()}
        changed = {key: json.dumps(value) for key, value in values.items() if value is not None}
        for written, text in self.overrides.items():
            bare = written.removeprefix("settings.").removeprefix("retry_settings.").removeprefix("resources.")
            key = written if written in values else keys.get(bare)
            if key is None:
                allowed = ", ".join(OVERRIDABLE)
                raise InvalidError(f"{written}: belongs to the deployment; an invocation may set {allowed}")
            changed[key] = text
        return changed


@dataclass(frozen=True, slots=True)
class ResolvedInput:
    """The input of a job: how it is named, and where it is."""

    name: str
    path: Path


def resolve_input(assets: Assets, root: Path, text: str | None, type: str | None) -> ResolvedInput:
    """Find the input: a registered one, or a local file or folder, which is copied, as it is uploaded to Azure.

    Raises:
        InputTypeError: a literal, a table or a model [A].
        InvalidError: no input, or one that does not exist or cannot be reached from here.
        NotFoundError: no such data asset.
    """
    if type in REFUSED:
        raise InputTypeError(REFUSED[type])
    if type is not None and type not in TAKEN:
        raise InvalidError(f"input type {type!r}: must be {' or '.join(TAKEN)}")
    if not text:
        raise InvalidError("the invocation names no input: --input azureml:DATA@latest, or a folder, or a file")
    if _is_asset(text):
        return _registered(assets, text, type)
    path = local_path(root, text)
    if path is None:
        raise InvalidError(f"{text}: remote input is not read here; download it, and give the folder")
    if path.exists():
        _check_type(text, path, type)
    copy = snapshot.upload(root, path)
    return ResolvedInput(str(copy), copy)


def _is_asset(text: str) -> bool:
    try:
        return is_reference(text) and isinstance(parse_reference(text), AssetReference)
    except InvalidReferenceError as error:
        raise InvalidError(str(error)) from None


def _registered(assets: Assets, text: str, type: str | None) -> ResolvedInput:
    asset = assets.resolve("data", text)
    if asset.type in REFUSED:
        raise InputTypeError(REFUSED[asset.type])
    if asset.path is None:
        uri = asset.properties.get("uri")
        raise InvalidError(f"{asset.reference}: lies at {uri}, which is not read here; register a local copy")
    if type is not None and type != asset.type:
        raise InvalidError(f"{asset.reference}: is a {asset.type}, and the input type is {type}")
    return ResolvedInput(asset.reference, asset.path)


def _check_type(text: str, path: Path, type: str | None) -> None:
    if type is not None and path.is_dir() is (type == "uri_file"):
        raise InvalidError(f"{text}: is a {'folder' if path.is_dir() else 'file'}, and the input type is {type}")


def local_path(root: Path, text: str) -> Path | None:
    """The place of a path or URI on this machine; datastores are folders of the workspace. None for remote places.

    Raises:
        InvalidError: a reference, but not to a path in a datastore.
    """
    if is_reference(text):
        return _in_datastore(root, text)
    if text.startswith("file://"):
        return Path(unquote(urlsplit(text).path))
    return None if "://" in text else Path(text)


def _in_datastore(root: Path, text: str) -> Path:
    try:
        location = datastore_path(text)
    except InvalidReferenceError as error:
        raise InvalidError(str(error)) from None
    if location is None:
        raise InvalidError(f"{text}: names no path; write a folder, or azureml://datastores/NAME/paths/FOLDER")
    return root / snapshot.DATASTORES / location.datastore / location.path


def fingerprint(facts: object) -> str:
    """One hash for an invocation: given twice with one job name, it is the same job."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
