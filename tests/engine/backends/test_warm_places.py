"""Whatever keeps a job from being warm costs one cold start and a note, never the job."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from warm_jobs import COLD, WARM, Warm, how, why_cold

from batchtwin.engine.backends.warm.servers import warm_servers
from support import COMMAND, DEADLINE, Finished, batchtwin, wait_for

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="servers are forked on Linux only")]
# Says where a user's folders are.
OF_A_HOME = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "BATCHTWIN_WARM_FOLDER")
# A user who is in no list of the system, and owns the files of the one who runs the tests.
NOBODY_KNOWN = ["unshare", "--user", "--map-user=54321"]


def homeless(*words: str | Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command as a user who has no home."""
    if subprocess.run([*NOBODY_KNOWN, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine makes no user namespaces")
    known = {name: value for name, value in os.environ.items() if name not in OF_A_HOME}
    command = [*NOBODY_KNOWN, str(COMMAND), *map(str, words)]
    return subprocess.run(command, env={**known, **env}, capture_output=True, text=True, check=False, timeout=DEADLINE)


def test_no_home_costs_a_note(warm: Warm) -> None:
    done = homeless(*warm.project.words("--workers", "1", "--warm"), env=warm.env)
    assert (done.returncode, done.stderr) == (0, "")
    finished = Finished(0, "", "", warm.project.folder / "job")
    assert (how(finished), "BATCHTWIN_WARM_FOLDER names another folder" in why_cold(finished)) == (COLD, True)


def test_a_trial_needs_no_home(warm: Warm) -> None:
    """It is warm unless it is told otherwise."""
    done = homeless("plan", warm.project.write(), "--input", warm.project.inputs, "--try", env=warm.env)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


@pytest.mark.parametrize("words", [["list"], ["stop"], ["list", "--json"]], ids=" ".join)
def test_environments_need_no_home(words: list[str]) -> None:
    done = homeless("environments", *words, env={})
    assert (done.returncode, done.stderr) == (0, "")


def places(folder: Path) -> dict[str, str]:
    """Folders of servers in which none can be."""
    (folder / "file").write_text("")
    (folder / "link").symlink_to("/nowhere/at/all")
    return {
        "a file": str(folder / "file"),
        "below a file": str(folder / "file/below"),
        "a link to nowhere": str(folder / "link"),
        "a device": "/dev/null",
        "a disk that takes nothing": "/proc/batchtwin/warm",
        "a name that is too long": str(folder / ("x" * 300)),
        "a path that is too long": str(folder) + "/x" * 3000,
    }


def test_a_folder_that_cannot_be_costs_a_note(warm: Warm) -> None:
    for name, place in places(warm.project.folder).items():
        done = warm.score(env={"BATCHTWIN_WARM_FOLDER": place})
        assert (name, how(done), bool(why_cold(done))) == (name, COLD, True)
        listed = batchtwin("environments", "list", env={"BATCHTWIN_WARM_FOLDER": place})
        assert (name, listed.code, "environments, " in listed.out) == (name, 0, True)


def test_the_home_of_nobody_costs_a_note(warm: Warm) -> None:
    """Variables that name no folder that can be made."""
    env = {"BATCHTWIN_WARM_FOLDER": "", "XDG_RUNTIME_DIR": "", "XDG_CACHE_HOME": "", "HOME": "/dev/null"}
    done = warm.score(env=env)
    assert (how(done), "/dev/null" in why_cold(done)) == (COLD, True)


def test_a_long_path_is_no_obstacle(warm: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of a socket has at most 107 bytes; that of a folder has not."""
    folder = warm.project.folder / ("x" * 200) / ("y" * 200)
    monkeypatch.setenv("BATCHTWIN_WARM_FOLDER", str(folder))
    warm.keep()
    assert how(warm.score()) == WARM
    batchtwin("environments", "stop")


def test_a_folder_in_which_no_socket_can_be_made_costs_nothing(warm: Warm) -> None:
    warm.folder.mkdir(mode=0o700)
    warm.folder.chmod(0o500)
    words = [*warm.project.words("--workers", "1", "--warm", "--overwrite")]
    for _ in range(2):
        # Root may write anywhere, unless it is without that right.
        command = ["setpriv", "--bounding-set=-dac_override"] if os.getuid() == 0 and shutil.which("setpriv") else []
        done = subprocess.run(
            [*command, str(COMMAND), *map(str, words)],
            env={**os.environ, **warm.env},
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE,
        )
        assert done.returncode == 0, done.stderr
        assert how(Finished(0, "", "", warm.project.folder / "job")) == COLD
    assert os.listdir(warm.folder) == []
    warm.folder.chmod(0o700)


def test_a_program_with_any_name_may_start_jobs(warm: Warm) -> None:
    """The kernel shows its name as the bytes that it has."""
    program = os.fsencode(warm.project.folder) + b"/caf\xe9"
    os.symlink(COMMAND, program)
    words = [program, *map(os.fsencode, map(str, warm.project.words("--workers", "1", "--warm")))]
    done = subprocess.run(words, env={**os.environ, **warm.env}, capture_output=True, check=False, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr


def test_packages_of_which_files_are_gone_are_made_again(warm: Warm) -> None:
    """Cleaners remove old files of caches one by one."""
    venv = ["--env", sys.prefix]
    warm.project.script = "import json\ndef run(mini_batch):\n    return mini_batch\n"
    warm.score(*venv)
    [packages] = warm.folder.glob("packages-*")
    (packages / "batchtwin_node/node.py").unlink()
    done = warm.score(*venv, env={"SOME_SETTING": "1"})
    assert (packages / "batchtwin_node/node.py").exists()
    wait_for(lambda: bool(warm_servers()))
    assert how(done) == COLD
