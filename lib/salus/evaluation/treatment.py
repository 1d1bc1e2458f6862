"""Treatment: what acting on the scores hides, and the risk without it, as those tell whom chance left untreated.

People in the highest tier are treated because of their score, so fewer of them have the event: observed over predicted
falls below 1 where the model was right, and a model that learns from them learns to miss the next ones (Lenert, Matheny
and Walsh, JAMIA 2019;26:1645-50; Pajouheshnia et al., BMC Med Res Methodol 2017;17:103). The risk without treatment is
a quantity of its own (van Geloven et al., Eur J Epidemiol 2020;35:619-30). Leaving out the treated gives it only where
treatment is random; where a part of those who were to be treated is left untreated at random, that part gives it.

So the predictions of the highest tier are told apart by the decision that followed them: ``GIVEN``, ``WITHHELD``, one
that was taken before and still acts (``EARLIER``), or none (``NONE``). Only the first two can be compared: they are of
the same people but for chance. ``EARLIER`` cannot, by its own coin: who is in the tier now depends on what it did.

Intervals are Wilson's (JASA 1927;22:209-12) on the number of predictions that would be as certain if each were of
another person, those of the difference Newcombe's (Stat Med 1998;17:873-90), and those of the ratio log-adjusted
(Walter's half): with few events, as the untreated are few, a bootstrap would be too sure.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from salus.cohorts.named_codes import named_codes
from salus.cohorts.task import Tier
from salus.cohorts.treatment import Treatment
from salus.evaluation.bootstrap import LEVEL
from salus.evaluation.metrics import Sample
from salus.evaluation.tiers import tier_places
from salus.timelines.clocks import MICROSECONDS_PER_DAY, NEVER

TREATMENT = "treatment: "
GIVEN, WITHHELD, EARLIER, NONE = "given", "withheld", "decided before", "not offered"
ARMS = (GIVEN, WITHHELD, EARLIER, NONE)
OFFERED = "offered"
"""``GIVEN`` and ``WITHHELD`` together."""


class Decisions(NamedTuple):
    """Decisions to treat or not, by person, then time; all (decisions,)."""

    people: np.ndarray
    """int64, subject_id."""
    time: np.ndarray
    """int64, microseconds since the epoch."""
    is_given: np.ndarray
    """bool."""


def decisions(timelines: DataFrame, codes: DataFrame, people: DataFrame, treatment: Treatment) -> Decisions:
    """Every decision about ``people``, in its newest version: it is an outcome here, as labels are.

    Args:
        timelines: table ``timelines``.
        codes: table ``codes``.
        people: subject_id, each once.
        treatment: of the task.
    """
    given, withheld = (named_codes(codes, named).tolist() for named in (treatment.given, treatment.withheld))
    events = F.filter(
        F.arrays_zip("time", "superseded", "code"),
        lambda event: event["code"].isin(given + withheld) & (event["superseded"] == F.lit(NEVER)),
    )
    found = (
        timelines.join(people, "subject_id", "left_semi")
        .select("subject_id", F.explode(events).alias("event"))
        .select("subject_id", "event.time", F.col("event.code").isin(given).alias("is_given"))
        .toArrow()
        # Who is said to have been treated was, whatever else is said at the same time.
        .sort_by([("subject_id", "ascending"), ("time", "ascending"), ("is_given", "descending")])
    )
    return Decisions(*(_column(found, name) for name in ("subject_id", "time", "is_given")))


def _column(table: pa.Table, name: str) -> np.ndarray:
    return table[name].to_numpy()


def arms_of(people: np.ndarray, times: np.ndarray, found: Decisions, treatment: Treatment) -> np.ndarray:
    """Which of ``ARMS`` each prediction belongs to: str (rows,).

    Args:
        people: int64 (rows,), subject_id.
        times: int64 (rows,), of the prediction, microseconds since the epoch.
        found: the decisions, by person, then time.
        treatment: how near to the prediction a decision follows from it, or still acts.
    """
    rows = pd.DataFrame({"subject_id": people, "time": times, "row": np.arange(people.size)}).sort_values("time")
    made = pd.DataFrame(found._asdict()).rename(columns={"people": "subject_id"}).sort_values("time", kind="stable")
    arms = np.full(people.size, NONE, dtype=object)

    def nearest(**near):
        """The places of the rows that a decision is so near to, and whether it was to treat."""
        joined = pd.merge_asof(rows, made, on="time", by="subject_id", **near)
        joined = joined[joined["is_given"].notna()]
        return joined["row"].to_numpy(), joined["is_given"].to_numpy(bool)

    lasts, within = (days * MICROSECONDS_PER_DAY for days in (treatment.lasts_days, treatment.within_days))
    row, _ = nearest(direction="backward", tolerance=lasts)
    arms[row] = EARLIER
    row, is_given = nearest(direction="forward", tolerance=within - 1)
    arms[row] = np.where(is_given, GIVEN, WITHHELD)
    return arms.astype(str)


def by_treatment(sample: Sample, told: np.ndarray, arms: np.ndarray, tiers: Sequence[Tier]) -> list[dict[str, Any]]:
    """What was told and what happened among predictions of the highest tier, by what followed them.

    Args:
        sample: the rows, with labels 0 or 1.
        told: calibrated probabilities, (rows,).
        arms: of ``arms_of``, (rows,).
        tiers: of the task, highest first.

    Returns:
        Mappings of model_name, subgroup (``treatment: given`` …), metric, value, low, high, people and rows. Each of
        ``ARMS`` that anybody is in has ``events``, ``mean_predicted``, ``observed`` and ``observed_over_expected``;
        where chance left somebody untreated and others were treated, ``treatment: offered`` has ``risk_difference`` and
        ``risk_ratio``, of the treated against the untreated.
    """
    top = tier_places(told, tiers) == 0
    shares, rows = {}, []
    for arm in ARMS:
        mask = top & (arms == arm)
        if not mask.any():
            continue
        found = shares[arm] = share_of(sample.labels[mask], sample.weights[mask], sample.people[mask])
        predicted = float(np.average(told[mask], weights=sample.weights[mask]))
        rows += _rows(
            sample,
            arm,
            mask,
            {
                "events": (float(sample.labels[mask].sum()), None, None),
                "mean_predicted": (predicted, None, None),
                "observed": (found.value, *found.bounds),
                "observed_over_expected": tuple(each / predicted for each in (found.value, *found.bounds)),
            },
        )
    if {GIVEN, WITHHELD} <= set(shares):
        treated, untreated = shares[GIVEN], shares[WITHHELD]
        ratio = treated.value / untreated.value if untreated.value else np.nan
        effect = {
            "risk_difference": (treated.value - untreated.value, *_compared(treated, untreated, "diff", "newcomb")),
            "risk_ratio": (ratio, *_compared(treated, untreated, "ratio", "log-adjusted")),
        }
        rows += _rows(sample, OFFERED, top & np.isin(arms, (GIVEN, WITHHELD)), effect)
    return rows


class Share(NamedTuple):
    """A weighted share of predictions, and of how many, each of another person, it is as certain as."""

    value: float
    number: float

    @property
    def bounds(self) -> tuple[float, float]:
        """Wilson's 95 % interval."""
        low, high = proportion_confint(self.value * self.number, self.number, alpha=1 - LEVEL, method="wilson")
        return max(0.0, float(low)), min(1.0, float(high))


def share_of(labels: np.ndarray, weights: np.ndarray, people: np.ndarray) -> Share:
    """The share of ``labels`` (0 or 1, (rows,)) that are 1, whose rows of one person resemble each other.

    The effective number is that of the design effect (Kish, Survey Sampling, 1965): the variance clustered by person,
    against that of as many independent rows. It is at most what the weights leave. Where all labels are alike they tell
    nothing of the variance, and it is the number of people.
    """
    value = float(np.average(labels, weights=weights))
    distinct, person = np.unique(people, return_inverse=True)
    by_weights = weights.sum() ** 2 / (weights**2).sum()
    of_person = np.bincount(person, weights * (labels - value))
    if value in (0.0, 1.0) or distinct.size == 1:
        return Share(value, min(float(distinct.size), by_weights))
    variance = distinct.size / (distinct.size - 1) * (of_person**2).sum() / weights.sum() ** 2
    return Share(value, min(value * (1 - value) / variance, by_weights))


def _compared(treated, untreated, compare, method):
    of_both = [figure for share in (treated, untreated) for figure in (share.value * share.number, share.number)]
    bounds = confint_proportions_2indep(*of_both, method=method, compare=compare, alpha=1 - LEVEL)
    return tuple(float(bound) for bound in bounds)


def _rows(sample, name, mask, figures):
    size = {"people": int(np.unique(sample.people[mask]).size), "rows": int(mask.sum())}
    named = {"model_name": "model", "subgroup": f"{TREATMENT}{name}", **size}
    return [
        {**named, "metric": metric, "value": value, "low": low, "high": high}
        for metric, (value, low, high) in figures.items()
    ]
