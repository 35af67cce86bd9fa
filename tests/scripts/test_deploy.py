"""scripts/deploy-and-run.sh against a recording `az`, a stand-in for Azure, and against batchtwin itself."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import shim
import yaml
from recording_az import VARIABLES, RecordingAz

from support import COMMAND, DEADLINE, ROOT, batchtwin

REFERENCE = yaml.safe_load((ROOT / "tests/scripts/az_reference.yml").read_text())
SCRIPTS = ("scripts/deploy-and-run.sh", "scripts/azure-check.sh")
DEPLOY = ("register-model", "create-compute", "create-data", "create-endpoint", "deploy-simple", "deploy-custom")
REST = ("invoke", "show", "stream", "list-jobs", "download", "undeploy")
KNOBS = {
    "AZ",
    "DRY_RUN",
    "MODEL",
    "ENDPOINT_NAME",
    "DEPLOYMENT_NAME",
    "JOB_NAME",
    "WEB",
    "DOWNLOAD_PATH",
    "BATCHTWIN_WORKSPACE",
}
# The commands that only look; the others change the workspace, or show it to the user.
QUESTIONS = {
    "extension show",
    "account show",
    "configure",
    *(f"ml {kind} list" for kind in ("model", "data", "compute", "batch-endpoint")),
    *(f"ml {kind} show" for kind in ("model", "data")),
}


@dataclass(frozen=True)
class Cloud:
    """A copy of the project, and a PATH with an `az` of its own before everything else."""

    folder: Path
    bin: Path
    az: RecordingAz = field(default_factory=RecordingAz)

    def run(self, *steps: str, **env: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if name not in KNOBS}
        path = f"{self.bin}:{COMMAND.parent}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", self.folder / "scripts/deploy-and-run.sh", *steps],
            env={**clean, "PATH": path, **env},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def did(self, *steps: str, **env: str) -> list[list[str]]:
        """Run steps that succeed; what they asked `az` to do, without the questions."""
        before = len(self.calls)
        done = self.run(*steps, **env)
        assert done.returncode == 0, done.stderr
        return [words for words in self.calls[before:] if command(words) not in QUESTIONS]

    @property
    def calls(self) -> list[list[str]]:
        """The words of every `az` so far."""
        return self.az.calls

    @property
    def endpoint(self) -> str:
        return (self.folder / ".endpoint-name").read_text().strip()

    def kept(self, kind: str) -> list[dict[str, Any]]:
        """What the stand-in holds of a kind."""
        return self.az.state.get(kind, [])


def executable(path: Path, *words: str | Path) -> None:
    path.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, words))} "$@"\n')
    path.chmod(0o755)


@pytest.fixture
def project_copy(tmp_path: Path) -> Path:
    """The files that are deployed, with a model that nobody scores with."""
    folder = tmp_path / "project"
    for name in ("scripts", "deployment-simple", "deployment-custom", "environment", "data"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "uci"))
    for name in ("endpoint.yml", "heart-dataset-unlabeled.yml"):
        shutil.copy(ROOT / name, folder)
    (folder / "model").mkdir()
    (folder / "model/MLmodel").write_text("flavors: {}\n")
    return folder


@pytest.fixture
def cloud(project_copy: Path, tmp_path: Path) -> Iterator[Cloud]:
    """Azure, as the recording `az` plays it."""
    (tmp_path / "bin").mkdir()
    azure = Cloud(project_copy, tmp_path / "bin")
    with shim.command(azure.bin / "az", VARIABLES, azure.az.answer):
        yield azure


def command(words: list[str]) -> str:
    """The words before the first flag."""
    start = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    return " ".join(words[:start])


def undocumented(words: list[str]) -> list[str]:
    """The flags that the reference of this command does not know."""
    documented = REFERENCE["commands"][command(words)]
    known = {*documented["flags"], *REFERENCE["global"], *REFERENCE["workspace"]}
    flags = {word for word in words if re.match(r"-[a-z-]", word)}
    return sorted(flags - known) + sorted(set(documented.get("required", [])) - flags)


# The documented commands


def test_the_steps_issue_the_documented_commands_in_order(cloud: Cloud) -> None:
    done = [shlex.join(words) for words in cloud.did("deploy", *REST)]
    endpoint = cloud.endpoint
    job = "batchjob-1"
    assert [re.sub("(?<=sha256-)[0-9a-f]{64}|(?<=fresh-)[^ ]{6}", "X", line) for line in done] == [
        "ml model create --name heart-classifier-mlflow --type mlflow_model --path model --tags content=sha256-X"
        " --output none",
        "ml compute create --name batch-cluster --type amlcompute --min-instances 0 --max-instances 2 --output none",
        "ml data create --file heart-dataset-unlabeled.yml --set tags.content=sha256-X --output none",
        f"ml batch-endpoint create --file endpoint.yml --name {endpoint} --output none",
        f"ml batch-deployment create --file deployment-simple/deployment.yml --endpoint-name {endpoint} --set-default"
        " --output none",
        f"ml batch-deployment create --file deployment-custom/deployment.yml --endpoint-name {endpoint} --output none",
        f"ml batch-endpoint invoke --name {endpoint} --input azureml:heart-dataset-unlabeled@latest"
        " --query name --output tsv",
        f"ml job show --name {job}",
        f"ml job stream --name {job}",
        f"ml job show --name {job} --query status --output tsv",
        f"ml batch-endpoint list-jobs --name {endpoint} --query '[].name' --output tsv",
        f"ml job download --name {job} --output-name score --download-path ./named-outputs/.fresh-X",
        f"ml batch-endpoint delete --name {endpoint} --yes",
    ]


def test_deploy_is_its_six_steps(cloud: Cloud) -> None:
    assert cloud.run("deploy", DRY_RUN="1").stdout == cloud.run(*DEPLOY, DRY_RUN="1").stdout


def test_every_command_and_flag_that_is_issued_is_documented(cloud: Cloud) -> None:
    cloud.did("deploy", *REST[:-1], "deploy", WEB="1", DEPLOYMENT_NAME="classifier-xgboost-custom", JOB_NAME="mine")
    cloud.did("list-jobs", "undeploy")
    assert len(cloud.calls) > 25
    assert [(words, undocumented(words)) for words in cloud.calls if undocumented(words)] == []


def test_every_flag_that_is_written_anywhere_is_documented() -> None:
    known = {*REFERENCE["global"], "--version"}.union(*(command["flags"] for command in REFERENCE["commands"].values()))
    written = {flag for name in SCRIPTS for flag in re.findall(r"(?<=[\s(])--[a-z-]+", (ROOT / name).read_text())}
    assert "--set-default" in written
    assert written - known == set()


def test_every_command_of_the_documentation_page_is_documented() -> None:
    lines = re.findall(r"^(?:\$ )?az (.+)$", (ROOT / "docs/deploy.md").read_text(), re.MULTILINE)
    commands = [shlex.split(line, comments=True) for line in lines]
    assert len(commands) >= 6
    assert [words for words in commands if undocumented(words)] == []


def test_the_names_are_those_of_the_files(cloud: Cloud) -> None:
    cloud.did("deploy")
    simple, custom = (
        yaml.safe_load((ROOT / f"deployment-{kind}/deployment.yml").read_text()) for kind in ("simple", "custom")
    )
    assert simple["model"] == custom["model"] == f"azureml:{cloud.kept('model')[0]['name']}@latest"
    assert simple["compute"] == custom["compute"] == f"azureml:{cloud.kept('compute')[0]['name']}"
    assert cloud.endpoint.startswith(simple["endpoint_name"] + "-")


# Again and again


def test_a_second_deploy_creates_no_second_version(cloud: Cloud) -> None:
    cloud.did("deploy")
    again = cloud.did("deploy")
    assert [command(words) for words in again] == ["ml batch-deployment create"] * 2
    assert [len(cloud.kept(kind)) for kind in ("model", "data", "compute", "endpoint")] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("step", "kind", "file"),
    [("register-model", "model", "model/MLmodel"), ("create-data", "data", "data/heart-unlabeled-3.csv")],
)
def test_other_content_is_a_new_version(cloud: Cloud, step: str, kind: str, file: str) -> None:
    cloud.did(step)
    path = cloud.folder / file
    path.write_text(path.read_text() + "\n")
    cloud.did(step, step)
    assert [asset["version"] for asset in cloud.kept(kind)] == ["1", "2"]


def test_a_renamed_file_is_other_content(cloud: Cloud) -> None:
    cloud.did("create-data")
    (cloud.folder / "data/heart-unlabeled-3.csv").rename(cloud.folder / "data/heart-unlabeled-4.csv")
    cloud.did("create-data")
    assert len(cloud.kept("data")) == 2


def test_content_that_was_there_before_the_latest_is_a_new_version(cloud: Cloud) -> None:
    """For the deployments ask for @latest."""
    path = cloud.folder / "model/MLmodel"
    for text in ("one", "two", "one"):
        path.write_text(text)
        cloud.did("register-model")
    tags = [asset["tags"] for asset in cloud.kept("model")]
    assert tags[0] == tags[2] != tags[1]


def test_what_python_leaves_behind_is_no_content(cloud: Cloud) -> None:
    cloud.did("register-model")
    (cloud.folder / "model/__pycache__").mkdir()
    (cloud.folder / "model/__pycache__/x.pyc").write_text("x")
    assert cloud.did("register-model") == []


def test_the_endpoint_gets_a_suffix_that_is_kept(cloud: Cloud) -> None:
    cloud.did("create-endpoint")
    first = cloud.endpoint
    cloud.did("undeploy", "create-endpoint")
    assert re.fullmatch(r"heart-classifier-batch-[0-9a-f]{6}", first)
    assert cloud.endpoint == first
    assert len(first) <= 32


def test_a_name_of_the_users_own_wins(cloud: Cloud) -> None:
    assert "--name mine" in shlex.join(cloud.did("create-endpoint", ENDPOINT_NAME="mine")[0])
    assert not (cloud.folder / ".endpoint-name").exists()


def test_capitals_in_a_name_are_no_other_name(cloud: Cloud) -> None:
    """azure-ai-ml makes the names of endpoints lower case."""
    cloud.did("create-endpoint", ENDPOINT_NAME="Mine")
    assert cloud.did("create-endpoint", ENDPOINT_NAME="MINE") == []
    assert cloud.kept("endpoint") == [{"name": "mine"}]


def test_undeploy_twice_deletes_once(cloud: Cloud) -> None:
    cloud.did("create-endpoint")
    assert [command(words) for words in cloud.did("undeploy", "undeploy")] == ["ml batch-endpoint delete"]


# Jobs


def test_the_last_job_is_the_one_that_is_shown(cloud: Cloud) -> None:
    cloud.did("deploy", "invoke", "invoke")
    assert cloud.did("show") == [["ml", "job", "show", "--name", "batchjob-2"]]


def test_a_named_job_and_deployment(cloud: Cloud) -> None:
    cloud.did("deploy")
    words = cloud.did("invoke", DEPLOYMENT_NAME="classifier-xgboost-custom", JOB_NAME="mine")[0]
    assert "--deployment-name classifier-xgboost-custom --job-name mine" in shlex.join(words)
    assert cloud.did("stream", JOB_NAME="other")[0] == ["ml", "job", "stream", "--name", "other"]


def test_a_job_that_failed_fails_stream(cloud: Cloud) -> None:
    cloud.did("deploy", "invoke")
    done = cloud.run("stream", "download", AZ_JOB_STATUS="Failed")
    assert done.returncode == 1
    assert done.stderr.endswith("deploy-and-run: stream: job batchjob-1 is Failed, not Completed\n")
    assert not (cloud.folder / "named-outputs").exists()


def test_download_says_where(cloud: Cloud) -> None:
    cloud.did("deploy", "invoke")
    done = cloud.run("download", DOWNLOAD_PATH="results")
    assert done.stdout == f"{cloud.folder}/results/named-outputs/score/predictions.csv\n"
    assert Path(done.stdout.strip()).exists()


def test_what_an_earlier_job_left_does_not_stay(cloud: Cloud) -> None:
    cloud.did("deploy", "invoke")
    folder = cloud.folder / "named-outputs/score"
    folder.mkdir(parents=True)
    (folder / "earlier.csv").write_text("0,1,another job\n")
    assert cloud.run("download").stdout == f"{folder}/predictions.csv\n"
    assert [path.name for path in cloud.folder.glob("named-outputs/**/*")] == ["score", "predictions.csv"]


def test_a_job_without_output_is_not_taken_for_an_earlier_one(cloud: Cloud) -> None:
    cloud.did("deploy", "invoke", "download")
    done = cloud.run("download", AZ_LACKS="output")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("deploy-and-run: download: job batchjob-1 left no output\n")


# What can go wrong

STEP_OF = {
    "ml model list": "register-model",
    "ml model create": "register-model",
    "ml compute list": "create-compute",
    "ml compute create": "create-compute",
    "ml data list": "create-data",
    "ml data create": "create-data",
    "ml batch-endpoint list": "create-endpoint",
    "ml batch-endpoint create": "create-endpoint",
    "ml batch-deployment create": "deploy-simple",
    "ml batch-endpoint invoke": "invoke",
    "ml job show": "show",
    "ml job stream": "stream",
    "ml batch-endpoint list-jobs": "list-jobs",
    "ml job download": "download",
    "ml batch-endpoint delete": "undeploy",
}


@pytest.mark.parametrize(("failing", "step"), STEP_OF.items())
def test_a_step_that_fails_stops_with_its_own_message(cloud: Cloud, failing: str, step: str) -> None:
    done = cloud.run("deploy", *REST, AZ_FAILS=f"{failing}=7")
    assert done.returncode == 7
    assert re.search(rf"^deploy-and-run: {step} failed with exit code 7: az {failing} --?\w", done.stderr, re.MULTILINE)
    assert f"ERROR: {failing}: not today\n" in done.stderr
    assert command(cloud.calls[-1]) == failing


@pytest.mark.parametrize("failing", ["ml model show", "ml data show"])
def test_a_question_that_fails_creates_nothing(cloud: Cloud, failing: str) -> None:
    cloud.did("deploy")
    done = cloud.run("deploy", AZ_FAILS=f"{failing}=3")
    assert done.returncode == 3
    assert command(cloud.calls[-1]) == failing


MISSING = {
    "extension": "the extension ml: az extension add --name ml",
    "login": "a login: az login",
    "subscription": "a subscription: az account set --subscription NAME_OR_ID",
    "group": "a default group: az configure --defaults group=NAME",
    "workspace": "a default workspace: az configure --defaults workspace=NAME",
}


@pytest.mark.parametrize(("lacks", "named"), MISSING.items())
def test_what_is_missing_is_named_with_its_command(cloud: Cloud, lacks: str, named: str) -> None:
    done = cloud.run("deploy", AZ_LACKS=lacks)
    assert (done.returncode, done.stderr) == (2, f"deploy-and-run: missing {named}\n")
    assert not [words for words in cloud.calls if words[0] == "ml"]


def test_all_that_is_missing_is_named_at_once(cloud: Cloud) -> None:
    done = cloud.run("deploy", AZ_LACKS="extension login group workspace")
    named = [line.removeprefix("deploy-and-run: missing ") for line in done.stderr.splitlines()]
    assert named == [MISSING[lacks] for lacks in ("extension", "login", "group", "workspace")]


@pytest.mark.parametrize("named", MISSING.values())
def test_the_command_that_is_named_is_documented(named: str) -> None:
    words = shlex.split(named.partition(": az ")[2])
    assert undocumented(words) == []


def test_no_az_at_all(cloud: Cloud) -> None:
    done = cloud.run("deploy", AZ="no-such-az")
    assert done.returncode == 2
    assert done.stderr.startswith("deploy-and-run: no no-such-az on PATH; the Azure CLI: https://")


@pytest.mark.parametrize("steps", [[], ["deploy", "fly"]])
def test_steps_are_checked_before_anything_runs(cloud: Cloud, steps: list[str]) -> None:
    done = cloud.run(*steps)
    assert done.returncode == 2
    assert " ".join([*DEPLOY, *REST]) in done.stderr
    assert cloud.calls == []


@pytest.mark.parametrize("step", ["deploy-simple", "deploy-custom", "invoke", "list-jobs", "undeploy"])
def test_without_an_endpoint(cloud: Cloud, step: str) -> None:
    done = cloud.run(step)
    assert done.returncode == 2
    assert done.stderr.startswith(f"deploy-and-run: {step}: no endpoint yet: make create-endpoint")


@pytest.mark.parametrize("step", ["show", "stream", "download"])
def test_without_a_job(cloud: Cloud, step: str) -> None:
    done = cloud.run(step)
    assert done.returncode == 2
    assert done.stderr.startswith(f"deploy-and-run: {step}: no job yet: make invoke")


def test_without_a_model(cloud: Cloud) -> None:
    done = cloud.run("deploy", MODEL="nowhere")
    assert (done.returncode, done.stderr) == (
        2,
        "deploy-and-run: register-model: no model in nowhere; train one: make train\n",
    )


# DRY_RUN, AZ


def test_a_dry_run_prints_the_commands_and_runs_nothing(cloud: Cloud) -> None:
    before = sorted(cloud.folder.rglob("*"))
    done = cloud.run("deploy", *REST, DRY_RUN="1", AZ_LACKS="extension login group workspace")
    assert (done.returncode, done.stderr) == (0, "")
    assert (cloud.calls, sorted(cloud.folder.rglob("*"))) == ([], before)
    printed = [shlex.split(line) for line in done.stdout.splitlines()]
    assert len(printed) == len(DEPLOY) + len(REST)
    assert {words[0] for words in printed} == {"az"}
    assert [words for words in printed if undocumented(words[1:])] == []


def test_what_a_dry_run_prints_is_what_is_done(cloud: Cloud) -> None:
    steps = ("deploy", "invoke", "list-jobs", "undeploy")
    printed = cloud.run(*steps, DRY_RUN="1", ENDPOINT_NAME="mine").stdout
    done = cloud.did(*steps, ENDPOINT_NAME="mine")
    assert [shlex.split(line)[1:] for line in printed.splitlines()] == done


def test_az_may_be_several_words(cloud: Cloud) -> None:
    executable(cloud.bin / "in-between", "env")
    assert len(cloud.did("deploy", AZ="in-between SOME=thing az")) == len(DEPLOY)


def rehearsal(cloud: Cloud, env: Mapping[str, str]) -> list[list[str]]:
    (cloud.bin / "az").rename(cloud.bin / "batchtwin")
    return cloud.did("deploy", "invoke", **env)


def test_a_rehearsal_needs_nothing_of_azure(cloud: Cloud) -> None:
    assert len(rehearsal(cloud, {"AZ": "batchtwin"})) == len(DEPLOY) + 1
    assert {words[0] for words in cloud.calls} == {"ml"}


def test_a_job_of_the_rehearsal_is_none_of_the_clouds(cloud: Cloud) -> None:
    shutil.copy(cloud.bin / "az", cloud.bin / "batchtwin")
    cloud.did("deploy", "invoke", AZ="batchtwin")
    assert "no job yet" in cloud.run("show").stderr
    assert cloud.did("show", AZ="batchtwin")


@pytest.mark.parametrize("target", ["deploy", *DEPLOY, *REST])
def test_each_step_is_a_make_target(cloud: Cloud, target: str) -> None:
    shutil.copy(ROOT / "Makefile", cloud.folder)
    words = ["make", "--no-print-directory", "-C", str(cloud.folder), target, "DRY_RUN=1"]
    env = {name: value for name, value in os.environ.items() if name not in KNOBS and not name.startswith("MAKE")}
    made = subprocess.run(words, env=env, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert (made.stdout, made.stderr) == (cloud.run(target, DRY_RUN="1").stdout, "")


# With batchtwin itself


@pytest.fixture
def twin(project_copy: Path, tmp_path: Path, heart_model: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """No Azure: an `az` that is batchtwin, without MLflow runs, and the model that is scored with."""
    monkeypatch.setenv("BATCHTWIN_MLFLOW", "off")
    shutil.rmtree(project_copy / "model")
    shutil.copytree(heart_model, project_copy / "model")
    (tmp_path / "bin").mkdir()
    executable(tmp_path / "bin/az", COMMAND)
    return Cloud(project_copy, tmp_path / "bin")


def ask(twin: Cloud, *words: str) -> str:
    answer = batchtwin("ml", *words, cwd=twin.folder)
    assert answer.code == 0, answer.err
    return answer.out.strip()


@pytest.fixture
def forking(twin: Cloud) -> Iterator[Cloud]:
    """The same with a `batchtwin` whose processes are forked."""

    def answer(words: list[str], env: dict[str, str]) -> tuple[int, str, str]:
        done = batchtwin(*words, cwd=Path(env["PWD"]))
        return done.code, done.out, done.err

    with shim.command(twin.bin / "batchtwin", ["PWD"], answer):
        yield twin


@pytest.mark.parametrize(("kind", "az"), [("twin", "az"), ("forking", "batchtwin")], ids=["az", "batchtwin"])
def test_the_whole_way_on_this_machine(request: pytest.FixtureRequest, tmp_path: Path, kind: str, az: str) -> None:
    twin: Cloud = request.getfixturevalue(kind)
    done = twin.run("deploy", "invoke", "show", "stream", "list-jobs", "download", AZ=az)
    assert done.returncode == 0, done.stderr
    local = ["score", "deployment-simple/deployment.yml", "--input", "data", "--model", "model"]
    expected = batchtwin(*local, "--output", tmp_path / "local", cwd=twin.folder)
    assert expected.code == 0, expected.err
    downloaded = twin.folder / "named-outputs/score/predictions.csv"
    assert downloaded.read_bytes() == (expected.output / "named-outputs/score/predictions.csv").read_bytes()


def test_a_second_rehearsal_creates_no_second_version(forking: Cloud) -> None:
    for _ in range(2):
        done = forking.run("deploy", AZ="batchtwin")
        assert done.returncode == 0, done.stderr
    for kind, name in (("model", "heart-classifier-mlflow"), ("data", "heart-dataset-unlabeled")):
        assert ask(forking, kind, "list", "--name", name, "--query", "length(@)") == "1"


def test_undeploy_leaves_jobs_and_outputs(forking: Cloud, tmp_path: Path) -> None:
    done = forking.run("deploy", "invoke", "stream", "undeploy", AZ="batchtwin")
    assert done.returncode == 0, done.stderr
    job = (forking.folder / ".job-name-rehearsal").read_text().strip()
    assert ask(forking, "batch-endpoint", "list", "--query", "[].name", "--output", "tsv") == ""
    assert ask(forking, "job", "show", "--name", job, "--query", "status", "--output", "tsv") == "Completed"
    assert forking.run("download", AZ="batchtwin", DOWNLOAD_PATH=str(tmp_path)).returncode == 0
    assert (tmp_path / "named-outputs/score/predictions.csv").stat().st_size
