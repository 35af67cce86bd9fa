"""`make local-score` where no container engine answers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support import DEADLINE, ROOT


def local_score(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", "local-score", "DOCKER=no-such-engine", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


@pytest.mark.usefixtures("heart_model")
def test_it_says_so_in_one_line_and_scores_in_venv(tmp_path: Path) -> None:
    (tmp_path / "my data").mkdir()
    (tmp_path / "my data/3.csv").write_text((ROOT / "data/heart-unlabeled-3.csv").read_text())
    done = local_score("RUNNER=", f"INPUT={tmp_path / 'my data'}", f"OUTPUT={tmp_path / 'job'}")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert done.stderr.splitlines()[0] == "No container engine answers (no-such-engine info): scoring in .venv instead."
    assert done.stdout.splitlines()[0] == "Completed"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["RUNNER=docker"], "local-score: no container engine answers (no-such-engine info); start one, or score in"),
        (["RUNNER=podman"], "local-score: RUNNER=podman: choose docker or venv, or leave it out"),
    ],
)
@pytest.mark.usefixtures("heart_model")
def test_what_cannot_be_done_is_refused(tmp_path: Path, words: list[str], text: str) -> None:
    done = local_score(*words, f"OUTPUT={tmp_path / 'job'}")
    assert done.returncode == 2
    assert done.stderr.startswith(text)
    assert not (tmp_path / "job").exists()


# An engine's client that answers, and builds nothing: docker 23 and later without the plugin buildx.
CANNOT_BUILD = """\
#!/usr/bin/env bash
[[ $1 == info ]] || { echo "ERROR: BuildKit is enabled but the buildx component is missing or broken." >&2; exit 1; }
"""


@pytest.fixture
def cannot_build(tmp_path: Path) -> Path:
    client = tmp_path / "docker"
    client.write_text(CANNOT_BUILD)
    client.chmod(0o755)
    return client


@pytest.mark.usefixtures("heart_model")
def test_an_engine_that_cannot_build_is_told_in_one_line(tmp_path: Path, cannot_build: Path) -> None:
    words = (f"DOCKER={cannot_build}", "RUNNER=", f"INPUT={ROOT / 'data/heart-unlabeled-3.csv'}")
    done = local_score(*words, f"OUTPUT={tmp_path / 'job'}")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert done.stderr.splitlines()[0] == "The container engine cannot build images: scoring in .venv instead."
    assert done.stdout.splitlines()[0] == "Completed"


def test_runner_docker_with_an_engine_that_cannot_build_is_refused(tmp_path: Path, cannot_build: Path) -> None:
    done = local_score(f"DOCKER={cannot_build}", "RUNNER=docker", f"OUTPUT={tmp_path / 'job'}")
    assert done.returncode == 2
    assert done.stderr.startswith("local-score: the container engine cannot build images; install BuildKit")


def test_an_engine_that_never_answers_is_not_waited_for(tmp_path: Path) -> None:
    client = tmp_path / "docker"
    client.write_text("#!/usr/bin/env bash\nexec sleep 1000\n")
    client.chmod(0o755)
    done = local_score(f"DOCKER={client}", "RUNNER=docker", "ENGINE_SECONDS=1", f"OUTPUT={tmp_path / 'job'}")
    assert done.returncode == 2
    assert done.stderr.startswith("local-score: no container engine answers")
