"""Past a proxy: the variables that name the hosts it is not asked for, with hosts of ours and without them again."""

from __future__ import annotations

from collections.abc import Mapping

NAMES = ("no_proxy", "NO_PROXY")
# Clients know it only where it stands alone.
EVERY_HOST = "*"


def own(environ: Mapping[str, str], added: str = "") -> dict[str, str]:
    """Return those that the user has, without the hosts that `extended` added."""
    end = f",{added}" if added else ""
    values = {name: f",{environ.get(name, '')}".removesuffix(end)[1:] for name in NAMES}
    return {name: value for name, value in values.items() if value}


def extended(user: Mapping[str, str], hosts: str) -> dict[str, str]:
    """Return those that the user has with `hosts` at their end, else both.

    One beside the user's would hide it: many clients heed the first that they find.
    """
    if not user:
        return dict.fromkeys(NAMES, hosts)
    return {name: value if value == EVERY_HOST else f"{value},{hosts}" for name, value in user.items()}
