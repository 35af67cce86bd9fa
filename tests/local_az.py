"""`az ml` on a workspace of a test's own: the real command line, and a project to deploy with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import Finished, Project, batchtwin

ENDPOINT = "test-endpoint"
DEPLOYMENT = "test-deployment"
ECHO = """
    from pathlib import Path

    def run(mini_batch):
        return [Path(path).read_text().strip() for path in mini_batch]
"""
FAILING = """
    def run(mini_batch):
        raise ValueError("no luck")
"""


@dataclass(frozen=True)
class Az:
    """An `az` whose workspace is in `folder`, where it also runs."""

    folder: Path

    def __call__(self, *words: str | Path) -> Finished:
        """Run `az ml`."""
        return self.run("ml", *words)

    def run(self, *words: str | Path) -> Finished:
        """Run `az`; jobs are spared their MLflow run, which takes seconds."""
        env = {"BATCHTWIN_WORKSPACE": str(self.folder / "workspace"), "BATCHTWIN_MLFLOW": "off"}
        return batchtwin(*words, cwd=self.folder, env=env)

    def ok(self, *words: str | Path) -> str:
        """Run `az ml`, which must succeed, and return what it prints."""
        done = self(*words)
        assert done.code == 0, done.err
        return done.out

    def json(self, *words: str | Path) -> Any:
        """Run `az ml`, which must succeed and print JSON."""
        return json.loads(self.ok(*words))

    def deploy(self, script: str = ECHO) -> Project:
        """Create compute, endpoint and a default deployment of a scoring script; its project has three files."""
        self.ok("compute", "create", "-n", "cluster", "--type", "AmlCompute")
        self.ok("batch-endpoint", "create", "-n", ENDPOINT)
        return self.add(script, "project", "--set-default")

    def add(self, script: str, name: str, *words: str) -> Project:
        """Add a deployment of a scoring script to the endpoint; `name` is the folder of its project."""
        project = Project(self.folder / name, script)
        project.files(3)
        self.ok("batch-deployment", "create", "-f", project.write(), *words)
        return project

    def invoke(self, *words: str | Path) -> str:
        """Invoke the endpoint and return the name of the job."""
        return self.ok("batch-endpoint", "invoke", "-n", ENDPOINT, *words, "--query", "name", "-o", "tsv").strip()

    def end(self, job: str) -> str:
        """Wait for the end of a job; returns its status."""
        self("job", "stream", "-n", job)
        return self.status(job)

    def status(self, job: str) -> str:
        """The status of a job."""
        return self.ok("job", "show", "-n", job, "--query", "status", "-o", "tsv").strip()
