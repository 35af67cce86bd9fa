"""Section 6: the output of scripts."""

from __future__ import annotations

import pytest

from support import Project, batchtwin

ROWS = """
    import os, pandas as pd
    def run(mini_batch):
        return pd.DataFrame({"name": [os.path.basename(path) for path in mini_batch], "text": TEXT, "number": 1.5})
"""


@pytest.mark.documented("6", "A list gives one line per element, str(element).")
def test_list(project: Project) -> None:
    project.files(1)
    project.script = "def run(mini_batch): return [1, 2.5, None, 'a b', ('x', 1), True]"
    assert project.score().predictions == "1\n2.5\nNone\na b\n('x', 1)\nTrue\n"


@pytest.mark.documented("6", "A tuple is taken as a list.")
def test_tuple(project: Project) -> None:
    project.files(1)
    project.script = "def run(mini_batch): return 'a', 'b'"
    assert project.score().predictions == "a\nb\n"


@pytest.mark.documented(
    "6", "A DataFrame is written without header and index, separated by one space, minimally quoted."
)
@pytest.mark.parametrize(
    ("text", "written"), [("word", "word"), ("two words", '"two words"'), ("a,b", "a,b"), ('say "x"', '"say ""x"""')]
)
def test_frame(project: Project, text: str, written: str) -> None:
    project.files(2)
    project.settings = {"mini_batch_size": 2}
    project.script = f"TEXT = {text!r}{ROWS}".replace("\n    ", "\n")
    assert project.score().predictions == f"00.txt {written} 1.5\n01.txt {written} 1.5\n"


@pytest.mark.ours("6", "Lines are in plan order, rows in the order returned: the same bytes for 1 and for 4 workers.")
def test_order(project: Project) -> None:
    project.files(40)
    project.settings = {"mini_batch_size": 3}
    project.script = """
        import os, time
        def run(mini_batch):
            time.sleep(0.02 if "0" in mini_batch[0] else 0)
            return [f"{os.path.basename(path)} {row}" for path in mini_batch for row in range(3)]
    """
    predictions = project.score("--workers", "1").predictions
    assert predictions == "".join(f"{number:02}.txt {row}\n" for number in range(40) for row in range(3))
    assert project.score("--workers", "4", "--overwrite").predictions == predictions


@pytest.mark.ours("6", "With summary_only no predictions file is written; the script's own files are the output.")
def test_summary_only(project: Project) -> None:
    project.files(3)
    project.settings = {"output_action": "summary_only"}
    project.script = """
        import os, pathlib
        def run(mini_batch):
            target = pathlib.Path(os.environ["AZUREML_BI_OUTPUT_PATH"], os.path.basename(mini_batch[0]))
            target.write_text("scored")
            return mini_batch
    """
    done = project.score()
    assert done.code == 0, done.err
    score = done.output / "named-outputs/score"
    assert sorted(path.name for path in score.iterdir()) == ["00.txt", "01.txt", "02.txt"]
    assert done.out.rstrip().endswith("named-outputs/score")


@pytest.mark.ours("6", "A folder that holds a job is refused, unless --overwrite is given, which replaces it.")
def test_overwrite(project: Project) -> None:
    project.files(2)
    project.script = "def run(mini_batch): return ['first']"
    assert project.score().code == 0
    project.script = "def run(mini_batch): return ['second']"
    refused = project.score()
    assert refused.code == 2
    assert "predictions.csv: exists already; give --overwrite" in refused.err
    assert refused.predictions == "first\nfirst\n"
    other = project.folder / "job/mine.txt"
    other.write_text("kept")
    assert project.score("--overwrite").predictions == "second\nsecond\n"
    assert other.read_text() == "kept"


@pytest.mark.ours(
    "6", "The folder of a job that did not complete is refused too; --overwrite only clears once all checks passed."
)
def test_overwrite_of_unfinished(project: Project) -> None:
    project.files(2)
    project.script = "def run(mini_batch): raise ValueError"
    assert project.score().code == 1
    assert "holds a job that is not complete; finish it with `batchtwin resume " in project.score().err
    project.script = "def run(): pass"
    assert project.score("--overwrite").code == 2
    assert (project.folder / "job/logs/job_result.txt").exists(), "nothing was cleared"


@pytest.mark.documented("6", "A failed job has no predictions file.")
def test_failed_job_has_no_file(project: Project) -> None:
    project.files(4)
    project.settings = {"error_threshold": 0, "retry_settings": {"max_retries": 1}}
    project.script = (
        "def run(mini_batch):\n    if mini_batch[0].endswith('03.txt'): raise ValueError\n    return mini_batch"
    )
    done = project.score("--workers", "1")
    assert done.code == 1
    assert list((done.output / "named-outputs/score").iterdir()) == []


@pytest.mark.ours("6", "output_file_name names the file, as written.")
def test_output_file_name(project: Project) -> None:
    project.files(1)
    project.settings = {"output_file_name": "my results.txt"}
    project.script = "def run(mini_batch): return ['x']"
    done = project.score()
    assert (done.output / "named-outputs/score/my results.txt").read_text() == "x\n"


@pytest.mark.ours("6", "verify names the first row of the predictions that is not as it was written, and where it is.")
def test_verify_names_a_row(project: Project) -> None:
    project.files(12)
    project.script = "def run(mini_batch): return [path[-6:] for path in mini_batch]"
    output = project.score().output
    path = output / "named-outputs/score/predictions.csv"
    path.write_text(path.read_text().replace("02.txt", "changed"))
    verdict = batchtwin("verify", output)
    assert verdict.code == 1
    assert f"{path}: first difference at row 3 of predictions.csv: bytes 14 to 21 (mini batch 2, 02.txt)" in verdict.err
    assert len(verdict.err.splitlines()) == 2
