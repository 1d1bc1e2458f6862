"""Labels: what happened after each prediction time, by ACES, over the newest version of everything.

A label may look ahead; nothing else may. Prediction times enter ACES as synthetic index events, on shards of whole
people, and only what the predicates name is handed to it. es-aces 0.7.2 changes its configuration while it queries
(``extract_subtree`` adds to the windows' offsets), so each shard gets one of its own.
"""

import copy
import logging
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from aces.config import DerivedPredicateConfig, EventConfig, PlainPredicateConfig, TaskExtractorConfig, WindowConfig
from aces.query import query

from salus.cohorts.censoring import enrolled_until
from salus.cohorts.label import Label
from salus.cohorts.label_windows import DEATH, DEATH_CODE, PREDICTION, closure, label_window
from salus.errors import Refused
from salus.timelines.clocks import MICROSECONDS_PER_DAY, NEVER, STATIC
from salus.timelines.entries import lists

COLUMNS = ("death", "time", "superseded", "code", "value", "coverage_start", "coverage_end", "coverage_superseded")
"""The columns of ``timelines`` that labels look at."""

LABEL_STEPS = (
    "alive at the prediction, by what is known today",
    "the conditions of the label's windows hold",
    "the label's window ends within the horizon",
    "enrolled until the event, the death or the horizon",
)
"""What each step asks, in order; the last step's losses are censored, and others are weighted up for them."""

_PREDICTION_CODE = "SALUS_PREDICTION"


class Labels(NamedTuple):
    """One entry a sample."""

    lost_at: np.ndarray
    """int8: 0 = labelled, i = lost at the i-th of ``LABEL_STEPS``."""
    is_positive: np.ndarray
    """bool; false where there is no label."""
    observed_days: np.ndarray
    """int32: whole days from the prediction to the event, the death, the horizon or the censoring; -1 = not at risk."""

    @property
    def value(self) -> np.ndarray:
        """float64: 1 where the label is yes."""
        return self.is_positive.astype(np.float64)


def label_samples(
    batch: pa.RecordBatch,
    sample_row: np.ndarray,
    prediction_times: np.ndarray,
    label: Label,
    codes: dict[int, str],
    largest_gap_days: int = 0,
) -> Labels:
    """The label of each sample, or the step at which it is lost.

    Args:
        batch: a shard of ``timelines``, whole people, with at least ``COLUMNS``.
        sample_row: int64 (samples,), the row of ``batch`` that each sample is about.
        prediction_times: int64 (samples,), microseconds since the epoch, UTC; no pair twice.
        label: the task's label.
        codes: hash to code, of ``label_codes``.
        largest_gap_days: a gap in coverage of at most so many days is no disenrolment.
    """
    death = batch.column("death").fill_null(NEVER).to_numpy(zero_copy_only=False)[sample_row]
    horizon = prediction_times + label.horizon_days * MICROSECONDS_PER_DAY
    lost_at = np.where(death <= prediction_times, 1, 0).astype(np.int8)
    found, within, event = _first_events(batch, sample_row, prediction_times, label, codes, lost_at == 0)
    lost_at[(lost_at == 0) & ~found] = 2
    lost_at[(lost_at == 0) & ~within] = 3
    censored = np.full(sample_row.size, NEVER)
    if label.censor_at_disenrolment:
        censored = enrolled_until(batch, sample_row, prediction_times, largest_gap_days)
    ended = np.minimum(event, death)
    lost_at[(lost_at == 0) & (censored <= ended) & (censored < horizon)] = 4
    observed = (np.minimum(np.minimum(ended, censored), horizon) - prediction_times) // MICROSECONDS_PER_DAY
    at_risk = (lost_at == 0) | (lost_at == 4)
    return Labels(lost_at, (lost_at == 0) & (event < NEVER), np.where(at_risk, observed, -1).astype(np.int32))


def label_codes(label: Label, codes: pl.DataFrame) -> dict[int, str]:
    """Hash to code, for the codes that the label's plain predicates match.

    Args:
        label: the task's label.
        codes: ``code`` and ``code_hash`` of the table ``codes``.
    """
    config = aces_config(label)
    plain = [PlainPredicateConfig(predicate.code).MEDS_eval_expr() for predicate in config.plain_predicates.values()]
    matched = codes.filter(pl.any_horizontal(plain))
    return dict(zip(matched["code_hash"].to_list(), matched["code"].to_list()))


def aces_config(label: Label) -> TaskExtractorConfig:
    """A fresh ACES configuration of the label, triggered by the synthetic prediction events.

    Raises:
        Refused: ACES does not take the configuration.
    """
    aces = copy.deepcopy(label.aces or {})
    predicates, windows = aces["predicates"], aces["windows"]
    labelled = label_window(aces)
    if label.death == "composite":
        predicates |= {
            DEATH: {"code": DEATH_CODE},
            f"{DEATH}_or_label": {"expr": f"or({windows[labelled]['label']}, {DEATH})"},
        }
        windows[labelled]["label"] = f"{DEATH}_or_label"
    try:
        return TaskExtractorConfig(
            predicates={name: _predicate(predicates[name]) for name in _used(predicates, windows)}
            | {PREDICTION: PlainPredicateConfig(_PREDICTION_CODE)},
            trigger=EventConfig(PREDICTION),
            windows={name: WindowConfig(**window) for name, window in windows.items()},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"Received a label that ACES does not take: {error}. Mend label.aces of the task.") from error


def predicate_counts(events: pl.DataFrame, config: TaskExtractorConfig) -> pl.DataFrame:
    """How often each predicate holds at each instant of each subject, as ``aces.predicates`` counts them.

    Args:
        events: subject_id, timestamp, code, numeric_value; numeric_value null where there is none.
        config: whose predicates to count.

    Returns:
        subject_id, timestamp (both unique and ascending) and a count a predicate.
    """
    plain = {
        name: predicate.MEDS_eval_expr().cast(pl.Int64).alias(name)
        for name, predicate in config.plain_predicates.items()
    }
    counts = (
        events.select("subject_id", "timestamp", *plain.values())
        .group_by("subject_id", "timestamp")
        .agg(pl.col(name).sum() for name in plain)
        .sort("subject_id", "timestamp")
    )
    for name, predicate in config.derived_predicates.items():
        counts = counts.with_columns(predicate.eval_expr().cast(pl.Int64).alias(name))
    return counts


def _predicate(predicate):
    kind = DerivedPredicateConfig if "expr" in predicate else PlainPredicateConfig
    return kind(**predicate)


def _used(predicates, windows):
    """The predicates that a window names, and those that they are derived from."""
    parsed = [WindowConfig(**copy.deepcopy(window)) for window in windows.values()]
    named = {name for window in parsed for name in window.referenced_predicates}
    named |= {window["label"] for window in windows.values() if window.get("label")}
    return sorted({part for name in named for part in closure(predicates, name)})


def _first_events(batch, sample_row, prediction_times, label, codes, wanted):
    """Of each wanted sample: whether ACES gives it a label, whether that lies within the horizon, and the time of the
    label window's first event, ``NEVER`` where it has none."""
    found = np.zeros(sample_row.size, bool)
    within = np.zeros(sample_row.size, bool)
    event = np.full(sample_row.size, NEVER)
    index = np.flatnonzero(wanted)
    if not index.size:
        return found, within, event
    logging.getLogger("aces").setLevel(logging.ERROR)
    config = aces_config(label)
    window = config.windows[config.label_window]
    samples = pl.DataFrame({"subject_id": sample_row[index], "trigger": prediction_times[index], "sample": index})
    events = _events(batch, np.unique(sample_row[index]), codes, any(_looks_at_values(config)))
    counts = predicate_counts(
        pl.concat(
            [
                events,
                samples.select(
                    "subject_id",
                    timestamp=pl.from_epoch("trigger", "us"),
                    code=pl.lit(_PREDICTION_CODE),
                    numeric_value=pl.lit(None, pl.Float32),
                ),
            ]
        ),
        config,
    )
    result = query(config, counts)
    if result.is_empty():
        return found, within, event
    summary = pl.col(f"{config.label_window}.{'end' if window.root_node == 'start' else 'start'}_summary").struct
    answers = result.select(
        "subject_id",
        pl.col("trigger").dt.epoch("us"),
        positive=pl.col("label") > 0,
        start=summary.field("timestamp_at_start").dt.epoch("us"),
        end=summary.field("timestamp_at_end").dt.epoch("us"),
    ).join(samples, on=["subject_id", "trigger"])
    happened = counts.filter(pl.col(window.label) > 0).select("subject_id", event=pl.col("timestamp").dt.epoch("us"))
    first = (
        answers.drop_nulls("start")
        .with_columns(after=pl.col("start") + (0 if window.start_inclusive else 1))
        .sort("subject_id", "after")
        .join_asof(
            happened.sort("subject_id", "event"),
            left_on="after",
            right_on="event",
            by="subject_id",
            strategy="forward",
            check_sortedness=False,
        )
        .filter("positive")
    )
    at = answers["sample"].to_numpy()
    found[at] = True
    within[at] = (
        pl.Series(answers["end"]).fill_null(NEVER)
        <= pl.Series(answers["trigger"] + label.horizon_days * MICROSECONDS_PER_DAY)
    ).to_numpy()
    event[first["sample"].to_numpy()] = first["event"].to_numpy()
    return found, within, event


def _looks_at_values(config):
    return (
        predicate.value_min is not None or predicate.value_max is not None
        for predicate in config.plain_predicates.values()
    )


def _events(batch, rows, codes, with_values):
    """The events that the predicates name, of ``rows``, in their newest version: subject_id is the row.

    Deaths are those of the resolved person, and nothing happens to anybody after the day of their death.
    """
    offsets, code = lists(batch, "code")
    time, superseded = lists(batch, "time")[1], lists(batch, "superseded")[1]
    row = np.repeat(np.arange(batch.num_rows), np.diff(offsets))
    hashes = np.array([each for each, text in codes.items() if text != DEATH_CODE], np.int64)
    death = batch.column("death").fill_null(NEVER).to_numpy(zero_copy_only=False)
    last = np.where(death < NEVER, death - death % MICROSECONDS_PER_DAY + MICROSECONDS_PER_DAY, NEVER)
    asked = np.zeros(batch.num_rows, bool)
    asked[rows] = True
    kept = np.flatnonzero(np.isin(code, hashes) & (superseded == NEVER) & (time != STATIC) & asked[row])
    kept = kept[time[kept] < last[row[kept]]]
    values = np.full(kept.size, np.nan, np.float32)
    if with_values:
        values = lists(batch, "value")[1][kept]
    dead = rows[death[rows] < NEVER]
    return pl.DataFrame(
        {
            "subject_id": np.concatenate([row[kept], dead]),
            "timestamp": np.concatenate([time[kept], death[dead]]),
            "code": [codes[each] for each in code[kept].tolist()] + [DEATH_CODE] * dead.size,
            "numeric_value": np.concatenate([values, np.full(dead.size, np.nan, np.float32)]),
        },
        schema_overrides={"code": pl.String},
    ).with_columns(pl.from_epoch("timestamp", "us"), pl.col("numeric_value").fill_nan(None))
