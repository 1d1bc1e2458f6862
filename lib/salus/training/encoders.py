"""The pre-trained encoders of a task: how one is planned, found again, and told of beside the model it became."""

from collections.abc import Mapping
from typing import Any

from pyspark.sql import functions as F

from salus.cohorts.task import Task
from salus.datasets import Dataset
from salus.datasets.pretraining import sequence_spec
from salus.errors import Refused
from salus.models.ways import way_of
from salus.storage.tables import Tables
from salus.timelines.spec import FeatureSpec
from salus.training.newest import newest_model
from salus.training.package import package_info
from salus.training.plan import CODES, NetworkPlan


def encoder_name(task: Task) -> str:
    """What a task's encoder is registered as."""
    return f"{task.id}-encoder"


def encoder_plan(task: Task) -> NetworkPlan:
    """The encoder of the task's model: of the same shape, trained as ``pretraining`` says.

    Raises:
        Refused: the architecture reads no sequence of events.
    """
    way_of(task.model.architecture)
    settings = task.model.settings.model_dump() | task.pretraining.of_training
    return NetworkPlan.of(encoder_name(task), task.model.architecture, settings, CODES)


def spec_of_sequences(dataset: Dataset) -> FeatureSpec:
    """What an encoder reads of the samples of ``dataset``."""
    return sequence_spec(FeatureSpec.from_json(dataset.spec().decode()))


def newest_encoder(tables: Tables, task: Task, dataset: Dataset) -> dict[str, Any]:
    """The newest encoder of ``task``, as its row of ``models`` has it.

    Raises:
        Refused: there is none, or none that reads the vocabulary of ``dataset``.
    """
    row = newest_model(tables, (F.col("task_id") == task.id) & (F.col("model_name") == encoder_name(task)))
    if row is None:
        raise Refused(
            f"Received the task {task.id}, for which the warehouse has no pre-trained encoder; expected one. "
            "Pre-train first: submit.sh pretrain."
        )
    if row["feature_spec_hash"] != spec_of_sequences(dataset).hash:
        raise Refused(
            f"Received the encoder {row['model_name']} version {row['model_version']}, which reads another vocabulary "
            "than the task's newest data set has; expected the same. Run pretrain again."
        )
    return row.asDict()


def told_of(warehouse: str, encoder: Mapping[str, Any]) -> dict[str, Any]:
    """What a model's package says of the encoder that it began from, a row of ``models``."""
    info = package_info(f"{warehouse}/{encoder['package_path']}")
    named = ("model_name", "model_version", "package_hash", "dataset_hash", "inputs")
    return {
        **{name: encoder[name] for name in named},
        "objective": way_of(encoder["architecture"]).objective,
        "samples": info["samples"],
        "code": info["code"],
        "best": info["best"],
    }


def sentence(told: Mapping[str, Any]) -> str:
    """``told_of`` in words."""
    return (
        f"Its encoder of events began from {told['model_name']} version {told['model_version']}, pre-trained by "
        f"{told['objective']} on {told['samples']:,} sequences of people of the training split, with a label or without"
    )
