"""Environments by the text of their conda file, as clients send it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from batchtwin.workspace.assets import NOTHING, Assets
from batchtwin.workspace.entities import Asset
from batchtwin.workspace.errors import InvalidError


class Environments(Assets):
    """The verbs for environments."""

    def create_environment(
        self,
        name: str,
        *,
        version: str | None = None,
        image: str | None = None,
        conda: str | None = None,
        context: Path | None = None,
        dockerfile: str | None = None,
        description: str = "",
        tags: Mapping[str, Any] = NOTHING,
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
        with tempfile.TemporaryDirectory(dir=self._store.root, prefix=".conda-") as scratch:
            path = context
            if conda is not None:
                path = _checked(Path(scratch) / "conda.yaml", conda)
            return self.create_asset(
                "environment",
                name,
                path=path,
                version=version,
                description=description,
                tags=tags,
                properties=facts,
            )


def _checked(path: Path, text: str) -> Path:
    from batchtwin.environments.requested import RequestedEnvironmentError, read_conda

    path.write_text(text, encoding="utf-8")
    try:
        read_conda(path)
    except RequestedEnvironmentError as error:
        raise InvalidError(str(error).replace(str(path), "conda file")) from None
    return path
