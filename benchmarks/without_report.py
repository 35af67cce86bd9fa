"""`batchtwin score`, with WITHOUT_REPORT in the environment without its `report.html` (benchmarks/report.py).

Run as `python benchmarks/without_report.py score ...` in both cases, so that both start in the same way.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

from batchtwin.cli import main
from batchtwin.engine import run

# A job imports it at its end.
WRITES = "batchtwin.engine.report.write"

if __name__ == "__main__":
    if "WITHOUT_REPORT" in os.environ:
        vars(run).update(prepare_report=lambda: None)
        writes_none = ModuleType(WRITES)
        vars(writes_none).update(report_at_end=lambda *_: "")
        sys.modules[WRITES] = writes_none
    sys.argv[0] = "batchtwin"
    main()
