"""Signed tokens (JWT). The server keeps no list of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import jwt

ALGORITHM = "HS256"
# Uses of a token: to call the service, or to poll one operation.
ACCESS = "access"
OPERATION = "operation"


class Tokens:
    """Issues and checks tokens with a secret `key` (32 bytes)."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, use: str, seconds: int, **claims: Any) -> str:
        """Return a token for `use` (`ACCESS` or `OPERATION`) that is valid for so many seconds."""
        began = int(time.time())
        payload = {"use": use, "iat": began, "nbf": began, "exp": began + seconds, **claims}
        return jwt.encode(payload, self._key, ALGORITHM)

    def claims(self, use: str, token: str) -> Mapping[str, Any] | None:
        """Return the claims of a token; None if it is not of this server, not for this use, or has expired."""
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token, self._key, [ALGORITHM], options={"require": ["exp"], "verify_aud": False}
            )
        except (jwt.InvalidTokenError, ValueError):
            return None
        return claims if claims.get("use") == use else None
