"""Discrimination, intervals and calibration: against scikit-learn, and against what was planted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import average_precision_score, brier_score_loss, precision_score, recall_score, roc_auc_score

from salus.errors import Refused
from salus.evaluation import metrics
from salus.evaluation.bootstrap import intervals, person_weights
from salus.evaluation.calibration import (
    calibration_groups,
    group_means,
    intercept_in_the_large,
    safe_logit,
    slope,
)
from salus.evaluation.discrimination import Ranking, auroc, average_precision
from salus.evaluation.leakage import price
from salus.evaluation.metrics import Sample, interval_figures, measured
from salus.evaluation.platt import fit_platt
from salus.evaluation.recalibration import from_json
from salus.evaluation.subgroups import METRICS, age_bands, by_subgroup, is_material
from salus.evaluation.usefulness import FIGURES, at_top, highest, net_benefit
from salus.report.discrimination import discrimination_section
from salus.report.measured import Measure
from salus.report.reliability import reliability_section
from salus.report.usefulness import usefulness_section

row = st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 3))  # score (ties abound), label, weight


def weighted(rows):
    scores, labels, weights = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    return scores, labels, weights


@given(st.lists(row, min_size=2, max_size=40))
def test_discrimination_equals_scikit_learn_for_any_weights_and_ties(rows):
    scores, labels, weights = weighted(rows)
    used = weights > 0
    ranking, case, control = Ranking.of(scores), weights * labels, weights * (1 - labels)
    if not case.any() or not control.any():
        assert np.isnan(auroc(ranking, case, control))
        return
    assert auroc(ranking, case, control) == pytest.approx(
        roc_auc_score(labels[used], scores[used], sample_weight=weights[used])
    )
    assert average_precision(ranking, case, control) == pytest.approx(
        average_precision_score(labels[used], scores[used], sample_weight=weights[used])
    )


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0.01, 0.99)), min_size=2, max_size=25))
def test_auroc_over_probabilities_is_the_share_of_pairs_won(rows):
    scores, chances = np.array([score for score, _ in rows]), np.array([chance for _, chance in rows])
    won = pairs = 0.0
    for score, chance in rows:
        for other, other_chance in rows:
            pairs += chance * (1 - other_chance)
            won += chance * (1 - other_chance) * (0.5 if score == other else score > other)
    assert auroc(Ranking.of(scores), chances, 1 - chances) == pytest.approx(won / pairs)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(0, 1000))
def test_all_rows_of_a_person_are_drawn_together(people, seed):
    people = np.array(people)
    distinct = np.unique(people)
    for weights in person_weights(people, replicates=3, seed=seed):
        drawn = [np.unique(weights[people == person]) for person in distinct]
        assert all(times.size == 1 for times in drawn)
        assert sum(times[0] for times in drawn) == distinct.size


def test_an_interval_is_as_wide_as_the_number_of_people_says_not_the_number_of_rows():
    random = np.random.default_rng(3)
    value = random.normal(size=400)
    rows_each = 25
    people, values = np.repeat(np.arange(400), rows_each), np.repeat(value, rows_each)
    low, high = intervals(lambda weights: np.array([weights @ values / weights.sum()]), people, replicates=1000)
    by_theory = 2 * 1.96 * value.std() / np.sqrt(400)
    assert (high - low)[0] == pytest.approx(by_theory, rel=0.1)
    assert low[0] < value.mean() < high[0]


def test_differences_are_paired():
    random = np.random.default_rng(5)
    values, people = random.normal(size=3000), np.arange(3000)

    def mean_and_shifted(weights):
        mean = weights @ values / weights.sum()
        return np.array([mean, (mean + 0.25) - mean])

    low, high = intervals(mean_and_shifted, people)
    assert high[0] - low[0] > 0.05
    assert (low[1], high[1]) == (pytest.approx(0.25), pytest.approx(0.25))


def test_a_statistic_that_most_replicates_cannot_give_has_no_interval():
    people = np.arange(4)
    low, _ = intervals(lambda weights: np.array([np.nan if weights[0] == 0 else 1.0, 2.0]), people)
    assert np.isnan(low[0])
    assert low[1] == 2.0


def planted(rows_each=8, people=6000, intercept=0.4, coefficient=0.7, shared=0.0, seed=11):
    """Labels whose true probability is expit(intercept + coefficient * logit), rows of a person alike by ``shared``."""
    random = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), rows_each)
    logits = np.repeat(random.normal(-1.5, 1.3, people), rows_each) + random.normal(0, 0.3, people * rows_each)
    own = np.repeat(random.random(people), rows_each)
    draw = np.where(random.random(person.size) < shared, own, random.random(person.size))
    return logits, draw < expit(intercept + coefficient * logits), np.ones(person.size), person


def test_platt_recovers_what_was_planted_within_its_own_error():
    logits, labels, weights, people = planted()
    fitted = fit_platt(logits, labels, weights, people, "package")
    assert abs(fitted.intercept - 0.4) < 3 * np.sqrt(fitted.intercept_variance)
    assert abs(fitted.slope - 0.7) < 3 * np.sqrt(fitted.slope_variance)
    assert np.sqrt(fitted.slope_variance) < 0.05
    assert (fitted.people, fitted.rows, fitted.events) == (6000, 48000, labels.sum())


def test_platt_knows_that_rows_of_a_person_are_not_independent():
    alike = fit_platt(*planted(shared=1.0), package_hash="p")
    apart = fit_platt(*planted(shared=0.0), package_hash="p")
    assert alike.intercept_variance > 3 * apart.intercept_variance


def test_platt_covariance_is_that_of_a_bootstrap_of_people():
    logits, labels, weights, people = planted(people=400, shared=0.6)
    fitted = fit_platt(logits, labels, weights, people, "p")
    drawn = np.array([slope(logits, labels, w) for w in person_weights(people, 250)])
    assert fitted.slope_variance == pytest.approx(drawn[:, 1].var(), rel=0.25)
    assert fitted.covariance == pytest.approx(np.cov(drawn.T)[0, 1], rel=0.25)


def test_calibration_bounds_hold_the_planted_probability_as_often_as_they_say():
    points = np.linspace(-4, 2, 25)
    truth = expit(0.4 + 0.7 * points)
    inside = []
    for seed in range(60):
        low, high = fit_platt(*planted(people=400, seed=seed), package_hash="p").bounds(points)
        inside.append((low <= truth) & (truth <= high))
    assert 0.90 <= np.mean(inside) <= 0.99


def test_a_calibration_is_the_same_after_json_and_another_fit_has_another_version():
    fitted = fit_platt(*planted(people=300), package_hash="p")
    again = from_json(fitted.to_json())
    assert again == fitted
    assert again.version == fitted.version
    assert fit_platt(*planted(people=300, seed=12), package_hash="p").version != fitted.version
    np.testing.assert_array_equal(again.calibrated(np.array([-1.0, 2.0])), fitted.calibrated(np.array([-1.0, 2.0])))


def test_one_class_is_refused():
    with pytest.raises(Refused, match="one class"):
        fit_platt(np.arange(4.0), np.zeros(4, bool), np.ones(4), np.arange(4), "p")


def test_calibrated_on_its_own_rows_slope_is_one_and_intercept_nought():
    logits, labels, weights, people = planted(people=500)
    calibrated = safe_logit(fit_platt(logits, labels, weights, people, "p").calibrated(logits))
    assert slope(calibrated, labels, weights) == (pytest.approx(0, abs=1e-4), pytest.approx(1, abs=1e-4))
    assert intercept_in_the_large(calibrated, labels, weights) == pytest.approx(0, abs=1e-4)


def test_the_intercept_in_the_large_is_the_shift_that_was_taken_away():
    logits, labels, weights, _ = planted(people=500)
    at_rest = logits + intercept_in_the_large(logits, labels, weights)
    assert intercept_in_the_large(at_rest - 0.8, labels, weights) == pytest.approx(0.8, abs=1e-6)
    assert np.average(expit(at_rest), weights=weights) == pytest.approx(labels.mean())


def test_the_curve_of_equal_groups_holds_every_row_once():
    probability = np.repeat([0.1, 0.2, 0.9], [50, 30, 20])
    labels = np.zeros(100)
    labels[[0, 1, 55, 99, 98]] = 1
    group = calibration_groups(probability, bins=10)
    np.testing.assert_allclose(group_means(group, probability, np.ones(100)), [0.1, 0.2, 0.9])
    np.testing.assert_allclose(group_means(group, labels, np.ones(100)), [2 / 50, 1 / 30, 2 / 20])


def test_safe_logit_is_finite_at_the_ends():
    np.testing.assert_allclose(safe_logit(np.array([0.0, 0.5, 1.0])), [-30, 0, 30])


@pytest.fixture(scope="module")
def compared():
    """400 people with ten rows each: the truth, a model near it, a baseline further off."""
    random = np.random.default_rng(21)
    people = np.repeat(np.arange(400), 10)
    logits = np.repeat(random.normal(-1.5, 1.0, 400), 10) + random.normal(0, 0.4, people.size)
    true = expit(logits)
    labels = (random.random(people.size) < true).astype(float)
    sample = Sample(people, labels, random.uniform(0.8, 1.5, people.size), true)
    models = {
        "model": expit(logits + random.normal(0, 0.5, people.size)),
        "baseline": expit(logits + random.normal(0, 1.5, people.size)),
        "attainable": expit(logits + random.normal(0, 0.2, people.size)),
        "oracle": true,
    }
    rows = {(row["model_name"], row["metric"]): row for row in measured(sample, models, replicates=60)}
    return sample, models, rows


def test_every_estimate_is_scikit_learns_and_lies_in_its_interval(compared):
    sample, models, rows = compared
    for name, probability in models.items():
        assert rows[name, "auroc"]["value"] == pytest.approx(
            roc_auc_score(sample.labels, probability, sample_weight=sample.weights)
        )
        assert rows[name, "brier"]["value"] == pytest.approx(
            brier_score_loss(sample.labels, probability, sample_weight=sample.weights)
        )
        for metric in ("auroc", "auprc", "brier", "calibration_intercept", "calibration_slope", "auroc_over_truth"):
            assert rows[name, metric]["low"] < rows[name, metric]["value"] < rows[name, metric]["high"]


def test_the_oracle_wins_over_the_truth_and_its_slope_holds_one(compared):
    _, _, rows = compared
    order = [rows[name, "auroc_over_truth"]["value"] for name in ("baseline", "model", "attainable", "oracle")]
    assert order == sorted(order)
    assert rows["oracle", "calibration_slope"]["low"] < 1 < rows["oracle", "calibration_slope"]["high"]
    assert rows["baseline", "calibration_slope"]["high"] < 1


def test_comparisons_are_paired_and_narrower_than_what_they_compare(compared):
    _, _, rows = compared
    gain, model = rows["model", "auroc_over_baseline"], rows["model", "auroc"]
    assert gain["value"] == pytest.approx(model["value"] - rows["baseline", "auroc"]["value"])
    assert gain["low"] > 0
    lift = rows["model", "share_of_attainable_lift"]
    assert lift["low"] < lift["value"] < 1


def test_curves_run_from_end_to_end_and_carry_their_bounds(compared):
    _, _, rows = compared
    roc, reliability = rows["model", "roc_curve"], rows["model", "calibration_curve"]
    assert (roc["curve_x"][0], roc["curve_y"][0], roc["curve_x"][-1], roc["curve_y"][-1]) == (0, 0, 1, 1)
    assert len(roc["curve_x"]) <= 200
    low, high = rows["model", "calibration_curve_low"], rows["model", "calibration_curve_high"]
    assert low["curve_x"] == reliability["curve_x"] == high["curve_x"]
    within = zip(low["curve_y"], reliability["curve_y"], high["curve_y"], strict=True)
    assert all(bottom < share < top for bottom, share, top in within)


def test_the_highest_rows_are_what_scikit_learn_counts_of_them(compared):
    sample, models, rows = compared
    for name, percent in (("model", 1), ("baseline", 10)):
        is_top = highest(models[name], sample.weights, percent)
        held = sample.weights @ is_top / sample.weights.sum()
        assert percent / 100 <= held < percent / 100 + 1.5 * sample.weights.max() / sample.weights.sum()
        assert models[name][is_top == 1].min() > models[name][is_top == 0].max()
        sensitivity, ppv, lift = (rows[name, f"{figure}_top_{percent}"] for figure in FIGURES)
        weighed = {"sample_weight": sample.weights}
        assert sensitivity["value"] == pytest.approx(recall_score(sample.labels, is_top, **weighed))
        assert ppv["value"] == pytest.approx(precision_score(sample.labels, is_top, **weighed))
        assert lift["value"] == pytest.approx(ppv["value"] / np.average(sample.labels, weights=sample.weights))
        assert all(found["low"] < found["value"] < found["high"] for found in (sensitivity, ppv, lift))


def test_ties_at_the_threshold_are_all_acted_on():
    assert highest(np.array([0.3, 0.1, 0.3, 0.3, 0.2]), np.ones(5), 20).tolist() == [1, 0, 1, 1, 0]
    assert np.isnan(at_top("ppv", np.ones(3), np.zeros(3), np.ones(3)))


@given(st.lists(st.tuples(st.sampled_from([0.01, 0.05, 0.2, 0.5]), st.booleans(), st.floats(0.5, 2)), min_size=1))
def test_net_benefit_is_its_definition(rows):
    probability, labels, weights = np.array(rows, dtype=np.float64).T
    at = np.array([0.02, 0.05, 0.3, 0.9])
    slowly = [
        sum(w * (y - (1 - y) * t / (1 - t)) for p, y, w in zip(probability, labels, weights) if p >= t) / weights.sum()
        for t in at
    ]
    np.testing.assert_allclose(net_benefit(probability, labels, weights, at), slowly, atol=1e-12)


def test_the_decision_curve_beats_acting_on_all_and_on_nobody(compared):
    sample, _, rows = compared
    curve, everybody = rows["model", "net_benefit"], rows["model", "net_benefit_of_all"]
    prevalence = np.average(sample.labels, weights=sample.weights)
    assert curve["curve_x"] == everybody["curve_x"]
    near = int(np.argmin(np.abs(np.array(curve["curve_x"]) - prevalence)))
    assert curve["curve_y"][near] > max(0, everybody["curve_y"][near])
    assert ("baseline", "net_benefit_of_all") not in rows


def test_the_scaled_brier_score_is_the_share_of_the_prevalences_error_that_is_spared(compared):
    sample, models, rows = compared
    prevalence = np.full(sample.labels.size, np.average(sample.labels, weights=sample.weights))
    of_prevalence = brier_score_loss(sample.labels, prevalence, sample_weight=sample.weights)
    for name in models:
        assert rows[name, "scaled_brier"]["value"] == pytest.approx(1 - rows[name, "brier"]["value"] / of_prevalence)
    assert rows["baseline", "scaled_brier"]["value"] < rows["oracle", "scaled_brier"]["low"]


def test_a_subgroup_that_the_model_cannot_rank_has_a_material_gap_and_a_like_one_has_none():
    random = np.random.default_rng(5)
    people = np.repeat(np.arange(1500), 4)
    true = expit(np.repeat(random.normal(-1.5, 1.2, 1500), 4))
    labels = (random.random(people.size) < true).astype(float)
    race = np.where(people % 5 == 0, "few", np.where(people % 5 == 1, "", "many"))
    sex = np.where(people % 2, "female", "male")
    probability = np.where(race == "few", true.mean(), true)
    sample = Sample(people, labels, random.uniform(0.8, 1.5, people.size))
    attributes = {"race": race, "sex": sex, "age": np.where(people < 5, "85 and over", "under 45")}
    found = {(row["subgroup"], row["metric"]): row for row in by_subgroup(sample, probability, attributes, 60)}

    few, many = race == "few", race == "many"
    gap = found["race: few", "auroc_gap"]
    areas = [roc_auc_score(labels[one], probability[one], sample_weight=sample.weights[one]) for one in (few, many)]
    assert found["race: few", "auroc"]["value"] == pytest.approx(areas[0]) == 0.5
    assert gap["value"] == pytest.approx(areas[0] - areas[1])
    assert (gap["people"], gap["rows"]) == (300, 1200)
    assert is_material("auroc", gap["value"], gap["low"], gap["high"])
    for metric in METRICS:
        sexes = found["sex: female", f"{metric}_gap"]
        assert not is_material(metric, sexes["value"], sexes["low"], sexes["high"])
    assert found["sex: male", "observed_over_expected"]["value"] == pytest.approx(1, abs=0.15)
    assert found["age: 85 and over", "events"]["value"] == labels[people < 5].sum() < 20
    assert ("age: 85 and over", "auroc") not in found
    assert not any(subgroup == "race: " for subgroup, _ in found)


def test_a_wide_gap_that_may_be_none_and_a_certain_narrow_one_are_not_material():
    assert is_material("auroc", -0.09, -0.12, -0.06)
    assert not is_material("auroc", -0.09, -0.2, 0.02)
    assert not is_material("auroc", -0.03, -0.04, -0.02)
    assert not is_material("auroc", None, None, None)


def test_ages_fall_into_bands():
    years = np.array([3.0, 44.9, 45.0, 64.99, 65.0, 84.0, 85.0, 101.0, np.nan])
    assert age_bands(years).tolist() == [
        *["under 45"] * 2,
        *["45 to 64"] * 2,
        "65 to 74",
        *["75 to 84"],
        *["85 and over"] * 2,
        "",
    ]


def test_the_report_finds_every_curve_that_it_draws(compared):
    """By the names under which the evaluation keeps them."""
    measures = {
        key: Measure(row.get("value"), x=row.get("curve_x", ()), y=row.get("curve_y", ()))
        for key, row in compared[2].items()
    }
    for section, plots in ((discrimination_section, 3), (reliability_section, 2), (usefulness_section, 1)):
        blocks = section(measures).blocks
        assert sum(block.kind == "plot" for block in blocks) == plots
        assert all(trace.x is not None for block in blocks if block.kind == "plot" for trace in block.figure.data)


def test_a_sample_of_one_class_is_not_measured():
    sample = Sample(np.arange(3), np.zeros(3), np.ones(3))
    assert measured(sample, {"model": np.array([0.1, 0.2, 0.3])}) == []
    assert price(sample, np.zeros(3), np.ones(3)) == []


def test_leakages_price_is_what_the_second_clock_takes_away(compared):
    sample, _, _ = compared
    honest = safe_logit(sample.true)
    by_metric = {row["metric"]: row for row in price(sample, honest, honest + 1.5 * sample.labels, replicates=60)}
    promised, kept, cost = (by_metric[name] for name in ("auroc_by_time", "auroc_by_available_time", "leakage_price"))
    assert cost["value"] == pytest.approx(promised["value"] - kept["value"])
    assert cost["low"] > 0.05
    assert cost["high"] - cost["low"] < kept["high"] - kept["low"]
    free = {row["metric"]: row for row in price(sample, honest, honest, replicates=20)}
    assert (free["leakage_price"]["low"], free["leakage_price"]["high"]) == (0, 0)


def test_a_replicate_in_which_nobody_had_the_event_has_no_scaled_brier_score():
    sample = Sample(np.arange(4), np.array([1.0, 0, 0, 0]), np.ones(4))
    model = metrics._Measured.of(np.array([0.4, 0.5, 0.2, 0.1]), sample)
    assert np.isnan(metrics._metric(model, sample, "scaled_brier", np.array([0.0, 2, 1, 1])))
    assert metrics._metric(model, sample, "scaled_brier", np.array([1.0, 1, 1, 1])) < 1


def test_an_interval_holds_as_much_of_the_truth_as_it_does():
    low, high = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.2, 0.3, 0.4, 0.6])
    true, weights = np.array([0.15, 0.31, 0.3, 0.9]), np.array([1.0, 1.0, 1.0, 3.0])
    found = {row["metric"]: row["value"] for row in interval_figures(low, high, true, weights)}
    assert found == pytest.approx({"interval_coverage": 2 / 6, "interval_width": 0.9 / 6})
