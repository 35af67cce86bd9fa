"""The container of a job: its command line, what is seen inside, what is refused.

The engine here is a small program that starts what a container would start, on this machine: no engine is needed.
tests/container has the real thing.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import os
import re
import socket
import sys
import textwrap
from pathlib import Path

import pytest

from batchtwin.engine.backends.container import IMAGE_UID, NODE_FOLDER, ContainerBackend, ContainerError, check_links
from batchtwin.engine.context import job_context
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.prepare import Prepared, Request, prepare
from batchtwin.environments.options import EnvironmentOptions
from support import Project

SCRIPT = """
def run(mini_batch):
    return [path.rpartition("/")[2] for path in mini_batch]
"""
ENGINE = """\
    #!{python}
    import csv, os, sys
    words = sys.argv[1:]
    if words[:2] == ["image", "inspect"]:
        if words[-1] == "absent":
            print("[]\\nError: No such image: absent", file=sys.stderr)
            sys.exit(1)
        print("sha256:" + words[-1])
        sys.exit(0)
    at = words.index("--entrypoint")
    python, image, rest = words[at + 1], words[at + 2], words[at + 3:]
    if image == "empty" or (image == "only-python" and python == "python3"):
        print("exec: " + python + ": executable file not found", file=sys.stderr)
        sys.exit(127)
    mounts = {{}}
    for word, text in zip(words, words[1:]):
        if word == "--mount":
            [fields] = csv.reader([text])
            named = dict(field.partition("=")[::2] for field in fields)
            mounts[named["dst"]] = named["src"]
    print("a line that an image prints", flush=True)
    os.execv({python!r}, [{python!r}, *(mounts.get(word, word) for word in rest)])
"""


@pytest.fixture
def engine(tmp_path: Path) -> str:
    """The client of an engine whose containers are processes of this machine."""
    path = tmp_path / "engine"
    path.write_text(textwrap.dedent(ENGINE).format(python=sys.executable))
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def prepared(project: Project) -> Prepared:
    """A job of two files with a script."""
    project.script = SCRIPT
    project.files(2)
    return prepared_for(project)


def prepared_for(project: Project, **more: object) -> Prepared:
    request = Request(project.write(), project.inputs, output=project.folder / "job")
    return prepare(dataclasses.replace(request, **more))  # type: ignore[arg-type]


def command(prepared: Prepared, engine: str, **more: object) -> list[str]:
    """The words that start the container of a job."""
    options = dataclasses.replace(EnvironmentOptions("image:image", engine=engine), **more)  # type: ignore[arg-type]
    backend = ContainerBackend(options)
    backend.connect(prepared)
    prepared.output.make()
    words = backend.command(job_context(prepared, 1, "key"), "python3")
    backend.close()
    return words


def mounts(words: list[str]) -> dict[str, tuple[str, bool]]:
    """Place in the container -> (source, whether it is writable), read as the engine reads it."""
    targets = {}
    for word, text in itertools.pairwise(words):
        if word == "--mount":
            [fields] = csv.reader([text])
            named = dict(field.partition("=")[::2] for field in fields)
            assert named["type"] == "bind"
            assert named["dst"] not in targets, f"{named['dst']} is mounted twice"
            targets[named["dst"]] = (named["src"], "readonly" not in named)
    return targets


def test_nothing_is_allowed_that_a_job_does_not_need(prepared: Prepared, engine: str) -> None:
    words = command(prepared, engine)
    options = words[: words.index("--entrypoint")]
    for name, value in (
        ("--network", "none"),
        ("--cap-drop", "ALL"),
        ("--security-opt", "no-new-privileges"),
        ("--pull", "never"),
    ):
        assert value == options[options.index(name) + 1], name
    assert "--read-only" in options
    assert not {"--tty", "--group-add", "--privileged", "--init"} & set(options)
    uid = os.getuid() or IMAGE_UID
    assert options[options.index("--user") + 1] == f"{uid}:{os.getgid() if os.getuid() else IMAGE_UID}"


def test_memory_and_processes_are_bounded(prepared: Prepared, engine: str) -> None:
    words = command(prepared, engine)
    assert words[words.index("--memory") + 1].endswith("m")
    assert int(words[words.index("--pids-limit") + 1]) > 0
    assert ",size=" in words[words.index("--tmpfs") + 1]
    assert command(prepared, engine, memory="3g")[words.index("--memory") + 1] == "3g"


def test_only_what_workers_write_is_writable(prepared: Prepared, project: Project, engine: str) -> None:
    job, folder = project.folder / "job", project.folder
    mounted = mounts(command(prepared, engine))
    assert mounted.pop(NODE_FOLDER)[1] is False
    writable = ("scratch", "segments", "named-outputs/score", "logs/user")
    assert mounted == {str(job / name): (str(job / name), True) for name in writable} | {
        str(path): (str(path), False) for path in (job / "azureml-models", folder / "inputs", folder / "code")
    }


def test_the_package_of_the_node_is_alone(prepared: Prepared, engine: str) -> None:
    """Nothing of the controller's environment leaks in."""
    backend = ContainerBackend(EnvironmentOptions("image:image", engine=engine))
    try:
        assert sorted(os.listdir(backend._folder)) == ["azureml_user", "batchtwin_node"]
    finally:
        backend.close()


def test_nothing_writable_is_linked_to_a_file_outside(prepared: Prepared, project: Project, engine: str) -> None:
    """A model that was linked into a writable folder could be overwritten there."""
    for source, is_writable in mounts(command(prepared, engine)).values():
        if is_writable:
            assert not [path for path in Path(source).rglob("*") if path.is_file() and path.stat().st_nlink > 1]


def test_paths_may_hold_commas_spaces_and_quotes(tmp_path: Path, engine: str) -> None:
    project = Project(tmp_path / """it's, "here" now=1""", SCRIPT)
    project.files(1)
    assert str(project.inputs) in mounts(command(prepared_for(project), engine))


def test_what_links_among_the_input_lead_to_is_there_too(project: Project, engine: str) -> None:
    store, hop = project.folder / "store", project.folder / "hop"
    store.mkdir()
    hop.mkdir()
    (store / "data").write_text("1\n")
    (hop / "data").symlink_to(store / "data")
    project.script = SCRIPT
    project.files(1)
    (project.inputs / "chain.txt").symlink_to(hop / "data")
    (project.inputs / "beside.txt").symlink_to("00.txt")
    mounted = mounts(command(prepared_for(project), engine))
    assert mounted[str(hop / "data")] == (str(store / "data"), False)
    assert not [place for place in mounted if place.startswith(f"{project.inputs}/")]


@pytest.mark.parametrize("where", ["code", "model"])
def test_a_link_that_leads_out_of_code_or_model_is_refused(project: Project, where: str) -> None:
    secret = project.folder / "secret"
    secret.write_text("1")
    project.script = SCRIPT
    project.files(1)
    job = prepared_for(project)
    (project.folder / where / "inside").symlink_to("weights.txt" if where == "model" else "script.py")
    check_links(job, follow=False)
    (project.folder / where / "outside").symlink_to(secret)
    with pytest.raises(ContainerError, match=r"outside: a link to .*secret, outside of .*--follow-links"):
        check_links(job, follow=False)
    check_links(job, follow=True)


def test_sockets_and_pipes_are_refused_whatever_is_allowed(project: Project) -> None:
    project.script = SCRIPT
    project.files(1)
    job = prepared_for(project)
    os.mkfifo(project.folder / "pipe")
    (project.folder / "code/pipe").symlink_to(project.folder / "pipe")
    with pytest.raises(ContainerError, match="neither a regular file nor a folder"):
        check_links(job, follow=True)
    (project.folder / "code/pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        place = os.getcwd()
        os.chdir(project.folder / "code")  # the name of a socket has few characters
        try:
            listener.bind("engine.sock")
        finally:
            os.chdir(place)
        with pytest.raises(ContainerError, match="not a regular file or folder"):
            check_links(job, follow=True)


def test_the_closed_home_of_root_is_covered_where_a_path_leads_through_it(prepared: Prepared, engine: str) -> None:
    backend = ContainerBackend(EnvironmentOptions("image:image", engine=engine))
    backend.connect(dataclasses.replace(prepared, output=OutputFolder(Path("/root/project/job"), "predictions.csv")))
    prepared.output.make()
    context = job_context(prepared, 1, "key")
    assert any(word.startswith("/root:uid=") for word in backend.command(context, "python3"))
    backend.connect(prepared)
    assert not any(word.startswith("/root:uid=") for word in backend.command(context, "python3"))
    backend.close()


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("absent", "image 'absent' cannot be used: Error: No such image: absent; .*batchtwin image"),
        ("empty", "image 'empty' did not start python: .*executable file not found.*--python PATH"),
    ],
)
def test_an_image_that_cannot_be_used_is_named(project: Project, engine: str, image: str, text: str) -> None:
    project.script = SCRIPT
    project.files(1)
    done = project.score("--env", f"image:{image}", "--engine", engine)
    assert done.code == 2, done.err
    assert re.search(text, done.err), done.err


def test_a_missing_engine_is_named_and_nothing_is_made(project: Project) -> None:
    project.script = SCRIPT
    project.files(1)
    done = project.score("--image", "image", "--engine", str(project.folder / "nothing"))
    assert done.code == 2
    assert "nothing: No such file or directory; install a container engine" in done.err
    assert not (done.output / "job.sqlite").exists()


@pytest.mark.parametrize("image", ["image", "only-python"])
def test_a_job_gives_the_same_bytes_and_is_resumed_in_the_same_image_only(
    project: Project, engine: str, image: str
) -> None:
    project.script = SCRIPT
    project.files(3)
    local = project.score()
    contained = project.score("--overwrite", "--env", f"image:{image}", "--engine", engine)
    assert contained.code == 0, contained.err
    assert contained.predictions == local.predictions
    assert not (contained.output / "azureml-models").exists()
