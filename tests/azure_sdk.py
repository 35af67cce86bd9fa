"""A throw-away project, deployed and invoked by the real Azure SDK on a real server."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any

from served import Server

from support import Project

ECHO = """
    def run(files):
        return [open(file).read().strip() for file in files]
"""
FAILING = """
    def run(files):
        raise ValueError("no heart in " + files[0])
"""


@dataclass
class Sdk:
    """A project, deployed and invoked with the SDK. What is made bears the project's name."""

    client: Any
    server: Server
    project: Project

    @property
    def name(self) -> str:
        """The name of model, endpoint and data."""
        return f"e{self.project.folder.parent.name.replace('_', '-').lower()}"[-30:].lstrip("-0123456789")

    def deploy(self, script: str = ECHO, name: str = "first", **settings: Any) -> Any:
        """Create model, compute, endpoint and deployment; return the deployment."""
        from azure.ai.ml.entities import AmlCompute, BatchEndpoint, Model

        self.project.script = script
        self.project.write()
        model = self.client.models.create_or_update(Model(name=self.name, path=str(self.project.model)))
        self.client.compute.begin_create_or_update(AmlCompute(name="cluster")).result()
        self.client.batch_endpoints.begin_create_or_update(BatchEndpoint(name=self.name)).result()
        return self.create(model, name, **settings)

    def create(self, model: Any, name: str, **settings: Any) -> Any:
        """Create a deployment with the project's script."""
        from azure.ai.ml.entities import (
            CodeConfiguration,
            Environment,
            ModelBatchDeployment,
            ModelBatchDeploymentSettings,
        )

        deployment = ModelBatchDeployment(
            name=name,
            endpoint_name=self.name,
            model=model,
            compute="cluster",
            environment=Environment(name="plain", image="python:3.11", version="1"),
            code_configuration=CodeConfiguration(code=str(self.project.folder / "code"), scoring_script="driver.py"),
            settings=ModelBatchDeploymentSettings(**{"mini_batch_size": 1, **settings}),
        )
        return self.client.batch_deployments.begin_create_or_update(deployment).result()

    def invoke(self, **words: Any) -> str:
        """Invoke the endpoint over the project's input, which is uploaded; return the job's name."""
        from azure.ai.ml import Input

        arguments = {"input": Input(type="uri_folder", path=str(self.project.inputs)), **words}
        job = self.client.batch_endpoints.invoke(endpoint_name=self.name, **arguments)
        assert isinstance(job.name, str)
        return job.name

    def stream(self, job: str) -> str:
        """Stream a job to its end, and return what was printed."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            self.client.jobs.stream(job)
        return printed.getvalue()
