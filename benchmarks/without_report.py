"""`batchtwin score`, with WITHOUT_REPORT in the environment without its `report.html` (benchmarks/report.py).

Run as `python benchmarks/without_report.py score ...` in both cases, so that both start in the same way.
"""

from __future__ import annotations

import os
import sys

from batchtwin.cli import main
from batchtwin.engine import run

if __name__ == "__main__":
    if "WITHOUT_REPORT" in os.environ:
        vars(run).update(report_at_end=lambda *_: "", prepare_report=lambda: None)
    sys.argv[0] = "batchtwin"
    main()
