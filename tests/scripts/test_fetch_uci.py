"""scripts/fetch_uci.py: the mapping on a small table, the rest as a real process without internet."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/fetch_uci.py"
NAMES = runpy.run_path(str(SCRIPT))
heart, TableError = NAMES["heart"], NAMES["TableError"]


def uci(rows: int = 4) -> pd.DataFrame:
    """Return a table as UCI serves it: numbers throughout, `num` from 0 to 4. The rows are made up."""
    table = pd.DataFrame(
        {
            "age": [50, 61, 42, 70],
            "sex": [1, 0, 1, 0],
            "cp": [1, 2, 3, 4],
            "trestbps": [120, 130, 140, 150],
            "chol": [200, 210, 220, 230],
            "fbs": [0, 1, 0, 1],
            "restecg": [0, 1, 2, 0],
            "thalach": [150, 140, 130, 120],
            "exang": [0, 0, 1, 1],
            "oldpeak": [0.0, 1.5, 2.0, 0.3],
            "slope": [1, 2, 3, 1],
            "ca": [0.0, 1.0, 2.0, 3.0],
            "thal": [3.0, 6.0, 7.0, 3.0],
            "num": [0, 1, 2, 4],
        }
    )
    return table.head(rows)


def test_columns_are_those_of_the_training_table() -> None:
    synthetic = pd.read_csv(ROOT / "data/train/heart.csv")
    pd.testing.assert_series_equal(heart(uci()).dtypes, synthetic.dtypes)


def test_codes_become_words_and_num_becomes_target() -> None:
    result = heart(uci())
    assert list(result["thal"]) == ["normal", "fixed", "reversible", "normal"]
    assert list(result["target"]) == [0, 1, 1, 1]


def test_the_other_columns_keep_their_values() -> None:
    names = [name for name in uci() if name not in ("thal", "num")]
    pd.testing.assert_frame_equal(heart(uci())[names], uci()[names], check_dtype=False)


def test_rows_that_lack_a_value_are_left_out() -> None:
    table = uci()
    table.loc[1, "ca"] = np.nan
    table.loc[2, "thal"] = np.nan
    result = heart(table)
    assert list(result["age"]) == [50, 70]
    assert list(result.index) == [0, 1]
    assert result["ca"].dtype == "int64"


def test_order_and_extra_columns_do_not_matter() -> None:
    turned = uci()[uci().columns[::-1]].assign(id=range(4))
    pd.testing.assert_frame_equal(heart(turned), heart(uci()))


def test_the_table_given_is_not_changed() -> None:
    table = uci()
    heart(table)
    pd.testing.assert_frame_equal(table, uci())


def test_a_missing_column_is_named() -> None:
    with pytest.raises(TableError, match="no column ca, num"):
        heart(uci().drop(columns=["ca", "num"]))


def test_an_unknown_code_is_named() -> None:
    with pytest.raises(TableError, match=r"thal 5\.0, known are 3, 6, 7"):
        heart(uci().replace({"thal": {6.0: 5.0}}))


def test_without_internet_it_ends_at_once_with_one_line(tmp_path: Path) -> None:
    # A proxy that nobody runs: nothing is reached, with or without a network around this machine.
    nowhere = os.environ | {"https_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    out = tmp_path / "uci/heart.csv"
    result = subprocess.run(
        [sys.executable, SCRIPT, "--out", out], env=nowhere, capture_output=True, text=True, timeout=30
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("fetch_uci: cannot fetch table 45 from UCI")
    assert "needs internet" in result.stderr
    assert not out.parent.exists()
