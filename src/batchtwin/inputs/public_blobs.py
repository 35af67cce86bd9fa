"""Input by `https://`: one file, or the blobs directly below a prefix of a public container, copied to a folder here.

Source of the listing: "List Blobs" of the Blob service's REST API. URIs of Azure Storage in other forms
(`wasbs://`, `abfss://`) lead to the same blobs.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit
from xml.etree import ElementTree

from batchtwin.inputs.location import redact
from batchtwin.inputs.public_web import PublicWeb, StatusError, WebError, parse_web_url
from batchtwin.redaction import has_key
from batchtwin_node.codec import value_object

FOLDER = "downloads"
_STORAGE = re.compile(
    r"(?P<scheme>wasbs?|abfss?)://(?P<container>[^@/?#]+)@(?P<account>[a-z0-9]+)\.(?:blob|dfs)\.(?P<suffix>[^/?#:]+)"
    r"(?:/(?P<path>[^?#]*))?",
    re.IGNORECASE,
)
_LISTING_BYTES = 32 << 20
_DOCTYPE = b"<!DOCTYPE"


@value_object
class RemoteFile:
    """A file to fetch: its bare name, its URL, and its server's version of it, empty if unknown."""

    name: str
    url: str
    version: str = ""


def is_remote_input(text: str) -> bool:
    """Whether a text is an address that can be fetched: of the web, or of Azure Storage."""
    return re.match(r"(https?|wasbs?|abfss?)://", text, re.IGNORECASE) is not None


def blob_address(text: str) -> str:
    """Return the web address of an input.

    Raises:
        WebError: it holds a key or a user, or names no account.
    """
    if re.match(r"https?://", text, re.IGNORECASE):
        address = text
    else:
        match = _STORAGE.fullmatch(text)
        if match is None:
            raise WebError(f"{redact(text)}: must be SCHEME://CONTAINER@ACCOUNT.blob.core.windows.net/PATH")
        container_path = "/".join(filter(None, (match["container"], (match["path"] or "").strip("/"))))
        address = f"https://{match['account']}.blob.{match['suffix']}/{container_path}"
    parse_web_url(address)
    if has_key(address):
        raise WebError(f"{redact(address)}: holds a key; only public addresses are fetched: leave the key out")
    return address


def fetch(web: PublicWeb, address: str, kind: str | None, root: Path) -> Path:
    """Copy an input below `root` and return the file or folder; an earlier copy of this version is used again.

    `kind` is uri_folder or uri_file, None for either.

    Raises:
        WebError: there is nothing, it is refused, or it is too large.
    """
    files = [] if kind == "uri_file" else _listed(web, address)
    if not files and kind == "uri_folder":
        raise WebError(
            f"{redact(address)}: no blob of a public container is below it; for a single file, use the type uri_file"
        )
    is_folder = bool(files)
    with_names = files or [RemoteFile(_name(address), address)]
    key = _key(address, with_names) if is_folder and all(file.version for file in with_names) else uuid.uuid4().hex
    target = root / FOLDER / key
    folder_name = _name(address) if is_folder else ""
    if not target.is_dir():
        staging = root / FOLDER / f".{uuid.uuid4().hex}"
        try:
            (staging / folder_name).mkdir(parents=True)
            for file in with_names:
                _download(web, file, staging / folder_name / file.name)
            try:
                staging.rename(target)
            except OSError:
                if not target.is_dir():  # another job was faster
                    raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return target / folder_name if is_folder else target / with_names[0].name


def _download(web: PublicWeb, file: RemoteFile, target: Path) -> None:
    with web.get(file.url) as response, target.open("xb") as stream:
        for block in web.blocks(response, file.url):
            stream.write(block)


def _key(address: str, files: list[RemoteFile]) -> str:
    versions = "\0".join([address, *(f"{file.name}\0{file.version}" for file in files)])
    return hashlib.sha256(versions.encode()).hexdigest()


def _name(address: str) -> str:
    """The last part of the path, as a bare file name."""
    name = unquote(urlsplit(address).path).rstrip("/").rpartition("/")[2]
    if name in {"", ".", ".."} or "\0" in name or len(name.encode()) > 255:
        return "input"
    return name


def _listed(web: PublicWeb, address: str) -> list[RemoteFile]:
    """List the blobs directly below a prefix; none if the server is no blob service, or has none there."""
    parts = urlsplit(address)
    segments = [unquote(part) for part in parts.path.split("/") if part]
    origin = f"{parts.scheme}://{parts.netloc}"
    # Emulators have the account as the first part of the path.
    for size in (1, 2):
        if len(segments) < size:
            break
        container = "/".join(quote(part, safe="") for part in segments[:size])
        prefix = "".join(f"{part}/" for part in segments[size:])
        try:
            files = list(_blobs(web, f"{origin}/{container}", prefix))
        except _NoListingError:
            continue
        if files:
            return files
    return []


class _NoListingError(WebError):
    """The answer is not of a blob service, or the container is not public."""


def _blobs(web: PublicWeb, container: str, prefix: str) -> Iterator[RemoteFile]:
    marker, count = "", 0
    while True:
        query = f"restype=container&comp=list&delimiter=%2F&prefix={quote(prefix, safe='')}"
        listing = _page(web, f"{container}?{query}" + (f"&marker={quote(marker, safe='')}" if marker else ""))
        for blob in listing.iterfind("./Blobs/Blob"):
            name = blob.findtext("Name") or ""
            bare = name.removeprefix(prefix)
            if not name.startswith(prefix) or not bare or "/" in bare or bare in {".", ".."} or "\0" in bare:
                continue
            count += 1
            if count > web.limits.files:
                raise WebError(f"{redact(container)}: holds more than {web.limits.files} files below {prefix}")
            version = blob.findtext("Properties/Etag") or blob.findtext("Properties/Last-Modified") or ""
            yield RemoteFile(bare, f"{container}/{quote(name)}", version)
        following = listing.findtext("NextMarker") or ""
        if not following or following == marker:
            return
        marker = following


def _page(web: PublicWeb, url: str) -> ElementTree.Element:
    try:
        with web.get(url) as response:
            text = b""
            for block in web.blocks(response, url):
                text += block
                if len(text) > _LISTING_BYTES:
                    raise _NoListingError(f"{redact(url)}: is no listing")
    except StatusError as error:
        if error.status < 500:
            raise _NoListingError(str(error)) from None
        raise
    if _DOCTYPE in text.upper():
        raise _NoListingError(f"{redact(url)}: is no listing")  # no entities
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - without a document type there are no entities
    except ElementTree.ParseError:
        raise _NoListingError(f"{redact(url)}: is no listing") from None
    if root.tag != "EnumerationResults":
        raise _NoListingError(f"{redact(url)}: is no listing")
    return root
