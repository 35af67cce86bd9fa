"""Computes, endpoints and their default deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from batchtwin.workspace.errors import InvalidError, NotFoundError
from batchtwin.workspace.workspace import Workspace

if TYPE_CHECKING:
    from workspace.conftest import Rehearsal


def test_create_is_an_upsert(workspace: Workspace) -> None:
    first = workspace.endpoints.create("heart", description="one")
    again = workspace.endpoints.create("heart", description="two")
    assert (again.description, again.created) == ("two", first.created)
    assert workspace.endpoints.list() == [again]


def test_creating_again_keeps_the_default(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    rehearsal.workspace.endpoints.update("test-endpoint", default_deployment="test-deployment")
    assert rehearsal.workspace.endpoints.create("test-endpoint").default_deployment == "test-deployment"


def test_set_default(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    rehearsal.workspace.deployments.create(rehearsal.project.write(), name="other", set_default=True)
    assert rehearsal.workspace.endpoints.get("test-endpoint").default_deployment == "other"


def test_the_default_must_be_there(workspace: Workspace) -> None:
    workspace.endpoints.create("heart")
    with pytest.raises(NotFoundError, match="deployment 'none'"):
        workspace.endpoints.update("heart", default_deployment="none")


def test_deleting_the_default_unsets_it(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    rehearsal.workspace.endpoints.update("test-endpoint", default_deployment="test-deployment")
    rehearsal.workspace.deployments.delete("test-endpoint", "test-deployment")
    assert rehearsal.workspace.endpoints.get("test-endpoint").default_deployment is None


def test_deleting_an_endpoint_takes_its_deployments(rehearsal: Rehearsal) -> None:
    rehearsal.deploy()
    workspace = rehearsal.workspace
    workspace.endpoints.delete("test-endpoint")
    workspace.endpoints.create("test-endpoint")
    assert workspace.deployments.list("test-endpoint") == []
    assert [compute.name for compute in workspace.computes.list()] == ["cluster"]


def test_only_some_things_can_be_changed(workspace: Workspace) -> None:
    workspace.endpoints.create("heart")
    with pytest.raises(InvalidError, match="auth_mode: cannot be changed"):
        workspace.endpoints.update("heart", auth_mode="key")


def test_what_is_not_there(workspace: Workspace) -> None:
    for verb in (
        workspace.endpoints.get,
        workspace.endpoints.delete,
        workspace.computes.get,
        workspace.computes.delete,
    ):
        with pytest.raises(NotFoundError, match="'none': not found"):
            verb("none")


@pytest.mark.parametrize(
    "values", [{"min_instances": 5}, {"min_instances": -1}, {"max_instances": 0}, {"type": "kubernetes"}]
)
def test_a_compute_that_cannot_be(workspace: Workspace, values: dict[str, Any]) -> None:
    with pytest.raises(InvalidError, match="compute cluster"):
        workspace.computes.create("cluster", **values)


def test_a_compute_is_created_once(workspace: Workspace) -> None:
    workspace.computes.create("cluster", max_instances=2)
    workspace.computes.create("cluster", max_instances=3)
    assert [compute.max_instances for compute in workspace.computes.list()] == [3]
    workspace.computes.delete("cluster")
    assert workspace.computes.list() == []
