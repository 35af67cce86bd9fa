"""`batchtwin score`, with WITHOUT_LEDGER in the environment without what makes it safe: no commits to the ledger.

Run as `python benchmarks/without_ledger.py score ...` in both cases, so that both start in the same way. Checksums
are taken out by `without_checksums` on PYTHONPATH, in workers too.
"""

from __future__ import annotations

import os
import sys

from batchtwin.cli import main
from batchtwin.engine.ledger import Ledger

if __name__ == "__main__":
    if "WITHOUT_LEDGER" in os.environ:
        Ledger.add = lambda self, entries, runs=None: None  # type: ignore[method-assign]
    sys.argv[0] = "batchtwin"
    main()
