"""The model registry: MLflow, in an SQLite file of the warehouse or on any tracking server by its URL.

A package is registered as a plain artifact of its run; ``mlflow.tensorflow.log_model`` would take 30 times as long
and load its model without looking at its hashes. A run says in which environment it was, and a registered model's has
its learning curves as a page; where artifacts go to a store for which a client of its own would be needed (S3, Azure),
or to where a warehouse was before it was moved, the page is left out: a training is not lost for a figure.
"""

import logging
import math
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from salus.datasets.folder import Folder
from salus.errors import Refused
from salus.storage.lock import local_folder
from salus.training.curves import learning_curves
from salus.training.environment import environment

if TYPE_CHECKING:
    from mlflow import MlflowClient

REGISTRY = "_registry"
FIGURE = "learning_curves.html"
SERVED = "mlflow-artifacts:"
"""How the artifacts of a run are addressed that its tracking server takes and keeps."""


def tracking_uri(warehouse: str, named: str | None) -> str:
    """Where runs and models are registered: ``named``, or an SQLite file of the warehouse.

    Raises:
        Refused: none is named, and the warehouse is not a local folder, where SQLite could live.
    """
    if named:
        return named
    folder = local_folder(warehouse)
    if folder is None:
        raise Refused(
            f"Received the warehouse {warehouse} and no tracking_uri; expected an MLflow server's URL, since "
            "SQLite needs a local folder. Set SALUS_TRACKING_URI."
        )
    registry = folder.resolve() / REGISTRY
    registry.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{registry / 'mlflow.db'}"


class Registry:
    """Registers the models of one task.

    Args:
        uri: MLflow's tracking URI.
        experiment: the task's id.
        artifacts: where the experiment's artifacts lie, for a registry without a server.
    """

    def __init__(self, uri: str, experiment: str, artifacts: str):
        with _without_its_warnings():
            self.client = _client(uri)
            self._artifacts = Folder(artifacts).path
            found = self.client.get_experiment_by_name(experiment)
            self.experiment_id = (
                found.experiment_id
                if found
                else self.client.create_experiment(
                    experiment, artifact_location=self._artifacts if uri.startswith("sqlite:") else None
                )
            )

    def register(
        self,
        name: str,
        package: str,
        parameters: Mapping[str, Any],
        history: Sequence[Mapping[str, Any]],
        tags: Mapping[str, str],
    ) -> str:
        """Register the package in the folder ``package`` as the next version of ``name``; returns the version.

        Args:
            name: registered model name; made where it is new.
            package: folder of the package.
            parameters: settings of the training.
            history: metrics by epoch; what is not a number is left out.
            tags: where data and code came from.
        """
        with _without_its_warnings():
            return self._register(name, package, parameters, history, tags)

    def track(
        self,
        name: str,
        parameters: Mapping[str, Any],
        history: Sequence[Mapping[str, Any]],
        tags: Mapping[str, str],
    ) -> str:
        """Log a training as a run without a model, arguments as ``register`` has them; returns the run's id."""
        with _without_its_warnings():
            return self._track(name, parameters, history, tags)

    def point(self, alias: str, name: str, version: str) -> None:
        """Let ``alias`` of the model ``name`` mean ``version``."""
        with _without_its_warnings():
            self.client.set_registered_model_alias(name, alias, version)

    def unpoint(self, alias: str, name: str) -> None:
        """Let ``alias`` of the model ``name`` mean nothing."""
        with _without_its_warnings():
            self.client.delete_registered_model_alias(name, alias)

    def _register(self, name, package, parameters, history, tags):
        from mlflow.exceptions import MlflowException

        run = self._track(name, parameters, history, tags)
        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        version = self.client.create_model_version(name, source=package, run_id=run, tags=dict(tags)).version
        if history:
            self._draw(name, run, history)
        return str(version)

    def _draw(self, name, run, history):
        where = self.client.get_run(run).info.artifact_uri
        if where.startswith((SERVED, f"{self._artifacts}/")):
            self.client.log_text(run, learning_curves(name, history), FIGURE)

    def _track(self, name, parameters, history, tags):
        from mlflow.entities import Metric, Param, RunTag

        run = self.client.create_run(self.experiment_id, run_name=name).info.run_id
        now = int(time.time() * 1000)
        metrics = [
            Metric(key, float(value), now, epoch["epoch"])
            for epoch in history
            for key, value in epoch.items()
            if key != "epoch" and isinstance(value, int | float) and math.isfinite(value)
        ]
        self.client.log_batch(
            run,
            metrics,
            [Param(key, str(value)) for key, value in parameters.items()],
            [RunTag(key, str(value)) for key, value in {**_environment(), **tags}.items()],
        )
        self.client.set_terminated(run)
        return run


def _environment():
    return {f"version.{name}": number for name, number in environment().items()}


def registry_of(job, task_id: str) -> Registry:
    """The registry of the job's warehouse for the models of ``task_id``."""
    warehouse = job.tables.warehouse
    return Registry(tracking_uri(warehouse, job.settings.tracking_uri), task_id, f"{warehouse}/{REGISTRY}/artifacts")


@contextmanager
def _without_its_warnings() -> Iterator[None]:
    """MLflow asks SQLAlchemy for what it has deprecated; that is no news to whoever trains."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _client(uri) -> "MlflowClient":
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # nothing about a hospital's runs leaves its network
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(uri, uri)
