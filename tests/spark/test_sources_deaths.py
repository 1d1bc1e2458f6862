"""Somebody who is said to have died, and not when, is scored until that is known and never again."""

import json
from datetime import datetime, timedelta

import numpy as np
import pytest

from salus.cohorts.eligibility import columns_of, eligibility
from salus.cohorts.task import Eligibility
from salus.privacy.pseudonyms import create_key
from salus.sources.ingest import ingest
from salus.timelines.build import timelines
from salus.timelines.clocks import micros

RULES = Eligibility(enrolled_at_prediction=False)
KNOWN = datetime(2021, 6, 1, 8)
EXPORTED_AGAIN = datetime(2021, 9, 1)


def patient(updated=None, **said):
    meta = {"meta": {"lastUpdated": f"{updated.isoformat()}Z"}} if updated else {}
    return {"resourceType": "Patient", "id": "eve", "gender": "female", "birthDate": "1940-05-06"} | meta | said


@pytest.mark.parametrize("source", ["fhir_r4", pytest.param("fhir_stu3", marks=pytest.mark.slow)])
@pytest.mark.parametrize("is_stated", [True, False], ids=["with lastUpdated", "without"])
def test_who_died_nobody_says_when_is_not_scored_from_when_it_was_known(job_in, tmp_path, source, is_stated):
    """An export that says it again, under a new ``lastUpdated``, does not put the death off."""
    deliveries = [
        (datetime(2021, 1, 1), patient(datetime(2020, 1, 1), deceasedBoolean=False)),
        (KNOWN, patient(KNOWN if is_stated else None, deceasedBoolean=True)),
        (EXPORTED_AGAIN, patient(EXPORTED_AGAIN if is_stated else None, deceasedBoolean=True)),
    ]
    for number, (delivered_at, said) in enumerate(deliveries):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "Patient.ndjson").write_text(json.dumps(said) + "\n")
        with job_in(tmp_path / "warehouse", "ingest") as job:
            ingest(job, source, str(folder), create_key(tmp_path / "key"), delivered_at=delivered_at)
    read = job.tables.read
    built = timelines(*map(read, ("events", "persons", "coverage", "costs", "identity")))
    [row] = built.select("death", "death_available").collect()
    assert row["death"] == row["death_available"] == micros(KNOWN)
    [batch] = built.select(*columns_of(RULES)).toArrow().to_batches()
    nights = [KNOWN - timedelta(hours=1), KNOWN, KNOWN + timedelta(days=1), EXPORTED_AGAIN + timedelta(days=1)]
    times = np.array([micros(night) for night in nights])
    lost_at, _ = eligibility(batch, np.zeros(len(nights), np.int64), times, RULES)
    assert lost_at.tolist() == [0, 3, 3, 3]
