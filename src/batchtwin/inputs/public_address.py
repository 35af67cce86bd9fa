"""Which IP addresses belong to the public internet."""

from __future__ import annotations

import ipaddress

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
# An exception among public addresses: the platform of Azure's machines answers here.
PLATFORM = frozenset({ipaddress.ip_address("168.63.129.16")})
# Addresses outside of the public internet that not every Python knows as such: protocol assignments (a metadata service
# answers at 192.0.0.192), site-local addresses, NAT64 of a network's own, which may hold the IPv4 address anywhere.
SPECIAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "fec0::/10", "64:ff9b:1::/48")))
# IPv6 addresses that contain an IPv4 address, and in which bits.
EMBEDDED = (
    (ipaddress.ip_network("::ffff:0:0/96"), 0),
    (ipaddress.ip_network("::/96"), 0),
    (ipaddress.ip_network("64:ff9b::/96"), 0),
    (ipaddress.ip_network("2002::/16"), 80),
)


def is_public(address: IPAddress) -> bool:
    """Whether an address, and the IPv4 address that it contains, is of the public internet."""
    if isinstance(address, ipaddress.IPv6Address):
        for network, shift in EMBEDDED:
            if address in network:
                return is_public(ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF))
    is_special = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_link_local
    is_special = is_special or any(address in network for network in SPECIAL)
    return address.is_global and not is_special and not address.is_private and address not in PLATFORM
