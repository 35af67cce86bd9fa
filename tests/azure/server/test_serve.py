"""The server as a process: its start, what it leaves for clients, its end, and what outlives it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from served import HOME, Server

from batchtwin.azure.connection import Connection, NoServerError
from batchtwin.azure.web import access_token
from support import COMMAND, DEADLINE, Finished, Project, batchtwin, wait_for, wait_until_over

WAITING = """
    import time
    from pathlib import Path

    def run(files):
        Path({go!r}).with_name("began").touch()
        while not Path({go!r}).exists():
            time.sleep(0.01)
        return ["done"]
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server in a workspace of the test's own; it is ended with the test."""
    started: list[Server] = []

    def begin(*words: str) -> Server:
        started.append(Server(tmp_path / "place", words or ("--port", "0")))
        return started[-1]

    yield begin
    for server in started:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that tests only look at."""
    server = Server(tmp_path_factory.mktemp("untouched") / "place")
    yield server
    server.stop()


def env(server: Server, *words: str) -> Finished:
    """`batchtwin env` in the server's workspace."""
    return batchtwin("env", *words, env={"BATCHTWIN_WORKSPACE": str(server.folder)})


def test_it_is_small_and_idle(start: Callable[..., Server]) -> None:
    began = time.monotonic()
    server = start()
    assert time.monotonic() - began < 10  # 2 s on a machine that does nothing else
    process = psutil.Process(server.process.pid)
    assert process.memory_info().rss < 150e6
    before = process.cpu_times()
    server.call("GET", "")
    with pytest.raises(psutil.TimeoutExpired):
        process.wait(3)  # idle
    after = process.cpu_times()
    assert after.user + after.system - before.user - before.system < 0.3


def test_it_imports_nothing_heavy(untouched: Server) -> None:
    maps = Path(f"/proc/{untouched.process.pid}/maps").read_text()
    assert not [name for name in ("pandas", "numpy", "sklearn", "pyarrow") if f"/{name}/" in maps]


def test_it_says_how_to_reach_it(untouched: Server) -> None:
    exports = env(untouched).out
    shell = f'set -eu\n{exports}\necho "$AZUREML_CURRENT_CLOUD $IDENTITY_HEADER"'
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["BatchTwin", untouched.connection.variables()["IDENTITY_HEADER"]]
    assert (untouched.folder / "config.json").read_text() == env(untouched, "--config").out
    unset = env(untouched, "--unset").out
    cleared = f'set -eu\n{exports}\n{unset}\necho "${{REQUESTS_CA_BUNDLE-none}}"'
    assert subprocess.run(["sh", "-c", cleared], capture_output=True, text=True, check=True).stdout == "none\n"


@pytest.mark.parametrize(
    ("own", "while_evaluated"),
    [
        ({}, ("localhost,127.0.0.1", "localhost,127.0.0.1")),
        ({"no_proxy": "corp.example"}, ("corp.example,localhost,127.0.0.1", "")),
        ({"NO_PROXY": "corp.example"}, ("", "corp.example,localhost,127.0.0.1")),
        (
            {"no_proxy": "corp.example, x", "NO_PROXY": "localhost,127.0.0.1"},
            ("corp.example, x,localhost,127.0.0.1", "localhost,127.0.0.1,localhost,127.0.0.1"),
        ),
        ({"no_proxy": "*"}, ("*", "")),
    ],
)
def test_the_users_no_proxy_holds_and_comes_back(
    untouched: Server, own: dict[str, str], while_evaluated: tuple[str, str]
) -> None:
    without = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"}
    shell = f"""
        set -eu
        show() {{ echo "${{no_proxy-}}|${{NO_PROXY-}}"; }}
        eval "$('{COMMAND}' env)"; show
        eval "$('{COMMAND}' env)"; show
        eval "$('{COMMAND}' env --unset)"; show
    """
    env = {**without, **own, "BATCHTWIN_WORKSPACE": str(untouched.folder)}
    done = subprocess.run(["sh", "-c", shell], env=env, capture_output=True, text=True, check=True)
    evaluated, again, back = (tuple(line.split("|")) for line in done.stdout.splitlines())
    assert (evaluated, again) == (while_evaluated, while_evaluated)
    assert back == (own.get("no_proxy", ""), own.get("NO_PROXY", ""))


def test_what_goes_without_tls_goes_to_an_address(untouched: Server) -> None:
    """Not to a name: at `::1`, which is `localhost` too, another may listen."""
    variables = untouched.connection.variables()
    for name in ("ARM_CLOUD_METADATA_URL", "IDENTITY_ENDPOINT"):
        assert urlsplit(variables[name]).hostname == "127.0.0.1"


def test_check_asks_no_proxy(untouched: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.setblocking(False)
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        variables = {"http_proxy": address, "https_proxy": address, "no_proxy": "", "NO_PROXY": ""}
        done = batchtwin("env", "--check", env={"BATCHTWIN_WORKSPACE": str(untouched.folder), **variables})
        assert (done.code, done.out) == (0, f"{untouched.connection.origin}: reachable\n")
        with pytest.raises(BlockingIOError):
            proxy.accept()


def test_check_says_in_one_line_whether_it_can_be_reached(start: Callable[..., Server]) -> None:
    server = start()
    origin = server.connection.origin
    done = env(server, "--check")
    assert (done.code, done.out) == (0, f"{origin}: reachable\n")
    server.stop()
    done = env(server, "--check")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"{origin}: not reachable: ")
    assert done.err.count("\n") == 1


def test_az_gives_the_token_of_the_server(untouched: Server) -> None:
    words = ("--resource", "https://ml.azure.com", "--query", "accessToken", "-o", "tsv")
    done = batchtwin("account", "get-access-token", *words, env=untouched.environment)
    assert (done.code, done.err) == (0, "")
    headers = {"Authorization": f"Bearer {done.out.strip()}"}
    assert untouched.ask("GET", f"{untouched.connection.origin}{HOME}/batchEndpoints", headers=headers).status == 200


def test_without_a_server_env_says_so(tmp_path: Path) -> None:
    done = batchtwin("env", env={"BATCHTWIN_WORKSPACE": str(tmp_path)})
    assert (done.code, done.out) == (1, "")
    assert "no server has run in this workspace; start one: batchtwin serve" in done.err


def test_no_key_lies_in_a_file(untouched: Server) -> None:
    for path in untouched.folder.rglob("*"):
        assert not path.is_file() or b"PRIVATE KEY" not in path.read_bytes()
    secret = untouched.folder / "serve/identity"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_it_listens_on_loopback_only(untouched: Server) -> None:
    found = [
        each.laddr.ip for each in psutil.Process(untouched.process.pid).net_connections() if each.status == "LISTEN"
    ]
    assert found == ["127.0.0.1", "127.0.0.1"]


def test_what_goes_without_tls_stays_on_loopback(start: Callable[..., Server]) -> None:
    server = start("--port", "0", "--host", "0.0.0.0")  # noqa: S104 - to be seen
    addresses = {each.laddr for each in psutil.Process(server.process.pid).net_connections() if each.status == "LISTEN"}
    connection = server.connection
    assert addresses == {("0.0.0.0", connection.https_port), ("127.0.0.1", connection.http_port)}  # noqa: S104
    assert server.call("GET", "").status == 200


def test_the_cloud_lies_where_the_service_listens(start: Callable[..., Server]) -> None:
    server = start("--port", "0", "--host", "127.0.0.2")
    [cloud] = server.ask("GET", server.connection.metadata_url).data
    assert cloud["resourceManager"] == server.connection.origin
    assert server.call("GET", "").status == 200


def test_a_port_that_is_taken(untouched: Server, tmp_path: Path) -> None:
    port = str(untouched.connection.https_port)
    done = batchtwin("serve", "--port", port, env={"BATCHTWIN_WORKSPACE": str(tmp_path / "other")})
    assert done.code == 1
    assert done.err.startswith(f"127.0.0.1:{port}: Address already in use; name other ports")


def test_one_server_for_one_workspace(untouched: Server) -> None:
    done = batchtwin("serve", "--port", "0", env={"BATCHTWIN_WORKSPACE": str(untouched.folder)})
    assert done.code == 1
    assert f"is served by process {untouched.process.pid} already" in done.err
    assert env(untouched, "--check").code == 0


@pytest.fixture
def waiting(start: Callable[..., Server], project: Project, tmp_path: Path) -> tuple[Server, str]:
    """A server, and a job that waits for the file `go` in the test's folder."""
    project.script = WAITING.format(go=str(tmp_path / "go"))
    project.files(1)
    server = start()
    with server.workspace() as workspace:
        workspace.computes.create("cluster")
        workspace.endpoints.create("test-endpoint")
        workspace.deployments.create(project.write())
        workspace.assets.create("data", "numbers", path=project.inputs)
    job = invoke(server)
    wait_for((tmp_path / "began").exists)
    return server, job


def invoke(server: Server) -> str:
    """Start a job of the endpoint, and return its name."""
    asked = {"properties": {"inputData": {"x": {"jobInputType": "UriFolder", "uri": "azureml:numbers:1"}}}}
    return str(server.call("POST", "/batchEndpoints/test-endpoint/jobs", asked).data["name"])


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_later_jobs_are_forked_by_a_process_that_ends_with_the_server(
    waiting: tuple[Server, str], tmp_path: Path, how: str
) -> None:
    server, _ = waiting
    serving = psutil.Process(server.process.pid)
    jobs: list[str] = []

    def is_forked() -> bool:
        """Of one more job; those that do not wait for slow imports are not."""
        jobs.append(invoke(server))
        process = server.process_of(jobs[-1])
        return process is not None and process.cmdline() in [child.cmdline() for child in serving.children()]

    wait_for(is_forked)
    [fork_server] = serving.children()
    getattr(server, how)()
    wait_until_over(fork_server.pid)
    server.start()
    (tmp_path / "go").touch()
    assert {server.end(job) for job in jobs} == {"Completed"}


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_job_outlives_the_server(waiting: tuple[Server, str], tmp_path: Path, how: str) -> None:
    server, job = waiting
    getattr(server, how)()
    server.start()
    assert server.call("GET", f"/jobs/{job}").data["properties"]["status"] == "Running"
    (tmp_path / "go").touch()
    assert server.end(job) == "Completed"
    assert server.predictions(job) == "done\n"


def test_a_job_that_was_killed_too_is_failed_and_can_be_resumed(waiting: tuple[Server, str], tmp_path: Path) -> None:
    server, job = waiting
    process = server.process_of(job)
    assert process is not None
    server.kill()
    process.kill()
    process.wait(DEADLINE)
    server.start()
    details = server.call("GET", f"/jobs/{job}").data["properties"]
    assert details["status"] == "Failed"
    assert "batchtwin resume" in details["description"]
    (tmp_path / "go").touch()
    assert batchtwin("resume", server.folder / "jobs" / job).code == 0
    assert server.end(job) == "Completed"


def test_ctrl_c_ends_it_at_once(start: Callable[..., Server]) -> None:
    import signal

    server = start()
    assert server.stop(signal.SIGINT) == ""
    assert server.process.returncode == 0


def test_a_shell_outlives_the_server(start: Callable[..., Server]) -> None:
    server = start()
    before = server.connection.variables()
    ports = server.connection
    server.stop()
    server.words = ("--port", str(ports.https_port), "--http-port", str(ports.http_port))
    server.start()
    assert server.connection.variables() == before
    assert env(server, "--check").code == 0


def test_the_server_of_another_workspace_is_not_taken_for_it(start: Callable[..., Server], tmp_path: Path) -> None:
    """A later server has the port of an earlier one; or the workspace is a copy."""
    server = start()
    other = tmp_path / "other"
    Server(other).stop()
    noted = other / "serve/server.json"
    own = json.loads(noted.read_text())
    noted.write_text(json.dumps({**own, "http_port": server.connection.http_port}))
    copy = shutil.copytree(server.folder, tmp_path / "copy")
    for workspace in (other, copy):
        with pytest.raises(NoServerError):
            access_token(workspace, "anything")
    ports, moved = server.connection.http_port, server.folder.rename(tmp_path / "moved")
    assert Connection.read(moved).http_port == ports
