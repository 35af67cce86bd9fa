"""Parts of ARM resources that all collections share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

USER = "local"


def system_data(created: datetime, changed: datetime) -> dict[str, str]:
    """Return creator and times of a resource."""
    return {
        "createdAt": created.isoformat(),
        "createdBy": USER,
        "createdByType": "User",
        "lastModifiedAt": changed.isoformat(),
        "lastModifiedBy": USER,
        "lastModifiedByType": "User",
    }


def iso_duration(seconds: int) -> str:
    """Return seconds as an ISO 8601 duration, such as PT300S."""
    return f"PT{seconds}S"


def whole_seconds(time: timedelta | None) -> int | None:
    """Return whole seconds; None for None. 0 stays 0: the deployment's check refuses it."""
    return None if time is None else int(time.total_seconds())


def described(description: str, tags: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return description, tags and properties; values are text on the wire."""
    return {"description": description, "tags": _texts(tags), "properties": _texts(properties)}


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in values.items() if value is not None}
