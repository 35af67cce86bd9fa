"""The command that runs a job in a container, and what comes back from the engine's client.

The client here is a small program that notes its words: no engine is needed. tests/container has the real thing.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import pytest

from batchtwin.engine.backends.container import (
    IMAGE_UID,
    Container,
    ContainerError,
    ContainerKilledError,
    score_in_container,
)
from batchtwin.engine.output.folder import OutputFolder
from batchtwin.engine.prepare import Prepared, Request, prepare
from support import COMMAND, DEADLINE, Project, unprivileged

SCRIPT = """
def run(mini_batch):
    return mini_batch
"""
CLIENT = """\
    #!{python}
    import json, os, signal, sys
    from pathlib import Path
    notes = Path(__file__).with_name("notes")
    notes.mkdir(exist_ok=True)
    if sys.argv[1:3] == ["image", "inspect"]:
        if sys.argv[3] == "absent":
            print("[]\\nError: No such image: absent", file=sys.stderr)
            sys.exit(1)
        sys.exit(0)
    output = Path(sys.argv[sys.argv.index("--output") + 1])
    image = sys.argv[sys.argv.index("score") - 1]
    if image == "waits":
        def note(number, frame):
            (notes / "signals").open("a").write(f"{{number}}\\n")
            sys.exit(130)
        signal.signal(signal.SIGINT, note)
        signal.signal(signal.SIGTERM, note)
    (output / "logs").mkdir()
    owner = output.stat().st_uid
    old = {{path.name: path.stat().st_uid for path in output.iterdir() if path.is_file()}}
    (output / "new").touch()
    for made in ("logs", "new"):
        os.chown(output / made, owner, -1)
    (notes / "run.json").write_text(json.dumps({{"words": sys.argv[1:], "owner": owner, "old": old}}))
    if image == "waits":
        signal.pause()
    sys.exit(int(image) if image.isdigit() else 0)
"""


@pytest.fixture
def client(tmp_path: Path) -> Path:
    """A container engine's client that runs nothing: it ends with the code that the image is named after."""
    path = tmp_path / "client"
    path.write_text(textwrap.dedent(CLIENT).format(python=sys.executable))
    path.chmod(0o755)
    return path


@pytest.fixture
def prepared(project: Project) -> Prepared:
    """A job of two files with a script."""
    project.script = SCRIPT
    project.files(2)
    return prepared_for(project)


def prepared_for(project: Project, **more: object) -> Prepared:
    request = Request(project.write(), project.inputs, output=project.folder / "job")
    return prepare(dataclasses.replace(request, **more))  # type: ignore[arg-type]


def mounts(command: list[str]) -> dict[str, tuple[str, bool]]:
    """Place in the container -> (source, whether it is writable), read as the engine reads it."""
    found = {}
    for word, text in itertools.pairwise(command):
        if word == "--mount":
            [fields] = csv.reader([text])
            named = dict(field.partition("=")[::2] for field in fields)
            assert named["type"] == "bind"
            assert named["dst"] not in found, f"{named['dst']} is mounted twice"
            found[named["dst"]] = (named["src"], "readonly" not in named)
    return found


def arguments(command: list[str]) -> list[str]:
    return command[command.index("image") + 1 :]


def test_nothing_is_allowed_that_a_job_does_not_need(prepared: Prepared) -> None:
    command = Container("podman", "image", 12, 34).command(prepared)
    options = command[: command.index("image")]
    assert command[:3] == ["podman", "run", "--rm"]
    for pair in (["--network", "none"], ["--cap-drop", "ALL"], ["--security-opt", "no-new-privileges"]):
        assert pair[1] == options[options.index(pair[0]) + 1], pair
    assert "--read-only" in options
    assert options[options.index("--user") + 1] == "12:34"
    assert not {"--tty", "--group-add", "--privileged"} & set(options)


def test_only_the_output_is_writable_and_every_path_is_where_it_is_outside(
    prepared: Prepared, project: Project
) -> None:
    folder = project.folder
    found = mounts(Container("docker", "image", 1, 1).command(prepared))
    read = [folder / "deployment.yml", folder / "inputs", folder / "model", folder / "code"]
    assert found == {str(path): (str(path), False) for path in read} | {
        str(folder / "job"): (str(folder / "job"), True)
    }


def test_the_command_inside_says_what_was_asked_outside(project: Project) -> None:
    (project.inputs / "a.csv").write_text("x\n1\n")
    (project.folder / "model/MLmodel").write_text("flavors: {python_function: {}}")
    overrides = {"settings.mini_batch_size": "4", "settings.logging_level": "debug"}
    flags = {"overwrite": True, "quarantine": True, "hash_inputs": True, "coalesce": True}
    job = prepared_for(project, workers=3, overrides=overrides, **flags)
    container = Container("docker", "image", 1, 1)
    folder = project.folder
    assert arguments(container.command(job, ["--strict-environment"])) == [
        *("score", str(folder / "deployment.yml"), "--input", str(folder / "inputs")),
        *("--model", str(folder / "model"), "--output", str(folder / "job"), "--workers", "3", "--overwrite"),
        *(
            "--hash-inputs",
            "--coalesce",
            "--bad-files",
            "quarantine",
            "--set",
            "settings.mini_batch_size=4",
            "--set",
            "settings.logging_level=debug",
        ),
        "--strict-environment",
    ]
    plain = arguments(container.command(prepared_for(project)))
    assert plain[-2:] == ["--bad-files", "fail"]
    assert "--workers" not in plain


def test_a_terminal_and_further_groups_are_passed_on(prepared: Prepared) -> None:
    command = Container("docker", "image", 1, 1, groups=(20, 30), terminal=True).command(prepared)
    assert "--tty" in command
    assert [after for word, after in itertools.pairwise(command) if word == "--group-add"] == ["20", "30"]


def test_paths_may_hold_commas_spaces_and_quotes(tmp_path: Path) -> None:
    project = Project(tmp_path / """it's, "here" now=1""", SCRIPT)
    project.files(1)
    found = mounts(Container("docker", "image", 1, 1).command(prepared_for(project)))
    assert str(project.inputs) in found
    assert found[str(project.folder / "job")] == (str(project.folder / "job"), True)


def test_relative_paths_with_dots_are_straightened(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.script = SCRIPT
    project.files(1)
    project.write()
    below = project.folder / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    up = Path("..")
    job = prepare(Request(up / "deployment.yml", up / "inputs", model=up / "model", output=up / "job"))
    command = Container("docker", "image", 1, 1).command(job)
    assert not [word for word in command if ".." in word]
    assert set(mounts(command)) == {
        str(project.folder / name) for name in ("deployment.yml", "inputs", "model", "code", "job")
    }


def test_what_links_lead_to_is_there_too(project: Project) -> None:
    store, hop = project.folder / "store", project.folder / "hop"
    store.mkdir()
    hop.mkdir()
    (store / "data").write_text("1\n")
    (store / "weights").write_text("1\n")
    (hop / "data").symlink_to(store / "data")
    project.script = SCRIPT
    project.files(1)
    (project.inputs / "chain.txt").symlink_to(hop / "data")
    (project.inputs / "beside.txt").symlink_to("00.txt")
    assert project.model is not None
    (project.model / "deep").mkdir()
    (project.model / "deep" / "weights").symlink_to("../../store/weights")
    (project.model / "broken").symlink_to("nowhere")
    found = mounts(Container("docker", "image", 1, 1).command(prepared_for(project)))
    assert found[str(hop / "data")] == (str(store / "data"), False)
    assert found[str(store / "weights")] == (str(store / "weights"), False)
    assert not [place for place in found if place.startswith((f"{project.inputs}/", f"{project.model}/"))]


def test_a_linked_folder_is_mounted_under_its_own_name(project: Project) -> None:
    project.script = SCRIPT
    project.files(1)
    link = project.folder / "link"
    link.symlink_to(project.inputs)
    found = mounts(Container("docker", "image", 1, 1).command(prepared_for(project, input=link)))
    assert found[str(link)] == (str(project.inputs), False)


def test_the_conda_file_is_there_if_it_exists(project: Project) -> None:
    project.script = SCRIPT
    project.files(1)
    (project.folder / "environment").mkdir()
    (project.folder / "environment" / "conda.yaml").write_text("dependencies: [python=3.11]\n")
    path = project.write()
    path.write_text(path.read_text().replace("environment:", "environment:\n  conda_file: environment/conda.yaml"))
    place = str(project.folder / "environment" / "conda.yaml")
    job = prepare(Request(path, project.inputs, output=project.folder / "job"))
    assert place in mounts(Container("docker", "image", 1, 1).command(job))
    Path(place).unlink()
    assert place not in mounts(Container("docker", "image", 1, 1).command(job))


def test_an_output_that_is_the_input_is_mounted_once(project: Project) -> None:
    project.script = SCRIPT
    project.files(1)
    job = prepared_for(project, output=project.inputs)
    assert mounts(Container("docker", "image", 1, 1).command(job))[str(project.inputs)] == (str(project.inputs), True)


def test_the_closed_home_of_root_is_covered_where_a_path_leads_through_it(prepared: Prepared) -> None:
    container = Container("docker", "image", 1, 1)
    assert "/root:uid=1" not in container.command(prepared)
    inside = dataclasses.replace(prepared, output=OutputFolder(Path("/root/project/job"), "predictions.csv"))
    assert "/root:uid=1" in container.command(inside)


def test_the_code_of_the_command_inside_is_returned(prepared: Prepared, client: Path) -> None:
    assert score_in_container(prepared, str(client), "0") == 0
    assert score_in_container(dataclasses.replace(prepared, output=fresh(prepared)), str(client), "2") == 2
    ran = json.loads((client.parent / "notes" / "run.json").read_text())
    assert ran["words"][-1] == "fail"


def fresh(prepared: Prepared) -> OutputFolder:
    return OutputFolder(prepared.output.root / "next", prepared.output.file_name)


def test_the_job_is_not_roots_and_what_it_leaves_is_the_callers(prepared: Prepared, client: Path) -> None:
    score_in_container(prepared, str(client), "0")
    ran = json.loads((client.parent / "notes" / "run.json").read_text())
    expected = os.getuid() or IMAGE_UID
    assert ran["owner"] == expected
    assert ran["words"][ran["words"].index("--user") + 1] == f"{expected}:{os.getgid() if os.getuid() else IMAGE_UID}"
    root = prepared.output.root
    assert {path.stat().st_uid for path in (root, root / "logs", root / "new")} == {os.getuid()}


def test_an_earlier_job_can_be_replaced_but_a_file_of_the_model_stays_whose_it_is(
    prepared: Prepared, client: Path
) -> None:
    """A job that was killed leaves hard links to the model."""
    root = prepared.output.root
    root.mkdir()
    (root / "job.sqlite").touch()
    (root / "weights").hardlink_to(prepared.model.path / "weights.txt")
    score_in_container(prepared, str(client), "0")
    ran = json.loads((client.parent / "notes" / "run.json").read_text())
    assert ran["old"]["job.sqlite"] == ran["owner"]
    assert ran["old"]["weights"] == os.getuid()


def test_another_caller_runs_as_himself() -> None:
    with unprivileged() as folder:
        program = folder / "client"
        program.write_text("""#!/bin/sh\nprintf '%s\\n' "$@" >"$0.words"\n""")
        program.chmod(0o755)
        project = Project(folder / "project", SCRIPT)
        project.files(1)
        assert score_in_container(prepared_for(project), str(program), "image") == 0
        words = (folder / "client.words").read_text().splitlines()
        assert words[words.index("--user") + 1] == f"{os.getuid()}:{os.getgid()}"


@pytest.mark.parametrize(
    ("image", "error", "text"),
    [
        ("absent", ContainerError, "image 'absent' cannot be used: Error: No such image: absent; .*make image"),
        ("125", ContainerError, "image '125' did not start"),
        ("137", ContainerKilledError, "want of memory.*--workers 1"),
    ],
)
def test_what_goes_wrong_with_the_container_is_said(
    prepared: Prepared, client: Path, image: str, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        score_in_container(prepared, str(client), image)


def test_a_missing_engine_is_named_and_nothing_is_made(prepared: Prepared, tmp_path: Path) -> None:
    with pytest.raises(ContainerError, match=r"nothing: No such file or directory; install a container engine"):
        score_in_container(prepared, str(tmp_path / "nothing"), "image")
    assert not prepared.output.root.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on_once_also_from_a_terminal(
    project: Project, client: Path, number: signal.Signals
) -> None:
    project.script = SCRIPT
    project.files(1)
    words = [str(word) for word in project.words("--image", "waits", "--engine", client)]
    notes = client.parent / "notes"
    # A terminal signals the whole foreground group: the command and everything it has started in it.
    with subprocess.Popen([COMMAND, *words], process_group=0) as process:
        until = time.monotonic() + DEADLINE
        while not (notes / "run.json").exists() and time.monotonic() < until and process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
        os.killpg(process.pid, number)
        assert process.wait(DEADLINE) == 130
    assert (notes / "signals").read_text() == f"{int(number)}\n"
