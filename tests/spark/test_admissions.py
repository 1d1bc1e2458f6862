"""What admissions are by their codes: CMS's rule branch by branch, and the tables that `timelines` makes of them."""

import csv
from datetime import date, timedelta
from pathlib import Path

import pytest

from salus.errors import Refused
from salus.schemas import EVENTS
from salus.sources.ingest import ingest
from salus.storage.small import small_frame
from salus.timelines import build as building
from salus.timelines.admissions import ccs_files, ccs_key, told_by_codes

DIAGNOSES = {
    "Z5111": 45,  # chemotherapy
    "Z5189": 254,
    "M1711": 203,  # osteoarthritis of the knee
    "N186": 158,
    "A419": 2,  # sepsis
    "I110": 99,
    "I5022": 108,  # chronic heart failure, which is not acute
    "I5021": 108,  # acute, on the list by itself
    "S72001A": 226,  # a broken hip: being treated, and looked after
    "S72001D": 226,
    "E1110": 50,
    "E1165": 50,
}
PROCEDURES = {
    "0TY00Z0": 105,  # kidney transplant
    "30243G0": 64,
    "0SRC0J9": 152,  # knee replacement
    "GZB0ZZZ": 218,  # electroconvulsive therapy, on the list by itself
    "4A023N7": 47,
    "5A1D70Z": 58,
}
KNEE, DIALYSIS = "ICD10PCS/0SRC0J9", "ICD10PCS/5A1D70Z"

KEY = b"admissions of a test, 32 bytes.."

ADMISSIONS = {
    "PA1: a transplant, whatever it was for": ("1", ("A41.9",), ("ICD10PCS/0TY00Z0",), "PLANNED"),
    "PA1, not the first procedure": ("2", ("N18.6",), (DIALYSIS, "ICD10PCS/30243G0"), "PLANNED"),
    "PA1, of an unknown diagnosis": ("1", ("X99.9",), ("ICD10PCS/0TY00Z0",), "PLANNED"),
    "PA2: chemotherapy": ("2", ("Z51.11",), (), "PLANNED"),
    "PA2: rehabilitation": ("9", ("Z51.89",), (), "PLANNED"),
    "PA2, not the principal diagnosis": ("3", ("N18.6", "Z51.11"), (), "UNPLANNED"),
    "PA3: a knee, for osteoarthritis": ("1", ("M17.11",), (KNEE,), "PLANNED"),
    "PA3, and the type says so too": ("3", ("M17.11",), (KNEE,), "3"),
    "PA3, a single code": ("2", ("M17.11",), ("ICD10PCS/GZB0ZZZ",), "PLANNED"),
    "PA3, and PA4: sepsis": ("3", ("A41.9",), (KNEE,), "UNPLANNED"),
    "PA3, and PA4 by a single code": ("3", ("I50.21",), (KNEE,), "UNPLANNED"),
    "PA3, and the acute code's like is not acute": ("2", ("I50.22",), (KNEE,), "PLANNED"),
    "PA3, and PA4 while first treated": ("3", ("S72.001A",), (KNEE,), "UNPLANNED"),
    "PA3, and an old injury": ("2", ("S72.001D",), (KNEE,), "PLANNED"),
    "PA3, and PA4 second": ("1", ("M17.11", "A41.9"), (KNEE,), "PLANNED"),
    "PA3, and a coma of diabetes": ("3", ("E11.10",), (KNEE,), "UNPLANNED"),
    "PA3, and diabetes": ("3", ("E11.65",), (KNEE,), "3"),
    "none, elective": ("3", ("N18.6",), (DIALYSIS,), "UNPLANNED"),
    "none, emergency": ("1", ("A41.9",), (), "1"),
    "none, urgent": ("2", ("M17.11",), (), "2"),
    "none, of no type": (None, ("A41.9",), (), "UNPLANNED"),
    "no category is known": ("3", ("X99.9",), (KNEE,), "3"),
    "the first one's category is not known": ("1", ("X99.9", "Z51.11"), (KNEE,), "1"),
    "no diagnosis": ("3", (), (KNEE,), "3"),
    "ICD-9": ("3", ("ICD9CM/V58.11",), ("ICD9Proc/81.54",), "3"),
    "SNOMED": ("1", ("SNOMED/59621000",), ("SNOMED/609588000",), "1"),
}
"""Admission type, diagnoses, procedures; what its code ends with."""


def ahrq(folder, diagnoses=DIAGNOSES, procedures=PROCEDURES):
    """AHRQ's two files of these codes, in AHRQ's layout."""
    folder.mkdir(exist_ok=True)
    for name, kind, categories in (
        ("ccs_dx_icd10cm_2019_1-BETA.csv", "ICD-10-CM", diagnoses),
        ("ccs_pr_icd10pcs_2020_1.csv", "ICD-10-PCS", procedures),
    ):
        with (folder / name).open("w", encoding="utf-8") as file:
            file.write(f"'{kind} CODE','CCS CATEGORY','{kind} CODE DESCRIPTION','CCS CATEGORY DESCRIPTION'\n")
            file.writelines(
                f"'{code:7}','{category}',\"Something, and more\",\"Else\"\n" for code, category in categories.items()
            )
    return str(folder)


def coded(code):
    return code if "/" in code else f"ICD10CM/{code}"


def rows(record, admission_type, diagnoses, procedures, stay="CLAIM/INPATIENT", version=1):
    """A claim's events as they land: the claim, its discharge, a service, then its codes in their order."""
    first = stay if admission_type is None else f"{stay}/{admission_type}"
    codes = [first, "CLAIM_END/INPATIENT", "HCPCS/99223", *map(coded, diagnoses), *procedures]
    landed = dict.fromkeys(EVENTS.names) | {"source_subject_id": record, "record_id": record, "version": version}
    landed |= {"file_id": 1, "record": record}
    return [tuple((landed | {"code": code, "ordinal": place}).values()) for place, code in enumerate(codes)]


def told(spark, folder, landed):
    """The codes of each record's version in order, after ``told_by_codes``."""
    found = told_by_codes(small_frame(spark, landed, EVENTS), folder)
    assert found.schema.simpleString() == EVENTS.simpleString()
    records = {}
    for row in sorted(found.collect(), key=lambda row: (row["record_id"], row["version"], row["ordinal"])):
        records.setdefault((row["record_id"], row["version"]), []).append(row["code"])
    return records


def test_each_branch_of_the_rule(spark, tmp_path):
    landed = [row for record, (*claim, _) in enumerate(ADMISSIONS.values()) for row in rows(record, *claim)]
    found = told(spark, ahrq(tmp_path / "ccs"), landed)
    for record, (name, (*claim, ends)) in enumerate(ADMISSIONS.items()):
        expected = [row[EVENTS.names.index("code")] for row in rows(record, *claim)]
        assert found[record, 1] == [f"CLAIM/INPATIENT/{ends}", *expected[1:]], name


def test_a_version_is_told_by_its_own_codes_and_only_inpatient_claims_are(spark, tmp_path):
    landed = [
        *rows(1, "1", ["A41.9"], []),
        *rows(1, "1", ["Z51.11"], [], version=2),
        *rows(2, "EM", ["Z51.11"], [], stay="ENCOUNTER/IMP"),
        *rows(3, None, ["Z51.11"], [], stay="CLAIM/OUTPATIENT"),
    ]
    found = told(spark, ahrq(tmp_path / "ccs"), landed)
    assert {record: codes[0] for record, codes in found.items()} == {
        (1, 1): "CLAIM/INPATIENT/1",
        (1, 2): "CLAIM/INPATIENT/PLANNED",
        (2, 1): "ENCOUNTER/IMP/EM",
        (3, 1): "CLAIM/OUTPATIENT",
    }


def test_without_categories_the_type_decides(spark, tmp_path):
    landed = [row for record, (*claim, _) in enumerate(ADMISSIONS.values()) for row in rows(record, *claim)]
    events = small_frame(spark, landed, EVENTS)
    assert told_by_codes(events, None) is events


def test_files_that_are_not_ahrqs_are_refused(tmp_path):
    with pytest.raises(Refused, match="has 0 files ccs_dx_icd10cm_"):
        ccs_files(str(tmp_path))
    folder = Path(ahrq(tmp_path))
    assert set(ccs_files(str(folder))) == {"ccs_dx_icd10cm", "ccs_pr_icd10pcs"}
    before = ccs_key(str(folder))
    (folder / "ccs_dx_icd10cm_2019_1-BETA.csv").write_text("code,category\nA419,2\n", encoding="utf-8")
    with pytest.raises(Refused, match="second column is not 'CCS CATEGORY'"):
        ccs_files(str(folder))
    ahrq(folder, DIAGNOSES | {"A409": 2})
    assert ccs_key(str(folder)) != before
    (folder / "ccs_dx_icd10cm_2018_1.csv").write_bytes((folder / "ccs_dx_icd10cm_2019_1-BETA.csv").read_bytes())
    with pytest.raises(Refused, match="has 2 files ccs_dx_icd10cm_"):
        ccs_files(str(folder))


LAYOUT = Path(__file__).parents[1] / "data" / "payer_extract" / "input"


def delivered(folder, claims):
    """An insurer's files of members and inpatient claims: number to admission type, principal diagnosis, procedure."""
    folder.mkdir()
    of_members, of_claims = [], []
    for number, (kind, diagnosis, procedure) in claims.items():
        day = date(2021, 3, 4) + timedelta(number)
        common = {"member_id": f"M{number}", "file_date": day}
        of_members.append(common | {"enrollment_start_date": "2021-01-01", "enrollment_end_date": "2021-12-31"})
        of_claims.append(
            common
            | {
                "claim_id": number,
                "claim_line_number": 1,
                "claim_type": "institutional",
                "claim_start_date": day,
                "claim_end_date": day,
                "bill_type_code": "111",
                "admit_type_code": kind,
                "diagnosis_code_type": "icd-10-cm",
                "diagnosis_code_1": diagnosis,
                "procedure_code_type": "icd-10-pcs",
                "procedure_code_1": procedure,
                "paid_date": day,
            }
        )
    for name, lines in (("eligibility.000.csv", of_members), ("medical_claim.000.csv", of_claims)):
        with (LAYOUT / name).open(encoding="utf-8", newline="") as file:
            columns = next(csv.reader(file))
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            written = csv.DictWriter(file, columns)
            written.writeheader()
            written.writerows(lines)
    return str(folder)


@pytest.mark.slow  # ingest and timelines several times
def test_timelines_and_codes_carry_it_and_a_night_makes_only_the_changed_anew(job_in, tmp_path, monkeypatch):
    warehouse, ccs = tmp_path / "warehouse", ahrq(tmp_path / "ccs")

    def taken_in(number, claims):
        folder = delivered(tmp_path / str(number), claims)
        with job_in(warehouse, "ingest") as job:
            ingest(job, "payer_extract", folder, KEY)

    def built(folder):
        with job_in(warehouse, "timelines", ccs=folder) as job:
            building.build(job)
        codes = {row["code_hash"]: row["code"] for row in job.tables.read("codes").collect()}
        events = [codes[code] for row in job.tables.read("timelines").collect() for code in row["code"]]
        stays = sorted(code.removeprefix("CLAIM/INPATIENT/") for code in events if code.startswith("CLAIM/INPATIENT"))
        assert {"CLAIM/INPATIENT/" + stay for stay in stays} == {c for c in codes.values() if "/INPATIENT/" in c}
        return stays, job.figures["people_rebuilt"]

    taken_in(1, {1: ("1", "M1711", "0SRC0J9"), 2: ("3", "A419", ""), 3: ("3", "M1711", "0SRC0J9")})
    assert built(None) == (["1", "3", "3"], 3)
    assert built(ccs) == (["3", "PLANNED", "UNPLANNED"], 3)
    monkeypatch.setattr(building, "EVENTS_AT_LEAST", 0)
    monkeypatch.setattr(building, "CHANGED_AT_MOST", 0.5)
    taken_in(2, {4: ("2", "Z5111", "")})
    assert built(ccs) == (["3", "PLANNED", "PLANNED", "UNPLANNED"], 1)
