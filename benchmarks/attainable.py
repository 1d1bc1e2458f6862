"""Fit the attainable model once on many simulated people; `make attainable` writes the package's attainable.json.

The target is the true probability itself, not the drawn outcome: each sample enters twice, as a case with weight p and
as a control with weight 1 - p. Two index dates are drawn for each adult, so that the samples fit into memory.
"""

import argparse
import json
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

import salus.simulate
from salus.simulate.clock import DAYS_PER_YEAR, Clock
from salus.simulate.evidence import evidence
from salus.simulate.population import chunks
from salus.simulate.truth import true_probability

DATES = 2  # index dates drawn for each person
ADULT = 18  # years


def auroc(score: np.ndarray, probability: np.ndarray) -> float:
    """P(a case ranks above a control), each sample being ``probability`` of a case; ties count half."""
    _, place = np.unique(score, return_inverse=True)
    case, control = np.bincount(place, probability), np.bincount(place, 1 - probability)
    below = np.cumsum(control) - control
    return float((case * (below + control / 2)).sum() / (case.sum() * control.sum()))


def samples(people: int, seed: int, clock: Clock):
    """Term names, their values float32 (samples, terms), and the true probabilities (samples,)."""
    terms, values, truths = [], [], []
    for chunk in chunks(people, seed):
        count = len(chunk.course.people)
        date_of = chunk.rng.integers(0, clock.index_days.size, (count, DATES))
        truth = np.stack([true_probability(chunk.course, int(day)) for day in clock.index_days], axis=1)
        age = (clock.index_days[date_of] - chunk.course.people.birth_day[:, None]) / DAYS_PER_YEAR
        row = np.arange(count)[:, None]
        keep = ~np.isnan(truth[row, date_of]) & (age >= ADULT)
        names, columns = [], []
        for name, value in evidence(clock, chunk):
            names.append(name)
            columns.append(np.broadcast_to(value, truth.shape)[row, date_of][keep].astype(np.float32))
        terms = names
        values.append(np.stack(columns, axis=1))
        truths.append(truth[row, date_of][keep])
    return terms, np.concatenate(values), np.concatenate(truths)


def main(argv=None):
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--people", type=int, default=500_000)
    made.add_argument("--seed", type=int, default=2026, help="never a demo's seed")
    made.add_argument("--out", type=Path, default=Path(salus.simulate.__file__).with_name("attainable.json"))
    args = made.parse_args(argv)
    began = time.monotonic()
    clock = Clock(date(2026, 6, 30))
    terms, values, truth = samples(args.people, args.seed, clock)
    model = LogisticRegression(C=1e4, max_iter=500, tol=1e-5)
    scale = values.std(axis=0) + np.float32(1e-6)
    model.fit(
        np.concatenate([values, values]) / scale, np.repeat([1, 0], truth.size), np.concatenate([truth, 1 - truth])
    )
    coefficients = model.coef_[0] / scale
    logit = values @ coefficients + model.intercept_[0]
    fit = {
        "people": args.people,
        "seed": args.seed,
        "samples": int(truth.size),
        "prevalence": round(float(truth.mean()), 5),
        "oracle_auroc": round(auroc(truth, truth), 4),
        "attainable_auroc": round(auroc(logit, truth), 4),
        "intercept": round(float(model.intercept_[0]), 5),
        "coefficients": {name: round(float(c), 5) for name, c in zip(terms, coefficients, strict=True)},
    }
    args.out.write_text(json.dumps(fit, indent=1) + "\n", encoding="utf-8")
    print(
        f"{args.people:,} people, {truth.size:,} samples: oracle {fit['oracle_auroc']}, "
        f"attainable {fit['attainable_auroc']}, {time.monotonic() - began:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
