"""What is derived from what came in: identities, timelines, codes, cohorts, models and their evaluation."""

from pyspark.sql.types import ArrayType, StructType

from salus.schemas.fields import (
    BOOLEAN,
    DATE,
    DOUBLE,
    DOUBLES,
    FLOATS,
    INT,
    LONG,
    LONGS,
    STRING,
    STRINGS,
    TIME,
    VERSIONS,
    field,
)

IDENTITY = StructType(
    [
        field("source_subject_id", LONG, "a person as one source knows them", True),
        field("subject_id", LONG, "the person: least member of the component by system priority, then value", True),
        field("known_from", TIME, "UTC; null = always"),
        field("known_until", TIME, "UTC; null = current"),
    ]
)

MATCHES = StructType(
    [
        field("source_subject_id", LONG, "a person as one source knows them; the lesser id", True),
        field("other_subject_id", LONG, "a person as another source knows them", True),
        field("match_weight", DOUBLE, "bits: log2 of the odds that both are one person, by the linkage model", True),
        field("match_probability", DOUBLE, "0 to 1: the same as a probability", True),
        field("is_link", BOOLEAN, "the probability reaches what both sources ask for", True),
        field("known_from", TIME, "UTC; null = always"),
        field("known_until", TIME, "UTC; null = current"),
    ]
)

TIMELINES = StructType(
    [
        field("subject_id", LONG, "the person", True),
        field("birth", LONG, "microseconds since the epoch, UTC; null = unknown"),
        field("death", LONG, "microseconds since the epoch, UTC; null = not known to have died"),
        field("death_available", LONG, "microseconds since the epoch at which the death could be known"),
        field("sex", STRING, "female, male or null"),
        field("race", STRING, "as the source codes it"),
        field("time", LONGS, "microseconds since the epoch; the least long = static; ascending", True),
        field("available", LONGS, "microseconds since the epoch at which each event could be known", True),
        field(
            "superseded", LONGS, "microseconds at which a newer version replaced it; the greatest long = never", True
        ),
        field("code", LONGS, "64-bit hash of the code", True),
        field("value", FLOATS, "numeric value in the code's canonical unit; NaN = none", True),
        field("coverage_start", LONGS, "microseconds: first instant covered", True),
        field("coverage_end", LONGS, "microseconds: first instant no longer covered; the greatest long = open", True),
        field("coverage_available", LONGS, "microseconds at which the span could be known", True),
        field("coverage_superseded", LONGS, "microseconds at which a newer version replaced it", True),
        field("events_dropped", INT, "events left out because the person has more than the declared limit", True),
        field("values_without_unit", INT, "current numbers without a unit, taken to be in the usual one", True),
        field("ethnicity", STRING, "as the source codes it"),
        field("care_site", STRING, "the site or practice that the person belongs to, as the source names it"),
        field("coverage_payer", STRINGS, "of each span: whose it is, as the source names them", True),
    ]
)

CODES = StructType(
    [
        field("code", STRING, "vocabulary/code", True),
        field("code_hash", LONG, "64-bit hash of the code, unique", True),
        field("description", STRING, "what the code means, where a codeset says so"),
        field("events", LONG, "events that carry it", True),
        field("ancestors", STRINGS, "standard code and classes of it, where a vocabulary was given: code_map"),
    ]
)

CODE_MAP = StructType(
    [
        field("code", STRING, "a code that events carry", True),
        field("concept", STRING, "what it is, maps to, or is a kind of: vocabulary/code", True),
        field("name", STRING, "the concept's name in the vocabulary"),
        field("relation", STRING, "itself, maps_to (its standard code) or ancestor (of its standard code)", True),
        field("levels", INT, "levels above the standard code; 0 = the code or its standard code", True),
    ]
)

CLASS_LABEL = StructType([field("class", STRING, "as the task names it"), field("value", BOOLEAN, "whether it holds")])

COHORT = StructType(
    [
        field("subject_id", LONG, "the person", True),
        field("prediction_time", TIME, "UTC; what was available by then may be seen", True),
        field(
            "boolean_value",
            BOOLEAN,
            "the label; null = none (not labelled, or censored); of a time to event, whether it came by the horizon; "
            "of classes, whether the focus holds",
        ),
        field("integer_value", LONG, "the label, where it is a count of days"),
        field(
            "float_value",
            DOUBLE,
            "the label, where it is a cost, in currency units; or the cost that boolean_value judges",
        ),
        field("categorical_value", STRING, "the label, where it is one class of several, or `none` of them"),
        field("classes", ArrayType(CLASS_LABEL), "where it is one or more of several classes, each of them"),
        field(
            "event_type",
            INT,
            "what ended a time to event: 1 = the event, -1 = a competing death, 0 = horizon or disenrolment",
        ),
        field("observed_days", INT, "whole days until then"),
        field("weight", DOUBLE, "inverse probability of being observed to the label's end", True),
        field("split", STRING, "train, tuning, calibration or held_out", True),
        field("fold", INT, "cross-validation fold, by person", True),
    ]
)

ATTRITION = StructType(
    [
        field("task_id", STRING, "task", True),
        field("step", INT, "order of the step", True),
        field("criterion", STRING, "what was asked", True),
        field("rows_before", LONG, "person and prediction-time pairs before the step", True),
        field("rows_lost", LONG, "pairs lost at the step", True),
        field("people_left", LONG, "people left after it", True),
        field("events_left", LONG, "positive labels, or those above nought, left after it, where labels are known"),
    ]
)

MODELS = StructType(
    [
        field("task_id", STRING, "task", True),
        field("model_name", STRING, "registered name", True),
        field("model_version", STRING, "registered version", True),
        field("architecture", STRING, "architecture's name", True),
        field("feature_spec_hash", STRING, "SHA-256 of the feature spec", True),
        field("dataset_hash", STRING, "SHA-256 of the training data set's manifest", True),
        field("package_hash", STRING, "SHA-256 of the package's manifest", True),
        field("package_path", STRING, "where the package lies, under the warehouse", True),
        field("inputs", VERSIONS, "Delta versions of the tables that it was trained on", True),
        field(
            "prevalence",
            DOUBLE,
            "share of positive labels in training; of a time, the incidence by the horizon; of a number, the mean",
            True,
        ),
        field("trained_at", TIME, "UTC", True),
        field("run_id", STRING, "the run that trained it", True),
    ]
)

TRIALS = StructType(
    [
        field("task_id", STRING, "task", True),
        field("search", STRING, "hash of what the search is: data, model, space, sampler, seed, ranks", True),
        field("trial", INT, "its number; 1 = the task's own settings", True),
        field("architecture", STRING, "architecture's name", True),
        field("settings", STRING, "JSON: the settings that were searched, by name", True),
        field(
            "metric", STRING, "by which trials are told apart: tuning_auroc, tuning_d2, tuning_d2_pinball, ...", True
        ),
        field("tuning_metric", DOUBLE, "its value on the tuning split, of the weights kept; null = training diverged"),
        field("tuning_loss", DOUBLE, "loss there, which other settings may count otherwise; null = diverged"),
        field("epoch", INT, "whose weights were kept", True),
        field("seconds", DOUBLE, "on the wall clock", True),
        field("is_best", BOOLEAN, "the highest metric of the search", True),
        field("dataset_hash", STRING, "SHA-256 of the data set's manifest", True),
        field("tracked_as", STRING, "MLflow's run", True),
        field("run_id", STRING, "the run that ended the search", True),
    ]
)

PROMOTIONS = StructType(
    [
        field("task_id", STRING, "task", True),
        field("label_hash", STRING, "hash of what the task predicted then", True),
        field("decision", STRING, "first (there was no champion), promoted, forced or held", True),
        field("model_name", STRING, "registered name of the challenger", True),
        field("model_version", STRING, "its registered version", True),
        field("package_hash", STRING, "SHA-256 of its package's manifest", True),
        field("champion_version", STRING, "registered version of the champion until then; null = none"),
        field("metric", STRING, "that decides: auroc, or d2 of a count or a cost; null = not compared"),
        field("difference", DOUBLE, "of it, challenger less champion, on the same people; null = not compared"),
        field("low", DOUBLE, "2.5 % bound of the difference, paired bootstrap clustered by person"),
        field("high", DOUBLE, "97.5 % bound"),
        field("margin", DOUBLE, "what of the metric may be lost at most, by the task's gate"),
        field("people", LONG, "people held out on whom both were compared"),
        field("rows", LONG, "their predictions"),
        field("figures", STRING, "JSON: metrics of both with their bounds, calibration among them"),
        field("decided_at", TIME, "UTC", True),
        field("run_id", STRING, "the run that decided", True),
    ]
)

CALIBRATIONS = StructType(
    [
        field("task_id", STRING, "task", True),
        field("model_name", STRING, "registered name", True),
        field("model_version", STRING, "registered version", True),
        field("package_hash", STRING, "SHA-256 of the package's manifest", True),
        field("calibration_version", STRING, "hash of the calibration", True),
        field(
            "calibration",
            STRING,
            "JSON: the method (none named = platt), what it found with its uncertainty, what it was fitted on",
            True,
        ),
        field("fitted_at", TIME, "UTC", True),
        field("run_id", STRING, "the run that fitted it", True),
    ]
)

EVALUATIONS = StructType(
    [
        field("task_id", STRING, "task", True),
        field("model_name", STRING, "model, baseline, attainable or oracle", True),
        field("model_version", STRING, "registered version; empty where there is none", True),
        field("split", STRING, "split that it was measured on", True),
        field(
            "subgroup",
            STRING,
            "such as `sex: female`, `month: 2026-03` of the prediction, `treatment: given` after it; null = everybody",
        ),
        field("metric", STRING, "auroc, auprc, brier, calibration_slope, ...", True),
        field("value", DOUBLE, "the estimate"),
        field("low", DOUBLE, "2.5 % bound, clustered by person: by the bootstrap, of treatment by Wilson's score"),
        field("high", DOUBLE, "97.5 % bound, likewise"),
        field("people", LONG, "people"),
        field("rows", LONG, "predictions"),
        field("curve_x", FLOATS, "the curve's abscissae, where the metric is a curve"),
        field("curve_y", FLOATS, "the curve's ordinates"),
        field("run_id", STRING, "the run that measured it", True),
    ]
)

DEMO_TRUTH = StructType(
    [
        field("subject_id", LONG, "the person", True),
        field("task_id", STRING, "task", True),
        field("as_of", DATE, "prediction at 00:00 UTC", True),
        field("true_probability", DOUBLE, "probability given the full simulated state", True),
        field("attainable_probability", DOUBLE, "probability given what was available", True),
        field("outcome", BOOLEAN, "what was drawn; null where the simulation ends before the horizon"),
        field("split", STRING, "the person's split", True),
    ]
)

QUALITY = StructType(
    [
        field("category", STRING, "Kahn et al. 2016: conformance, completeness or plausibility", True),
        field("check", STRING, "name in conf/quality", True),
        field("object", STRING, "the code, vocabulary, sex or source that it is about; empty = everything", True),
        field("means", STRING, "what a failure is", True),
        field("failed", LONG, "how many fail", True),
        field("of", LONG, "the denominator", True),
        field("share", DOUBLE, "failed / of; 0 where there is none", True),
        field("share_at_most", DOUBLE, "the threshold", True),
        field("status", STRING, "met, short, or too few: a denominator that is not judged", True),
        field("examples", LONGS, "up to 20 subject_ids of people concerned", True),
    ]
)

DAILY_VOLUMES = StructType(
    [
        field("source", STRING, "source name", True),
        field("day", DATE, "UTC, by available_time", True),
        field("events", LONG, "events that became available", True),
        field("expected", DOUBLE, "median of the same weekday before; null = the day is not judged"),
        field("is_drop", BOOLEAN, "far fewer than expected", True),
    ]
)

FOLDS = StructType(
    [
        field("task_id", STRING, "task", True),
        field("model_name", STRING, "model, baseline, boosted_trees, linear_svm, prevalence; or mean", True),
        field("fold", INT, "the fold that was left out of training and measured; null = over all folds"),
        field("metric", STRING, "auroc, brier, auroc_over_boosted_trees, d2, r_squared, ...", True),
        field("value", DOUBLE, "of the fold, or the folds' mean; null = not defined"),
        field("spread", DOUBLE, "standard deviation over the folds"),
        field("low", DOUBLE, "2.5 % bound of a paired difference, by the corrected resampled t"),
        field("high", DOUBLE, "97.5 % bound"),
        field("people", LONG, "people measured", True),
        field("rows", LONG, "predictions measured", True),
        field("run_id", STRING, "the run that measured it", True),
    ]
)

REFITS = StructType(
    [
        field("task_id", STRING, "task", True),
        field("model_version", STRING, "of the model that was refitted", True),
        field("refits", INT, "how many, each with a seed of its own", True),
        field("metric", STRING, "mape, spread_p50, tier_changed, top_tier_kept, auroc, d2, ...", True),
        field("band", INT, "tenth of people by what is told of them, 10 = the highest; null = everybody"),
        field("value", DOUBLE, "mean over the refits, or a percentile over people", True),
        field("lowest", DOUBLE, "over the refits, where each has a value"),
        field("highest", DOUBLE, "the same"),
        field("people", LONG, "people measured", True),
        field("run_id", STRING, "the run that measured it", True),
    ]
)

IMPORTANCES = StructType(
    [
        field("task_id", STRING, "task", True),
        field("model_version", STRING, "of the model that is explained", True),
        field("rank", INT, "1 = what contributes most", True),
        field("feature", STRING, "the feature's name, readable", True),
        field("code", STRING, "the code or code group behind it", True),
        field("unit", STRING, "of its values"),
        field("contribution", DOUBLE, "mean size on the logit, or the logarithm of the estimate", True),
        field("low", DOUBLE, "2.5 % bound"),
        field("high", DOUBLE, "97.5 % bound"),
        field("raises", DOUBLE, "share of the predictions that it moves in which it raises the score", True),
        field("among_reasons", DOUBLE, "share of predictions in which it is one of the reasons", True),
        field("dependence_x", DOUBLES, "values of the feature, where its dependence was looked at"),
        field("dependence_y", DOUBLES, "mean of what is told if everybody of whom it is known had that value"),
        field("dependence_low", DOUBLES, "what a tenth of the predictions are below"),
        field("dependence_high", DOUBLES, "what a tenth of the predictions are above"),
        field("people", LONG, "people asked about", True),
        field("rows", LONG, "predictions", True),
        field("run_id", STRING, "the run that explained it", True),
    ]
)
