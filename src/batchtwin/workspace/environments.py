"""Environments by the text of their conda file, as clients send it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchtwin.deployment.reference import AssetReference, parse_reference
from batchtwin.workspace.assets import Assets
from batchtwin.workspace.entities import NO_METADATA, Asset, Metadata
from batchtwin.workspace.errors import InvalidError, NotFoundError

if TYPE_CHECKING:
    from batchtwin.deployment.schema import InlineEnvironment
    from batchtwin.environments.named import NamedEnvironment

# Names of environments in every workspace of the service.
CURATED = "AzureML-"


class Environments:
    """Environments, registered like other assets, but from an image, a conda file's text or a build context."""

    def __init__(self, root: Path, assets: Assets) -> None:
        self._root = root
        self._assets = assets

    def create(
        self,
        name: str,
        *,
        version: str | None = None,
        image: str | None = None,
        conda: str | None = None,
        context: Path | str | None = None,
        dockerfile: str | None = None,
        metadata: Metadata = NO_METADATA,
    ) -> Asset:
        """Register an image, with or without the text of a conda file, or a build context: a folder, or its address.

        Raises:
            InvalidError: neither or both, or an invalid name.
            RequestedEnvironmentError: the text is no conda file.
            ConflictError: this version exists with other content.
        """
        if bool(image) is (context is not None):
            raise InvalidError(f"environment {name}: needs an image (with or without a conda file), or a build context")
        source = {"image": image} if image else {"dockerfile_path": dockerfile} if dockerfile else {}
        if isinstance(context, str):
            source, context = {**source, "build": context}, None
        with tempfile.TemporaryDirectory(dir=self._root, prefix=".conda-") as scratch:
            path = context
            if conda is not None:
                path = _checked(Path(scratch) / "conda.yaml", conda)
            metadata = replace(metadata, properties=source)
            return self._assets.create("environment", name, path=path, version=version, metadata=metadata)

    def of_deployment(self, environment: str | InlineEnvironment | None, folder: Path) -> Asset | None:
        """Return the environment of a deployment whose YAML is in `folder`: the registered one, or that of the YAML.

        None if it names none, or one of Azure's own that nothing here defines.

        Raises:
            InvalidError: an invalid reference.
            NotFoundError: the environment is not registered.
            BatchTwinError: a file that defines it cannot be read.
        """
        if environment is None:
            return None
        if not isinstance(environment, str):
            return self._register_inline(environment, folder)
        asset = self.find(environment) or self._mapped(environment, folder)
        return asset if asset or _is_curated(environment) else self._assets.resolve("environment", environment)

    def _mapped(self, reference: str, folder: Path) -> Asset | None:
        """Return the entry for a reference in `environments.yml` beside the deployment, which jobs do not see."""
        from batchtwin.deployment.schema import InlineEnvironment
        from batchtwin.environments.image import BASE_IMAGE
        from batchtwin.environments.named import mapped_beside

        mapped = mapped_beside(reference, folder)
        if mapped is None:
            return None
        image, conda = mapped
        return self._register_inline(InlineEnvironment(image=image or BASE_IMAGE, conda_file=conda), folder)

    def _register_inline(self, environment: InlineEnvironment, folder: Path) -> Asset:
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

    def definition(self, reference: str) -> NamedEnvironment | None:
        """Return the definition of a deployment's reference; None if no such environment is registered.

        Raises:
            RequestedEnvironmentError: the conda file cannot be read.
        """
        asset = self.find(reference)
        return None if asset is None else named_environment(asset)

    def find(self, reference: str) -> Asset | None:
        """Return the registered environment that a reference names; None if it does not exist, or is a registry's."""
        parsed = parse_reference(reference)
        if not isinstance(parsed, AssetReference) or parsed.registry is not None:
            return None
        if parsed.version is None and parsed.label is None:
            return None
        try:
            return self._assets.get("environment", parsed.name, parsed.version, parsed.label)
        except NotFoundError:
            return None


def _is_curated(environment: str) -> bool:
    """Whether a reference names an environment of Azure's own or of a registry, which is not registered here."""
    reference = parse_reference(environment)
    return isinstance(reference, AssetReference) and (
        reference.registry is not None or reference.name.startswith(CURATED)
    )


def named_environment(asset: Asset) -> NamedEnvironment:
    """Return the definition of a registered environment.

    Raises:
        RequestedEnvironmentError: its conda file cannot be read.
    """
    from batchtwin.environments.named import NamedEnvironment
    from batchtwin.environments.requested import read_conda

    image = asset.properties.get("image")
    if image is None or asset.path is None:
        return NamedEnvironment(image=image)
    requested = replace(read_conda(asset.path), image=image)
    return NamedEnvironment(requested, image)


def _checked(path: Path, text: str) -> Path:
    from batchtwin.environments.requested import RequestedEnvironmentError, read_conda

    path.write_text(text, encoding="utf-8")
    try:
        read_conda(path)
    except RequestedEnvironmentError as error:
        raise InvalidError(str(error).replace(str(path), "conda file")) from None
    return path
