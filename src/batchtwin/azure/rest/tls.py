"""TLS for the address that a client asks for: an authority made at start, its certificate in a bundle for clients.

The authority's key is forgotten once it has signed, and no key ever lies in a file.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import trustme

from batchtwin import atomic


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """A certificate for this server's names with its key, and the certificate of the authority that signed it."""

    pem: bytes
    authority: bytes

    @classmethod
    def issue(cls, names: Sequence[str]) -> ServerCertificate:
        """Make an authority, let it sign one certificate for these host names and addresses, and forget its key."""
        authority = trustme.CA(organization_name="batchtwin")
        certificate = authority.issue_cert(*names, organization_name="batchtwin")
        return cls(certificate.private_key_and_cert_chain_pem.bytes(), authority.cert_pem.bytes())

    def context(self) -> ssl.SSLContext:
        """What a listener needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _load(context, self.pem)
        return context

    def write_bundle(self, path: Path) -> None:
        """Write what clients trust: the usual authorities and this one. It replaces theirs, so both have to be there.

        It is there whole or not at all, for clients may read it at any time.
        """
        import certifi

        atomic.write_bytes(path, Path(certifi.where()).read_bytes() + b"\n" + self.authority, mode=0o644)


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """Load a key, which OpenSSL reads from files only: one in memory where the system has them."""
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
