"""What the real azure-ai-ml lets through and batchtwin refuses on purpose, with the reason of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from batchtwin.deployment.schema import Deployment
from batchtwin.errors import BatchTwinError, DeploymentError

Sdk = Callable[[str, Path], Any]
Ours = Callable[[Path], Deployment]
Write = Callable[[str, Sequence[tuple[str, str | None]]], Path]
Refused = Callable[[str, str, str | None], Path]

LAYOUTS = ("model", "legacy")
REMOVED = None
WHOLE = "cut to a whole number in silence"
RANGE = "out of the range that the reference gives; fails or misbehaves in the job"
EMPTY = "an empty text says nothing; the service refuses it later"
NAMES = "the service refuses such names"
REFERENCE = "not a reference to anything"
SCRIPT = "a script needs its folder, its name and an environment"
UNUSABLE = "no environment to run in"
VARIABLE = "would reach the script as something else than written, or not at all"
ONLINE = "is for online endpoints"
# (key, value, why), in both layouts.
BOTH: list[tuple[str, str | None, str]] = [
    ("name", "''", NAMES),
    ("name", "ab", NAMES),
    ("name", "a_name", NAMES),
    ("name", "1st-name", NAMES),
    ("name", "a-name-", NAMES),
    ("name", "a" * 33, NAMES),
    ("endpoint_name", "an endpoint", NAMES),
    ("endpoint_name", "'endpoint\n\n'", NAMES),
    ("model", REMOVED, "a model deployment has a model"),
    ("model", "'azureml:'", REFERENCE),
    ("model", "'azureml:heart:'", REFERENCE),
    ("model", "'azureml:heart@'", REFERENCE),
    ("model", "azureml::1", REFERENCE),
    ("model", "azureml:@latest", REFERENCE),
    ("model", "azureml:a model:1", REFERENCE),
    ("model", "azureml:/subscriptions/s", REFERENCE),
    ("model", "'azureml://'", REFERENCE),
    ("model", "{}", "a model deployment has a model"),
    ("model", "{name: heart}", "a model deployment has a model"),
    ("model.path", "''", EMPTY),
    ("model.default_deployment_template", "{asset_id: x}", ONLINE),
    ("compute", "''", EMPTY),
    ("code_configuration", "{}", SCRIPT),
    ("code_configuration.code", REMOVED, SCRIPT),
    ("code_configuration.code", "''", EMPTY),
    ("code_configuration.scoring_script", REMOVED, SCRIPT),
    ("code_configuration.scoring_script", "''", EMPTY),
    ("environment", REMOVED, SCRIPT),
    ("environment", "{}", UNUSABLE),
    ("environment", "{name: own}", UNUSABLE),
    ("environment.image", REMOVED, UNUSABLE),
    ("environment.image", "''", UNUSABLE),
    ("environment.conda_file", "''", EMPTY),
    ("environment.build", "{path: context}", "image and build exclude each other; the service refuses both"),
    ("environment.name", "null", "an empty key is refused everywhere else"),
    ("environment.name", "3", "a name is text everywhere else"),
    ("environment.version", "null", "an empty key is refused everywhere else"),
    ("tags", "{a: !!set {b}}", "JSON, in which it is sent, has no sets"),
    ("tags", "{a: !!binary aGVsbG8=}", "JSON, in which it is sent, has no bytes"),
    ("resources.instance_count", "0", RANGE),
    ("resources.instance_count", "-1", RANGE),
    ("resources.instance_count", "2.5", WHOLE),
    ("settings.mini_batch_size", "0", RANGE),
    ("settings.mini_batch_size", "-1", RANGE),
    ("settings.mini_batch_size", "'-1'", RANGE),
    ("settings.mini_batch_size", "2.7", WHOLE),
    ("settings.mini_batch_size", "99999999999", RANGE),
    ("settings.max_concurrency_per_instance", "0", RANGE),
    ("settings.max_concurrency_per_instance", "1.5", WHOLE),
    ("settings.error_threshold", "-2", RANGE),
    ("settings.error_threshold", "0.1", "looks like a share, is a count; cut to 0 in silence"),
    ("settings.retry_settings.max_retries", "-1", RANGE),
    ("settings.retry_settings.timeout", "0", RANGE),
    ("settings.retry_settings.timeout", "-30", RANGE),
    ("settings.retry_settings.timeout", "0.5", WHOLE),
    ("settings.logging_level", "verbose", "not a level of the reference"),
    ("settings.logging_level", "error", "not a level of the reference"),
    ("settings.logging_level", "''", "not a level of the reference"),
    ("settings.output_action", "summary_only", "goes without the output_file_name that the base has"),
    ("settings.output_file_name", "''", EMPTY),
    ("settings.output_file_name", "a/b.csv", "leaves the output folder"),
    ("settings.output_file_name", "..", "leaves the output folder"),
    ("settings.environment_variables", "{DEBUG: true}", VARIABLE),
    ("settings.environment_variables", "{DEBUG: null}", VARIABLE),
    ("settings.environment_variables", "{SINCE: 2024-01-01}", VARIABLE),
    ("settings.environment_variables", "{LIST: [1]}", VARIABLE),
    ("settings.environment_variables", "{1: one}", VARIABLE),
    ("settings.environment_variables", "{A=B: c}", VARIABLE),
    ("settings.environment_variables", "{'': c}", VARIABLE),
]
MODEL = [
    ("error_threshold", "3", "dropped in silence beside a settings block"),
    ("environment_variables", "{A: b}", "dropped in silence beside a settings block"),
    ("type", "pipeline", "runs components, not a model"),
]
LEGACY = [("compute", REMOVED, "required by the reference, and by the newer layout")]
ROWS = [
    *((layout, *row) for row in BOTH for layout in LAYOUTS),
    *(("model", *row) for row in MODEL),
    *(("legacy", *row) for row in LEGACY),
]


@pytest.mark.parametrize(("layout", "key", "value", "why"), ROWS)
def test_what_only_we_refuse(layout: str, key: str, value: str | None, why: str, refused: Refused, sdk: Sdk) -> None:
    assert sdk(layout, refused(layout, key, value)) is not None, why


TEXTS = {
    "a key given twice: the last one wins in silence": "name: other-name\n",
    "a lone surrogate: cannot be written anywhere": 'properties: {a: "\\ud800"}\n',
    "an alias that holds itself: cannot be sent": "properties: &a {b: *a}\n",
    "NUL: no path or variable can hold it": 'properties: {a: "b\\0c"}\n',
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_texts_that_only_we_refuse(layout: str, text: str, write: Write, sdk: Sdk) -> None:
    path = write(layout, [])
    lines = len(path.read_text().splitlines())
    with path.open("a") as file:
        file.write(text)
    assert sdk(layout, path) is not None
    with pytest.raises(DeploymentError, match=rf"deployment\.yml:{lines + 1}: "):
        Deployment.load(path)


def test_a_named_model_may_lie_elsewhere_for_the_sdk_but_not_here(write: Write, ours: Ours, sdk: Sdk) -> None:
    path = write("model", [("model", "{name: heart, path: nowhere}")])
    assert sdk("model", path).model.name == "heart"
    with pytest.raises(BatchTwinError, match="no such model"):
        ours(path)
