"""The model of a deployment: where it is on this machine, and what its MLmodel file says. No mlflow here."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from batchtwin.deployment.reference import is_reference
from batchtwin.deployment.schema import Deployment, InlineModel
from batchtwin.deployment.yaml_file import Loader
from batchtwin.errors import ModelError
from batchtwin.inputs.location import is_store, is_url, parse_location
from batchtwin_node.codec import value_object

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


@value_object
class Model:
    """A model on disk. `flavors` is empty for one that MLflow did not save.

    `required_columns` are those of its signature, if that names columns; `inputs` is the JSON text that the signature
    has for its input, empty for none. `skops` says that scikit-learn's flavor was saved in that format; `predicts_text`
    that the signature has texts as predictions. `run` is the MLflow run that logged the model, `uuid` and `logged` what
    MLflow knows it by; each is empty if the MLmodel file does not say. `outputs` are the names of the
    signature's output.
    """

    path: Path
    flavors: tuple[str, ...]
    required_columns: tuple[str, ...] = ()
    inputs: str = ""
    skops: bool = False
    predicts_text: bool = False
    run: str = ""
    uuid: str = ""
    logged: str = ""
    outputs: tuple[str, ...] = ()

    def require_pyfunc(self) -> None:
        """Refuse a model that the MLflow driver cannot score with.

        Raises:
            ModelError: it has no MLmodel file, or no `python_function` flavor.
        """
        advice = "or write a scoring script and name it in code_configuration"
        if not self.flavors:
            raise ModelError(f"{self.path}: holds no MLmodel file; save the model with MLflow, {advice}")
        if "python_function" not in self.flavors:
            flavors = ", ".join(self.flavors)
            raise ModelError(
                f"{self.path / 'MLmodel'}: flavors: no python_function among them (found: {flavors}); "
                f"log the model with a flavor that has one, {advice}"
            )


def find_model(deployment: Deployment, folder: Path, override: Path | str | None = None, at_key: str = "") -> Model:
    """Find the deployment's model: `override` (`--model`), or the inline `path` below the YAML's `folder`.

    `at_key` names file and line of that `path`, for errors.

    A model in a store (a URL) is copied to the user's cache, unless this version is there.

    Raises:
        ModelError: there is no such path, the model is a reference or address that cannot be resolved here, or its
            MLmodel file is invalid.
    """
    spec = deployment.model
    if override is not None:
        path, key = (_copy(str(override)) if is_url(override) else Path(override)), "--model"
    elif isinstance(spec, InlineModel) and is_store(spec.path):
        path, key = _copy(spec.path), f"model.path: '{spec.path}'"
    elif isinstance(spec, InlineModel) and (is_reference(spec.path) or "://" in spec.path):
        raise ModelError(f"model.path: '{spec.path}' is remote; give a copy of it: --model FOLDER")
    elif isinstance(spec, InlineModel):
        path, key = folder / spec.path, f"model.path: '{spec.path}'"
    else:
        raise ModelError(
            f"model: '{spec}' is registered in Azure ML, not here; give a copy of it: --model FOLDER, or register one "
            "here: batchtwin ml model create"
        )
    path = path.absolute()
    if not os.path.exists(path):
        at = f"{at_key}: " if at_key and override is None else ""
        raise ModelError(f"{at}{path}: no such model ({key}); train or download it first")
    return read_model(path)


def _copy(url: str) -> Path:
    from batchtwin.inputs.remote_folder import copies_cache, fetch_folder

    return fetch_folder(str(parse_location(url)), copies_cache() / "models")


def read_model(path: Path) -> Model:
    """Read the MLmodel file of a model's folder; without that file, MLflow did not save the model.

    Raises:
        ModelError: the MLmodel file cannot be read, or is invalid.
    """
    mlmodel = path / "MLmodel"
    if not os.path.isfile(mlmodel):
        return Model(path, ())
    content = read_mlmodel(mlmodel)
    flavors = content.get("flavors")
    if not isinstance(flavors, dict) or not flavors:
        raise ModelError(f"{mlmodel}: flavors: missing; this is not the MLmodel file of an MLflow model")
    signature = content.get("signature")
    inputs = signature.get("inputs") if isinstance(signature, dict) else None
    text = inputs if isinstance(inputs, str) else ""
    sklearn = flavors.get("sklearn")
    skops = isinstance(sklearn, dict) and sklearn.get("serialization_format") == "skops"
    outputs = signature.get("outputs") if isinstance(signature, dict) else None
    run, uuid, logged = (_id(content.get(key)) for key in ("run_id", "model_uuid", "model_id"))
    kinds = tuple(map(str, flavors)), tuple(_required(text)), text, skops, _is_text(outputs)
    return Model(path, *kinds, run, uuid, logged, _names(outputs))


def read_mlmodel(mlmodel: Path) -> dict[str, Any]:
    """Return the content of an MLmodel file; empty if it is no mapping.

    Raises:
        ModelError: it cannot be read, or is no YAML.
    """
    try:
        content: Any = yaml.load(mlmodel.read_bytes(), Loader)  # noqa: S506  (a safe loader)
    except OSError as error:
        raise ModelError(f"{mlmodel}: cannot be read: {error.strerror}; save the model again") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        first = " ".join(str(error).split())
        raise ModelError(f"{mlmodel}: not valid YAML: {first}; save the model again") from None
    return content if isinstance(content, dict) else {}


def _id(value: object) -> str:
    """Return an id of MLflow; empty if it is invalid."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


def _required(inputs: str) -> Iterator[str]:
    """Return the names of required columns in the signature's JSON. MLflow checks the rest."""
    try:
        specs = json.loads(inputs)
        yield from (str(spec["name"]) for spec in specs if spec["type"] != "tensor" and spec.get("required", True))
    except (TypeError, KeyError, ValueError, RecursionError):
        return


def _names(outputs: object) -> tuple[str, ...]:
    """The names in the signature's JSON of the output, if each column has one."""
    try:
        names = [spec["name"] for spec in json.loads(outputs if isinstance(outputs, str) else "[]")]
    except (TypeError, KeyError, ValueError, RecursionError):
        return ()
    return tuple(names) if all(isinstance(name, str) and name for name in names) else ()


def _is_text(outputs: object) -> bool:
    """Whether the signature's JSON of the output is one column of texts."""
    try:
        [spec] = json.loads(outputs if isinstance(outputs, str) else "[]")
        return bool(spec["type"] == "string")
    except (TypeError, KeyError, ValueError, RecursionError):
        return False
