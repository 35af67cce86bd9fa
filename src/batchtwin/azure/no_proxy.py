"""The variables that name the hosts which no proxy handles: hosts of ours are added and removed."""

from __future__ import annotations

from collections.abc import Mapping

NAMES = ("no_proxy", "NO_PROXY")
# Clients know it only if it is the only entry.
EVERY_HOST = "*"


def own_no_proxy(environ: Mapping[str, str], added: str = "") -> dict[str, str]:
    """Return the user's values, without the hosts that `extended` added."""
    end = f",{added}" if added else ""
    values = {name: f",{environ.get(name, '')}".removesuffix(end)[1:] for name in NAMES}
    return {name: value for name, value in values.items() if value}


def extended(user: Mapping[str, str], hosts: str) -> dict[str, str]:
    """Return the user's variables with `hosts` at their end; without any, both variables.

    A new one beside the user's would hide it: many clients use the first that they find.
    """
    if not user:
        return dict.fromkeys(NAMES, hosts)
    return {name: value if value == EVERY_HOST else f"{value},{hosts}" for name, value in user.items()}
