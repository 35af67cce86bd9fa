"""batchtwin: the twin of an Azure Machine Learning batch endpoint, on your own machine.

`batchtwin.score("deployment.yml", input="data")` runs a batch job and returns its `Result`. What is exported here is
the stable interface; it is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchtwin.api import (
        BatchTwinError,
        Comparison,
        JobError,
        JobPlan,
        Progress,
        Result,
        Status,
        Verdict,
        compare,
        plan,
        resume,
        score,
        verify,
    )

__version__ = "0.1.0"
__all__ = [
    "BatchTwinError",
    "Comparison",
    "JobError",
    "JobPlan",
    "Progress",
    "Result",
    "Status",
    "Verdict",
    "compare",
    "plan",
    "resume",
    "score",
    "verify",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'batchtwin' has no attribute {name!r}")
    from batchtwin import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
