"""An `az` on PATH that is `exec batchtwin "$@"`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from local_az import Az

from batchtwin.extras import install_command
from support import COMMAND, batchtwin


def test_a_script_named_az_is_enough(tmp_path: Path) -> None:
    az = tmp_path / "az"
    az.write_text(f'#!/bin/sh\nexec {COMMAND} "$@"\n')
    az.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "BATCHTWIN_WORKSPACE": str(tmp_path / "w")}
    words = ["az", "ml", "compute", "list", "-o", "tsv"]
    assert subprocess.run(words, env=environment, capture_output=True, check=True).stdout == b""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("account show --query name -o tsv", "local\n"),
        ("account show --query state -o tsv", "Enabled\n"),
        ("extension show --name ml --query name -o tsv", "ml\n"),
        ("extension list --query [].name -o tsv", "ml\n"),
        ("configure --list-defaults --query [].name -o tsv", "group\nworkspace\nlocation\n"),
        ("configure --defaults group=g workspace=w", ""),
        ("config get defaults.group --query value -o tsv", "local\n"),
        ("config get defaults --query [].name -o tsv", "group\nworkspace\nlocation\n"),
        ("config get --query keys(@) -o tsv", "defaults\n"),
        ("version --query keys(extensions) -o tsv", "ml\n"),
    ],
)
def test_what_scripts_ask_before_they_work_has_an_answer(words: str, expected: str, tmp_path: Path) -> None:
    done = Az(tmp_path).run(*words.split())
    assert (done.code, done.out, done.err) == (0, expected, "")


@pytest.mark.parametrize(("words", "code"), [("extension show -n other", 3), ("config get defaults.no", 1)])
def test_what_is_not_there_is_an_error(words: str, code: int, tmp_path: Path) -> None:
    assert Az(tmp_path).run(*words.split()).code == code


@pytest.mark.parametrize(
    "words", ["ml job no", "ml job show", "ml job show -n", "ml job list --no", "ml job list -o no"]
)
def test_wrong_usage_is_exit_2(words: str, tmp_path: Path) -> None:
    done = Az(tmp_path).run(*words.split())
    assert (done.code, done.out) == (2, "")
    assert done.err


def test_a_reader_that_has_gone_is_no_error() -> None:
    command = subprocess.Popen([COMMAND, "account", "show"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert command.stdout is not None
    command.stdout.close()
    command.stdout = None
    _, errors = command.communicate(timeout=60)
    assert (command.returncode, errors) == (0, b"")


def test_help_imports_neither_a_database_nor_queries() -> None:
    program = (
        "import sys; sys.argv = ['batchtwin', '--help']\n"
        "from batchtwin.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'sqlalchemy', 'jmespath', 'pydantic'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['sqlalchemy'] = None; sys.argv = ['batchtwin', 'ml', 'job', 'list']\n"
        "from batchtwin.cli import main; main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        f"the local workspace needs sqlalchemy: {install_command('workspace')}\n",
    )


def test_the_verbs_that_scripts_ask_are_not_shown() -> None:
    shown = batchtwin("--help").out
    assert " ml " in shown
    assert "extension" not in shown
