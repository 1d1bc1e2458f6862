"""Scoring, which brings TensorFlow along, asks for eligibility as training does."""

from salus.cohorts import cohort
from salus.cohorts.eligibility import eligibility
from salus.cohorts.index import index_samples
from salus.scoring import scorer


def test_the_cohort_and_the_night_ask_the_very_same_function():
    assert cohort.eligibility is eligibility
    assert scorer.eligibility is eligibility
    assert cohort.index_samples is index_samples
    assert scorer.index_samples is index_samples
