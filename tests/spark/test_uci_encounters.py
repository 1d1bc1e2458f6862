"""Real encounters with diabetes become a cohort: an index and an outcome each, none that ended in death or hospice."""

import zipfile

import pandas as pd
import pytest

from salus.cohorts.cohort import cohort
from salus.cohorts.task import Gates, Task
from salus.datasets.export import labelled
from salus.privacy.pseudonyms import create_key, pseudonym
from salus.sources.ingest import ingest
from salus.timelines.build import build
from salus.timelines.fit import fit_spec

GONE = ["11", "13", "14", "19", "20", "21"]

pytestmark = [pytest.mark.real_data, pytest.mark.slow]


def test_encounters_become_a_cohort(job_in, real_data, tmp_path):
    path = real_data / "tabular" / "uci_diabetes_130_hospitals.zip"
    with zipfile.ZipFile(path) as archive, archive.open("dataset_diabetes/diabetic_data.csv") as lines:
        rows = pd.read_csv(lines, dtype=str, keep_default_na=False, nrows=4000)
    (tmp_path / "landing").mkdir()
    rows.to_csv(tmp_path / "landing" / "diabetic_data.csv", index=False)
    task = Task.load("diabetes_readmission_uci").model_copy(update={"gates": Gates()})
    with job_in(tmp_path / "warehouse", "ingest") as job:
        key = create_key(job.settings.key_path)
        ingest(job, "uci_diabetes", str(tmp_path / "landing"), key)
    with job_in(tmp_path / "warehouse", "timelines") as job:
        build(job)
    with job_in(tmp_path / "warehouse", "cohort") as job:
        cohort(job, task)
        found = (
            job.tables.read(f"cohorts/{task.id}").select("subject_id", "prediction_time", "boolean_value").toPandas()
        )

    order = rows["encounter_id"].astype("int64")
    rows["prediction_time"] = (pd.to_datetime(315_532_800 + 3 * order, unit="s")).dt.ceil("D").astype("datetime64[us]")
    rows["subject_id"] = [pseudonym(key, "main", "uci_diabetes", person) for person in rows["patient_nbr"]]
    rows["boolean_value"] = rows["readmitted"] == "<30"
    expected = rows.loc[~rows["discharge_disposition_id"].isin(GONE), list(found.columns)]
    # Two encounters of a person that the clock puts a day apart or less are one index event.
    gap = rows.loc[order.sort_values().index].groupby("subject_id")["prediction_time"].diff()
    assert (gap > pd.Timedelta(days=1)).sum() + gap.isna().sum() == len(rows)
    both = expected.merge(found, how="outer", indicator=True)
    assert (both["_merge"] == "both").all()
    assert len(found) > 3500
    assert job.figures["labels_brought_in"] == len(rows)

    samples = labelled(job.tables.read(f"cohorts/{task.id}"), "fold").select("subject_id", "prediction_time")
    spec = fit_spec(task.features, job.tables.read("codes"), job.tables.read("timelines"), samples)
    codes = [code for group in spec.groups for code in group.codes]
    assert {"UCI/INPATIENT_VISITS", "UCI/DISCHARGED/3", "ICD9CM/428", "UCI/DRUG/insulin/Up"} <= set(codes)
    assert not any(code.startswith("LABEL/") for code in codes)
