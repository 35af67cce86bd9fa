"""Where the model of a job comes from, as MLflow knows it, and the links to it. MLflow 3 shows them all."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from batchtwin.deployment.model import Model
from batchtwin_node.codec import value_object

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

# Tags: of a training run that reproduced a model which is kept in its first form, and of our runs for the user.
UUID_TAG, MODEL_TAG, TRAINING_TAG = "model_uuid", "model", "training_run"
DESCRIPTION = "mlflow.note.content"
MOST_EXPERIMENTS = 1000


@value_object
class Origin:
    """The run that made a model, and MLflow 3's logged model; empty if the store has none."""

    run: str = ""
    logged: str = ""


def training_origin(client: MlflowClient, model: Model) -> Origin:
    """Find the run that made a model: the one in its MLmodel file, else the last one that reproduced it."""
    run = _run(client, model)
    if run is None:
        return Origin()
    return Origin(run.info.run_id, _logged(run, model))


def _run(client: MlflowClient, model: Model) -> Run | None:
    with suppress(Exception):  # the store does not have it
        if model.run:
            return client.get_run(model.run)
    with suppress(Exception):
        if model.uuid:
            experiments = client.search_experiments(max_results=MOST_EXPERIMENTS)
            ids = [experiment.experiment_id for experiment in experiments]
            runs = client.search_runs(ids, f"tags.{UUID_TAG} = '{model.uuid}'", max_results=1)
            return runs[0] if runs else None
    return None


def _logged(run: Run, model: Model) -> str:
    """Return the model that the run logged; of several the one in the MLmodel file. MLflow 2 has none."""
    outputs = getattr(run, "outputs", None)
    ids = [str(output.model_id) for output in outputs.model_outputs] if outputs else []
    if model.logged in ids:
        return model.logged
    return ids[0] if len(ids) == 1 else ""


def link_input(client: MlflowClient, run: str, logged: str) -> None:
    """Record a logged model as an input of a run. MLflow 2 has no such models, which is no error."""
    if not logged:
        return
    with suppress(Exception):
        from mlflow.entities import LoggedModelInput

        client.log_inputs(run, models=[LoggedModelInput(logged)])


def describe(client: MlflowClient, run: str, text: str) -> None:
    """Set the description of a run, in Markdown, unless it has one already."""
    if not client.get_run(run).data.tags.get(DESCRIPTION):
        client.set_tag(run, DESCRIPTION, text)
