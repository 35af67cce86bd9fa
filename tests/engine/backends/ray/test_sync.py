"""Machines that do not see the job's folder: model and code go there, rows and logs come back; nothing else differs."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtwin.engine.backends.ray.sync import AppendLog, RemoteWorkdir, apply_deltas
from batchtwin.engine.backends.ray.transfer import PIECE_BYTES, files_to_send, pack, relocate, unpack
from batchtwin.errors import OutputError
from batchtwin_node.protocol import ForkServerConfig, JobContext, Ready
from ray_cluster import blind, running
from support import ALL_FOUR_FIRST, ROOT, Project, batchtwin

pytestmark = pytest.mark.ray

SCRIPT = """
    import os, pathlib, time
    from sibling import named
    def run(mini_batch):
        print("scores", *map(os.path.basename, mini_batch))
        time.sleep(0.1)
        [model] = pathlib.Path(os.environ["AZUREML_MODEL_DIR"]).iterdir()
        weight = (model / "weights.txt").read_text()
        return [f"{named(path)} {weight} {row}" for path in mini_batch for row in range(50)]
"""
SIBLING = "import os\nnamed = os.path.basename\n"


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[str], psutil.Process]]:
    """A cluster whose workers are all on a machine that sees no folder of these tests; how to run there, and it."""
    with (
        running(cpus=0, machines=1) as cluster,
        blind(cluster, tmp_path_factory.getbasetemp(), cpus=4) as machine,
    ):
        words = ["--pool", "ray", "--ray-address", str(cluster.address), "--ray-env", "BATCHTWIN_COPIES"]
        yield words, psutil.Process(machine.pid)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the nodes of one test have their folders; checked to be empty afterwards."""
    with tempfile.TemporaryDirectory() as seen:
        monkeypatch.setenv("BATCHTWIN_COPIES", seen)
        yield Path(seen)
        assert not list(Path(seen).glob("batchtwin-*/*")), "nothing stays there"


@pytest.fixture
def job(project: Project, copies: Path) -> Iterator[Project]:
    """A project whose input is where all machines see it."""
    project.settings = {"instance_count": 2, "max_concurrency_per_instance": 2, "mini_batch_size": 2}
    project.script = SCRIPT
    project.write()
    (project.folder / "code/sibling.py").write_text(SIBLING)
    with tempfile.TemporaryDirectory() as seen:
        project.inputs = Path(seen)
        yield project


def expected(files: int) -> str:
    return "".join(f"{number:02}.txt 42 {row}\n" for number in range(files) for row in range(50))


def hosts(machine: psutil.Process) -> list[psutil.Process]:
    """The actors of a machine."""
    below = machine.children(recursive=True)
    with_names = psutil.process_iter(["name"])
    return [process for process in with_names if process in below and process.info["name"].startswith("ray::NodeActor")]


def test_model_and_code_go_there_rows_and_logs_come_back(job: Project, away: tuple[list[str], Any]) -> None:
    job.files(20)
    done = job.score("--workers", "4", *away[0])
    assert (done.code, done.predictions) == (0, expected(20)), done.err
    assert f"node0 does not see {done.output}: model and code go there" in done.err
    printed = sorted(line for line in done.log("user/stdout/*/*.txt").splitlines() if line.startswith("scores"))
    assert printed == [f"scores {number:02}.txt {number + 1:02}.txt" for number in range(0, 20, 2)]
    assert (done.output / "logs/perf/node0/node_resource_usage.csv").exists()
    assert batchtwin("verify", done.output).code == 0


@pytest.mark.usefixtures("copies")
def test_the_mlflow_driver_scores_there(heart_model: Path, tmp_path: Path, away: tuple[list[str], Any]) -> None:
    words: list[str | Path] = ["score", ROOT / "deployment-simple/deployment.yml", "--input", ROOT / "data"]
    words += ["--model", heart_model, "--workers", "2"]
    there = batchtwin(*words, "--output", tmp_path / "there", *away[0])
    assert (there.code, "does not see" in there.err) == (0, True), there.err
    assert there.predictions == batchtwin(*words, "--output", tmp_path / "here").predictions


def test_an_actor_that_is_lost_there_costs_time_only(job: Project, away: tuple[list[str], psutil.Process]) -> None:
    words, machine = away
    job.files(40)
    there = job.inputs / ".there"
    there.mkdir()
    slow = SCRIPT.replace("time.sleep(0.1)", "all_four_first(); time.sleep(1)")
    job.script = ALL_FOUR_FIRST.replace("THERE", str(there)) + slow
    started = job.start(*words)
    hosts(machine)[0].kill()
    done = job.end(started)
    assert (done.code, done.predictions) == (0, expected(40)), done.err
    assert "is lost" in done.err
    assert batchtwin("verify", done.output).code == 0


def test_more_rows_than_travel_at_once(job: Project, away: tuple[list[str], Any]) -> None:
    job.files(3)
    job.settings["mini_batch_size"] = 1
    job.script = """
        import os
        def run(mini_batch):
            return [os.path.basename(mini_batch[0])[1] * 1000] * 40_000
    """
    done = job.score("--workers", "2", *away[0])
    assert done.code == 0, done.err
    assert done.predictions == "".join(f"{number}" * 1000 + "\n" for number in range(3) for _ in range(40_000))


@pytest.mark.usefixtures("copies")
def test_input_that_is_not_there_is_named(project: Project, away: tuple[list[str], Any]) -> None:
    project.files(1)
    project.script = SCRIPT
    done = project.score(*away[0])
    assert done.code == 1
    assert f"{project.inputs}/00.txt on " in done.err
    assert "is not there; input has to be on a path that all machines share, or to be a URL" in done.err
    assert "batchtwin resume" in done.err


@pytest.mark.parametrize("action", ["summary_only", "append_row"])
def test_files_that_a_script_writes_itself_would_be_lost(
    job: Project, away: tuple[list[str], Any], action: str
) -> None:
    job.files(1)
    job.settings["output_action"] = action
    job.script = """
        import os
        def run(mini_batch):
            open(os.path.join(os.environ["AZUREML_BI_OUTPUT_PATH"], "mine"), "w").close()
            return mini_batch
    """
    done = job.score(*away[0])
    assert done.code == 1
    assert f"{done.output} on " in done.err
    assert "it has to be on a path that all machines share" in done.err


def test_a_script_that_fails_is_known_by_its_own_path(job: Project, away: tuple[list[str], Any]) -> None:
    job.files(1)
    job.script = "import no_such_module\ndef run(mini_batch): return mini_batch\n"
    done = job.score(*away[0])
    assert done.code == 2
    assert str(job.folder / "code") in done.err


def context(folder: Path, **more: Any) -> JobContext:
    """A crew whose job is in one folder and whose code is in another."""
    values: dict[str, Any] = {
        **{"key": "k", "root": str(folder / "job"), "run": 1, "nodes": 1, "workers": 1, "timeout": 1.0},
        **{"script": (str(folder / "code"), "driver.py"), "logging_level": "info", "output_action": "append_row"},
        **{"preload": ForkServerConfig(script=None, model=None), "inputs": "", "variables": {}, "environment": {}},
    }
    return JobContext(**{**values, **more})


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The pieces of a crew's code; its nodes have their folders below `copies`."""
    monkeypatch.setenv("BATCHTWIN_COPIES", str(tmp_path / "copies"))
    (tmp_path / "code").mkdir()
    (tmp_path / "code/driver.py").write_bytes(b"1" * 100_000)
    (tmp_path / "job/azureml-models").mkdir(parents=True)
    pieces: list[bytes] = []
    pack(context(tmp_path), pieces.append)
    return pieces


def test_what_is_packed_is_there_again(tmp_path: Path) -> None:
    models, code = tmp_path / "job/azureml-models", tmp_path / "code"
    weights = os.urandom(40 << 20)  # of several pieces
    for path, data in ((models / "m/weights", weights), (code / "driver.py", b"1"), (code / "deep/x.sh", b"2")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (code / "deep/x.sh").chmod(0o755)
    (code / "link").symlink_to(code / "deep")
    (code / "deep/loop").symlink_to(code)
    (code / "nowhere").symlink_to("no-such-file")
    pieces: list[bytes] = []
    size = pack(context(tmp_path), pieces.append)
    assert (size, len(pieces)) == (sum(map(len, pieces)), 3)
    there = tmp_path / "there"
    unpack(pieces, there)
    assert (there / "azureml-models/m/weights").read_bytes() == weights
    assert {str(path.relative_to(there / "scratch/code")) for path in there.glob("scratch/code/**/*")} == {
        *("driver.py", "deep", "deep/x.sh", "link", "link/x.sh"),
    }
    assert (there / "scratch/code/deep/x.sh").stat().st_mode & 0o777 == 0o755


def test_paths_of_the_job_are_those_of_its_new_folder(tmp_path: Path) -> None:
    """The job's folder lies in the code folder, as with `code: .`; the deployment's own variables are left alone."""
    code = str(tmp_path)
    mine = {"MINE": f"{code}/job/mine"}
    environment = {
        "AZUREML_MODEL_DIR": f"{code}/job/scratch/m",
        "BATCHTWIN_CODE_DIR": code,
        "OTHER": f"{code}s",
        **mine,
    }
    preload = ForkServerConfig(script=(code, "d.py"), model=f"{code}/job/scratch/m/x")
    found = relocate(
        context(tmp_path, script=(code, "d.py"), variables=mine, environment=environment, preload=preload), Path("/new")
    )
    assert (found.root, found.script, found.preload.script) == ("/new", *[("/new/scratch/code", "d.py")] * 2)
    assert found.preload.model == "/new/scratch/m/x"
    assert found.environment == {
        "AZUREML_MODEL_DIR": "/new/scratch/m",
        "BATCHTWIN_CODE_DIR": "/new/scratch/code",
        "OTHER": f"{code}s",
        **mine,
    }


@given(
    st.lists(st.tuples(st.sampled_from(["segments/a", "segments/b", "logs/deep/c"]), st.binary())), st.integers(1, 9)
)
def test_files_grow_here_as_they_grow_there(writes: list[tuple[str, bytes]], most: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        there, here = Path(name, "there"), Path(name, "here")
        written: dict[str, bytes] = {}
        here.mkdir()
        growth = AppendLog(there)
        for file, data in writes:
            (there / file).parent.mkdir(parents=True, exist_ok=True)
            with (there / file).open("ab") as stream:
                stream.write(data)
            written[file] = written.get(file, b"") + data
            apply_deltas(here, growth.take(most))
        while deltas := growth.take(most):
            assert sum(len(data) for _, data in deltas) <= most
            apply_deltas(here, deltas)
        assert {file: (here / file).read_bytes() for file, data in written.items() if data} == {
            file: data for file, data in written.items() if data
        }


def test_what_is_half_unpacked_goes_and_the_full_disk_is_named(tmp_path: Path, packed: list[bytes]) -> None:
    def full() -> Iterator[bytes]:
        yield packed[0][:50_000]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left on device") as refused:
        RemoteWorkdir(context(tmp_path), 0, full())
    assert str(refused.value.filename).startswith(str(tmp_path / "copies"))
    assert not list((tmp_path / "copies").glob("*/*"))


def test_rows_come_before_the_events_that_tell_of_them(tmp_path: Path, packed: list[bytes]) -> None:
    """Three pieces and a bit: events are held until all has been taken, and told once."""
    away = RemoteWorkdir(context(tmp_path), 0, packed)
    rows = os.urandom(3 * PIECE_BYTES + 7)
    (Path(away.context.root) / "segments/s").write_bytes(rows)
    answers = [away.answer([Ready(worker="node0/process000", seconds=1.0)])]
    while away.is_behind:
        answers.append(away.answer([]))
    assert [len(texts) for texts, _ in answers] == [0, 0, 0, 1]
    assert b"".join(data for _, deltas in answers for _, data in deltas) == rows
    away.cleanup()
    assert not list((tmp_path / "copies").glob("*/*"))


def test_folders_of_dead_nodes_go_with_those_of_living_ones(tmp_path: Path, packed: list[bytes]) -> None:
    first, second = (RemoteWorkdir(context(tmp_path), number, packed) for number in (0, 1))
    dead = Path(first.context.root).with_name("k-run1-node7")
    dead.mkdir()
    first.cleanup()
    assert [path.name for path in dead.parent.iterdir()] == [Path(second.context.root).name], "the living one stays"
    second.cleanup()
    assert not list(dead.parent.iterdir())


def test_folders_that_link_to_each_other_are_packed_once(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / "code" / name).mkdir(parents=True)
        (tmp_path / "code" / name / "x").write_text(name)
        (tmp_path / "code" / name / other).symlink_to(tmp_path / "code" / other)
    names = {name for name, _ in files_to_send(tmp_path / "code")}
    assert names == {"a/x", "a/b/x", "b/x", "b/a/x"}


@pytest.mark.parametrize("name", ["../x", "/etc/x", "segments/../../x", "named-outputs/score/x", "segmentsx"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="leads out of"):
        apply_deltas(tmp_path, [(name, b"x")])
    assert not list(tmp_path.iterdir())
