"""Jobs on Ray in an environment of their own: the node runs under its interpreter, on every machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchtwin.environments import cache
from package_server import wheel
from ray_cluster import running
from support import Project, batchtwin

pytestmark = pytest.mark.ray

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
SCRIPT = """
    import sys, tiny
    def run(mini_batch):
        return [f"{tiny.VERSION} {sys.prefix} {any('site-packages/ray' in path for path in sys.path)}"]
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two machines whose caches of environments are not the controller's."""
    folder = tmp_path_factory.mktemp("machines") / "environments"
    own = {"BATCHTWIN_ENVIRONMENTS": str(folder), "PIP_CONFIG_FILE": "/dev/null"}
    with running(cpus=1, machines=2, env_vars=own) as started:
        yield str(started.address)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The controller's cache."""
    monkeypatch.setenv("BATCHTWIN_ENVIRONMENTS", str(tmp_path / "environments"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return tmp_path / "environments"


def requests(project: Project, *lines: str) -> Project:
    """A project whose conda file lists these lines of pip."""
    project.files(2)
    project.script = SCRIPT
    project.settings = {"instance_count": 2, "max_concurrency_per_instance": 1}
    conda = {"dependencies": [f"python={HERE}", {"pip": list(lines)}]}
    (project.folder / "conda.json").write_text(json.dumps(conda))
    return project


def score(project: Project, *words: str) -> tuple[int, str, str]:
    path = project.write()
    path.write_text(path.read_text().replace("environment:", "environment:\n  conda_file: conda.json"))
    output = project.folder / "job"
    done = batchtwin("score", path, "--input", project.inputs, "--output", output, "--pool", "ray", *words)
    return done.code, done.predictions if not done.code else "", done.err


def test_each_machine_makes_the_environment_and_the_node_runs_in_it(
    project: Project, cluster: str, folder: Path
) -> None:
    wheel(project.folder, "tiny", "2.0")
    code, rows, err = score(requests(project, "./tiny-2.0-py3-none-any.whl"), "--env", "auto", "--ray-address", cluster)
    assert code == 0, err
    [environment] = cache.environments()
    machines = {row.split()[1] for row in rows.splitlines()}
    assert {row.split()[0] for row in rows.splitlines()} == {"2.0"}
    assert {row.split()[2] for row in rows.splitlines()} == {"False"}
    assert {Path(prefix).name for prefix in machines} == {environment.record.key}, "the same key on each machine"
    assert all(not Path(prefix).is_relative_to(folder) for prefix in machines), "in the machine's own cache"
    assert "Making the environment of this deployment" in err


def test_a_path_is_taken_on_each_machine(project: Project, cluster: str) -> None:
    wheel(project.folder, "tiny", "2.0")
    path = requests(project, "./tiny-2.0-py3-none-any.whl").write()
    path.write_text(path.read_text().replace("environment:", "environment:\n  conda_file: conda.json"))
    built = Path(batchtwin("environments", "build", path).out.strip())
    code, rows, err = score(project, "--env", str(built), "--ray-address", cluster)
    assert code == 0, err
    assert {row.split()[1] for row in rows.splitlines()} == {str(built)}


def test_versions_of_a_machine_that_are_others_are_refused(project: Project, cluster: str) -> None:
    (project.folder / "links").mkdir()
    for version in ("1.0", "2.0"):
        wheel(project.folder / "links", "tiny", version)
    for name, version in (("pip", "25.0"), ("setuptools", "80.0")):
        wheel(project.folder / "links", name, version)
    lines = ("tiny", "--no-index", "--find-links ./links")
    code, rows, err = score(requests(project, *lines), "--env", "auto", "--ray-address", cluster)
    assert code == 0, err
    machine = Path(rows.split()[1])
    lock = machine / cache.LOCK
    lock.write_text(lock.read_text().replace("tiny==2.0", "tiny==1.0"))
    project.folder.joinpath("job").rename(project.folder / "old")
    code, _, err = score(project, "--env", "auto", "--ray-address", cluster)
    assert code == 1
    assert "has other versions than the controller's (tiny==" in err, err


def test_an_image_does_not_go_with_ray(project: Project) -> None:
    code, _, err = score(requests(project), "--env", "image:any")
    assert (code, "--env image:any: does not go with --pool ray" in err) == (2, True)
