"""The parts of a deployment: model, code and environment, registered if its YAML brings them along."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from batchtwin.deployment.reference import (
    AssetReference,
    InvalidReferenceError,
    Reference,
    is_reference,
    parse_reference,
)
from batchtwin.workspace.datastores import Datastores
from batchtwin.workspace.entities import Asset, Metadata
from batchtwin.workspace.environments import Environments
from batchtwin.workspace.errors import InvalidError, NotFoundError

if TYPE_CHECKING:
    from batchtwin.deployment.schema import Deployment, InlineModel


class Parts:
    """Finds or registers the assets of a deployment. `folder` is the YAML's, where relative paths start."""

    def __init__(self, datastores: Datastores, environments: Environments) -> None:
        self._datastores = datastores
        self._environments = environments
        self._assets = datastores.assets

    def model(self, spec: Deployment, folder: Path) -> Asset:
        """Return the model.

        Raises:
            InvalidError: it cannot be used, or cannot be read.
            NotFoundError: it is not registered.
        """
        model = spec.model
        asset = self._assets.resolve("model", model) if isinstance(model, str) else self._inline_model(model, folder)
        if spec.code_configuration is None and asset.type != "mlflow_model":
            raise InvalidError(
                f"model {asset.name}:{asset.version}: is a {asset.type}; without a scoring script a deployment needs "
                "an mlflow_model: register it with that type, or name a script in code_configuration"
            )
        return asset

    def _inline_model(self, model: InlineModel, folder: Path) -> Asset:
        path = self._model_path(model.path, folder)
        if model.name is None:
            return self._assets.register_unnamed("model", path, model.type)
        metadata = Metadata(model.description or "", model.tags, model.properties)
        return self._assets.create(
            "model", model.name, path=path, type=model.type, version=model.version, metadata=metadata
        )

    def _model_path(self, text: str, folder: Path) -> Path:
        if is_reference(text):
            return self._datastores.locate(text)
        if "://" in text:
            raise InvalidError(f"model.path: '{text}' is remote; register a copy of it, and name that")
        return folder / text

    def code(self, spec: Deployment, folder: Path) -> Asset | None:
        """Return the code, None without a scoring script.

        Raises:
            InvalidError: the script is not in it, or it cannot be read.
        """
        code = spec.code_configuration
        if code is None:
            return None
        if is_reference(code.code) and isinstance(_parsed(code.code), AssetReference):
            return self._registered_code(code.code, code.scoring_script)
        source = self._datastores.locate(code.code) if is_reference(code.code) else folder / code.code
        if not (source / code.scoring_script).is_file():
            raise InvalidError(f"code_configuration.scoring_script: '{code.scoring_script}' is not in {source}")
        return self._assets.register_unnamed("code", source)

    def _registered_code(self, reference: str, script: str) -> Asset:
        try:
            code = self._assets.resolve("code", reference)
        except NotFoundError:
            raise InvalidError(
                f"code_configuration.code: '{reference}' is registered in Azure ML, not here; give a folder"
            ) from None
        if code.path is None or not _is_below(code.path / script, code.path):
            raise InvalidError(f"code_configuration.scoring_script: '{script}' is not in {code.reference}")
        return code

    def environment(self, spec: Deployment, folder: Path) -> Asset | None:
        """Return the environment; None if none is requested, or it is one of Azure's own that nothing here defines.

        Raises:
            NotFoundError: it is not registered.
        """
        return self._environments.of_deployment(spec.environment, folder)


def _parsed(text: str) -> Reference:
    try:
        return parse_reference(text)
    except InvalidReferenceError as error:
        raise InvalidError(f"code_configuration.code: {error}") from None


def _is_below(file: Path, folder: Path) -> bool:
    return file.is_file() and file.resolve().is_relative_to(folder.resolve())
