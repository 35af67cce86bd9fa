"""Names, environment and model folder of a job's workers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchtwin.engine.context import model_dir
from batchtwin_node.launcher import worker_name


@pytest.mark.parametrize(
    ("number", "nodes", "name"),
    [(0, 1, "node0/process000"), (3, 1, "node0/process003"), (0, 2, "node0/process000"), (3, 2, "node1/process001")],
)
def test_workers_are_dealt_to_nodes(number: int, nodes: int, name: str) -> None:
    assert worker_name(number, nodes) == name


def model(folder: Path) -> Path:
    (folder / "foo/sub").mkdir(parents=True)
    (folder / "foo/MLmodel").write_text("flavors: {}")
    (folder / "foo/sub/weights").write_text("1")
    return folder / "foo"


def test_the_model_keeps_its_folders_name(tmp_path: Path) -> None:
    made = model_dir(model(tmp_path), tmp_path / "models")
    assert [path.name for path in made.iterdir()] == ["foo"]
    assert (made / "foo/sub/weights").read_text() == "1"
    assert not any(path.is_symlink() for path in made.rglob("*")), "MLflow refuses models behind links"


def test_a_linked_model_is_resolved(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(model(tmp_path))
    (tmp_path / "foo/linked").symlink_to("MLmodel")
    (tmp_path / "foo/broken").symlink_to("nowhere")
    made = model_dir(tmp_path / "link", tmp_path / "models")
    assert (made / "foo/linked").read_text() == "flavors: {}"


def test_a_model_may_be_a_single_file(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_text("1")
    made = model_dir(tmp_path / "model.bin", tmp_path / "models")
    assert [path.name for path in made.iterdir()] == ["model.bin"]


def test_where_links_cannot_be_made_files_are_copied(tmp_path: Path) -> None:
    memory = Path("/dev/shm")  # noqa: S108 - another file system, which hard links do not cross
    source = memory / f"batchtwin-test-{os.getpid()}"
    source.write_text("1")
    try:
        made = model_dir(source, tmp_path / "models")
        assert (made / source.name).stat().st_ino != source.stat().st_ino
        assert (made / source.name).read_text() == "1"
    finally:
        source.unlink()
