"""Environments by the text of their conda file, as clients send it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from batchtwin.workspace.assets import Assets
from batchtwin.workspace.entities import NO_METADATA, Asset, Metadata
from batchtwin.workspace.errors import InvalidError


class Environments:
    """Environments: registered like other assets, but from an image, a conda file's text or a build context."""

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
        context: Path | None = None,
        dockerfile: str | None = None,
        metadata: Metadata = NO_METADATA,
    ) -> Asset:
        """Register an image, with or without the text of a conda file, or a build context.

        Raises:
            InvalidError: neither or both, or a name that cannot be.
            RequestedEnvironmentError: the text is no conda file.
            ConflictError: this version is there with other content.
        """
        if bool(image) is (context is not None):
            raise InvalidError(f"environment {name}: needs an image (with or without a conda file), or a build context")
        facts = {"image": image} if image else {"dockerfile_path": dockerfile} if dockerfile else {}
        with tempfile.TemporaryDirectory(dir=self._root, prefix=".conda-") as scratch:
            path = context
            if conda is not None:
                path = _checked(Path(scratch) / "conda.yaml", conda)
            metadata = replace(metadata, properties=facts)
            return self._assets.create("environment", name, path=path, version=version, metadata=metadata)


def _checked(path: Path, text: str) -> Path:
    from batchtwin.environments.requested import RequestedEnvironmentError, read_conda

    path.write_text(text, encoding="utf-8")
    try:
        read_conda(path)
    except RequestedEnvironmentError as error:
        raise InvalidError(str(error).replace(str(path), "conda file")) from None
    return path
