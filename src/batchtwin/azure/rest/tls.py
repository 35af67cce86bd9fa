"""TLS: an authority made at start, and its certificate in a bundle for clients.

The authority's key is dropped after it has signed. No key is written to a file.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

import trustme

from batchtwin import atomic
from batchtwin_node.codec import value_object


@value_object
class ServerCertificate:
    """A certificate for this server's names with its key, and the certificate of the authority that signed it."""

    pem: bytes
    authority: bytes

    @classmethod
    def issue(cls, names: Sequence[str]) -> ServerCertificate:
        """Make an authority, sign one certificate for these host names and addresses, and drop the authority's key."""
        authority = trustme.CA(organization_name="batchtwin")
        certificate = authority.issue_cert(*names, organization_name="batchtwin")
        return cls(certificate.private_key_and_cert_chain_pem.bytes(), authority.cert_pem.bytes())

    def context(self) -> ssl.SSLContext:
        """Return the context for a listener."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _load(context, self.pem)
        return context

    def write_bundle(self, path: Path) -> None:
        """Write the bundle for clients: the usual authorities and this one, for it replaces the client's own bundle.

        The write is atomic: clients may read the file at any time.
        """
        import certifi

        atomic.write_bytes(path, Path(certifi.where()).read_bytes() + b"\n" + self.authority, mode=0o644)


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """Load a key. OpenSSL reads files only: use a file in memory where the system has them."""
    if not hasattr(os, "memfd_create"):
        with NamedTemporaryFile(suffix=".pem") as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(file.name)
        return
    descriptor = os.memfd_create("key")
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
