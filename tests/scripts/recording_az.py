"""A stand-in for Azure, for scripts/deploy-and-run.sh: an `az` that notes what it is asked, keeps what it is told to
create, and answers as the service does. RECORDING_AZ is its folder; AZ_LACKS names what is not set up, and `output`
where jobs leave none; AZ_FAILS the command that fails, and its exit code (`ml data create=7`); AZ_JOB_STATUS how jobs
end.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jmespath
import yaml

Flags = dict[str, str]
State = dict[str, list[dict[str, Any]]]

WITHOUT_VALUE = {"--set-default", "--yes", "--web", "--list-defaults"}
LACKS = os.environ.get("AZ_LACKS", "").split()


def split(words: list[str]) -> tuple[str, Flags]:
    """`ml model show --name x` -> ("ml model show", {"--name": "x"})."""
    start = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    flags, rest = {}, iter(words[start:])
    for flag in rest:
        flags[flag] = "" if flag in WITHOUT_VALUE else next(rest)
    return " ".join(words[:start]), flags


def set_up(name: str, answer: Any) -> Any:
    if name in LACKS:
        sys.exit(1)
    return answer


def create_version(state: State, kind: str, name: str, tag: str) -> dict[str, Any]:
    versions = state.setdefault(kind, [])
    version = 1 + sum(one["name"] == name for one in versions)
    key, _, value = tag.removeprefix("tags.").partition("=")
    versions.append({"name": name, "version": str(version), "tags": {key: value}})
    return versions[-1]


def create(state: State, kind: str, thing: dict[str, Any]) -> dict[str, Any]:
    things = state.setdefault(kind, [])
    things[:] = [one for one in things if one["name"] != thing["name"]] + [thing]
    return thing


def latest(state: State, kind: str, flags: Flags) -> dict[str, Any]:
    assert flags["--label"] == "latest"
    return next(one for one in reversed(state[kind]) if one["name"] == flags["--name"])


def names(state: State, kind: str) -> list[dict[str, Any]]:
    """Without a name, `list` gives each name once, and no versions."""
    return [{"name": name} for name in sorted({one["name"] for one in state.get(kind, [])})]


def invoke(state: State, flags: Flags) -> dict[str, Any]:
    jobs = state.setdefault("job", [])
    jobs.append({"name": flags.get("--job-name", f"batchjob-{len(jobs) + 1}"), "endpoint": flags["--name"]})
    return jobs[-1]


def download(flags: Flags) -> None:
    output = Path(flags["--download-path"]) / "named-outputs" / flags["--output-name"]
    output.mkdir(parents=True, exist_ok=True)
    if "output" not in LACKS:
        (output / "predictions.csv").write_text(f"0,1,{flags['--name']}\n")


def delete(state: State, kind: str, flags: Flags) -> None:
    assert "--yes" in flags, "it would ask"
    state[kind] = [one for one in state[kind] if one["name"] != flags["--name"]]


def named(flags: Flags) -> dict[str, Any]:
    written = yaml.safe_load(Path(flags["--file"]).read_text())
    return {"name": flags.get("--name", written["name"])}


def answers(state: State, flags: Flags) -> dict[str, Callable[[], Any]]:
    account = "N/A(tenant level account)" if "subscription" in LACKS else "mine"
    defaults = [{"name": name, "value": "x"} for name in ("location", "group", "workspace") if name not in LACKS]
    return {
        "extension show": lambda: set_up("extension", {"name": "ml"}),
        "account show": lambda: set_up("login", {"name": account}),
        "configure": lambda: defaults,
        "ml model list": lambda: names(state, "model"),
        "ml model show": lambda: latest(state, "model", flags),
        "ml model create": lambda: create_version(state, "model", flags["--name"], flags["--tags"]),
        "ml data list": lambda: names(state, "data"),
        "ml data show": lambda: latest(state, "data", flags),
        "ml data create": lambda: create_version(state, "data", named(flags)["name"], flags["--set"]),
        "ml compute list": lambda: names(state, "compute"),
        "ml compute create": lambda: create(state, "compute", {"name": flags["--name"]}),
        "ml batch-endpoint list": lambda: names(state, "endpoint"),
        "ml batch-endpoint create": lambda: create(state, "endpoint", named(flags)),
        "ml batch-endpoint delete": lambda: delete(state, "endpoint", flags),
        "ml batch-endpoint invoke": lambda: invoke(state, flags),
        "ml batch-endpoint list-jobs": lambda: state.get("job", []),
        "ml batch-deployment create": lambda: create(state, "deployment", named(flags)),
        "ml batch-deployment list-jobs": lambda: state.get("job", []),
        "ml job show": lambda: {"name": flags["--name"], "status": os.environ.get("AZ_JOB_STATUS", "Completed")},
        "ml job stream": lambda: None,
        "ml job download": lambda: download(flags),
    }


def printed(answer: Any, flags: Flags) -> str:
    result = jmespath.search(flags["--query"], answer) if "--query" in flags else answer
    if result is None or flags.get("--output") == "none":
        return ""
    if flags.get("--output") == "tsv":
        return "".join(f"{line}\n" for line in (result if isinstance(result, list) else [result]))
    return json.dumps(result, indent=2) + "\n"


def main(words: list[str]) -> int:
    if words == ["--version"]:
        print("azure-cli 2.80.0")
        return 0
    folder = Path(os.environ["RECORDING_AZ"])
    with (folder / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(words) + "\n")
    command, flags = split(words)
    failing, _, code = os.environ.get("AZ_FAILS", "").partition("=")
    if command == failing:
        print(f"ERROR: {command}: not today", file=sys.stderr)
        return int(code)
    kept = folder / "state.json"
    state: State = json.loads(kept.read_text()) if kept.exists() else {}
    answer = answers(state, flags)[command]()
    kept.write_text(json.dumps(state))
    print(printed(answer, flags), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
