"""What moved since the newest earlier night: the probability then, and which reasons came or went."""

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def previous_night(scores: DataFrame, task_id: str, as_of: date) -> DataFrame:
    """Each person's row of the newest night before ``as_of``: subject_id and what ``change_reasons`` compares.

    Args:
        scores: table ``scores``.
    """
    earlier = scores.where((F.col("task_id") == task_id) & (F.col("as_of") < F.lit(as_of)))
    newest = earlier.agg(F.max("as_of")).collect()[0][0]
    return earlier.where(F.col("as_of") == F.lit(newest)).select(
        "subject_id",
        F.col("probability").alias("previous_probability"),
        _features("reasons").alias("_features_then"),
        F.col("model_version").alias("_model_then"),
        F.col("calibration_version").alias("_calibration_then"),
    )


def change_reasons() -> Column:
    """What is another than on the previous night: reasons that came or went, the model, the calibration.

    Null where there is no previous probability, or none now. Needs the columns of ``previous_night`` beside those
    of the night.
    """
    now = _features("reasons")
    came = F.transform(F.array_except(now, "_features_then"), lambda name: F.concat(F.lit("came: "), name))
    went = F.transform(F.array_except("_features_then", now), lambda name: F.concat(F.lit("went: "), name))
    model = F.when(
        F.col("_model_then") != F.col("model_version"),
        F.array(F.concat(F.lit("model version "), F.col("_model_then"), F.lit(" to "), F.col("model_version"))),
    )
    calibration = F.when(F.col("_calibration_then") != F.col("calibration_version"), F.array(F.lit("calibration")))
    nothing = F.array().cast("array<string>")
    both = F.col("probability").isNotNull() & F.col("previous_probability").isNotNull()
    return F.when(both, F.concat(F.coalesce(model, nothing), F.coalesce(calibration, nothing), came, went))


def _features(column):
    return F.transform(F.coalesce(F.col(column), F.array()), lambda reason: reason["feature"])
