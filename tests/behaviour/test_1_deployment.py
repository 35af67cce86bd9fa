"""Section 1: the deployment YAML, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import Finished, Project, batchtwin

RUN = "def run(mini_batch): return mini_batch"


def plan(project: Project, change: dict[str, Any], *words: str) -> Finished:
    """Plan the project after changing keys at the root of its YAML; None removes a key."""
    path = project.write()
    data = yaml.safe_load(path.read_text()) | change
    path.write_text(yaml.safe_dump({key: value for key, value in data.items() if value is not None}))
    return batchtwin("plan", path, "--input", project.inputs, *words)


@pytest.fixture
def good(project: Project) -> Project:
    """A project that can be planned."""
    project.files(3)
    project.script = RUN
    return project


def refusal(done: Finished) -> str:
    assert done.code == 2, done.out
    assert "Traceback" not in done.err
    return done.err


@pytest.mark.documented("1", "Absent keys have the service's defaults.")
def test_defaults(good: Project) -> None:
    facts = json.loads(plan(good, {"settings": None}, "--json").out)
    assert facts["mini_batch_size"] == 10
    assert facts["tries"] == 3
    assert facts["timeout_seconds"] == 30
    assert facts["error_threshold"] == -1
    assert facts["workers"] == 1
    assert facts["output"] == "append_row to predictions.csv"


@pytest.mark.documented("1", "Without type the layout is the legacy one: the settings keys stand at the root.")
def test_legacy_layout(good: Project) -> None:
    change = {"type": None, "settings": None, "mini_batch_size": 2, "retry_settings": {"timeout": 7}}
    facts = json.loads(plan(good, change, "--json").out)
    assert (facts["mini_batches"], facts["timeout_seconds"]) == (2, 7)


@pytest.mark.documented("1", "type: pipeline is not a model deployment, and is refused.")
def test_pipeline(good: Project) -> None:
    assert "type: 'pipeline' deployments run components" in refusal(plan(good, {"type": "pipeline"}))


@pytest.mark.documented("1", "name, endpoint_name, model and compute are required.")
@pytest.mark.parametrize("key", ["name", "endpoint_name", "model", "compute"])
def test_required_keys(good: Project, key: str) -> None:
    assert f"{key}: is required; add it" in refusal(plan(good, {key: None}))


@pytest.mark.documented(
    "1", "Names have 3 to 32 letters, digits and dashes, start with a letter and do not end with a dash."
)
@pytest.mark.parametrize("name", ["ab", "a" * 33, "1abc", "abc-", "a_b_c", ""])
def test_names(good: Project, name: str) -> None:
    assert "name: " in refusal(plan(good, {"name": name}))


@pytest.mark.documented("1", "With code_configuration an environment is required.")
def test_script_needs_environment(good: Project) -> None:
    assert "code_configuration: needs an environment to run in" in refusal(plan(good, {"environment": None}))


@pytest.mark.documented("1", "With summary_only, output_file_name must be absent.")
def test_summary_only_without_name(good: Project) -> None:
    settings = {"mini_batch_size": 1, "output_action": "summary_only", "output_file_name": "x.csv"}
    assert "output_file_name: does not go with output_action: summary_only" in refusal(
        plan(good, {"settings": settings})
    )


@pytest.mark.ours("1", "Errors name file, line, key, value and what is allowed; all of them at once.")
def test_errors_name_everything(good: Project) -> None:
    settings = {"mini_batch_size": 0, "error_treshold": 1, "retry_settings": {"timeout": "soon"}}
    lines = refusal(plan(good, {"settings": settings})).splitlines()
    path = good.folder / "deployment.yml"
    numbers = {text.strip().split(":")[0]: number for number, text in enumerate(path.read_text().splitlines(), 1)}
    for expected in (
        f"{path}:{numbers['mini_batch_size']}: settings.mini_batch_size: 0 is out of range; allowed is at least 1",
        f"{path}:{numbers['error_treshold']}: settings.error_treshold: unknown key; did you mean error_threshold?",
        f"{path}:{numbers['timeout']}: settings.retry_settings.timeout: 'soon' is not a whole number",
    ):
        assert expected in lines


@pytest.mark.ours("1", "Values that the SDK accepts against its reference are refused.")
@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"mini_batch_size": 2.7}, "2.7 is not a whole number"),
        ({"mini_batch_size": True}, "True is not a whole number"),
        ({"max_concurrency_per_instance": -1}, "-1 is out of range"),
        ({"error_threshold": -5}, "-5 is out of range; allowed is at least -1"),
        ({"logging_level": "chatty"}, "'chatty' is not known; allowed is 'warning', 'info' or 'debug'"),
        ({"output_file_name": "a/b.csv"}, "must be a bare file name"),
        ({"output_file_name": ".."}, "must be a bare file name"),
        ({"output_file_name": "x" * 300}, "must be a file name of at most 255 bytes; it has 300"),
        ({"output_file_name": "ä" * 128}, "must be a file name of at most 255 bytes; it has 256"),
        ({"output_file_name": "a\0b"}, "'a\\x00b' is not text that a file or a process can take"),
        ({"output_file_name": "a\tb"}, "must be a file name without line breaks, NUL and other control characters"),
        ({"output_file_name": "a\nb"}, "must be a file name without line breaks"),
    ],
)
def test_stricter_than_the_sdk(good: Project, settings: dict[str, Any], text: str) -> None:
    assert text in refusal(plan(good, {"settings": {"mini_batch_size": 1, **settings}}))


@pytest.mark.ours("1", "A name for the output may be as long as the file system takes, and is checked before scoring.")
def test_long_output_names(project: Project) -> None:
    project.files(1)
    project.script = "def run(mini_batch): return ['row']"
    project.settings = {"output_file_name": "x" * 255}
    done = project.score()
    assert (done.code, Path(done.out.splitlines()[-1]).read_text()) == (0, "row\n"), done.err
    path = project.folder / ("y" * 300)
    done = batchtwin("score", project.folder / "deployment.yml", "--input", project.inputs, "--output", path)
    assert (done.code, "File name too long; choose another folder: --output DIR" in done.err) == (2, True), done.err


@pytest.mark.ours(
    "1", "error_threshold and environment_variables at the root beside settings, which the SDK drops, are refused."
)
@pytest.mark.parametrize("change", [{"error_threshold": 3}, {"environment_variables": {"A": "b"}}])
def test_dropped_keys(good: Project, change: dict[str, Any]) -> None:
    assert "move it under settings:" in refusal(plan(good, change))


@pytest.mark.ours("1", "All errors of a deployment are reported at once, misplaced keys too.")
def test_all_problems_at_once(good: Project) -> None:
    text = refusal(plan(good, {"error_threshold": 3, "colour": "red", "name": "x"}))
    assert "error_threshold: would be dropped" in text
    assert "colour: unknown key" in text
    assert "name: 'x' must be" in text


@pytest.mark.ours("1", "A settings block without type is refused: add type: model.")
def test_settings_without_type(good: Project) -> None:
    assert "settings: belongs to the newer layout; add type: model" in refusal(plan(good, {"type": None}))


@pytest.mark.ours("1", "--set overrides a key before it is checked.")
def test_override(good: Project) -> None:
    assert json.loads(plan(good, {}, "--set", "settings.mini_batch_size=2", "--json").out)["mini_batches"] == 2
    assert "(from --set)" in refusal(plan(good, {}, "--set", "settings.mini_batch_size=none"))


@pytest.mark.ours("1", "A key of settings at the root is reported with its place; a folder is not taken for a file.")
def test_a_key_is_named_by_its_place(good: Project) -> None:
    texts = {
        "mini_batch_size=3": "did you mean settings.mini_batch_size? (from --set)",
        "minibatch_size=3": "did you mean settings.mini_batch_size? (from --set)",
        "timeout=3": "did you mean settings.retry_settings.timeout? (from --set)",
        "colour=3": "allowed are ",
    }
    for override, text in texts.items():
        assert text in refusal(plan(good, {}, "--set", override))
    legacy = {"type": None, "settings": None}
    assert "did you mean retry_settings.timeout?" in refusal(plan(good, legacy, "--set", "timeout=3"))
    good.write()
    assert f"is a folder; give {good.folder / 'deployment.yml'}" in refusal(batchtwin("plan", good.folder))
    assert "is a folder; give the deployment YAML in it" in refusal(batchtwin("plan", good.folder.parent))
    assert "expected KEY=VALUE" in refusal(plan(good, {}, "--set", "nonsense"))


@pytest.mark.documented("1", "A registered model is resolved by --model here; without it the error says so.")
def test_registered_model(good: Project) -> None:
    change = {"model": "azureml:heart@latest"}
    assert "give a copy of it: --model FOLDER" in refusal(plan(good, change))
    assert plan(good, change, "--model", str(good.model)).code == 0
    assert "no such model (--model)" in refusal(plan(good, change, "--model", "nowhere"))


@pytest.mark.ours("1", "Without --model, a registered model is the one that the local workspace has under that name.")
def test_registered_model_of_the_workspace(project: Project) -> None:
    project.files(1)
    project.script = """
        import glob, os
        def run(mini_batch): return [open(glob.glob(os.environ["AZUREML_MODEL_DIR"] + "/*/weights.txt")[0]).read()]
    """
    path = project.write()
    env = {"BATCHTWIN_WORKSPACE": str(project.folder / "workspace")}
    job = project.folder / "job"
    score: list[str | Path] = ["score", path, "--input", project.inputs, "--overwrite", "--output", job]

    def name_model(reference: str) -> None:
        data = yaml.safe_load(path.read_text())
        path.write_text(yaml.safe_dump({**data, "model": reference}))

    name_model("azureml:heart:1")
    done = batchtwin(*score, env=env)
    assert (done.code, "register one here: batchtwin ml model create" in done.err) == (2, True)
    assert not (project.folder / "workspace").exists()
    for weights in ("42", "43"):
        (project.folder / "model/weights.txt").write_text(weights)
        words: list[str | Path] = ["ml", "model", "create", "--name", "heart", "--path", project.folder / "model"]
        assert batchtwin(*words, env=env).code == 0
    for reference, weights in (("azureml:heart:1", "42"), ("azureml:heart@latest", "43"), ("azureml:heart:9", "")):
        name_model(reference)
        done = batchtwin(*score, env=env)
        assert (done.code, not weights or done.predictions == f"{weights}\n") == (0 if weights else 2, True), done.err
        assert batchtwin("plan", path, env=env).code == done.code
    name_model("azureml:heart:1")
    batchtwin(*score, env=env)
    assert batchtwin("verify", job).code == 0


@pytest.mark.documented("1", "Relative paths are relative to the YAML file.")
def test_relative_paths(good: Project) -> None:
    assert plan(good, {"model": {"path": "model"}}).code == 0
    assert "nowhere: no such model (model.path: 'nowhere')" in refusal(plan(good, {"model": {"path": "nowhere"}}))


@pytest.mark.documented(
    "1", "Workers are instance_count x max_concurrency_per_instance, here at most one per CPU, and it says so."
)
def test_workers(good: Project) -> None:
    change = {
        "resources": {"instance_count": 300},
        "settings": {"max_concurrency_per_instance": 2, "mini_batch_size": 1},
    }
    good.files(700)
    done = plan(good, change, "--json")
    facts = json.loads(done.out)
    assert facts["workers"] < 600
    assert (
        " instead of 600: only " in facts["warnings"][0]
        and " available (--workers N overrides)" in facts["warnings"][0]
    )
    assert json.loads(plan(good, change, "--workers", "5", "--json").out)["workers"] == 5


@pytest.mark.observed(
    "1", "A settings block needs mini_batch_size, and no key may be empty: azure-ai-ml reads neither."
)
def test_what_the_sdk_cannot_read(good: Project) -> None:
    assert "settings.mini_batch_size: is required" in refusal(plan(good, {"settings": {"error_threshold": 0}}))
    path = good.write()
    path.write_text(path.read_text() + "description:\n")
    assert "description: " in refusal(batchtwin("plan", path, "--input", good.inputs))


@pytest.mark.documented(
    "1", "conda_file has to be there; environment is an image (with or without it) or a build context."
)
def test_environment(good: Project) -> None:
    assert "nowhere.yaml" in refusal(plan(good, {"environment": {"image": "x", "conda_file": "nowhere.yaml"}}))
    assert "build: does not go with image" in refusal(
        plan(good, {"environment": {"image": "x", "build": {"path": "."}}})
    )
