"""What was scored: one row a person, task and night, with its reasons and its provenance."""

from pyspark.sql.types import ArrayType, StructType

from salus.schemas.fields import (
    DATE,
    DOUBLE,
    INT,
    LONG,
    STRING,
    STRINGS,
    TIME,
    VERSIONS,
    field,
)

REASON = StructType(
    [
        field("rank", INT, "1 = the largest contribution"),
        field("feature", STRING, "the feature's name, readable"),
        field("code", STRING, "the code or code group behind it"),
        field("value", DOUBLE, "the feature's value for this person"),
        field("unit", STRING, "the value's unit"),
        field("time", TIME, "UTC; when the last event behind it happened, where one did"),
        field("direction", STRING, "raises or lowers"),
        field(
            "contribution",
            DOUBLE,
            "on the logit, or the logarithm of the estimate, before calibration; an association, not a cause",
        ),
    ]
)

CLASS_PROBABILITY = StructType(
    [
        field("class", STRING, "as the task names it, or `none` of them"),
        field("probability", DOUBLE, "calibrated, 0 to 1"),
    ]
)

SCORES = StructType(
    [
        field("run_id", STRING, "the run that scored", True),
        field("task_id", STRING, "task", True),
        field("subject_id", LONG, "the person", True),
        field("as_of", DATE, "the prediction is at its 00:00 UTC", True),
        field("data_available_through", TIME, "UTC; newest fact that could be seen", True),
        field("prediction_start", TIME, "UTC; the window predicted begins", True),
        field("prediction_end", TIME, "UTC; the window predicted ends", True),
        field("score_raw", DOUBLE, "logit, or logarithm of the estimate, before calibration"),
        field("probability", DOUBLE, "calibrated, 0 to 1; of several classes, that of the focus"),
        field("probability_low", DOUBLE, "2.5 % bound of the calibration"),
        field("probability_high", DOUBLE, "97.5 % bound of the calibration"),
        field(
            "prior_probability",
            DOUBLE,
            "share of positive labels in training; of a time to event, its incidence by the horizon",
        ),
        field("relative_risk", DOUBLE, "probability over prior_probability; estimate over the mean label in training"),
        field(
            "classes", ArrayType(CLASS_PROBABILITY), "where a task has several classes, each, the most probable first"
        ),
        field("estimate", DOUBLE, "where a task has no probability: cost, count, time"),
        field("estimate_low", DOUBLE, "2.5 % bound of the calibration; where quantiles are told, the first of them"),
        field("estimate_high", DOUBLE, "97.5 % bound of the calibration"),
        field("estimate_unit", STRING, "unit of estimate"),
        field("percentile", DOUBLE, "midrank among those scored that night, 0 to 100"),
        field("tier", STRING, "the task's tier"),
        field("previous_probability", DOUBLE, "of the newest earlier night"),
        field("change_reasons", STRINGS, "what moved since then"),
        field("reasons", ArrayType(REASON), "the largest contributions"),
        field("reason_method", STRING, "how the contributions were had"),
        field("days_since_last_event", DOUBLE, "days since the last event that could be seen"),
        field("enrolled_days", INT, "days enrolled within the look-back"),
        field("data_quality_flags", STRINGS, "what to mind about this person's data"),
        field("not_scored_reason", STRING, "why an eligible person has no outcome"),
        field("model_name", STRING, "registered name", True),
        field("model_version", STRING, "registered version", True),
        field("calibration_version", STRING, "hash of the calibration"),
        field("feature_spec_hash", STRING, "SHA-256 of the feature spec", True),
        field("code_version", STRING, "Salus version and commit", True),
    ]
)

SCORES_SUPERSEDED = StructType(
    [
        *SCORES.fields,
        field("superseded_by", STRING, "the run that replaced it", True),
    ]
)

SCORE_RUNS = StructType(
    [
        field("run_id", STRING, "the run that scored", True),
        field("task_id", STRING, "task", True),
        field("as_of", DATE, "the prediction is at its 00:00 UTC", True),
        field("status", STRING, "published, superseded or held", True),
        field("eligible", LONG, "people", True),
        field("scored", LONG, "people", True),
        field("not_scored", LONG, "people", True),
        field("population", LONG, "people with a timeline", True),
        field("model_name", STRING, "registered name", True),
        field("model_version", STRING, "registered version", True),
        field("feature_spec_hash", STRING, "SHA-256 of the feature spec", True),
        field("inputs", VERSIONS, "Delta versions that were read", True),
        field("code_version", STRING, "Salus version and commit", True),
        field("finished_at", TIME, "UTC", True),
    ]
)
