"""deployment-custom/deployment-jsonl.yml: JSON Lines in, JSON Lines out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from support import Finished

RECORD = json.loads(
    '{"age": 50, "sex": 1, "cp": 4, "trestbps": 120, "chol": 200, "fbs": 0, "restecg": 0, "thalach": 150, "exang": 0, '
    '"oldpeak": 2, "slope": 2, "ca": 0, "thal": "normal"}'
)
WRONG = {
    "wrong-array.jsonl": (b"\n[1, 2]\n", "line 2: a JSON object is expected, not [1, 2]"),
    "wrong-column.jsonl": (b'{"age": 50}\n', "Model is missing inputs"),
    "wrong-syntax.jsonl": (b'{"age": 50\n', "line 1: Expecting ',' delimiter"),
    "wrong-type.jsonl": (json.dumps(RECORD | {"age": 50.5}).encode(), "Incompatible input types for column age"),
    "wrong-unicode.jsonl": (b"\xff\xfe\n", "'utf-8' codec can't decode"),
}


def as_json(record: dict[Any, Any]) -> dict[str, Any]:
    """The record as JavaScript would write it: 2.0 is 2."""
    return {name: int(value) if value in (0, 1, 2, 3, 4) else value for name, value in record.items()}


@pytest.fixture(scope="module")
def records(good_files: list[Path]) -> dict[str, list[dict[str, Any]]]:
    """Name of a file -> the objects in it."""
    tables = {path.stem: pd.read_csv(path).to_dict("records") for path in good_files}
    files = {f"{stem}.jsonl": [as_json(record) for record in table] for stem, table in tables.items()}
    return files | {"text.jsonl": [RECORD, RECORD | {"patient": 'Žofie, "7"\n'}], "whole.jsonl": [RECORD]}


@pytest.fixture(scope="module")
def done(
    score: Callable[..., Finished], records: dict[str, list[dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    """The job; each file on its own, so that a wrong one fails alone."""
    folder = tmp_path_factory.mktemp("jsonl")
    for name, objects in records.items():
        (folder / name).write_text("\n\n".join(json.dumps(each, ensure_ascii=False) for each in objects))
    for name, (data, _) in WRONG.items():
        (folder / name).write_bytes(data)
    return score("deployment-jsonl.yml", folder, "--set", "settings.mini_batch_size=1")


def test_records_come_back_with_their_predictions(
    done: Finished, records: dict[str, list[dict[str, Any]]], classifier: Any
) -> None:
    assert done.code == 0, done.err
    objects = [each for name in sorted(records) for each in records[name]]
    labels = classifier.predict(pd.DataFrame(objects)).tolist()
    lines = (done.output / "named-outputs/score/predictions.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    assert len(found) == 306
    assert found == [each | {"prediction": label} for each, label in zip(objects, labels, strict=True)]
    assert [list(each)[-1] for each in found] == ["prediction"] * 306


def test_bad_files_are_named(done: Finished) -> None:
    messages = {Path(failure["file"]).name: failure["message"] for failure in done.failures}
    assert list(messages) == list(WRONG)
    for name, (_, problem) in WRONG.items():
        assert f"/{name}: " in messages[name]
        assert problem in messages[name]
