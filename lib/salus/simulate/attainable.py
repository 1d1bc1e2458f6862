"""The attainable probability: the correctly specified model, applied to what was available at the index date.

Its terms are the evidence for the risk model's own terms; its coefficients were fitted once, by logistic regression on
the true probabilities of simulated people (``make attainable``), and are kept in attainable.json with their seed.
"""

import json
from functools import cache
from importlib import resources

import numpy as np

from salus.simulate.clock import Clock
from salus.simulate.evidence import evidence
from salus.simulate.population import Chunk
from salus.simulate.risk import sigmoid


@cache
def fitted() -> dict:
    """The committed fit: ``intercept``, ``coefficients`` by term, ``people``, ``seed`` and its AUROC."""
    return json.loads(resources.files("salus.simulate").joinpath("attainable.json").read_text(encoding="utf-8"))


def attainable_probability(clock: Clock, chunk: Chunk) -> np.ndarray:
    """float64 (people, index dates), also for those not alive then."""
    fit = fitted()
    logit = np.full((len(chunk.course.people), len(clock.index_dates)), fit["intercept"])
    for term, value in evidence(clock, chunk):
        logit += fit["coefficients"][term] * value
    return sigmoid(logit)
