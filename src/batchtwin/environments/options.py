"""The user's options for the environment of a job."""

from __future__ import annotations

from typing import Literal

from batchtwin_node.codec import value_object

Kind = Literal["auto", "here", "venv", "path", "image"]
IMAGE = "image:"


@value_object
class EnvironmentOptions:
    """`env` is auto, here, venv, the path of a venv or conda environment, or `image:TAG`.

    `python` overrides the requested version (`3.8`), or names the interpreter of an image. `force` runs a model here
    that may be silently wrong, `strict` refuses any difference, `allow_builds` lets packages run code while they are
    built. The rest is for images: the engine's client, the container's memory (`4g`), and whether links that lead
    out of the code and model folders are followed.
    """

    env: str = "auto"
    python: str | None = None
    force: bool = False
    strict: bool = False
    allow_builds: bool = False
    engine: str = "docker"
    memory: str | None = None
    follow_links: bool = False

    @property
    def kind(self) -> Kind:
        """What `env` names."""
        if self.env in {"auto", "here", "venv"}:
            return self.env  # type: ignore[return-value]
        return "image" if self.env.startswith(IMAGE) else "path"

    @property
    def image(self) -> str:
        """The tag of the image."""
        return self.env.removeprefix(IMAGE)
