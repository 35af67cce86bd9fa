"""The two layouts of a deployment YAML, and what `--set` changes in either."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchtwin.deployment.schema import Deployment
from batchtwin.errors import BatchTwinError, DeploymentError, UsageError

LEGACY = "name: my-deployment\nendpoint_name: my-endpoint\nmodel: azureml:heart:1\ncompute: azureml:cluster\n"
NEWER = "type: model\n" + LEGACY
SETTINGS = """\
mini_batch_size: 4
max_concurrency_per_instance: 3
retry_settings:
  max_retries: 5
  timeout: 60
output_action: append_row
output_file_name: rows.csv
error_threshold: 7
logging_level: debug
environment_variables:
  A: b
"""
INDENTED = "settings:\n" + "".join(f"  {line}\n" for line in SETTINGS.splitlines())


def load(tmp_path: Path, text: str, **overrides: str) -> Deployment:
    path = tmp_path / "deployment.yml"
    path.write_text(text)
    return Deployment.load(path, {key.replace("__", "."): value for key, value in overrides.items()})


def refusal(tmp_path: Path, text: str, **overrides: str) -> str:
    with pytest.raises(BatchTwinError) as caught:
        load(tmp_path, text, **overrides)
    return str(caught.value).removeprefix(f"{tmp_path / 'deployment.yml'}:")


def test_both_layouts_say_the_same(tmp_path: Path) -> None:
    assert load(tmp_path, LEGACY + SETTINGS) == load(tmp_path, NEWER + INDENTED)


def test_both_layouts_have_the_same_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, LEGACY) == load(tmp_path, NEWER)


@pytest.mark.parametrize("kind", ["model", "Model", "MODEL"])
def test_type_in_any_case(kind: str, tmp_path: Path) -> None:
    assert load(tmp_path, f"type: {kind}\n{LEGACY}") == load(tmp_path, NEWER)


def test_type_model_without_settings_may_keep_two_keys_at_the_root(tmp_path: Path) -> None:
    settings = load(tmp_path, NEWER + "error_threshold: 3\nenvironment_variables: {A: b}\n").settings
    assert (settings.error_threshold, settings.environment_variables) == (3, {"A": "b"})


def test_read_only_keys_of_the_legacy_layout_are_ignored(tmp_path: Path) -> None:
    text = LEGACY + "$schema: x\nprovisioning_state: Succeeded\ncreation_context: {created_by: me}\n"
    assert load(tmp_path, text) == load(tmp_path, LEGACY)


MOVE = "would be dropped or refused here by Azure ML; move it under settings:"
WRONG: dict[str, tuple[str, str]] = {
    "pipeline": (
        "type: pipeline\n" + LEGACY,
        "1: type: 'pipeline' deployments run components, not a model; only type: model runs here",
    ),
    "other type": ("type: online\n" + LEGACY, "1: type: 'online' is not a deployment type; use model"),
    "empty type": ("type:\n" + LEGACY, "1: type: None is not a deployment type; use model"),
    "settings without type": (
        LEGACY + "settings: {mini_batch_size: 2}\n",
        "5: settings: belongs to the newer layout; add type: model at the root",
    ),
    "root key with type": (NEWER + "mini_batch_size: 2\n", f"6: mini_batch_size: {MOVE}"),
    "root key beside settings": (
        NEWER + "settings: {mini_batch_size: 2}\nerror_threshold: 3\n",
        f"7: error_threshold: {MOVE}",
    ),
    "errors keep the key of the legacy layout": (
        LEGACY + "retry_settings:\n  timeout: x\n",
        "6: retry_settings.timeout: 'x' is not a whole number",
    ),
    "errors keep the root key of the newer layout": (
        NEWER + "error_threshold: x\n",
        "6: error_threshold: 'x' is not a whole number",
    ),
    "a near key of the legacy layout": (
        LEGACY + "mini_batch_sise: 3\n",
        "5: mini_batch_sise: unknown key; did you mean mini_batch_size?",
    ),
    "the keys of the legacy layout": (
        LEGACY + "colour: red\n",
        "5: colour: unknown key; allowed are code_configuration, compute, description, endpoint_name, environment, "
        "environment_variables, error_threshold, id, logging_level, max_concurrency_per_instance, mini_batch_size, "
        "model, name, output_action, output_file_name, properties, resources, retry_settings, tags",
    ),
    "read-only keys of the newer layout": (
        NEWER + "provisioning_state: Succeeded\n",
        "6: provisioning_state: unknown key; allowed are code_configuration, compute, description, endpoint_name, "
        "environment, id, model, name, properties, resources, settings, tags, type",
    ),
    "settings is no mapping": (
        NEWER + "settings: 7\n",
        "6: settings: 7 is not a mapping; its keys may be environment_variables, error_threshold, instance_count, "
        "logging_level, max_concurrency_per_instance, mini_batch_size, output_action, output_file_name, "
        "retry_settings",
    ),
    "what an alias holds is told where it stands": (
        NEWER + "tags: &x {a: b}\nresources: *x\n",
        "6: resources.a: unknown key; allowed are docker_args, instance_count, instance_type, locations, "
        "max_instance_count, properties, shm_size",
    ),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong(text: str, said: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, text) == said


def test_all_misplaced_keys_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError) as caught:
        load(tmp_path, NEWER + SETTINGS)
    assert len(caught.value.problems) == 6
    with pytest.raises(DeploymentError) as caught:
        load(tmp_path, NEWER + SETTINGS + "settings: {mini_batch_size: 1}\n")
    assert len(caught.value.problems) == 8


def lines(tmp_path: Path, text: str) -> list[str]:
    return [line.removeprefix(f"{tmp_path / 'deployment.yml'}:") for line in refusal(tmp_path, text).splitlines()]


def test_misplaced_keys_are_told_with_all_other_problems(tmp_path: Path) -> None:
    text = NEWER + "mini_batch_size: none\ncolour: red\nsettings:\n  error_threshold: x\n"
    assert lines(tmp_path, text) == [
        f"6: mini_batch_size: {MOVE}",
        "6: mini_batch_size: 'none' is not a whole number",
        "9: settings.error_threshold: 'x' is not a whole number",
        "7: colour: unknown key; allowed are code_configuration, compute, description, endpoint_name, environment, "
        "id, model, name, properties, resources, settings, tags, type",
    ]
    text = LEGACY + "settings: {mini_batch_size: 2}\ncolour: red\n"
    assert [line[:9] for line in lines(tmp_path, text)] == ["5: settin", "6: colour"]
    text = "type: online\n" + LEGACY + "colour: red\n"
    assert [line[:9] for line in lines(tmp_path, text)] == ["1: type: ", "6: colour"]


@pytest.mark.parametrize("text", [LEGACY, LEGACY + SETTINGS, NEWER, NEWER + INDENTED])
@pytest.mark.parametrize("key", ["settings.mini_batch_size", "settings.retry_settings.timeout"])
def test_set_changes_both_layouts(text: str, key: str, tmp_path: Path) -> None:
    before, after = load(tmp_path, text), load(tmp_path, text, **{key: "77"})
    changed = after.model_dump_json()
    assert changed.count("77") == 1
    assert before != after
    *_, last = key.split(".")
    assert f'"{last}":77' in changed


def test_set_takes_the_keys_of_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, LEGACY + SETTINGS, mini_batch_size="77").settings.mini_batch_size == 77
    assert load(tmp_path, LEGACY, retry_settings__timeout="77").settings.retry_settings.timeout == 77
    assert load(tmp_path, NEWER, error_threshold="77").settings.error_threshold == 77


def test_set_reaches_every_kind_of_value(tmp_path: Path) -> None:
    deployment = load(
        tmp_path,
        NEWER,
        name="other-name",
        model__path="../model",
        tags="{a: [1]}",
        resources__instance_count="3",
        settings__environment_variables__A="b",
        settings__logging_level="debug",
    )
    assert deployment.name == "other-name"
    assert deployment.model_dump()["model"]["path"] == "../model"
    assert (deployment.tags, deployment.instance_count) == ({"a": [1]}, 3)
    assert (deployment.settings.environment_variables, deployment.settings.logging_level) == ({"A": "b"}, "debug")


def test_set_does_not_reach_through_an_alias(tmp_path: Path) -> None:
    text = NEWER + "tags: &x {a: b}\nproperties: *x\n"
    deployment = load(tmp_path, text, tags__a="c")
    assert (deployment.tags, deployment.properties) == ({"a": "c"}, {"a": "b"})


def test_set_can_add_what_the_file_lacks(tmp_path: Path) -> None:
    text = NEWER + "settings: {logging_level: info}\n"
    assert load(tmp_path, text, settings__mini_batch_size="3").settings.mini_batch_size == 3


SET_WRONG: dict[str, tuple[dict[str, str], str]] = {
    "value": ({"settings.mini_batch_size": "0"}, "settings.mini_batch_size: 0 is out of range; allowed is at least 1"),
    "empty": ({"settings.mini_batch_size": ""}, "settings.mini_batch_size: has no value; give one or remove the key"),
    "inner value": (
        {"settings.retry_settings": "{timeout: x}"},
        "settings.retry_settings.timeout: 'x' is not a whole number",
    ),
    "key": ({"settings.colour": "red"}, "settings.colour: unknown key; allowed are"),
    "near key": ({"setings.mini_batch_size": "3"}, "setings: unknown key; did you mean settings?"),
}


@pytest.mark.parametrize(("overrides", "said"), SET_WRONG.values(), ids=SET_WRONG)
def test_what_set_gets_wrong_has_no_line(overrides: dict[str, str], said: str, tmp_path: Path) -> None:
    text = refusal(tmp_path, NEWER + INDENTED, **overrides)
    assert text.startswith(f" {said}")
    assert text.endswith("(from --set)") or "setings" in text


@pytest.mark.parametrize("value", ["{a", "[1, 2", "2024-99-99", "!secret x", "*alias", "[" * 1200])
def test_set_needs_yaml(value: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--set name=.*: the value is not YAML$"):
        load(tmp_path, NEWER, name=value)
