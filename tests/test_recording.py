"""docs/recording.svg: what it shows is what the commands print."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET

from support import DEADLINE, ROOT

PICTURE = ROOT / "docs/recording.svg"


def test_it_shows_what_the_commands_print() -> None:
    words = [sys.executable, "scripts/recording.py", "--check"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_it_is_a_picture_that_loads_nothing() -> None:
    text = PICTURE.read_text()
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - of our own
    assert "url(http" not in text and "href" not in text and "@import" not in text


def test_a_deployment_is_caught_and_then_scored() -> None:
    text = PICTURE.read_text()
    places = [text.index(word) for word in ("settings.mini_batch_size:", "trestbps", "Completed")]
    assert places == sorted(places)
