"""Tokens: signed texts that say who may do what, for how long. Nothing about them is kept."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import jwt

ALGORITHM = "HS256"
# What a token is for: to use the service, or to ask after one operation.
ACCESS = "access"
OPERATION = "operation"


class Tokens:
    """Makes and checks tokens. Who has the `key` (32 bytes) can make them."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, use: str, seconds: int, **claims: Any) -> str:
        """Return a token for `use` (`ACCESS` or `OPERATION`) that holds for so many seconds."""
        began = int(time.time())
        facts = {"use": use, "iat": began, "nbf": began, "exp": began + seconds, **claims}
        return jwt.encode(facts, self._key, ALGORITHM)

    def claims(self, use: str, token: str) -> Mapping[str, Any] | None:
        """Return what a token says; None if it is not ours, not for this use, or has expired."""
        try:
            found: Mapping[str, Any] = jwt.decode(
                token, self._key, [ALGORITHM], options={"require": ["exp"], "verify_aud": False}
            )
        except (jwt.InvalidTokenError, ValueError):
            return None
        return found if found.get("use") == use else None
