"""XML bodies of the blob service: lists, block lists and errors."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from batchtwin.azure.blob.errors import BlobError
from batchtwin.azure.blob.listing import ListRequest, Page
from batchtwin.azure.blob.names import block_key
from batchtwin.azure.blob.properties import Blob

MEDIA_TYPE = "application/xml"
BLOCK_LIST_BYTES = 8 << 20


def error_body(error: BlobError) -> bytes:
    """Return the body of an error."""
    root = Element("Error")
    SubElement(root, "Code").text = error.code
    SubElement(root, "Message").text = _printable(error.message)
    return _bytes(root)


def list_body(container: str, request: ListRequest, page: Page, marker: str, with_metadata: bool) -> bytes:
    """Return a page of a list; `marker` is the start of the next page, as the client sends it back."""
    root = Element("EnumerationResults", {"ContainerName": container})
    for name, value in (
        ("Prefix", request.prefix),
        ("MaxResults", str(request.most)),
        ("Delimiter", request.delimiter),
    ):
        if value:
            SubElement(root, name).text = _printable(value)
    blobs = SubElement(root, "Blobs")
    for entry in page.entries:
        if isinstance(entry, str):
            SubElement(SubElement(blobs, "BlobPrefix"), "Name").text = entry
        else:
            _list_blob(SubElement(blobs, "Blob"), entry, with_metadata)
    SubElement(root, "NextMarker").text = marker
    return _bytes(root)


def _list_blob(node: Element, blob: Blob, with_metadata: bool) -> None:
    SubElement(node, "Name").text = blob.name
    properties = SubElement(node, "Properties")
    for name, value in _properties(blob):
        SubElement(properties, name).text = _printable(value)
    if with_metadata:
        metadata = SubElement(node, "Metadata")
        for name, value in blob.properties.metadata.items():
            SubElement(metadata, name).text = _printable(value)


def _properties(blob: Blob) -> Iterator[tuple[str, str]]:
    yield "Last-Modified", blob.last_modified
    yield "Etag", blob.etag.strip('"')
    yield "Content-Length", str(blob.size)
    for name, value in blob.properties.headers.items():
        yield "-".join(part.upper() if part == "md5" else part.capitalize() for part in name.split("-")), value
    yield "BlobType", "BlockBlob"
    yield "LeaseStatus", "unlocked"
    yield "LeaseState", "available"
    yield "ServerEncrypted", "false"


def block_keys(body: bytes) -> list[str]:
    """Return the keys of the blocks that a block list names, in its order.

    Raises:
        BlobError: 400, no block list, or one with committed blocks, which are not stored separately here.
    """
    try:
        root = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise _no_list("the body is no XML without DTD") from None
    if root.tag != "BlockList":
        raise _no_list(f"<{root.tag[:80]}> instead of <BlockList>")
    return [_key(node) for node in root]


def _key(node: Element) -> str:
    if node.tag == "Committed":
        raise BlobError(400, "InvalidBlockList", "<Committed>: blocks are not kept once committed; upload them again.")
    if node.tag not in {"Latest", "Uncommitted"}:
        raise _no_list(f"<{node.tag[:80]}> instead of <Latest>")
    return block_key((node.text or "").strip())


def _no_list(reason: str) -> BlobError:
    return BlobError(400, "InvalidXmlDocument", f"Block list: {reason}.")


def _printable(text: str) -> str:
    """Return text without characters that XML does not allow."""
    return (
        "".join(letter if letter >= " " and letter not in "\ufffe\uffff" else "\ufffd" for letter in text)
        .encode(errors="replace")
        .decode()
    )


def _bytes(root: Element) -> bytes:
    body: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return body
