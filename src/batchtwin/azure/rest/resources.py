"""What all resources have in their documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

USER = "local"
_DURATION = TypeAdapter(timedelta)


def system_data(created: datetime, changed: datetime) -> dict[str, str]:
    """Who made a resource, and when."""
    return {
        "createdAt": created.isoformat(),
        "createdBy": USER,
        "createdByType": "User",
        "lastModifiedAt": changed.isoformat(),
        "lastModifiedBy": USER,
        "lastModifiedByType": "User",
    }


def duration(seconds: int) -> str:
    """Seconds as ISO 8601 has them, as in PT300S."""
    return f"PT{seconds}S"


def whole_seconds(time: timedelta | None) -> int | None:
    """Whole seconds, 0 too: that is for the check of the deployment to refuse. None where nothing was said."""
    return None if time is None else int(time.total_seconds())


def described(description: str, tags: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """What a user says about a resource. Their values are text on the wire."""
    return {"description": description, "tags": _texts(tags), "properties": _texts(properties)}


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in values.items() if value is not None}
