"""Body of PUT for a compute."""

from __future__ import annotations

from datetime import timedelta

from batchtwin.azure.rest.schemas.base import Schema, Text, Whole


class ScaleSettings(Schema):
    """Limits of a cluster's size, and the idle time before it shrinks."""

    min_node_count: Whole = 0
    max_node_count: Whole = 4
    node_idle_time_before_scale_down: timedelta = timedelta(seconds=120)


class ClusterProperties(Schema):
    """A cluster."""

    vm_size: Text = "STANDARD_DS3_V2"
    scale_settings: ScaleSettings | None = None


class ComputeSchema(Schema):
    """A compute."""

    compute_type: Text
    properties: ClusterProperties | None = None
