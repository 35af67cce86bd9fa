"""A password of a tracking URI, or of another address, stands in nothing that a job prints or writes."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

import batchtwin
from batchtwin.errors import BatchTwinError, InputError
from batchtwin.redaction import hide
from commands import run_code
from support import DEADLINE, Finished, Project
from support import batchtwin as command

SECRET = "s3cr3t"  # noqa: S105 - of a server that is not there
QUICK = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
GOOD = "def run(mini_batch): return mini_batch"
# What a script that logs to the server by itself gets from MLflow.
FAILS = """
import os

def run(mini_batch):
    raise ConnectionError(f"no answer of {os.environ['MLFLOW_TRACKING_URI']}/api")
"""
# `batchtwin.engine.tracking.follow`, told that the job has ended.
AT_THE_END = """
import os, runpy, sys, time
read, write = os.pipe()
os.write(write, b"end\\n")
os.close(write)
os.dup2(read, 0)
sys.argv = ["follow", sys.argv[1], "1", repr(time.time())]
runpy.run_module("batchtwin.engine.tracking.follow", run_name="__main__")
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """An address where nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{unused.getsockname()[1]}"


def leaks(done: Finished, secret: str = SECRET) -> list[str]:
    """Where a secret stands: the streams of a command, and the files of its job."""
    streams = {"stdout": done.out.encode(), "stderr": done.err.encode()}
    files = {str(path): path.read_bytes() for path in done.output.rglob("*") if path.is_file()}
    return [name for name, data in {**streams, **files}.items() if secret.encode() in data]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a job that has ended."""
    project = Project(tmp_path_factory.mktemp("finished"))
    project.script = GOOD
    project.files(1)
    done = project.score()
    assert done.code == 0, done.err
    return done.output


Follow = Callable[[Mapping[str, str]], Finished]


@pytest.fixture
def follow(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Follow:
    """Run what runs beside a job at its end, in a process that has MLflow."""

    def end(variables: Mapping[str, str]) -> Finished:
        output = tmp_path / "job"
        shutil.copytree(finished, output)
        for name, value in {**variables, **QUICK}.items():
            monkeypatch.setenv(name, value)
        return Finished(0, run_code(AT_THE_END, [output], tmp_path, DEADLINE), "", output)

    return end


URIS = [
    "http://user:s3cr3t@SERVER",
    "http://user:a@s3cr3t@SERVER",
    "http://user:a/s3cr3t@SERVER",
    "http://user:a%2Fs3cr3t@SERVER/mlflow",
    "http://s3cr3t@SERVER",
    "http://SERVER/?token=s3cr3t",
    "http://SERVER/mlflow?sv=1&sig=s3cr3t&x=1",
    "postgresql+pg8000://me:s3cr3t@SERVER/runs",
    "postgresql+pg8000://me@SERVER/runs?password=s3cr3t",
    "mysql+pymysql://me:s3cr3t@SERVER/runs",
    "unknown://me:s3cr3t@SERVER/runs",
    "http://user:s3cr3t@[SERVER",
]


@pytest.mark.parametrize("uri", URIS)
def test_the_secret_of_a_tracking_uri_is_told_nowhere(follow: Follow, server: str, uri: str) -> None:
    """MLflow cannot reach the address, which the note names without its secret."""
    done = follow({"MLFLOW_TRACKING_URI": uri.replace("SERVER", server)})
    assert leaks(done) == []
    (note,) = done.out.splitlines()
    assert note.startswith("MLflow: ") and uri.partition("://")[0] + "://" in note


@pytest.mark.parametrize("uri", [URIS[1], URIS[5]])
def test_a_job_tells_the_secret_of_its_tracking_uri_nowhere(project: Project, server: str, uri: str) -> None:
    project.script = GOOD
    project.files(1)
    done = project.score(env={"MLFLOW_TRACKING_URI": uri.replace("SERVER", server), **QUICK})
    assert (done.code, leaks(done)) == (0, [])
    (note,) = [line for line in done.err.splitlines() if line.startswith("MLflow: ")]
    assert uri.partition("://")[0] + "://" in note


@pytest.mark.parametrize(
    "variables",
    [
        {"MLFLOW_TRACKING_TOKEN": "s3cr3t\n"},  # no header takes it, and the error repeats it
        {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "s3cr3t\n"},
        {"MLFLOW_REGISTRY_URI": "http://user:s3cr3t@SERVER"},
    ],
)
def test_the_secret_of_another_variable_is_told_nowhere(
    follow: Follow, server: str, variables: Mapping[str, str]
) -> None:
    env = {name: value.replace("SERVER", server) for name, value in variables.items()}
    done = follow({"MLFLOW_TRACKING_URI": f"http://{server}", **env})
    assert leaks(done) == []
    assert "has no run of the job" in done.out


@pytest.mark.parametrize("words", [(), ("--json",)])
@pytest.mark.parametrize("uri", [URIS[0], URIS[1], URIS[5]])
def test_what_a_script_raises_is_told_without_the_secret(
    project: Project, server: str, uri: str, words: tuple[str, ...]
) -> None:
    """On the console, in logs, report, failures, the ledger, and by the commands that read them."""
    project.script = FAILS
    project.settings = {"error_threshold": 0, "retry_settings": {"max_retries": 0}}
    project.files(2)
    env = {"MLFLOW_TRACKING_URI": uri.replace("SERVER", server), "BATCHTWIN_MLFLOW": "off"}
    done = project.score(*words, env=env)
    assert (done.code, leaks(done)) == (1, [])
    assert "ConnectionError" in done.out + done.err
    again = command("resume", done.output, "--retry-failed", *words, env=env)
    assert (again.code, leaks(Finished(again.code, again.out, again.err, done.output))) == (1, [])


def test_a_secret_of_the_deployments_own_is_told_nowhere(project: Project, server: str) -> None:
    project.script = FAILS
    variables = {"MLFLOW_TRACKING_URI": f"postgresql://me@{server}/x?password={SECRET}"}
    project.settings = {"error_threshold": 0, "environment_variables": variables}
    project.files(1)
    done = project.score()
    readable = [path for path in leaks(done) if not path.endswith(("job.sqlite", "job.sqlite-wal"))]
    assert (done.code, readable) == (1, [])


def test_a_caller_of_the_api_sees_no_secret(
    project: Project, server: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    project.script = FAILS
    project.settings = {"error_threshold": 0}
    project.files(1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:{SECRET}@{server}")
    monkeypatch.setenv("BATCHTWIN_MLFLOW", "off")
    notes: list[str] = []
    result = batchtwin.score(project.write(), project.inputs, output=project.folder / "job", progress=True)
    texts = [*capfd.readouterr(), *notes, result.cause, str(result.data()), str(result.failures), repr(result)]
    assert not result.ok and not any(SECRET in text for text in texts)


@pytest.mark.parametrize("words", [("job", "list"), ("--debug", "job", "list"), ("model", "list", "-o", "json")])
@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://me:s3cr3t@SERVER/x",
        "postgresql+psycopg://me@SERVER/x?password=s3cr3t",
        "postgresql+nothing://me:s3cr3t@SERVER/x",
        "postgresql+psycopg://me:s3cr3t@SERVER:port/x",
    ],
)
def test_the_password_of_a_workspace_is_told_nowhere(
    tmp_path: Path, server: str, address: str, words: tuple[str, ...]
) -> None:
    env = {"BATCHTWIN_WORKSPACE": address.replace("SERVER", server)}
    done = command("ml", *words, cwd=tmp_path, env=env)
    assert (done.code, SECRET in done.out + done.err) == (1, False)


def test_an_error_tells_no_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "aKeyOfMine")
    error: BatchTwinError = InputError("refused: aKeyOfMine, https://me:pw@host/x")
    assert str(error) == "refused: ***, https://host/x"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("https://me:pw@a/b failed", "https://a/b failed"),
        ("https://me:p@w@a/b", "https://a/b"),
        ("https://me:p/w@a/b", "https://a/b"),
        ("https://me:p?w#@a/b", "https://a/b"),
        ("https://a:5000/b@2", "https://a:5000/b@2"),
        ("https://a:5000", "https://a:5000"),
        ("https://[::1]:5000/b@2", "https://[::1]:5000/b@2"),
        ("url: /b?x=1&sig=abc (Caused by", "url: /b?x=1&sig=*** (Caused by"),
        ("postgresql://me@a/b?sslmode=require&password=pw", "postgresql://me@a/b?sslmode=require&password=***"),
        ("postgresql://me:pw@a/b", "postgresql://a/b"),
        ("http://a/#/runs/1?workflowType=machine_learning", "http://a/#/runs/1?workflowType=machine_learning"),
        ("a = 1; b=2, mail me@a", "a = 1; b=2, mail me@a"),
    ],
)
def test_what_is_hidden_of_a_text(text: str, hidden: str) -> None:
    assert hide(text) == hidden


def test_a_secret_is_hidden_however_it_is_spelled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "file.pem"
    file.touch()
    monkeypatch.setenv("SERVICE_PASSWORD", 'a"b/c\\d')
    monkeypatch.setenv("SERVER_KEY", str(file))
    monkeypatch.setenv("SHORT_TOKEN", "of")
    text = " ".join(["a%22b%2Fc%5Cd", json.dumps('a"b/c\\d')[1:-1], "of", str(file)])
    assert hide(text) == f"*** *** of {file}"
    monkeypatch.delenv("SERVICE_PASSWORD")
    assert hide('a"b/c\\d') == "***", "it is remembered"
