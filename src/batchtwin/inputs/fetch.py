"""Input that lies in a store: copied to a folder of this machine before `run()` gets its path, as a mount would."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from batchtwin import atomic
from batchtwin.inputs.location import is_url, redact
from batchtwin.inputs.remote import CopyError, RemoteStore, name_of
from batchtwin_node.protocol import BadFile


def make_own(folder: Path) -> None:
    """Make a folder and the one above it, which others can neither read nor have made before.

    Raises:
        CopyError: somebody else has, or it cannot be made.
    """
    advice = "name another folder for copies: BATCHTWIN_COPIES"
    try:
        for place in (folder.parent, folder):
            place.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                place.mkdir(mode=0o700)
            if place.is_symlink() or (hasattr(os, "getuid") and place.stat().st_uid != os.getuid()):
                raise CopyError(f"{place}: is not yours; {advice}")
    except OSError as error:
        raise CopyError(f"{error.filename}: {error.strerror}; {advice}") from None


class Fetcher:
    """Copies what has to be copied to `folder`, which is this job's alone on this machine.

    A copy stays until its mini-batch has succeeded: the next try, by any worker here, finds it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._copies: dict[str, str] = {}  # path here -> URL

    def fetch(self, files: Sequence[str]) -> list[str]:
        """Return paths for `run()`.

        Raises:
            RemoteError: the store does not give a file; the try has failed.
            CopyError: it cannot be written here; no try will do.
        """
        self._copies = {}
        return [self._copy(file) if is_url(file) else file for file in files]

    def _copy(self, url: str) -> str:
        make_own(self._folder)
        target = self._folder / name_of(url)
        if not target.exists():
            atomic.remove_temporaries(target)  # of a try that was killed
            RemoteStore(url).fetch(target)
        self._copies[str(target)] = url
        return str(target)

    def named(self, text: str) -> str:
        """Return a text with the URLs in the places of their copies."""
        for path, url in self._copies.items():
            text = text.replace(path, redact(url))
        return text

    def known(self, bad: BadFile) -> BadFile:
        """Return a bad file as one that is known by its URL."""
        url = self._copies.get(bad.file)
        return bad.model_copy(update={"file": url, "message": self.named(bad.message)}) if url else bad

    def drop(self) -> None:
        """Remove the copies of a mini-batch that has succeeded."""
        for path in self._copies:
            Path(path).unlink(missing_ok=True)
