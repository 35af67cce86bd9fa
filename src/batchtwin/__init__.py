"""batchtwin: the twin of an Azure Machine Learning batch endpoint, on your own machine.

`batchtwin.score("deployment.yml", input="data")` runs a batch job and returns its `Result`. What is exported here is
the stable interface; modules are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchtwin.api.jobs import compare, resume, score, verify
    from batchtwin.api.plans import JobPlan, plan
    from batchtwin.api.result import JobError, Result
    from batchtwin.engine.job import Status
    from batchtwin.engine.progress import Progress
    from batchtwin.engine.verify import Verdict
    from batchtwin.errors import BatchTwinError
    from batchtwin.predictions.comparison import Comparison

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
_HOMES = {
    **dict.fromkeys(("compare", "resume", "score", "verify"), "api.jobs"),
    **dict.fromkeys(("JobPlan", "plan"), "api.plans"),
    **dict.fromkeys(("JobError", "Result"), "api.result"),
    "BatchTwinError": "errors",
    "Comparison": "predictions.comparison",
    "Progress": "engine.progress",
    "Status": "engine.job",
    "Verdict": "engine.verify",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'batchtwin' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"batchtwin.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
