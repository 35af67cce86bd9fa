"""How the words of `batchtwin ml` are read: what is said, and the help. test_real_az.py compares the rest with az."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from batchtwin.azure.cli.command import CommandError, confirm, only_errors, say, warn
from batchtwin.azure.cli.commands import GROUPS, run
from batchtwin.azure.cli.parser import commands

Said = Callable[[str], tuple[int, str]]


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Said:
    """Run a command in an empty workspace; returns its exit code and its error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BATCHTWIN_WORKSPACE", str(tmp_path / "workspace"))

    def run_words(words: str) -> tuple[int, str]:
        try:
            return run(words.split()), ""
        except CommandError as error:
            return error.exit_code, str(error)

    return run_words


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            "ml jb show",
            "'jb' is misspelled or not recognized by the system; did you mean 'job'? (see 'batchtwin ml --help')",
        ),
        ("ml job shw", "did you mean 'show'? (see 'batchtwin ml job --help')"),
        ("ml job zzz", "'zzz' is misspelled or not recognized by the system (see 'batchtwin ml job --help')"),
        ("ml job show --nmae x", "the following arguments are required: --name/-n"),
        ("ml job list --max-resluts=2", "unrecognized arguments: --max-resluts=2; did you mean '--max-results'?"),
        ("ml job list extra", "unrecognized arguments: extra"),
        ("ml job show", "the following arguments are required: --name/-n"),
        ("ml job show -n", "argument --name/-n: expected one argument"),
        ("ml job list --a", "ambiguous option: --a could match --all-results, --archived-only"),
        ("ml job list -r 0", "argument --max-results/-r: 0 is less than 1"),
        ("ml job list -o xml", "'xml' is not a valid value for '--output'. Allowed values: json, "),
        ("ml job list --query [", "argument --query: invalid jmespath_type value: '['"),
        (
            "ml job download -n x -p azureml:a:1",
            "azureml:a:1: names a resource of Azure ML; give a folder of this machine",
        ),
    ],
)
def test_wrong_words_are_told_with_what_may_have_been_meant(words: str, text: str, said: Said) -> None:
    code, error = said(words)
    assert (code, error.startswith("ERROR: "), text in error, "\n" in error) == (2, True, True, False), error


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("version --query nope(@)", "Invalid jmespath query supplied for `--query`: Unknown function: nope()"),
        ("version --query sum(@)", "Invalid jmespath query supplied for `--query`: "),
        ("extension list --query [].[name] -o table --query a.b.c(@)", "Invalid jmespath query supplied"),
    ],
)
def test_a_query_that_does_not_fit_is_named(words: str, text: str, said: Said) -> None:
    code, error = said(words)
    assert (code, text in error) == (1, True), error


@pytest.mark.parametrize("words", ["ml job show -n", "ml model show --version 1 -n", "ml batch-endpoint show --name"])
def test_an_empty_name_is_told_as_what_it_is(words: str, said: Said, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="--name: is empty; is the variable set that it comes from"):
        run([*words.split(), ""])
    assert not (tmp_path / "workspace").exists()


def test_a_group_without_a_command_shows_its_commands(capsys: pytest.CaptureFixture[str], said: Said) -> None:
    with pytest.raises(SystemExit) as ended:
        said("ml batch-endpoint")
    shown = capsys.readouterr().out
    assert ended.value.code == 2
    assert "Manage Azure ML batch endpoints." in shown
    assert "    invoke    : Invoke an endpoint: start a batch scoring job, and return at once." in shown


@pytest.mark.parametrize("name", [name for name, _ in commands(GROUPS)])
def test_help_says_what_each_option_is_for(name: str, capsys: pytest.CaptureFixture[str], said: Said) -> None:
    with pytest.raises(SystemExit) as ended:
        said(f"{name} -h")
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    options = [argument for _, argument in dict(commands(GROUPS))[name]["arguments_loader"]()]
    assert all(option.options["help"] and " ".join(sorted(option.options_list)) in shown for option in options)


@pytest.mark.parametrize("words", ["ml -h", "ml --help", "ml job --help"])
def test_help_of_a_group_lists_it(words: str, capsys: pytest.CaptureFixture[str], said: Said) -> None:
    with pytest.raises(SystemExit) as ended:
        said(words)
    assert (ended.value.code, " : " in capsys.readouterr().out) == (0, True)


def test_variables_of_az_are_settings(
    said: Said, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CORE_OUTPUT", "TSV")
    assert said("extension list --query [].name") == (0, "")
    assert capsys.readouterr().out == "ml\n"
    monkeypatch.setenv("AZURE_CORE_OUTPUT", "xml")
    assert said("extension list") == (
        2,
        "ERROR: AZURE_CORE_OUTPUT: 'xml' is not one of json, jsonc, none, table, tsv, yaml, yamlc",
    )


@pytest.mark.parametrize("source", ["option", "variable"])
def test_warnings_may_be_unwanted(
    source: str, said: Said, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    create = "ml compute create -n cluster --type amlcompute --vnet-name v"
    if source == "variable":
        monkeypatch.setenv("AZURE_CORE_ONLY_SHOW_ERRORS", "true")
    try:
        assert said(f"{create} --only" if source == "option" else create) == (0, "")
        assert capsys.readouterr().err == ""
    finally:
        only_errors.set(False)


def test_nothing_is_kept_in_the_home_folder(said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert said("version -o none") == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_what_texts_of_others_do_to_a_terminal_is_shown_and_not_done(
    said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON and YAML escape them by themselves; a program that reads tsv gets the bytes."""
    evil = "\x1b]0;title\x07\x1b[2J\u202e"
    for print_it in (say, warn):
        print_it(evil)
    captured = capsys.readouterr()
    assert "\\x1b]0;title\\x07\\x1b[2J\\u202e\n" == captured.out
    assert captured.err == f"WARNING: {captured.out}"
    run(["ml", "batch-endpoint", "create", "-n", "heart", "--set", f"description={evil}", "-o", "none"])
    for format in ("table", "json", "yaml"):
        assert said(f"ml batch-endpoint show -n heart -o {format}") == (0, "")
        assert "\x1b" not in capsys.readouterr().out
    said("ml batch-endpoint show -n heart --query description -o tsv")
    assert capsys.readouterr().out == f"{evil}\n"


class Terminal(io.StringIO):
    """Standard input that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("answer", "expected"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_a_deletion_is_confirmed_on_a_terminal(answer: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert confirm({}) is expected


def test_an_answer_of_no_ends_the_command(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    said("ml compute create -n cluster --type amlcompute -o none")
    assert said("ml compute delete -n cluster") == (1, "ERROR: Operation cancelled.")
    assert said("ml compute show -n cluster -o none") == (0, "")


def test_modules_of_other_commands_are_not_imported() -> None:
    """Each command answers in a moment."""
    program = (
        "import sys; from batchtwin.azure.cli.commands import run; run(['version', '-o', 'none'])\n"
        "print(sorted({'sqlalchemy', 'batchtwin.azure.cli.jobs', 'typer'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
