"""Figures of several classes: against scikit-learn, against what was planted, and each class's calibration its own."""

import numpy as np
import pytest
from scipy.special import expit, logit, softmax
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    log_loss,
    roc_auc_score,
)

from salus.cohorts.classes import Outcomes
from salus.errors import Refused
from salus.evaluation.class_calibration import fit_classes
from salus.evaluation.classes import measured_classes
from salus.evaluation.metrics import Sample
from salus.evaluation.platt import fit_platt
from salus.evaluation.recalibration import FITTED, from_json

ONE, SEVERAL = Outcomes(("lungs", "other", "heart"), True), Outcomes(("lungs", "other", "heart"), False)


def planted(outcomes, people=250, rows_each=3, seed=5):
    """(sample, true probability (rows, classes)): classes drawn from it, at most one or each by itself."""
    random = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), rows_each)
    size = len(outcomes.names)
    raw = np.repeat(random.normal(-1.5, 1, (people, size)), rows_each, axis=0)
    if outcomes.is_exclusive:
        true = softmax(np.column_stack([raw, np.zeros(person.size)]), axis=1)
        drawn = (random.random(person.size)[:, None] > true.cumsum(axis=1)).sum(axis=1)
        holding = np.arange(size) == drawn[:, None]
    else:
        true = expit(raw)
        holding = random.random(true.shape) < true
    sample = Sample(person, outcomes.number(holding), random.uniform(1, 3, person.size))
    return sample, true[:, :size]


def told_of(outcomes, probability):
    """``probability`` (rows, classes) by class, with none's rest where they exclude each other."""
    told = dict(zip(outcomes.names, probability.T))
    return told | {"none": 1 - probability.sum(axis=1)} if outcomes.is_exclusive else told


def by_name(rows):
    return {(row["model_name"], row["metric"]): row for row in rows}


def measured(outcomes, replicates=20):
    sample, true = planted(outcomes)
    usual = np.broadcast_to(np.average(outcomes.holding(sample.labels), axis=0, weights=sample.weights), true.shape)
    models = {"model": told_of(outcomes, true), "baseline": told_of(outcomes, usual)}
    return sample, true, by_name(measured_classes(sample, outcomes, models, replicates))


@pytest.mark.parametrize("outcomes", [ONE, SEVERAL])
def test_each_class_is_measured_as_scikit_learn_does_one_against_the_rest(outcomes):
    sample, true, found = measured(outcomes)
    areas = []
    for place, name in enumerate(outcomes.names):
        came, told = outcomes.holding(sample.labels)[:, place], true[:, place]
        areas.append(roc_auc_score(came, told, sample_weight=sample.weights))
        expected = {
            "auroc": areas[-1],
            "auprc": average_precision_score(came, told, sample_weight=sample.weights),
            "brier": brier_score_loss(came, told, sample_weight=sample.weights),
        }
        assert {each: found["model", f"{each}: {name}"]["value"] for each in expected} == pytest.approx(expected)
        slope = found["model", f"calibration_slope: {name}"]
        assert slope["low"] < 1 < slope["high"]
        gained = found["model", f"auroc_over_baseline: {name}"]
        assert gained["value"] == pytest.approx(areas[-1] - 0.5)
        assert gained["low"] > 0
    macro = found["model", "macro_auroc"]
    assert macro["value"] == pytest.approx(np.mean(areas))
    assert macro["low"] < macro["value"] < macro["high"]
    assert found["model", "macro_auroc_over_baseline"]["value"] == pytest.approx(np.mean(areas) - 0.5)
    assert ("model", "auroc: none") in found if outcomes.is_exclusive else ("model", "auroc: none") not in found


def test_the_log_loss_of_exclusive_classes_is_scikit_learns_and_the_confusion_too():
    sample, true, found = measured(ONE)
    weights, every = sample.weights, np.column_stack([true, 1 - true.sum(axis=1)])
    came = ONE.truth(sample.labels).argmax(axis=1)
    lost = log_loss(came, every, sample_weight=weights, labels=range(4))
    shares = np.average(ONE.truth(sample.labels), axis=0, weights=weights)
    usual = log_loss(came, np.broadcast_to(shares, every.shape), sample_weight=weights, labels=range(4))
    assert found["model", "log_loss"]["value"] == pytest.approx(lost)
    assert found["baseline", "log_loss"]["value"] == pytest.approx(usual)
    assert found["model", "scaled_log_loss"]["value"] == pytest.approx(1 - lost / usual)
    assert found["baseline", "scaled_log_loss"]["value"] == pytest.approx(0, abs=1e-12)
    over = found["model", "log_loss_over_baseline"]
    assert over["value"] == pytest.approx(lost - usual)
    assert over["high"] < 0
    shares = confusion_matrix(came, every.argmax(axis=1), sample_weight=weights, normalize="true")
    drawn = [found["model", f"confusion: {name}"]["curve_y"] for name in ONE.told]
    np.testing.assert_allclose(drawn, shares)


def test_the_log_loss_of_classes_by_themselves_is_the_mean_of_each_ones():
    sample, true, found = measured(SEVERAL)
    came = SEVERAL.holding(sample.labels)
    each = [log_loss(came[:, place], true[:, place], sample_weight=sample.weights) for place in range(3)]
    assert found["model", "log_loss"]["value"] == pytest.approx(np.mean(each))
    assert not any("confusion" in metric for _, metric in found)


def test_a_class_that_nobody_had_has_no_figures_and_takes_none_from_the_others():
    sample, true = planted(ONE)
    is_kept = ~ONE.holding(sample.labels)[:, 0]
    without = Sample(sample.people[is_kept], sample.labels[is_kept], sample.weights[is_kept])
    found = by_name(measured_classes(without, ONE, {"model": told_of(ONE, true[is_kept])}, replicates=20))
    assert ("model", "auroc: lungs") not in found
    assert ("model", "confusion: lungs") not in found
    assert np.isfinite(found["model", "auroc: heart"]["value"])
    assert np.isfinite(found["model", "log_loss"]["value"])


@pytest.mark.parametrize("outcomes", [ONE, SEVERAL])
@pytest.mark.parametrize("method", ["platt", "isotonic", "venn_abers"])
def test_each_class_has_the_calibration_that_it_would_have_by_itself(outcomes, method):
    sample, true = planted(outcomes, people=120)
    logits = 2 * logit(true) + 1
    given = (sample.weights, sample.people, "a package")
    found = fit_classes(FITTED[method], outcomes, logits, sample.labels, *given)
    holding = outcomes.holding(sample.labels)
    alone = [FITTED[method](logits[:, place], holding[:, place], *given) for place in range(3)]
    each = np.column_stack([one.calibrated(logits[:, place]) for place, one in enumerate(alone)])
    np.testing.assert_allclose(found.calibrated(logits[:, -1]), each[:, -1], rtol=1e-12)
    np.testing.assert_allclose(found.bounds(logits[:, -1]), alone[-1].bounds(logits[:, -1]), rtol=1e-12)
    assert found.events == holding[:, -1].sum()
    told = found.of_classes(logits)
    np.testing.assert_allclose(told["heart"], found.calibrated(logits[:, -1]), rtol=1e-12)
    is_whole = each.sum(axis=1) <= 1 if outcomes.is_exclusive else np.ones(len(each), bool)
    assert is_whole.mean() > 0.5
    for place, name in enumerate(outcomes.names):
        np.testing.assert_allclose(told[name][is_whole], each[is_whole, place])
    again = from_json(found.to_json())
    assert again == found
    assert (again.version, again.method) == (found.version, "classes")


def test_exclusive_classes_add_up_to_one_and_the_focus_keeps_what_it_was_told():
    sample, _ = planted(ONE)
    given = (sample.labels, sample.weights, sample.people, "a package")
    found = fit_classes(FITTED["none"], ONE, np.zeros((sample.labels.size, 3)), *given)
    told = found.of_classes(logit(np.array([[0.6, 0.2, 0.6], [0.1, 0.2, 0.3]])))
    np.testing.assert_allclose(np.column_stack(list(told.values())), [[0.3, 0.1, 0.6, 0], [0.1, 0.2, 0.3, 0.4]])
    assert list(told) == ["lungs", "other", "heart", "none"]


def test_a_class_without_an_event_cannot_be_calibrated():
    sample, true = planted(ONE)
    nobody = np.where(ONE.holding(sample.labels)[:, 0], 0.0, sample.labels)
    with pytest.raises(Refused, match="labels of one class"):
        fit_classes(fit_platt, ONE, logit(true), nobody, sample.weights, sample.people, "a package")
