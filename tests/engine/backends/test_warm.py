"""A warm job cannot be told from a cold one, but for its speed; what is of no use costs one cold start."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from warm_jobs import BY_ITSELF, COLD, SCRIPT, WARM, Warm, gone, how, on_path, why_cold

import batchtwin as package
from batchtwin.engine.backends.warm.servers import stop_servers, warm_servers
from batchtwin_node.warm import sockets
from support import DEADLINE, ROOT, Finished, Project, batchtwin, is_over, unprivileged, wait_for

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="servers are forked on Linux only")]
# All that a job could see of another one; of its status what is its own: `SigQ` counts signals of all its user's.
FACTS = """
    STATUS = "Umask", "SigBlk", "SigIgn", "SigCgt", "NoNewPrivs", "Threads"
    import json, logging, os, random, resource, sys, tempfile, threading
    import helper
    def run(mini_batch):
        status = open("/proc/self/status").read().splitlines()
        facts = {
            "folder": os.path.relpath(os.getcwd(), os.environ["AZUREML_BI_OUTPUT_PATH"]),
            "variables": {name: value for name, value in sorted(os.environ.items()) if name != "PYTEST_CURRENT_TEST"},
            "status": [line for line in status if line.partition(":")[0] in STATUS],
            "limits": [resource.getrlimit(limit) for limit in range(16)],
            "open": sorted(os.readlink(f"/proc/self/fd/{fd}").split(":")[0] for fd in os.listdir("/proc/self/fd")
                           if os.path.exists(f"/proc/self/fd/{fd}")),
            "path": [place for place in sys.path if "packages-" not in place],
            "logging": [repr(handler) for handler in logging.getLogger().handlers],
            "threads": [thread.name for thread in threading.enumerate()],
            "temporary": tempfile.gettempdir(),
            "arguments": sys.argv[1:],
            "modules": sorted(name for name in sys.modules if not name.startswith("batchtwin_node")),
            "session": os.getsid(0) == os.getpid(),
            "nice": os.nice(0),
            "readable": os.access("/proc/self/environ", os.R_OK) and bool(open("/proc/self/environ").read(1)),
        }
        return [json.dumps(facts)] * len(mini_batch)
"""


def test_a_second_job_is_warm(warm: Warm) -> None:
    server = warm.keep()
    first = (warm.project.folder / "job/named-outputs/score/predictions.csv").read_bytes()
    done = warm.score()
    assert (why_cold(done), how(done)) == ("", WARM)
    assert done.predictions.encode() == first
    assert warm_servers()[-1].state.pid == server.state.pid


def test_nothing_stays_unless_it_is_asked_for(warm: Warm) -> None:
    warm.project.score("--workers", "1", env=warm.env)
    warm.score("--no-warm", env={"BATCHTWIN_WARM": "1"})
    assert not warm.folder.exists()


def test_a_variable_makes_it_the_default(warm: Warm) -> None:
    for expected in (COLD, WARM):
        done = warm.project.score("--workers", "1", "--overwrite", env={**warm.env, "BATCHTWIN_WARM": "1"})
        assert how(done) == expected
        wait_for(lambda: bool(warm_servers()))


def test_the_function_is_warm_too(warm: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", warm.env["PYTHONPATH"])
    for name in ("one", "two"):
        result = package.score(
            warm.project.write(), warm.project.inputs, output=warm.project.folder / name, workers=1, warm=True
        )
        assert result.ok, result.cause
        wait_for(lambda: bool(warm_servers()))
    assert how(Finished(0, "", "", warm.project.folder / "two")) == WARM


def test_a_changed_script_is_seen(warm: Warm) -> None:
    warm.keep()
    warm.project.script = SCRIPT.replace("helper.VALUE", "helper.VALUE + 41")
    done = warm.score()
    assert how(done) == WARM
    assert done.predictions.startswith("00.txt 42\n")


@contextmanager
def queued_signal() -> Iterator[None]:
    """Another process of this user has a signal that it does not take."""
    text = """
        import os, signal, sys
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
        os.kill(os.getpid(), signal.SIGRTMIN)
        print("queued", flush=True)
        sys.stdin.read()
    """
    words = [sys.executable, "-c", textwrap.dedent(text)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "queued\n"
        yield
        process.communicate(timeout=DEADLINE)


def test_the_world_of_a_worker_is_the_same(warm: Warm) -> None:
    """Nothing of the job before, and all that a cold worker has; whatever other processes do."""
    warm.project.script = FACTS
    with queued_signal():
        cold = json.loads(warm.score().predictions.splitlines()[0])
    wait_for(lambda: bool(warm_servers()))
    for _ in range(2):
        done = warm.score()
        assert how(done) == WARM
        facts = json.loads(done.predictions.splitlines()[0])
        more = {name.partition(".")[0] for name in set(facts["modules"]) ^ set(cold["modules"])}
        assert more <= sys.stdlib_module_names  # which a server needs to listen
        facts["modules"] = cold["modules"]
        assert {name: (cold[name], value) for name, value in facts.items() if cold[name] != value} == {}


def test_what_a_job_does_to_its_process_is_not_seen_by_the_next(warm: Warm) -> None:
    warm.project.script = FACTS.replace(
        "status =",
        "os.environ['LEFT'] = 'x'; os.umask(0o77); os.chdir('/'); random.seed(1); logging.basicConfig();"
        " sys.path.append('/left'); sys.modules['left'] = sys; resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99));"
        " helper.VALUE = 9; status =",
    )
    warm.keep()
    warm.project.script = FACTS.replace('"nice"', '"value": helper.VALUE, "nice"')
    done = warm.score()
    facts = json.loads(done.predictions.splitlines()[0])
    assert how(done) == WARM
    assert facts["value"] == 1
    assert not [name for name in ("LEFT", "left", "/left") if f'"{name}"' in done.predictions]
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] in [limit[0] for limit in facts["limits"]]


def test_random_numbers_differ(warm: Warm) -> None:
    warm.project.script = """
        import json, random
        import numpy
        def run(mini_batch):
            return [f"{random.random()} {numpy.random.random()}"] * len(mini_batch)
    """
    texts = []
    for _ in range(3):
        texts.append(warm.score().predictions.split()[:2])
        wait_for(lambda: bool(warm_servers()))
    numbers = [number for pair in texts for number in pair]
    assert len(set(numbers)) == len(numbers)


def test_what_imports_print_is_in_each_log_once(warm: Warm) -> None:
    warm.helper.write_text("VALUE = 1\nprint('hello from an import')\n")
    warm.keep()
    for _ in range(2):
        assert warm.score().log("user/stdout/node0/*").count("hello") == 1


@pytest.mark.parametrize("change", ["module", "package", "variable", "own variable", "path"])
def test_what_changed_is_noticed(warm: Warm, change: str) -> None:
    server = warm.keep()
    env: dict[str, str] = {}
    if change == "module":
        warm.helper.write_text("VALUE = 12345\n")
    elif change == "package":
        (warm.helper.parent / "json_tools").mkdir()
    elif change == "variable":
        env = {"SOME_SETTING": "1"}
    elif change == "own variable":
        warm.project.settings = {"environment_variables": {"SOME_SETTING": "1"}}
    else:
        other = warm.project.folder / "other"
        other.mkdir()
        (other / "helper.py").write_text("VALUE = 12345\n")
        env = {"PYTHONPATH": on_path(other)}
    done = warm.score(env=env)
    assert how(done) == COLD
    assert ("12345" in done.predictions) == (change in ("module", "path"))
    if change in ("module", "package"):
        assert "has changed" in why_cold(done)
        wait_for(gone(server.state.pid))
    wait_for(lambda: any(other.state.pid != server.state.pid for other in warm_servers()))
    assert how(warm.score(env=env)) == WARM


def test_a_module_of_the_same_time_and_size_in_another_file_is_noticed(warm: Warm) -> None:
    warm.keep()
    about = warm.helper.stat()
    other = warm.helper.with_name("other")
    other.write_text("VALUE = 7\n")
    os.utime(other, ns=(about.st_atime_ns, about.st_mtime_ns))
    os.replace(other, warm.helper)
    shutil.rmtree(warm.helper.parent / "__pycache__", ignore_errors=True)
    done = warm.score()
    assert how(done) == COLD
    assert done.predictions.startswith("00.txt 7\n")


def test_a_file_that_an_import_read_is_known(warm: Warm) -> None:
    settings = warm.project.folder / "settings.txt"
    settings.write_text("1")
    warm.helper.write_text(f"VALUE = open({str(settings)!r}).read()\n")
    warm.keep()
    settings.write_text("23")
    assert "settings.txt has changed" in why_cold(done := warm.score())
    assert done.predictions.startswith("00.txt 23\n")


@pytest.mark.parametrize(
    "text",
    [
        "import tempfile; KEPT = tempfile.mkdtemp()",
        "import subprocess; KEPT = subprocess.Popen(['sleep', '60'])",
        "import socket; KEPT = socket.socketpair()",
        "KEPT = open(__file__)",
        "import mmap; KEPT = mmap.mmap(-1, 100)",
        "import socket; KEPT = socket.socket().connect_ex(('127.0.0.1', 9))",
    ],
    ids=["temporary", "process", "socket", "file", "memory", "connection"],
)
def test_what_jobs_would_share_does_not_stay(warm: Warm, text: str) -> None:
    warm.helper.write_text(f"VALUE = 1\n{text}\n")
    for _ in range(2):
        assert how(warm.score()) == COLD
    assert warm_servers() == []
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] == ["sleep", "60"]:
            process.kill()


def test_a_thread_of_an_import_means_no_server(warm: Warm) -> None:
    warm.helper.write_text(
        "VALUE = 1\nimport threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    )
    for _ in range(2):
        assert how(warm.score()).startswith(BY_ITSELF)
    assert warm_servers() == []


def test_a_server_that_is_stopped_costs_one_cold_start(warm: Warm) -> None:
    server = warm.keep()
    os.kill(server.state.pid, signal.SIGSTOP)
    done = warm.score()
    assert (how(done), "does not answer" in why_cold(done)) == (COLD, True)
    wait_for(gone(server.state.pid))
    wait_for(lambda: bool(warm_servers()))
    assert how(warm.score()) == WARM


def test_a_server_that_was_killed_costs_one_cold_start(warm: Warm) -> None:
    server = warm.keep()
    os.kill(server.state.pid, signal.SIGKILL)
    wait_for(gone(server.state.pid))
    assert how(warm.score()) == COLD
    wait_for(lambda: bool(warm_servers()))
    assert how(warm.score()) == WARM


ANSWERS = {"nothing": "", "its end": "connection.close()", "garbage": "connection.send(b'\\xff{')"} | {
    "a wrong message": """connection.send(b'{"type": "ended", "returncode": 0}')""",
    "a start without a node": """connection.send(b'{"type": "started"}')""",
    "itself stopped": """os.kill(os.getpid(), signal.SIGSTOP)""",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_a_server_that_answers_wrongly_costs_one_cold_start(warm: Warm, answer: str) -> None:
    server = warm.keep()
    stop_servers()
    wait_for(gone(server.state.pid))
    path = warm.folder / server.name
    text = f"""
        import os, signal, socket, time
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        os.chdir({str(path.parent)!r})
        listener.bind({path.name!r})
        listener.listen()
        connection, _ = listener.accept()
        connection.recv(1000)
        {answer}
        time.sleep(600)
    """
    wrong = subprocess.Popen([sys.executable, "-c", textwrap.dedent(text)])
    wait_for(path.exists)
    done = warm.score()
    assert how(done) == COLD
    assert "the server" in why_cold(done)
    wrong.kill()
    wrong.wait(DEADLINE)
    wait_for(lambda: bool(warm_servers()))
    assert how(warm.score()) == WARM


def test_a_folder_that_others_may_enter_is_refused(warm: Warm) -> None:
    warm.folder.mkdir()
    warm.folder.chmod(0o750)
    done = warm.score()
    assert (how(done), "others may enter" in why_cold(done)) == (COLD, True)
    assert os.listdir(warm.folder) == []
    shown = batchtwin("environments", "list")
    assert (shown.code, "others may enter" in shown.err) == (0, True), shown.err
    stopped = batchtwin("environments", "stop")
    assert (stopped.code, "others may enter" in stopped.err) == (2, True), stopped.err


def test_a_folder_behind_a_link_is_refused(warm: Warm) -> None:
    real = warm.project.folder / "real"
    real.mkdir(mode=0o700)
    warm.folder.symlink_to(real)
    assert how(warm.score()) == COLD
    assert os.listdir(real) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make another user's folder")
def test_the_folder_of_another_user_is_refused(warm: Warm) -> None:
    warm.folder.mkdir(mode=0o700)
    os.chown(warm.folder, 65534, 65534)
    done = warm.score()
    assert (how(done), "another user" in why_cold(done)) == (COLD, True)
    os.chown(warm.folder, 0, 0)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be two users")
def test_the_socket_of_another_user_is_refused(tmp_path: Path) -> None:
    with unprivileged() as place:
        folder = sockets.open_private(str(place / "servers"), make=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(sockets.address(folder, "other"))
            listener.listen()
            os.setresuid(0, 0, 0)
            with pytest.raises(sockets.NotPrivateError):
                sockets.connect(folder, "other", 1.0)
    os.close(folder)


def test_a_client_of_another_user_is_sent_away(warm: Warm) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can be two users")
    server = warm.keep()
    text = f"""
        import os, socket
        folder = os.open({str(warm.folder)!r}, os.O_RDONLY)
        os.setresuid(65534, 65534, 65534)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(10)
        try:
            connection.connect(f"/proc/self/fd/{{folder}}/{server.name}")
            connection.send(b'{{"type": "tell"}}')
            print(connection.recv(1000))
        except OSError as error:
            print("refused", error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(("refused", "b''")), done.stdout


def test_servers_that_are_too_many_end(warm: Warm) -> None:
    pids = []
    for value in ("1", "2", "3"):
        env = {"SOME_SETTING": value, "BATCHTWIN_WARM_SERVERS": "2"}
        warm.score(env=env)
        wait_for(lambda: bool(warm_servers()) and warm_servers()[-1].state.pid not in pids)
        pids.append(warm_servers()[-1].state.pid)
        if value == "2":  # the first is used again: the second is the one to go
            assert how(warm.score(env={**env, "SOME_SETTING": "1"})) == WARM
    wait_for(gone(pids[1]))
    assert {server.state.pid for server in warm_servers()} == {pids[0], pids[2]}


def test_an_idle_server_ends(warm: Warm) -> None:
    warm.score(env={"BATCHTWIN_WARM_SECONDS": "0.5"})
    wait_for(lambda: not list(warm.folder.glob("*.sock")))
    assert how(warm.score()) == COLD


@pytest.mark.parametrize("name", ["BATCHTWIN_WARM_SECONDS", "BATCHTWIN_WARM_SERVERS", "BATCHTWIN_WARM"])
def test_a_setting_that_makes_no_sense_is_refused(warm: Warm, name: str) -> None:
    words = [] if name == "BATCHTWIN_WARM" else ["--warm"]
    done = warm.project.score(*words, env={**warm.env, name: "soon"})
    assert (done.code, f"{name}=soon: expected" in done.err) == (2, True), done.err


def test_no_server_is_kept_with_zero(warm: Warm) -> None:
    for _ in range(2):
        assert how(warm.score(env={"BATCHTWIN_WARM_SERVERS": "0"})) == COLD
    assert warm_servers() == []


def test_list_and_stop(warm: Warm) -> None:
    server = warm.keep()
    shown = batchtwin("environments", "list")
    assert f"{server.state.pid}" in shown.out
    assert "1 warm, " in shown.out
    assert "driver.py" in shown.out
    assert server.state.size > 1 << 20
    stopped = batchtwin("environments", "stop")
    assert stopped.out == "stopped 1 warm server\n"
    wait_for(gone(server.state.pid))
    assert batchtwin("environments", "stop").out == "stopped 0 warm servers\n"
    assert how(warm.score()) == COLD


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_the_end_of_a_controller_ends_its_workers_and_leaves_the_server(warm: Warm, number: signal.Signals) -> None:
    warm.keep()
    [server] = warm_servers()
    job = warm.start()
    node = psutil.Process(server.state.pid).children()
    family = [process for child in node for process in (child, *child.children(recursive=True))]
    assert len(family) == 5  # supervisor, node, fork server and two workers
    job.send_signal(number)
    job.wait(DEADLINE)
    psutil.wait_procs(family, DEADLINE)
    wait_for(lambda: all(is_over(process) for process in family))
    warm.project.script = SCRIPT
    done = warm.score()
    assert how(done) == WARM
    assert warm_servers()[-1].state.pid == server.state.pid


def test_a_node_that_is_stopped_does_not_outlive_its_controller(warm: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    [server] = [warm.keep()]
    job = warm.start()
    [supervisor] = psutil.Process(server.state.pid).children()
    [node] = supervisor.children()
    workers = node.children(recursive=True)
    node.send_signal(signal.SIGSTOP)
    job.kill()
    job.wait(DEADLINE)
    wait_for(lambda: all(is_over(process) for process in (supervisor, node, *workers)))


def test_a_server_that_dies_takes_no_job_with_it(warm: Warm) -> None:
    server = warm.keep()
    job = warm.start()
    os.kill(server.state.pid, signal.SIGKILL)
    wait_for(gone(server.state.pid))
    assert job.poll() is None
    job.send_signal(signal.SIGINT)
    assert job.wait(DEADLINE) == 130  # canceled, not lost


def test_two_jobs_at_the_same_time_share_a_server(warm: Warm, tmp_path: Path) -> None:
    server = warm.keep()
    job = warm.start()
    other = Warm(Project(tmp_path / "other"), warm.folder)
    other.env = warm.env
    assert how(other.score()) == WARM
    assert warm_servers()[-1].state.pid == server.state.pid
    assert job.poll() is None
    job.kill()
    job.wait(DEADLINE)


class TestDriver:
    """MLflow models: the model is loaded before the fork, or its imports alone are there."""

    @pytest.fixture
    def heart(self, warm: Warm, heart_model: Path) -> Warm:
        warm.project.script = None
        warm.project.model = warm.project.folder / "heart"
        shutil.copytree(heart_model, warm.project.model)
        for path in warm.project.inputs.iterdir():
            path.unlink()
        for path in (ROOT / "data").glob("*.csv"):
            shutil.copy(path, warm.project.inputs)
        return warm

    def test_the_same_bytes_and_a_changed_model_is_noticed(self, heart: Warm) -> None:
        cold = heart.project.score("--workers", "1", env=heart.env).predictions
        done = heart.score()
        assert (how(done), done.predictions) == (COLD, cold)
        wait_for(lambda: len(warm_servers()) == 2)
        done = heart.score()
        assert (how(done), done.predictions) == (WARM, cold)
        [loaded] = [server for server in warm_servers() if "imports only" not in server.state.title]
        assert loaded.state.served == 1
        assert heart.project.model is not None
        path = heart.project.model / "MLmodel"
        path.write_text(path.read_text() + "\n")
        done = heart.score()
        assert "MLmodel has changed" in why_cold(done)
        assert cold == done.predictions

    def test_another_model_has_the_imports(self, heart: Warm, tmp_path: Path) -> None:
        first = heart.score().predictions
        wait_for(lambda: len(warm_servers()) == 2)
        assert heart.project.model is not None
        other = shutil.copytree(heart.project.model, tmp_path / "other")
        done = heart.score("--model", other)
        assert (why_cold(done), how(done)) == ("", WARM)
        assert first == done.predictions
        wait_for(lambda: len(warm_servers()) == 3)
        assert how(heart.score("--model", other)) == WARM
        counts = {server.state.title.partition(",")[0]: server.state.served for server in warm_servers()}
        assert counts == {"imports only": 1, str(other): 1, str(heart.project.model): 0}
