"""The models of a task, the one that scores among them, with package and calibration, as the tables name them."""

from dataclasses import dataclass

from pyspark.sql import functions as F

from salus.cohorts.task import Task
from salus.errors import Refused
from salus.evaluation.calibration import Calibration
from salus.evaluation.recalibration import from_json
from salus.job import Job
from salus.storage.tables import Tables
from salus.training.champion import champion_package
from salus.training.newest import newest_model


@dataclass(frozen=True)
class Trained:
    """A row of table ``models``."""

    task_id: str
    model_name: str
    model_version: str
    feature_spec_hash: str
    dataset_hash: str
    package_hash: str
    package_path: str
    prevalence: float


def names_of(task: Task) -> tuple[str, str]:
    """The registered names of a task's model and of its baseline, as training gives them."""
    return task.id, f"{task.id}-{task.baseline.architecture}"


def trained(tables: Tables, task_id: str, name: str, version: str | None = None) -> Trained:
    """The newest model of ``task_id`` that is registered as ``name``, or its ``version``.

    Raises:
        Refused: there is none yet.
    """
    is_asked_for = F.lit(True) if version is None else F.col("model_version") == version
    row = newest_model(tables, (F.col("task_id") == task_id) & (F.col("model_name") == name) & is_asked_for)
    if row is None:
        of_version = f" of version {version}" if version else ""
        raise Refused(
            f"Received the task {task_id}, for which the warehouse has no trained model {name}{of_version}; expected "
            "one. Train first: submit.sh train."
        )
    return _trained(row)


def champion(tables: Tables, task: Task) -> Trained | None:
    """The champion of ``task``; None where no model of what it predicts is one."""
    package = champion_package(tables, task)
    row = newest_model(tables, F.col("package_hash") == package) if package else None
    return _trained(row) if row else None


def in_use(tables: Tables, task: Task) -> Trained:
    """The model that scores: the champion, or the newest where there is none.

    Raises:
        Refused: there is no model yet.
    """
    return champion(tables, task) or trained(tables, task.id, names_of(task)[0])


def _trained(row):
    return Trained(**{name: row[name] for name in Trained.__dataclass_fields__})


def calibration_of(tables: Tables, model: Trained) -> Calibration:
    """The newest calibration of ``model``.

    Raises:
        Refused: it was never calibrated, or the row is not the calibration that its version names.
    """
    row = (
        tables.read("calibrations")
        .where(F.col("package_hash") == model.package_hash)
        .orderBy(F.desc("fitted_at"))
        .limit(1)
        .head()
    )
    if row is None:
        raise Refused(
            f"Received {model.model_name} version {model.model_version}, which was never calibrated; expected a "
            "calibration. Evaluate it first: submit.sh evaluate."
        )
    calibration = from_json(row["calibration"])
    if calibration.version != row["calibration_version"]:
        raise Refused(
            f"Received a calibration that is not the one that its version {row['calibration_version']} names; "
            "expected it unchanged. Evaluate again."
        )
    return calibration


def package_url(job: Job, model: Trained) -> str:
    """The folder of ``model``'s package."""
    return f"{job.tables.warehouse}/{model.package_path}"
