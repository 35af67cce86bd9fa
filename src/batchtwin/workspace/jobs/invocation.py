"""What a client may request when it invokes an endpoint, and what that changes in the deployment and its input."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import field

from batchtwin.workspace.entities import DeploymentRecord
from batchtwin.workspace.errors import InvalidError
from batchtwin_node.codec import value_object

# The overrides that an invocation may have [A], and their keys in the YAML.
OVERRIDABLE = {
    "mini_batch_size": "settings.mini_batch_size",
    "instance_count": "resources.instance_count",
    "max_retries": "settings.retry_settings.max_retries",
    "timeout": "settings.retry_settings.timeout",
    "error_threshold": "settings.error_threshold",
    "output_file_name": "settings.output_file_name",
}


@value_object
class Invocation:
    """A request to run a deployment of an endpoint over one input. None: the deployment's own value, or the default.

    `deployment` is the name of one; `input` is `azureml:NAME:VERSION`, a datastore URI, or a local file or folder;
    `output_path` is a datastore URI or a local folder, or a file with the `output_type` uri_file; `overrides` maps keys
    of the deployment YAML to YAML text; `timeout` is in seconds. The same `job_name` or `request_id` with the same
    request is the same job [+].
    """

    endpoint: str
    deployment: str | None = None
    input: str | None = None
    input_type: str | None = None
    job_name: str | None = None
    experiment: str | None = None
    output_path: str | None = None
    output_type: str | None = None
    output_file_name: str | None = None
    instance_count: int | None = None
    mini_batch_size: int | None = None
    max_retries: int | None = None
    timeout: int | None = None
    error_threshold: int | None = None
    request_id: str | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)

    def overrides_for(self, deployment: DeploymentRecord) -> dict[str, str]:
        """Return the overrides for `Deployment.load`: the fields that are set, and `overrides`, which win.

        Raises:
            InvalidError: a key that belongs to the deployment, as those of its model, code and environment do [A].
        """
        keys = dict(OVERRIDABLE)
        if deployment.spec.resources is None and deployment.spec.settings.instance_count is not None:
            keys["instance_count"] = "settings.instance_count"
        values = {key: getattr(self, name) for name, key in keys.items()}
        changed = {key: json.dumps(value) for key, value in values.items() if value is not None}
        for written, text in self.overrides.items():
            bare = written.removeprefix("settings.").removeprefix("retry_settings.").removeprefix("resources.")
            key = written if written in values else keys.get(bare)
            if key is None:
                allowed = ", ".join(OVERRIDABLE)
                raise InvalidError(f"{written}: belongs to the deployment; an invocation may set {allowed}")
            changed[key] = text
        return changed


def fingerprint(facts: object) -> str:
    """Return a hash of an invocation: a second one with the same hash and job name is the same job."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
