"""What a warm server depends on: which files, by what they are known, and what they cannot be."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from warm_jobs import COLD, WARM, Warm, how, why_cold

from batchtwin.engine.backends.warm.servers import warm_servers
from support import Finished, batchtwin, wait_for

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="servers are forked on Linux only")]


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A folder below /dev: a file system in memory."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="batchtwin-test-") as folder:
        yield Path(folder)


def test_files_below_dev_are_files(warm: Warm, in_memory: Path) -> None:
    (in_memory / "settings").write_text("1")
    warm.helper.write_text(f"VALUE = open('{in_memory}/settings').read()\n")
    warm.keep()
    (in_memory / "settings").write_text("23")
    done = warm.score()
    assert (done.predictions.splitlines()[0], "settings has changed" in why_cold(done)) == ("00.txt 23", True)


def test_a_model_below_dev_is_looked_at(warm: Warm, in_memory: Path, heart_model: Path) -> None:
    model = in_memory / "heart"
    model.mkdir()
    for path in heart_model.iterdir():
        (model / path.name).write_bytes(path.read_bytes())
    warm.project.script, warm.project.model = None, model
    for path in warm.project.inputs.iterdir():
        path.unlink()
    (warm.project.inputs / "a.csv").write_text((heart_model.parent / "data/heart-unlabeled-0.csv").read_text())
    warm.score()
    wait_for(lambda: len(warm_servers()) == 2)
    (model / "MLmodel").write_text((model / "MLmodel").read_text() + "\n")
    assert "MLmodel has changed" in why_cold(warm.score())


def test_what_shows_the_machine_is_no_file(warm: Warm) -> None:
    """A device, a pipe, and what the kernel makes up differ each time; that means nothing."""
    pipe = warm.project.folder / "pipe"
    os.mkfifo(pipe)
    lines = [
        "VALUE = 1",
        "import os",
        "open('/dev/null').read(), open('/dev/urandom', 'rb').read(1), os.listdir('/proc')",
        "open('/proc/self/stat').read(), open('/proc/uptime').read(), open('/sys/kernel/uevent_seqnum').read()",
        f"os.close(os.open({str(pipe)!r}, os.O_RDONLY | os.O_NONBLOCK))",
    ]
    warm.helper.write_text("\n".join(lines) + "\n")
    warm.keep()
    os.utime(pipe)
    done = warm.score()
    assert (why_cold(done), how(done)) == ("", WARM)


def test_a_file_behind_a_link_of_the_process_is_known(warm: Warm) -> None:
    """`/proc/self` is another folder for each process."""
    settings = warm.project.folder / "settings"
    settings.write_text("1")
    warm.helper.write_text(f"VALUE = open('/proc/self/root{settings}').read()\n")
    warm.keep()
    settings.write_text("23")
    assert warm.score().predictions.startswith("00.txt 23\n")


READERS = {
    "a listed folder": "import os; VALUE = len(os.listdir({folder!r}))",
    "a folder of a pattern": "import glob; VALUE = len(glob.glob({folder!r} + '/*'))",
    "a file that could be written": "VALUE = len(open({file!r}, 'r+').read())",
    "a path": "import os, pathlib; fd = os.open(pathlib.Path({file!r}), 0); VALUE = len(os.read(fd, 9)); os.close(fd)",
}


@pytest.mark.parametrize("text", READERS.values(), ids=READERS.keys())
def test_what_an_import_reads_is_known(warm: Warm, text: str) -> None:
    folder = warm.project.folder / "settings"
    folder.mkdir()
    (folder / "a").write_text("x")
    warm.helper.write_text(text.format(folder=str(folder), file=str(folder / "a")) + "\n")
    warm.keep()
    (folder / "a").write_text("xx")
    (folder / "b").write_text("x")
    assert warm.score().predictions.startswith("00.txt 2\n")


def test_a_database_that_an_import_read_is_known(warm: Warm) -> None:
    import sqlite3

    path = warm.project.folder / "settings.sqlite"

    def write(value: int) -> None:
        connection = sqlite3.connect(path)
        connection.executescript(f"DROP TABLE IF EXISTS t; CREATE TABLE t AS SELECT {value} AS x")
        connection.close()

    write(1)
    lines = [
        "import sqlite3",
        f"connection = sqlite3.connect({str(path)!r})",
        "VALUE = connection.execute('SELECT x FROM t').fetchone()[0]",
        "connection.close()",
    ]
    warm.helper.write_text("\n".join(lines) + "\n")
    warm.keep()
    write(2)
    assert warm.score().predictions.startswith("00.txt 2\n")


def test_a_file_of_the_code_folder_that_an_import_read_is_known(warm: Warm) -> None:
    """Only what the script imports is read for each job."""
    warm.project.write()
    settings = warm.project.folder / "code/settings.txt"
    settings.write_text("1")
    warm.helper.write_text(f"VALUE = open({str(settings)!r}).read()\n")
    warm.keep()
    settings.write_text("23")
    assert warm.score().predictions.startswith("00.txt 23\n")


def test_a_library_that_was_replaced_while_it_was_loaded_does_not_stay(warm: Warm) -> None:
    lines = [
        "VALUE = 1",
        "import _ctypes, ctypes, os, shutil",
        f"copy = shutil.copy(_ctypes.__file__, {str(warm.project.folder)!r})",
        "KEPT = ctypes.CDLL(copy)",
        "os.remove(copy)",
    ]
    warm.helper.write_text("\n".join(lines) + "\n")
    for _ in range(2):
        assert how(warm.score()) == COLD
    assert warm_servers() == []


def score_in(warm: Warm, folder: Path) -> Finished:
    """Score with a working folder."""
    done = batchtwin(*warm.project.words("--overwrite", "--workers", "1", "--warm"), cwd=folder, env=warm.env)
    assert done.code == 0, done.err
    wait_for(lambda: bool(warm_servers()))
    return done


@pytest.mark.parametrize(
    "text",
    [
        "VALUE = open('settings').read()",
        "import os; VALUE = open('settings').read() if os.path.exists('settings') else ''",
        "import os; VALUE = os.path.basename(os.getcwd())",
    ],
    ids=["read", "looked for", "its name"],
)
def test_a_working_folder_has_its_own_server(warm: Warm, tmp_path: Path, text: str) -> None:
    warm.helper.write_text(f"{text}\n")
    one, two = tmp_path / "1", tmp_path / "23"
    for folder in (one, two):
        folder.mkdir()
        (folder / "settings").write_text(folder.name)
    if "exists" in text:
        (one / "settings").unlink()
    for folder, expected in ((one, COLD), (two, COLD), (one, WARM), (two, WARM)):
        done = score_in(warm, folder)
        value = folder.name if "exists" not in text or folder == two else ""
        assert (done.predictions.splitlines()[0], how(done)) == (f"00.txt {value}", expected)


@pytest.mark.parametrize("name", ["TERMINAL_WIDTH_OF_X", "SSH_KEYS_OF_X", "PYTEST_LIKE", "TMUX_OF_X"])
def test_a_variable_that_is_named_like_one_of_a_shell_matters(warm: Warm, name: str) -> None:
    warm.helper.write_text(f"import os\nVALUE = os.environ.get({name!r}, '1')\n")
    warm.keep()
    assert warm.score(env={name: "23"}).predictions.startswith("00.txt 23\n")


def test_variables_of_a_terminal_do_not_matter(warm: Warm) -> None:
    warm.keep()
    done = warm.score(env={"TERM": "dumb", "SSH_TTY": "/dev/pts/77", "TMUX_PANE": "%7", "COLUMNS": "77"})
    assert (why_cold(done), how(done)) == ("", WARM)


def write_in_place(path: Path, data: bytes) -> None:
    """As `cp -p` and `rsync --inplace --times` do: size, time and inode stay."""
    before = path.stat()
    with path.open("r+b") as stream:
        stream.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def test_a_module_that_is_written_in_place_is_noticed(warm: Warm) -> None:
    warm.keep()
    write_in_place(warm.helper, b"VALUE = 7\n")
    shutil.rmtree(warm.helper.parent / "__pycache__", ignore_errors=True)
    done = warm.score()
    assert (how(done), done.predictions.splitlines()[0]) == (COLD, "00.txt 7")


def test_a_model_that_is_written_in_place_is_noticed(warm: Warm, heart_model: Path) -> None:
    """Each job makes links to its files, which is no change."""
    model = warm.project.folder / "heart"
    shutil.copytree(heart_model, model)
    warm.project.script, warm.project.model = None, model
    for path in warm.project.inputs.iterdir():
        path.unlink()
    shutil.copy(heart_model.parent / "data/heart-unlabeled-0.csv", warm.project.inputs)
    warm.score()
    wait_for(lambda: len(warm_servers()) == 2)
    for name in ("job", "job", "other"):
        done = warm.score("--output", warm.project.folder / name)
        assert (why_cold(done), how(done)) == ("", WARM)
    text = (model / "requirements.txt").read_bytes()
    write_in_place(model / "requirements.txt", b"#" * len(text))
    assert "requirements.txt has changed" in why_cold(warm.score())
