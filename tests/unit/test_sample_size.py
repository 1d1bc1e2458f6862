"""Sample size: the numbers that its authors published, what a package says of it, and who may go on with fewer rows."""

from types import SimpleNamespace

import numpy as np
import pytest

from salus.cohorts.task import Gates
from salus.datasets.folder import Folder
from salus.datasets.manifest import Split
from salus.datasets.parquet import Samples, written
from salus.errors import Held, Refused
from salus.training.sample_size import greatest_cox_snell_r2, required_rows, sample_size

ROWS, PEOPLE, POSITIVE = 500, 100, 50


@pytest.fixture
def dataset(tmp_path):
    """500 rows of 100 people in two row groups, of whom one has rows in both; 620 inputs."""
    people = np.arange(ROWS) // (ROWS // PEOPLE)
    every = Samples(people, np.arange(ROWS), {}, np.zeros(ROWS, np.float32), np.ones(ROWS, np.float32))
    Folder(str(tmp_path)).write("part.parquet", written([every[:203], every[203:]]))
    files = [{"name": "part.parquet", "groups": [203, ROWS - 203]}]
    train = Split("train", Folder(str(tmp_path)), {}, {"rows": ROWS, "positives": POSITIVE, "files": files})
    return SimpleNamespace(width=620, split={"train": train}.get)


def task(**gates):
    return SimpleNamespace(id="tiny", gates=Gates(**gates))


def test_the_published_examples_are_met():
    # Chagas disease, Riley et al. 2019 and the documentation of pmsampsize.
    chagas = required_rows(24, 0.174, 0.288)
    assert (chagas["shrinkage"], chagas["optimism"], chagas["overall_risk"]) == (623, 662, 221)
    # Pre-eclampsia, BMJ 2020: 15 % of the greatest R squared, rounded to 0.05, asks for 5,249 women.
    assert greatest_cox_snell_r2(0.05) == pytest.approx(0.33, abs=0.005)
    pre_eclampsia = required_rows(30, 0.05, 0.05)
    assert pre_eclampsia["shrinkage"] == max(pre_eclampsia.values()) == 5249
    # The mean absolute error of a model, back from the rows: log(error) by van Smeden et al. 2019.
    rows = pre_eclampsia["absolute_error"]
    error = -0.508 + 0.259 * np.log(0.05) + 0.504 * np.log(30) - 0.544 * np.log([rows, rows - 1])
    assert np.exp(error[0]) <= 0.05 < np.exp(error[1])


def test_the_mean_absolute_error_is_asked_only_of_as_many_parameters_as_it_was_found_for():
    assert "absolute_error" in required_rows(30, 0.2, 0.1)
    assert "absolute_error" not in required_rows(31, 0.2, 0.1)


def test_an_r_squared_that_no_model_can_have_is_refused():
    with pytest.raises(Refused, match=r"0\.4 at a prevalence of 0\.05; expected one above 0 and below 0\.328"):
        required_rows(10, 0.05, 0.4)


def test_without_a_gate_it_is_told_and_holds_nothing(dataset):
    found = sample_size(task(), dataset)
    assert (found.rows, found.people, found.parameters, found.forced) == (ROWS, PEOPLE, 620, False)
    assert found.cox_snell_r2 == pytest.approx(0.15 * greatest_cox_snell_r2(0.1))
    assert found.required == required_rows(620, 0.1, found.cox_snell_r2)["shrinkage"] > 70_000
    assert f"required {found.required:,}, available 500 (of 100 people); 620 inputs" in str(found)
    assert sample_size(task(), dataset, force=True).forced is False, "nothing was forced where nothing was asked for"


def test_the_gate_holds_fewer_rows_until_it_is_forced_and_the_package_says_so(dataset):
    with pytest.raises(Held, match=r"Received 500 labelled rows of 100 people to train tiny on; expected at least 7"):
        sample_size(task(sample_size="riley"), dataset)
    forced = sample_size(task(sample_size="riley"), dataset, force=True)
    assert forced.told()["forced"] is True
    assert forced.told()["required"] == forced.required
    assert "available 500 (of 100 people), forced" in str(forced)


def test_an_anticipated_r_squared_of_the_task_takes_the_place_of_the_usual_one(dataset):
    dataset.width = 2
    assert sample_size(task(sample_size="riley", cox_snell_r2=0.3), dataset).required < ROWS
    with pytest.raises(Held):
        sample_size(task(sample_size="riley", cox_snell_r2=0.01), dataset)
