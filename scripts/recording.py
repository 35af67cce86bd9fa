"""Record docs/recording.svg: a terminal in which mistakes of a deployment are caught, and the job is then scored.

    python scripts/recording.py            run the commands and write the picture; run by `make recording`
    python scripts/recording.py --check    run them and compare: fails if the picture shows something else

The commands really run, in a folder of their own. Only what differs from run to run is replaced: the folder's name,
times and rates.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs/recording.svg"
WIDTH = 108
SHOWN_AS = "/home/me/mine"
# A deployment that `batchtwin init` made, with a mistake in the YAML and one in the data.
BEFORE = (
    "batchtwin init mine --model model --name heart",
    "sed -i 's/mini_batch_size: 10/mini_batch_size: ten/' mine/deployment.yml",
    "sed -i '3s/,108,/,1o8,/' mine/data/sample.csv",
)
COMMANDS = (
    "batchtwin score deployment.yml --input data --output job",
    "sed -i 's/mini_batch_size: ten/mini_batch_size: 10/' deployment.yml",
    "batchtwin score deployment.yml --input data --output job --overwrite",
    "sed -i 's/1o8/108/' data/sample.csv",
    "batchtwin score deployment.yml --input data --output job --overwrite",
    "cat job/named-outputs/score/predictions.csv",
)
THEME = TerminalTheme(
    (22, 27, 34),
    (230, 237, 243),
    [(72, 79, 88), (255, 123, 114), (63, 185, 80), (210, 153, 34), (88, 166, 255), (188, 140, 255), (57, 197, 207),
     (177, 186, 196)],
)  # fmt: skip
STYLES = ((r"^Completed\b.*", "bold green"), (r"^(Failed|Canceled)\b.*", "bold red"))


class RecordingError(Exception):
    """A command that did not do what it was to show."""


def shell(command: str, folder: Path) -> str:
    """Run a command; return what it prints, errors too, in the order printed."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S603 - the commands above
        ["bash", "-c", command],  # noqa: S607
        cwd=folder,
        env={**os.environ, "PATH": path, "BATCHTWIN_ENV": "here", "COLUMNS": str(WIDTH)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


def session() -> Iterator[tuple[str, str]]:
    """Yield each command with its output.

    Raises:
        RecordingError: the first job that should complete does not.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        (folder / "model").symlink_to(ROOT / "model")
        for command in BEFORE:
            shell(command, folder)
        for command in COMMANDS:
            yield command, settled(shell(command, folder / "mine"), folder / "mine")


def settled(output: str, folder: Path) -> str:
    """Replace what differs from run to run; a slow machine also says how far a job is."""
    text = output.replace(str(folder), SHOWN_AS)
    text = re.sub(r"^Processed \d+ of \d+ mini batches in .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\b\d+(\.\d+)? ?(s|ms|seconds)\b", "0.9 s", text)
    text = re.sub(r"\b[\d,.]+ rows/s\b", "3 rows/s", text)
    return re.sub(r"-\d{8}-\d{6}\b", "-20260101-120000", text)


def picture(commands: Sequence[tuple[str, str]]) -> str:
    """Return the session as an SVG image."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for command, output in commands:
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        for line in output.splitlines():
            style = next((style for pattern, style in STYLES if re.match(pattern, line)), "")
            console.print(Text(line, style=style), soft_wrap=False)
    svg = console.export_svg(title="batchtwin", theme=THEME, unique_id="recording")
    # A picture that loads nothing from elsewhere.
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL) + "\n"


def words(svg: str) -> str:
    """Return the text of a picture."""
    return "\n".join(re.findall(r">([^<>\n]+)</text>", svg))


def main(arguments: Sequence[str]) -> int:
    """Write or check the picture; return the exit code."""
    commands = list(session())
    if "Completed" not in commands[-2][1] or not commands[-1][1].strip():
        raise RecordingError("".join(f"$ {command}\n{output}" for command, output in commands))
    svg = picture(commands)
    if "--check" not in arguments:
        PICTURE.write_text(svg, encoding="utf-8")
        return 0
    if words(svg) != words(PICTURE.read_text(encoding="utf-8")):
        print(f"{PICTURE.relative_to(ROOT)} shows something else than the commands print; run `make recording`")
        print("".join(f"$ {command}\n{output}" for command, output in commands))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
