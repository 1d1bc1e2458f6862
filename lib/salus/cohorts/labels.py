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
    value: np.ndarray
    """float64: 1 where the label is yes, of classes the number of their set; 0 where there is no label."""
    observed_days: np.ndarray
    """int32: whole days from the prediction to the event, the death, the horizon or the censoring; -1 = not at risk."""

    @property
    def is_positive(self) -> np.ndarray:
        """bool; false where there is no label."""
        return self.value > 0


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
    found, within, events = _first_events(batch, sample_row, prediction_times, label, codes, lost_at == 0)
    lost_at[(lost_at == 0) & ~found] = 2
    lost_at[(lost_at == 0) & ~within] = 3
    censored = np.full(sample_row.size, NEVER)
    if label.censor_at_disenrolment:
        censored = enrolled_until(batch, sample_row, prediction_times, largest_gap_days)
    value, decided = _said(label, events)
    ended = np.minimum(decided, death)
    lost_at[(lost_at == 0) & (censored <= ended) & (censored < horizon)] = 4
    observed = (np.minimum(np.minimum(ended, censored), horizon) - prediction_times) // MICROSECONDS_PER_DAY
    at_risk = (lost_at == 0) | (lost_at == 4)
    return Labels(lost_at, np.where(lost_at == 0, value, 0.0), np.where(at_risk, observed, -1).astype(np.int32))


def _said(label, events):
    """The label of each sample, and the time from which on it was certain."""
    if label.classes is None:
        return (events[:, 0] < NEVER).astype(np.float64), events[:, 0]
    holding, decided = label.classes.holding(events, label.focus)
    return label.outcomes.number(holding), decided


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
    labelled, classes = label_window(aces), label.classes.predicates if label.classes else ()
    if label.death == "composite":
        predicates |= {
            DEATH: {"code": DEATH_CODE},
            f"{DEATH}_or_label": {"expr": f"or({windows[labelled]['label']}, {DEATH})"},
        }
        windows[labelled]["label"] = f"{DEATH}_or_label"
    try:
        return TaskExtractorConfig(
            predicates={name: _predicate(predicates[name]) for name in _used(predicates, windows, classes)}
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


def _used(predicates, windows, classes):
    """The predicates that a window names or that are classes, and those that they are derived from."""
    parsed = [WindowConfig(**copy.deepcopy(window)) for window in windows.values()]
    named = {name for window in parsed for name in window.referenced_predicates}
    named |= set(classes) | {window["label"] for window in windows.values() if window.get("label")}
    return sorted({part for name in named for part in closure(predicates, name)})


def _first_events(batch, sample_row, prediction_times, label, codes, wanted):
    """Of each wanted sample: whether ACES gives it a label, whether that lies within the horizon, and the time of the
    label window's first event of each outcome (samples, outcomes), ``NEVER`` where it has none."""
    config = aces_config(label)
    window = config.windows[config.label_window]
    outcomes = label.outcomes.names if label.outcomes else (window.label,)
    found = np.zeros(sample_row.size, bool)
    within = np.zeros(sample_row.size, bool)
    events = np.full((sample_row.size, len(outcomes)), NEVER)
    index = np.flatnonzero(wanted)
    if not index.size:
        return found, within, events
    logging.getLogger("aces").setLevel(logging.ERROR)
    samples = pl.DataFrame({"subject_id": sample_row[index], "trigger": prediction_times[index], "sample": index})
    named = _events(batch, np.unique(sample_row[index]), codes, any(_looks_at_values(config)))
    counts = predicate_counts(
        pl.concat(
            [
                named,
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
        return found, within, events
    summary = pl.col(f"{config.label_window}.{'end' if window.root_node == 'start' else 'start'}_summary").struct
    answers = result.select(
        "subject_id",
        pl.col("trigger").dt.epoch("us"),
        *(summary.field(name).alias(f"{name} in window") for name in outcomes),
        start=summary.field("timestamp_at_start").dt.epoch("us"),
        end=summary.field("timestamp_at_end").dt.epoch("us"),
    ).join(samples, on=["subject_id", "trigger"])
    for place, name in enumerate(outcomes):
        first = _first(answers.filter(pl.col(f"{name} in window") > 0), counts.filter(pl.col(name) > 0), window)
        events[first["sample"].to_numpy(), place] = first["event"].to_numpy()
    at = answers["sample"].to_numpy()
    found[at] = True
    within[at] = (
        pl.Series(answers["end"]).fill_null(NEVER)
        <= pl.Series(answers["trigger"] + label.horizon_days * MICROSECONDS_PER_DAY)
    ).to_numpy()
    return found, within, events


def _first(answers, happened, window):
    """The first time at which something ``happened`` in the window of each of ``answers``, which hold some."""
    happened = happened.select("subject_id", event=pl.col("timestamp").dt.epoch("us"))
    return (
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
    )


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
