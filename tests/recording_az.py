"""A stand-in for Azure, for scripts/deploy-and-run.sh: an `az` that notes what it is asked, keeps what it is told to
create, and answers as the service does. AZ_LACKS names what is not set up, and `output` where jobs leave none; AZ_FAILS
the command that fails, and its exit code (`ml data create=7`); AZ_JOB_STATUS how jobs end.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jmespath
import yaml

Flags = dict[str, str]
State = dict[str, list[dict[str, Any]]]

WITHOUT_VALUE = {"--set-default", "--yes", "--web", "--list-defaults"}
VARIABLES = ("PWD", "AZ_LACKS", "AZ_FAILS", "AZ_JOB_STATUS")


class SetupError(Exception):
    """Something that `az` needs is not set up."""


@dataclass
class RecordingAz:
    """What the commands have asked, in order, and what there is of each kind."""

    calls: list[list[str]] = field(default_factory=list)
    state: State = field(default_factory=dict)

    def answer(self, words: list[str], env: dict[str, str]) -> tuple[int, str, str]:
        """Do a command; returns its exit code, output and error."""
        if words == ["--version"]:
            return 0, "azure-cli 2.80.0\n", ""
        self.calls.append(words)
        command, flags = split(words)
        failing, _, code = env["AZ_FAILS"].partition("=")
        if command == failing:
            return int(code), "", f"ERROR: {command}: not today\n"
        try:
            return 0, printed(answers(self.state, flags, env)[command](), flags), ""
        except SetupError:
            return 1, "", ""


def split(words: list[str]) -> tuple[str, Flags]:
    """`ml model show --name x` -> ("ml model show", {"--name": "x"})."""
    start = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    flags, rest = {}, iter(words[start:])
    for flag in rest:
        flags[flag] = "" if flag in WITHOUT_VALUE else next(rest)
    return " ".join(words[:start]), flags


def set_up(lacks: list[str], name: str, answer: Any) -> Any:
    if name in lacks:
        raise SetupError
    return answer


def create_version(state: State, kind: str, name: str, tag: str) -> dict[str, Any]:
    versions = state.setdefault(kind, [])
    version = 1 + sum(entry["name"] == name for entry in versions)
    key, _, value = tag.removeprefix("tags.").partition("=")
    versions.append({"name": name, "version": str(version), "tags": {key: value}})
    return versions[-1]


def create(state: State, kind: str, thing: dict[str, Any]) -> dict[str, Any]:
    things = state.setdefault(kind, [])
    things[:] = [entry for entry in things if entry["name"] != thing["name"]] + [thing]
    return thing


def latest(state: State, kind: str, flags: Flags) -> dict[str, Any]:
    assert flags["--label"] == "latest"
    return next(entry for entry in reversed(state[kind]) if entry["name"] == flags["--name"])


def names(state: State, kind: str) -> list[dict[str, Any]]:
    """Without a name, `list` gives each name once, and no versions."""
    return [{"name": name} for name in sorted({entry["name"] for entry in state.get(kind, [])})]


def invoke(state: State, flags: Flags) -> dict[str, Any]:
    jobs = state.setdefault("job", [])
    jobs.append({"name": flags.get("--job-name", f"batchjob-{len(jobs) + 1}"), "endpoint": flags["--name"]})
    return jobs[-1]


def download(flags: Flags, folder: Path, leaves_output: bool) -> None:
    output = folder / flags["--download-path"] / "named-outputs" / flags["--output-name"]
    output.mkdir(parents=True, exist_ok=True)
    if leaves_output:
        (output / "predictions.csv").write_text(f"0,1,{flags['--name']}\n")


def delete(state: State, kind: str, flags: Flags) -> None:
    assert "--yes" in flags, "it would ask"
    state[kind] = [entry for entry in state[kind] if entry["name"] != flags["--name"]]


def named(flags: Flags, folder: Path) -> dict[str, Any]:
    written = yaml.safe_load((folder / flags["--file"]).read_text())
    return {"name": flags.get("--name", written["name"])}


def answers(state: State, flags: Flags, env: dict[str, str]) -> dict[str, Callable[[], Any]]:
    folder, lacks = Path(env["PWD"]), env["AZ_LACKS"].split()
    account = "N/A(tenant level account)" if "subscription" in lacks else "mine"
    defaults = [{"name": name, "value": "x"} for name in ("location", "group", "workspace") if name not in lacks]
    return {
        "extension show": lambda: set_up(lacks, "extension", {"name": "ml"}),
        "account show": lambda: set_up(lacks, "login", {"name": account}),
        "configure": lambda: defaults,
        "ml model list": lambda: names(state, "model"),
        "ml model show": lambda: latest(state, "model", flags),
        "ml model create": lambda: create_version(state, "model", flags["--name"], flags["--tags"]),
        "ml data list": lambda: names(state, "data"),
        "ml data show": lambda: latest(state, "data", flags),
        "ml data create": lambda: create_version(state, "data", named(flags, folder)["name"], flags["--set"]),
        "ml compute list": lambda: names(state, "compute"),
        "ml compute create": lambda: create(state, "compute", {"name": flags["--name"]}),
        "ml batch-endpoint list": lambda: names(state, "endpoint"),
        "ml batch-endpoint create": lambda: create(state, "endpoint", named(flags, folder)),
        "ml batch-endpoint delete": lambda: delete(state, "endpoint", flags),
        "ml batch-endpoint invoke": lambda: invoke(state, flags),
        "ml batch-endpoint list-jobs": lambda: state.get("job", []),
        "ml batch-deployment create": lambda: create(state, "deployment", named(flags, folder)),
        "ml batch-deployment list-jobs": lambda: state.get("job", []),
        "ml job show": lambda: {"name": flags["--name"], "status": env["AZ_JOB_STATUS"] or "Completed"},
        "ml job stream": lambda: None,
        "ml job download": lambda: download(flags, folder, "output" not in lacks),
    }


def printed(answer: Any, flags: Flags) -> str:
    result = jmespath.search(flags["--query"], answer) if "--query" in flags else answer
    if result is None or flags.get("--output") == "none":
        return ""
    if flags.get("--output") == "tsv":
        return "".join(f"{line}\n" for line in (result if isinstance(result, list) else [result]))
    return json.dumps(result, indent=2) + "\n"
