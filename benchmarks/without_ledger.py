"""`batchtwin score` without what makes it safe: no commits to the ledger, no checksums. For comparison only.

Run as `python benchmarks/without_ledger.py score ...`; workers get the same through PYTHONPATH.
"""

from __future__ import annotations

import sys

from batchtwin.cli import main
from batchtwin.engine.ledger import Ledger

if __name__ == "__main__":
    Ledger.add = lambda self, entries, runs=None: None  # type: ignore[method-assign]
    sys.argv[0] = "batchtwin"
    main()
