"""Our commands, read and printed by the Azure CLI's own core: the same values, output and exit codes."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from knack_lines import result_of

from batchtwin.azure.cli.commands import GROUPS
from batchtwin.azure.cli.parser import Az, commands
from batchtwin.workspace.workspace import Workspace
from support import ROOT

REAL_AZ = ROOT / "build/real-az/bin/python"
Line = tuple[list[str], bool]

# How words may be spelled, whatever the command.
SPELLINGS = [
    "ml job show --name=x",
    "ml job show --name x --name y",
    "ml job show --na x",
    "ml job show --n=x",
    "ml job show -nx",
    "ml job show -n=x",
    "ml job show -n ''",
    "ml job show -n 'a b'",
    "ml job show -n -x",
    "ml job show -n --web",
    "ml job show -n x extra",
    "ml job show -n x --nope",
    "ml job show -- -n x",
    "ml job show -n x -e",
    "ml job show -en x",
    "ml job show -n x --we",
    "ml job show -n x --web=1",
    "ML Job SHOW -n x",
    "ml job show --NAME x",
    "ml job show -n x -g group -w workspace --subscription s --debug --verbose",
    "ml job show -n x --only",
    "ml job show",
    "ml job show -n",
    "ml job",
    "ml",
    "ml jb show -n x",
    "ml job shw -n x",
    "ml job list -r 3",
    "ml job list -r3",
    "ml job list -r -1",
    "ml job list -r 0",
    "ml job list -r three",
    "ml job list --max 3",
    "ml job list --a",
    "ml job list --all TRUE",
    "ml job list --all-results maybe",
    "ml job list --ar",
    "ml model create --set a=b c=d --set e=f",
    "ml model create --set=a=b c=d",
    "ml model create --set a=-1 b=--x -n m",
    "ml model create --set 'a=b c' d=\"{'x': 1}\" 'e={\"x\": [1, 2]}' f=",
    "ml model create --set",
    "ml model create --tags a=b 'c=d e' -n m",
    "ml model create --tags",
    "ml model create --description 'two words' --vers 1.0",
    "ml model create --description=-x",
    "ml model create --description -x",
    "ml model create --description ''",
    "ml model create --description @text",
    "ml model create --description @none",
    "ml model create --set description=@text tags.a=@none b=@ c=a@b",
    "ml model create --de x",
    "ml model create --d x",
    "ml batch-endpoint invoke -n E -d D --input data --inputs a.path=x a.type=y --outputs s.path=z -m 3 -c 2",
    "ml batch-endpoint invoke --na E --dep D --input data",
    "ml batch-endpoint invoke --na E --mini 3 --inst 2 --job j --exp e",
    "ml batch-endpoint invoke -n E --mini-batch-size x",
    "ml batch-endpoint delete -n E -y",
    "ml batch-endpoint delete -n E --y",
    "ml batch-deployment create -f 'a b.yml' -n D -e E --set-default",
    "ml batch-deployment create -f a.yml --set-d --set x=y",
    "config get",
    "config get defaults.group",
    "configure -d a=b c=d -l",
]
# Output of every kind of result, in every format.
FORMATS = ("json", "jsonc", "yaml", "yamlc", "table", "tsv", "none", "JSON", "Table", "no")
RESULTS = (
    *("version", "account show", "extension list", "configure --list-defaults", "configure", "config get defaults"),
    *("ml model list", "ml model show -n m -v 1", "ml compute list", "ml compute show -n cluster"),
    *("ml data list", "ml environment list", "ml batch-endpoint show -n heart", "ml batch-endpoint list"),
    *("ml datastore list", "ml datastore show -n workspaceblobstore", "ml job list"),
)
GLOBAL = ["--subscription", "--output", "--query", "--verbose", "--debug", "--only-show-errors", "--help"]
QUERIES = (
    *(
        "ml model list --query '[].{Name:name, Version:latest_version}' -o table",
        "version --query extensions.ml -o tsv",
    ),
    *("ml model show -n m -v 1 --query tags -o yaml", "ml model show -n m -v 1 --query description -o tsv"),
    *("ml model list --query [0].[name,type] -o tsv", "ml model list --query 'length(@)'", "version --query none"),
    *("account show --query user", "version --query [", "version --query ''", "version --query 'nope(@)'"),
    *("version --query 'sum(@)'", "ml model list --quer [].name -o tsv", "ml model list --query \"[?name=='m'].name\""),
)


def lines_of_options() -> Iterator[Line]:
    """For each command: all its options by each of their names, by their first letters, and by one letter too few."""
    for name, settings in commands(GROUPS):
        options = [argument for _, argument in settings["arguments_loader"]() if argument.options_list]
        names = [*GLOBAL, *(other for option in options for other in option.options_list)]
        for position in (0, -1):
            yield [*name.split(), *(word for option in options for word in spelled(option, position))], False
        for missing in (0, 1):
            shortened = [(unique(whole, names) - missing, whole, value) for whole, *value in map(spelled, options)]
            yield [*name.split(), *(word for size, whole, value in shortened for word in (whole[:size], *value))], False


def unique(name: str, names: list[str]) -> int:
    """How many letters of a name no other begins with."""
    sizes = range(3, len(name))
    return next((size for size in sizes if sum(other.startswith(name[:size]) for other in names) == 1), len(name))


def spelled(option: Any, position: int = 0) -> list[str]:
    """The option by one of its names, with a value that it takes."""
    settings, name = option.options, option.options_list[position]
    if settings.get("action") == "store_true":
        return [name]
    if settings.get("choices"):
        return [name, str(settings["choices"][-1])]
    return [name, "1", "2=3"] if settings.get("nargs") == "+" else [name, "1"]


LINES: dict[str, list[Line]] = {
    "spellings": [(shlex.split(line), False) for line in SPELLINGS],
    "options": list(lines_of_options()),
    "formats": [([*shlex.split(line), "-o", format], True) for line in RESULTS for format in FORMATS],
    "queries": [(shlex.split(line), True) for line in QUERIES],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a model, whose texts are hard to print, a cluster and an endpoint; a file to read words from."""
    folder = tmp_path_factory.mktemp("real-az")
    (folder / "text").write_text("text of a file\n")
    with Workspace.open(str(folder / "workspace")) as workspace:
        workspace.computes.create("cluster", type="amlcompute")
        workspace.endpoints.create("heart", description="two\nlines", tags={"a": "ÿ\t\u2028"})
        workspace.assets.create("model", "m", path=folder / "text", type="custom_model")
    return folder


@pytest.fixture(scope="module")
def theirs(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What comes of all lines in the Azure CLI's core."""
    assert REAL_AZ.exists(), "run `make real-az` first (`make test` does)"
    program = [REAL_AZ, ROOT / "tests/azure/real_az.py"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"}
    environment["BATCHTWIN_WORKSPACE"] = str(folder / "workspace")
    text = json.dumps([line for lines in LINES.values() for line in lines])
    done = subprocess.run(program, input=text, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    results = iter(json.loads(done.stdout))
    return {name: [next(results) for _ in lines] for name, lines in LINES.items()}


@pytest.mark.parametrize("name", LINES)
def test_words_mean_what_they_mean_to_az(
    name: str, theirs: dict[str, list[dict[str, Any]]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BATCHTWIN_WORKSPACE", str(folder / "workspace"))
    results = [result_of(Az(GROUPS), words, run) for words, run in LINES[name]]
    differing = [
        (" ".join(words), left, right)
        for (words, _), left, right in zip(LINES[name], results, theirs[name], strict=True)
        if left | {"out": of_help(left)} != right | {"out": of_help(right)}
    ]
    assert differing == []


def of_help(result: dict[str, Any]) -> str:
    """Output without the help that we show of a group when no command is named, where az has a sentence on stderr."""
    return "" if result["code"] == 2 else str(result["out"])
