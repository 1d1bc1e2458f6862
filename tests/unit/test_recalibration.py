"""Every method of calibration: monotone, the same after JSON, better than none where a distortion was planted."""

import json
import pickle
from functools import partial

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_expit
from sklearn.isotonic import IsotonicRegression

from salus.errors import Refused
from salus.evaluation.beta import fit_beta
from salus.evaluation.calibration import safe_logit
from salus.evaluation.isotonic import KNOTS, fit_isotonic
from salus.evaluation.platt import fit_platt
from salus.evaluation.recalibration import FITTED, Uncalibrated, from_json, leave
from salus.evaluation.venn_abers import GROUPS, fit_venn_abers

METHODS = sorted(FITTED)
FINE = np.linspace(-12, 12, 501)

rows = st.lists(
    st.tuples(st.floats(-6, 6), st.booleans(), st.floats(0.5, 3), st.integers(0, 9)), min_size=4, max_size=40
).filter(lambda rows: len({label for _, label, _, _ in rows}) == 2 and len({person for *_, person in rows}) > 1)


def columns(rows):
    logits, labels, weights, people = (np.array(column) for column in zip(*rows, strict=True))
    return logits, labels, weights, people


DENORMAL = [
    (-5.994311533175916, True, 0.8248529285880775, 2),
    (-0.0, False, 0.99999, 2),
    (2.9739356146615172, True, 0.5767348539116125, 2),
    (-2.0333747696528928, False, 2.8095636701197413, 0),
    (-7.912304676506379e-151, False, 1.5, 4),
    (1.5, True, 0.5002726161856381, 9),
    (-4.103605134119267, True, 2.603293161911256, 6),
    (-5e-324, False, 0.6255356520551099, 7),
    (5e-324, True, 2.550729460597463, 7),
    (2.7955732737057743e-35, False, 1.4569334167100643, 1),
    (2.184942059236585, True, 2.00001, 2),
    (1.1125369292536007e-308, False, 3.0, 1),
]
"""Logits so close to one another that a line between them rises by more than a number can hold."""

FREE = {
    "beta": fit_beta,
    "isotonic": partial(fit_isotonic, replicates=5),
    "venn_abers": fit_venn_abers,
    "none": leave,
}


@pytest.mark.parametrize("method", FREE)
@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(rows)
@example(DENORMAL)
def test_a_higher_logit_never_has_a_lower_probability(method, rows):
    fitted = FREE[method](*columns(rows), "p")
    probability = fitted.calibrated(FINE)
    assert (np.diff(probability) >= -1e-12).all()
    low, high = fitted.bounds(FINE)
    assert ((low <= probability + 1e-12) & (probability <= high + 1e-12)).all()
    assert ((probability >= 0) & (probability <= 1)).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_calibration_survives_json_and_the_way_to_a_worker(method):
    fitted = FITTED[method](*distorted(people=400), "package")
    again = from_json(fitted.to_json())
    assert (again, again.version, again.method) == (fitted, fitted.version, method)
    assert (fitted.people, fitted.rows, fitted.package_hash) == (400, 1600, "package")
    sent = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(sent.calibrated(FINE), fitted.calibrated(FINE))
    assert len({FITTED[each](*distorted(people=400), "package").version for each in METHODS}) == len(METHODS)


def test_a_calibration_from_before_methods_had_names_is_platts_and_keeps_its_version():
    fitted = fit_platt(*distorted(people=400), "p")
    assert "method" not in json.loads(fitted.to_json())
    assert from_json(fitted.to_json()).version == fitted.version


@pytest.mark.parametrize("method", METHODS)
def test_who_has_no_score_has_no_probability(method):
    fitted = FITTED[method](*distorted(people=400), "p")
    logits = np.array([np.nan, 0.5])
    for values in (fitted.calibrated(logits), *fitted.bounds(logits)):
        assert np.isnan(values).tolist() == [True, False]


@pytest.mark.parametrize("method", [method for method in METHODS if method != "none"])
def test_one_class_is_refused(method):
    with pytest.raises(Refused, match="one class"):
        FITTED[method](np.arange(4.0), np.zeros(4, bool), np.ones(4), np.arange(4), "p")


def warp(logits):
    """What happens to people with a logit: low scores hold, high ones are far too extreme."""
    return np.where(logits > -1.5, -1.5 + 0.4 * (logits + 1.5), logits)


def distorted(people=6000, rows_each=4, seed=5):
    """Labels of people whose true probability is that of the warped logit, with weights."""
    random = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), rows_each)
    logits = np.repeat(random.normal(-1.5, 1.5, people), rows_each) + random.normal(0, 0.3, person.size)
    labels = random.random(person.size) < expit(warp(logits))
    return logits, labels, random.uniform(0.8, 1.5, person.size), person


def test_every_method_mends_what_was_planted_and_the_freer_ones_mend_more():
    data = distorted()
    new = np.random.default_rng(6).normal(-1.5, 1.5, 20_000)
    true = expit(warp(new))
    off = {method: np.abs(FITTED[method](*data, "p").calibrated(new) - true).mean() for method in METHODS}
    assert off["none"] > 0.04
    assert off["platt"] < 0.5 * off["none"]
    assert off["beta"] < 0.7 * off["platt"]
    assert off["isotonic"] < 0.7 * off["platt"]
    assert off["venn_abers"] < 0.7 * off["platt"]


def test_beta_recovers_its_coefficients_within_their_errors():
    random = np.random.default_rng(3)
    logits = random.normal(-0.5, 1.5, 60_000)
    true = expit(0.3 + 0.6 * log_expit(logits) - 1.4 * log_expit(-logits))
    fitted = fit_beta(logits, random.random(logits.size) < true, np.ones(logits.size), np.arange(logits.size), "p")
    errors = np.sqrt(np.diag(fitted.covariance))
    found = np.array([fitted.intercept, fitted.a, fitted.b])
    assert (np.abs(found - [0.3, 0.6, 1.4]) < 3 * errors).all()
    assert (errors < 0.1).all()


def test_a_model_that_ranks_backwards_gets_the_prevalence_of_beta():
    logits, labels, weights, people = distorted(people=800)
    fitted = fit_beta(-logits, labels, weights, people, "p")
    assert (fitted.a, fitted.b) == (0, 0)
    np.testing.assert_allclose(fitted.calibrated(FINE), np.average(labels, weights=weights))


def test_isotonic_is_scikit_learns_where_there_are_few_logits():
    random = np.random.default_rng(8)
    logits = random.choice(np.linspace(-3, 1, 40), 4000)
    labels = random.random(4000) < expit(logits)
    weights = random.uniform(0.5, 2, 4000)
    fitted = fit_isotonic(logits, labels, weights, np.arange(4000), "p", replicates=5)
    slowly = IsotonicRegression(y_min=1 / 4002, y_max=4001 / 4002).fit(logits, labels, sample_weight=weights)
    np.testing.assert_allclose(fitted.calibrated(logits), slowly.predict(logits), atol=1e-8)


def test_isotonic_stays_small_however_many_people_it_was_fitted_on():
    fitted = fit_isotonic(*distorted(people=20_000), "p", replicates=20)
    assert KNOTS / 2 <= len(fitted.logits) <= KNOTS
    assert len(fitted.to_json()) < 16_000


def test_venn_abers_is_its_definition_where_there_are_few_logits():
    """Whoever comes is added twice, with either label, and the people are fitted anew."""
    random = np.random.default_rng(8)
    at = np.linspace(-3, 1, 12)
    logits = random.choice(at, 300)
    labels = random.random(300) < expit(logits)
    fitted = fit_venn_abers(logits, labels, np.ones(300), np.arange(300), "p")
    low, high = fitted.bounds(at)
    for place, logit in enumerate(at):
        for label, found in ((0, low[place]), (1, high[place])):
            slowly = IsotonicRegression().fit(np.r_[logits, logit], np.r_[labels, label]).predict([logit])
            assert found == pytest.approx(slowly[0], abs=1e-8)
    np.testing.assert_allclose(fitted.calibrated(at), high / (1 - low + high))


def test_venn_abers_is_as_sure_as_there_are_people_and_not_rows():
    few, many = (distorted(people=people, rows_each=2) for people in (500, 8000))
    twice = [np.r_[column, column] for column in few]

    def width(fitted):
        low, high = fitted.bounds(np.linspace(-3, 0, 50))
        return (high - low).mean()

    by_people = [width(fit_venn_abers(*data, "p")) for data in (few, many)]
    assert by_people[1] < by_people[0] / 4
    assert width(fit_venn_abers(*twice, "p")) == pytest.approx(by_people[0], rel=1e-6)
    assert len(fit_venn_abers(*many, "p").logits) == GROUPS


@pytest.mark.parametrize(("method", "least"), [("beta", 0.90), ("isotonic", 0.85)])
def test_bounds_hold_the_truth_about_as_often_as_they_say(method, least):
    at = np.linspace(-3.5, 0.5, 9)
    fit = {"beta": fit_beta, "isotonic": partial(fit_isotonic, replicates=100)}[method]
    inside = []
    for seed in range(12):
        random = np.random.default_rng(seed)
        logits = random.normal(-1.5, 1.5, 2000)
        true_of = {"beta": lambda z: expit(0.2 + 0.8 * log_expit(z) - 1.2 * log_expit(-z)), "isotonic": expit}[method]
        labels = random.random(2000) < true_of(logits)
        low, high = fit(logits, labels, np.ones(2000), np.repeat(np.arange(1000), 2), "p").bounds(at)
        inside.append((low <= true_of(at)) & (true_of(at) <= high))
    assert least <= np.mean(inside) <= 0.995


def test_nobody_among_a_few_people_is_not_never():
    logits = np.r_[np.full(100, -4.0), np.linspace(-1, 1, 200), np.full(50, 3.0)]
    labels = np.r_[np.zeros(100), np.random.default_rng(1).random(200) < 0.5, np.ones(50)]
    fitted = fit_isotonic(logits, labels, np.ones(350), np.arange(350), "p")
    assert 0 < fitted.calibrated(np.array([-9.0]))[0] < 0.005
    low, high = fitted.bounds(np.array([-4.0, 3.0]))
    assert high[0] == pytest.approx(0.036, abs=0.002)  # 3.7 in 100, less a row below the first event
    assert low[1] == pytest.approx(0.929, abs=0.01)  # 1 - 3.7 in 51
    assert np.isfinite(safe_logit(fitted.calibrated(FINE))).all()


def test_none_is_the_models_own_probability():
    own = Uncalibrated("p", 1, 1, 1)
    np.testing.assert_array_equal(own.calibrated(FINE), expit(FINE))


def test_an_upper_bound_of_isotonic_never_falls_though_few_people_lie_below_many():
    """Of none among five people little is known, of one in ten among two thousand much."""
    logits = np.r_[np.full(5, -1.0), np.full(2000, 1.0)]
    labels = np.r_[np.zeros(5), np.arange(2000) % 10 == 0]
    fitted = fit_isotonic(logits, labels, np.ones(2005), np.arange(2005), "p", replicates=50)
    low, high = fitted.bounds(FINE)
    assert high[0] > 0.4
    assert (np.diff(high) >= 0).all()
    assert (np.diff(low) >= 0).all()


def test_events_too_few_to_tell_a_slope_never_turn_the_ranking_round():
    logits = np.r_[np.linspace(-6, -2, 200), -1.0, -0.5, 0.0, 0.5]
    labels = np.isin(np.arange(204), [5, 60, 150]).astype(float)
    people = np.arange(204) // 4
    fitted = fit_platt(logits, labels, np.ones(204), people, "p")
    told = fitted.calibrated(logits)
    assert (np.diff(told) > 0).all()
    assert told.mean() == pytest.approx(labels.mean(), rel=1e-4)
    low, high = fitted.bounds(logits)
    assert (high - low)[-1] > 0.5
