"""batchtwin for scripts, tests and notebooks: what the command line does, as functions.

Nothing is printed unless `progress` asks for it, and no signal handler is left behind. A job that fails is a `Result`;
what can be refused raises a `BatchTwinError` with the text that the command line prints. The keywords of `score`,
`plan` and `resume` are the options of the commands: `--ray-cpus 2` is `ray_cpus=2`.
"""

from __future__ import annotations

from batchtwin.api.jobs import compare, resume, score, verify
from batchtwin.api.options import PlanOptions, ResumeOptions, ScoreOptions
from batchtwin.api.plans import JobPlan, plan
from batchtwin.api.result import JobError, Result
from batchtwin.engine.job import Status
from batchtwin.engine.progress import Progress
from batchtwin.engine.verify import Verdict
from batchtwin.errors import BatchTwinError
from batchtwin.predictions.comparison import Comparison

__all__ = [
    "BatchTwinError",
    "Comparison",
    "JobError",
    "JobPlan",
    "PlanOptions",
    "Progress",
    "Result",
    "ResumeOptions",
    "ScoreOptions",
    "Status",
    "Verdict",
    "compare",
    "plan",
    "resume",
    "score",
    "verify",
]
