"""What a deployment is made of: model, code and environment, registered where its YAML brings them along."""

from __future__ import annotations

import json
import tempfile
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
    from batchtwin.deployment.schema import Deployment, InlineEnvironment, InlineModel

# Names of environments that every workspace of the service has.
CURATED = "AzureML-"


class Parts:
    """Finds or registers the assets of a deployment. `folder` is the YAML's, where relative paths start."""

    def __init__(self, root: Path, datastores: Datastores, environments: Environments) -> None:
        self._root = root
        self._datastores = datastores
        self._environments = environments
        self._assets = datastores.assets

    def model(self, spec: Deployment, folder: Path) -> Asset:
        """Return the model.

        Raises:
            InvalidError: it cannot be used, or cannot be had.
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
            InvalidError: the script is not in it, or it cannot be had.
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
        """Return the environment, None where none is asked for, or one of Azure's own that nothing here maps.

        Raises:
            NotFoundError: it is not registered.
        """
        environment = spec.environment
        if environment is None:
            return None
        if not isinstance(environment, str):
            return self._inline_environment(environment, folder)
        asset = self._environments.find(environment) or self._mapped_environment(environment, folder)
        return asset if asset or _is_curated(environment) else self._assets.resolve("environment", environment)

    def _mapped_environment(self, reference: str, folder: Path) -> Asset | None:
        """What `environments.yml` beside the deployment has for a name of Azure's own: jobs run in another folder."""
        from batchtwin.deployment.schema import InlineEnvironment
        from batchtwin.environments.image import BASE_IMAGE
        from batchtwin.environments.named import mapped_beside

        mapped = mapped_beside(reference, folder)
        if mapped is None:
            return None
        image, conda = mapped
        return self._inline_environment(InlineEnvironment(image=image or BASE_IMAGE, conda_file=conda), folder)

    def _inline_environment(self, environment: InlineEnvironment, folder: Path) -> Asset:
        build = environment.build
        facts = {
            "image": environment.image,
            "os_type": environment.os_type,
            "build": build.path if build and "://" in build.path else None,
            "dockerfile_path": build.dockerfile_path if build else None,
        }
        properties = {key: value for key, value in facts.items() if value is not None}
        with tempfile.TemporaryDirectory(dir=self._root, prefix=".conda-") as scratch:
            path = folder / build.path if build and "build" not in properties else None
            if isinstance(environment.conda_file, str):
                path = folder / environment.conda_file
            elif environment.conda_file is not None:
                path = Path(scratch) / "conda.yaml"
                path.write_text(json.dumps(environment.conda_file, indent=1))  # JSON is YAML
            if environment.name is None:
                return self._assets.register_unnamed("environment", path, properties=properties)
            metadata = Metadata(environment.description or "", environment.tags, properties)
            return self._assets.create(
                "environment", environment.name, path=path, version=environment.version, metadata=metadata
            )


def _parsed(text: str) -> Reference:
    try:
        return parse_reference(text)
    except InvalidReferenceError as error:
        raise InvalidError(f"code_configuration.code: {error}") from None


def _is_curated(environment: str) -> bool:
    """Whether a reference names an environment of Azure's own or of a registry, which is not registered here."""
    reference = parse_reference(environment)
    return isinstance(reference, AssetReference) and (
        reference.registry is not None or reference.name.startswith(CURATED)
    )


def _is_below(file: Path, folder: Path) -> bool:
    return file.is_file() and file.resolve().is_relative_to(folder.resolve())
