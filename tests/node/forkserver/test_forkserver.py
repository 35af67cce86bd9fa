"""Workers forked from a template cannot be told from workers that start by themselves, but for their speed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from batchtwin_node.machine import cpus
from support import COMMAND, DEADLINE, ROOT, Finished, Project, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
BY_ITSELF = {"BATCHTWIN_NO_FORK": "1"}
REPORTS = """
    import json, os, sys
    import numpy as np
    def run(mini_batch):
        facts = [os.getpgid(0) == os.getpid(), sys.argv[1:], sys.path[0], os.environ["AZUREML_MODEL_DIR"]]
        facts += [os.environ["OMP_NUM_THREADS"], sys.stdin.read(), sys.flags.safe_path]
        facts += [os.path.basename(os.path.dirname(os.getcwd())), sorted(os.listdir())]
        facts += [[os.readlink(f"/proc/self/fd/{fd}").split(":")[0].split("node")[0] for fd in (0, 1, 2)]]
        return [json.dumps(facts)] * len(mini_batch)
"""


def starts(done: Finished) -> list[str]:
    """How each worker came to be, from its log: the first word after the time."""
    return [
        line.split()[1].rstrip(",")
        for line in done.log("sys/node/*/*.txt").splitlines()
        if ", pid" in line and "try" not in line
    ]


def package(project: Project, name: str, text: str) -> dict[str, str]:
    """Install a module, so to speak: beside the code folder, on the path of every worker."""
    folder = project.folder / "installed"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(text)
    return {"PYTHONPATH": str(folder)}


def test_the_world_of_a_worker_is_the_same(project: Project) -> None:
    project.files(2)
    project.script = REPORTS
    done = project.score()
    forked = done.predictions
    assert starts(done) == ["forked", "forked"]
    done = project.score("--overwrite", env=BY_ITSELF)
    assert starts(done) == ["started", "started"]
    assert forked == done.predictions


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_driver_gives_the_same_bytes(project: Project, heart_model: Path, workers: str) -> None:
    """The model is loaded before the fork; OpenMP has its threads after it: one worker has all CPUs."""
    project.model = heart_model
    for path in (ROOT / "data").glob("*.csv"):
        shutil.copy(path, project.inputs)
    project.settings = {"mini_batch_size": 2}
    forked = project.score("--workers", workers)
    assert starts(forked) == ["forked"] * int(workers), forked.err
    by_itself = project.score("--workers", workers, "--overwrite", env=BY_ITSELF)
    assert starts(by_itself) == ["started"] * int(workers)
    assert forked.predictions == by_itself.predictions


def test_a_single_worker_has_all_cpus(project: Project, heart_model: Path) -> None:
    project.files(1)
    project.script = """
        import numpy
        from threadpoolctl import threadpool_info
        def run(mini_batch):
            return [max(library["num_threads"] for library in threadpool_info())]
    """
    done = project.score("--workers", "1")
    assert starts(done) == ["forked"]
    assert done.predictions == f"{cpus()}\n"


def test_threads_of_the_deployment_win(project: Project) -> None:
    project.files(1)
    project.settings = {"environment_variables": {"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "1"}}
    project.script = "import os\ndef run(mini_batch): return [os.environ['OMP_NUM_THREADS']]"
    assert project.score("--workers", "1").predictions == "3\n"


def test_an_import_that_runs_threads_is_not_forked(project: Project) -> None:
    project.files(2)
    text = "import threading\nthread = threading.Thread(target=threading.Event().wait, daemon=True)\nthread.start()\n"
    env = package(project, "threaded", text)
    project.script = "import threaded\ndef run(mini_batch): return [threaded.thread.is_alive()] * len(mini_batch)"
    done = project.score(env=env)
    assert starts(done) == ["started", "started"]
    assert done.predictions == "True\nTrue\n"


@pytest.mark.parametrize(("name", "how"), [("polars-ooc-cleaner", "forked"), ("polars-0", "started")])
def test_a_thread_that_polars_starts_at_import(project: Project, name: str, how: str) -> None:
    """That of the cleaner may be missing after a fork, those that compute may not. A stand-in has their names."""
    project.files(1)
    text = f"""
        import pathlib, threading
        def wait():
            pathlib.Path(f"/proc/self/task/{{threading.get_native_id()}}/comm").write_text({name!r}[:15])
            named.set()
            threading.Event().wait()
        named = threading.Event()
        threading.Thread(target=wait, daemon=True).start()
        named.wait()
    """
    env = package(project, "polarized", textwrap.dedent(text))
    project.script = "import polarized\ndef run(mini_batch): return mini_batch"
    assert starts(project.score("--workers", "1", env=env)) == [how]


def test_what_an_import_prints_is_in_the_log_of_every_worker(project: Project) -> None:
    project.files(2)
    env = package(project, "chatty", "import sys\nprint('imported')\nprint('with a warning', file=sys.stderr)\n")
    project.script = "import chatty\nimport time\ndef run(mini_batch):\n    time.sleep(1)\n    return mini_batch"
    done = project.score(env=env)
    assert starts(done) == ["forked", "forked"]
    assert done.log("user/stdout/*/*").splitlines() == ["imported"] * 2
    assert done.log("user/stderr/*/*").splitlines() == ["with a warning"] * 2


def test_a_sibling_comes_before_what_is_installed(project: Project) -> None:
    project.files(1)
    env = package(project, "helper", "WHOSE = 'installed'")
    project.script = "import helper\ndef run(mini_batch): return [helper.WHOSE]"
    project.write()
    (project.folder / "code/helper.py").write_text("WHOSE = 'sibling'")
    assert project.score(env=env).predictions == "sibling\n"


def test_an_import_that_fails_is_told_by_the_worker(project: Project) -> None:
    project.files(1)
    env = package(project, "broken", "raise RuntimeError('the disk is on fire')")
    project.script = "import broken\ndef run(mini_batch): return mini_batch"
    done = project.score(env=env)
    assert done.code == 2
    assert "the disk is on fire" in done.err


def test_workers_draw_different_random_numbers(project: Project) -> None:
    project.files(2)
    project.script = """
        import random, time
        import numpy as np
        def run(mini_batch):
            time.sleep(1)  # so that both workers get one
            return [random.random(), np.random.random()]
    """
    done = project.score()
    assert starts(done) == ["forked", "forked"]
    assert len(set(done.predictions.split())) == 4


def waiting(project: Project) -> subprocess.Popen[bytes]:
    """Start a job whose workers wait for a file called go; return once both run."""
    project.files(4)
    project.script = f"""
        import os, time
        def run(mini_batch):
            open({str(project.folder)!r} + f"/runs-{{os.getpid()}}", "w").close()
            while not os.path.exists({str(project.folder / "go")!r}):
                time.sleep(0.01)
            return [os.path.basename(path) for path in mini_batch]
    """
    job = subprocess.Popen([COMMAND, *map(str, project.words())], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: len(list(project.folder.glob("runs-*"))) == 2)
    return job


def family(job: subprocess.Popen[bytes]) -> tuple[psutil.Process, list[psutil.Process]]:
    """The fork server of a job, and its workers."""
    [supervisor] = psutil.Process(job.pid).children()
    [node] = supervisor.children()
    children = node.children()
    workers = [child for child in children if "worker" in Path(child.cwd()).name]
    [forkserver] = [child for child in children if child not in workers]
    return forkserver, workers


def test_a_template_that_dies_is_not_missed(project: Project) -> None:
    job = waiting(project)
    forkserver, workers = family(job)
    forkserver.kill()
    workers[0].kill()
    # Once the replacement runs too: the worker that is left could do the rest before its death is noticed.
    wait_for(lambda: len(list(project.folder.glob("runs-*"))) == 3)
    (project.folder / "go").touch()
    out, err = job.communicate(timeout=DEADLINE)
    assert job.returncode == 0, err
    done = Finished(0, out.decode(), err.decode(), project.folder / "job")
    assert done.predictions == "".join(f"{number:02}.txt\n" for number in range(4))
    assert sorted(starts(done)) == ["forked", "forked", "started"]


def test_all_die_with_the_parent(project: Project) -> None:
    job = waiting(project)
    forkserver, workers = family(job)
    job.kill()
    job.communicate()
    wait_for(lambda: not any(process.is_running() for process in (forkserver, *workers)))
