"""A worklist under the site's own identifiers; dates shifted by person."""

import csv
import json
from datetime import date, datetime

import pytest
from pyspark.sql import functions as F

from decoded import holders
from salus.errors import Refused
from salus.privacy.people import candidates
from salus.privacy.pseudonyms import pads
from salus.privacy.shift import shift_days, shift_days_of, shifted, shifted_date
from salus.privacy.worklist import deliver, user_name

KEY = bytes(range(40))
NIGHT = date(2026, 6, 30)
ZOE, BOB, CY, DEE = (candidates(KEY, "main", "fhir", name).own for name in ("zoe-4711", "bob", "cy", "dee"))
CARD, CLINIC = (candidates(KEY, "main", "urn:card", value).shared for value in ("c-1", "front desk"))
PATIENTS = """\
ward,system,identifier
3,fhir,zoe-4711
3,urn:card,c-1
4,fhir,bob
4,fhir,cy
5,fhir,dee
5,fhir,nobody
5,urn:card,front desk
"""


@pytest.fixture
def warehouse(job_in, tmp_path):
    """Zoe scored, Bob without a score, Cy not eligible, Dee who is Zoe in another system; a telephone of two people."""
    with job_in(tmp_path / "warehouse") as job:
        tables = job.tables
        people = {ZOE: ZOE, BOB: BOB, CY: CY, DEE: ZOE}
        carried = [(one, one) for one in people] + [(ZOE, CARD), (BOB, CLINIC), (CY, CLINIC)]
        link = {"system_priority": 1, "file_id": 1, "record": 0, "record_id": 1, "version": 1}
        links = [link | {"source_subject_id": subject, "identifier_id": one} for subject, one in carried]
        tables.append("links", tables.frame("links", links))
        who = [{"source_subject_id": source, "subject_id": subject} for source, subject in people.items()]
        tables.append("identity", tables.frame("identity", who))
        moment = dict.fromkeys(("data_available_through", "prediction_start", "prediction_end"), datetime(2026, 6, 30))
        made = {"model_name": "tiny", "model_version": "1", "feature_spec_hash": "f", "code_version": "0"}
        score = made | moment | {"task_id": "tiny", "as_of": NIGHT, "run_id": "r"}
        reason = {"feature": "HbA1c", "value": 9.1, "unit": "%", "direction": "raises", "rank": 1}
        names = tables.read("scores").schema["reasons"].dataType.elementType.names
        row = score | {"subject_id": ZOE, "probability": 0.25, "percentile": 90.0, "tier": "high"}
        row["reasons"] = [tuple(reason.get(name) for name in names)]
        scores = [row, score | {"subject_id": BOB, "not_scored_reason": "no_data_in_look_back"}]
        tables.append("scores", tables.frame("scores", scores))
    (tmp_path / "patients.csv").write_text(PATIENTS)
    return tmp_path


def asked(job_in, folder, as_of=NIGHT, out="out"):
    with job_in(folder / "warehouse", "deliver") as job:
        return job, deliver(job, folder / "patients.csv", folder / out, "tiny", as_of, KEY, "main")


def test_everybody_on_the_list_has_a_score_or_a_reason_for_none(job_in, warehouse):
    job, path = asked(job_in, warehouse)
    with open(path, newline="") as file:
        rows = {row["identifier"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["zoe-4711", "c-1", "dee", "bob", "cy", "nobody", "front desk"]
    for name in ("zoe-4711", "c-1", "dee"):
        assert (rows[name]["probability"], rows[name]["tier"]) == ("0.25", "high")
        assert rows[name]["reasons"] == "HbA1c 9.1 % (raises)"
    assert {name: rows[name]["not_scored_reason"] for name in ("bob", "cy", "nobody", "front desk")} == {
        "bob": "no_data_in_look_back",
        "cy": "not eligible",
        "nobody": "not in the warehouse",
        "front desk": "several people carry it",
    }
    assert rows["dee"]["ward"] == "5"

    # Who asked is written down, whom they asked for is not.
    (log,) = job.tables.read("disclosures").collect()
    assert (log["user_name"], log["task_id"], log["as_of"]) == (user_name(), "tiny", NIGHT)
    assert (log["rows_asked"], log["rows_scored"]) == (7, 3)
    assert holders(path.parent, ["zoe-4711"]) == {"zoe-4711": [path.name]}
    assert holders(warehouse / "warehouse", ["zoe-4711", "front desk"]) == {}


def test_a_night_without_scores_is_refused_and_no_disclosure_is_logged(job_in, warehouse):
    with pytest.raises(Refused, match="has no scores"):
        asked(job_in, warehouse, date(2026, 1, 1))
    with job_in(warehouse / "warehouse", "look") as job:
        assert job.tables.version("disclosures") is None
        (failed,) = job.tables.read("runs").where("job = 'deliver' AND status = 'refused'").collect()
        assert json.loads(failed["figures"]) == {}


def test_dates_move_with_their_person_and_keep_their_intervals(spark):
    people = [0, 7, 2**63 - 1]
    moments = [datetime(2020, 2, 28, 23, 59, 59, 999999), datetime(2021, 1, 1), None]
    rows = spark.createDataFrame(
        [(person, time) for person in people for time in moments], "subject_id long, time timestamp_ntz"
    ).crossJoin(pads(spark, KEY))
    day = F.col("time").cast("date")
    found = rows.select(
        "subject_id",
        "time",
        shift_days_of("subject_id").alias("days"),
        shifted(F.col("time"), "subject_id").alias("moved"),
        shifted_date(day, "subject_id").alias("moved_day"),
    )
    assert dict(found.dtypes)["moved"] == "timestamp_ntz"
    for row in found.collect():
        assert row["days"] == shift_days(KEY, row["subject_id"])
        if row["time"] is None:
            assert row["moved"] is row["moved_day"] is None
        else:
            assert (row["moved"] - row["time"]).total_seconds() == row["days"] * 86_400
            assert (row["moved_day"] - row["time"].date()).days == row["days"]
