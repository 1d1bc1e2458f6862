"""Write a population down: the files of three systems, the truth, and a manifest of what was planted."""

import json
import shutil
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from salus.errors import Refused
from salus.simulate import bookings, claims, ehr, layouts, notes, planted, programme, wearables
from salus.simulate.appointments import AHEAD, CALLED_OFF, MISSED
from salus.simulate.attainable import attainable_probability
from salus.simulate.clock import DAYS, HORIZON_DAYS, MINUTES, NO_DAY, Clock
from salus.simulate.course import ALIVE
from salus.simulate.files import Extract
from salus.simulate.names import ehr_id, member_id, wearable_id
from salus.simulate.observations import observations
from salus.simulate.people import MOLAR_SITE, UNDER_RECORDED_RACE
from salus.simulate.population import CHUNK, Chunk, chunks
from salus.simulate.text import given
from salus.simulate.truth import outcome, true_probability
from salus.simulate.visits import AMBULATORY

MANIFEST, UNFINISHED = "manifest.json", ".unfinished"
FOLDERS = ("ehr", "payer", "wearable", "truth")
TRUTH_CHUNKS = 30  # chunks in a file of the truth, about 90 MB
STRIDE = 10_000_000  # ids of a chunk's records begin at its multiple
TRUTH = pa.schema(
    [
        ("person", pa.int64()),
        ("ehr_patient_id", pa.string()),
        ("member_id", pa.string()),
        ("wearable_id", pa.string()),
        ("as_of", pa.date32()),
        ("true_probability", pa.float64()),
        ("attainable_probability", pa.float64()),
        ("outcome", pa.bool_()),
    ]
)
OF_TREATMENT = [("untreated_probability", pa.float64()), ("programme", pa.string())]
"""What the truth adds where treatment is planted; ``programme`` is given, withheld or null, by the list of the day."""

EHR = (
    "Patient",
    "Encounter",
    "Condition",
    "Observation",
    "MedicationRequest",
    "Procedure",
    "DocumentReference",
    "Appointment",
)
TABLES = {
    ("payer", "eligibility"): layouts.ELIGIBILITY,
    ("payer", "medical_claim"): layouts.MEDICAL,
    ("payer", "pharmacy_claim"): layouts.PHARMACY,
    ("wearable", "dailyActivity_merged"): layouts.ACTIVITY,
    ("wearable", "sleepDay_merged"): layouts.SLEEP,
    ("wearable", "weightLogInfo_merged"): layouts.WEIGHT,
}


def simulate(people: int, seed: int, as_of: date, out: Path, plant: str | None = None) -> dict | None:
    """Write ``people`` people's files, truth and manifest under ``out``; ``plant`` is one of ``PLANTS``, or None.

    Returns:
        The manifest; None where ``out`` holds exactly this population already.

    Raises:
        Refused: ``people`` is not positive, or ``out`` holds something else.
    """
    if people < 1:
        raise Refused(f"Received --people {people}; expected at least 1. Name how many people to simulate.")
    asked = {"people": people, "seed": seed, "as_of": as_of.isoformat()} | ({"plant": plant} if plant else {})
    if _there_already(out, asked):
        return None
    out.mkdir(parents=True, exist_ok=True)
    (out / UNFINISHED).touch()
    manifest = _Writer(Clock(as_of), out, people, seed, plant).write() | asked
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    (out / UNFINISHED).write_text(text, encoding="utf-8")
    (out / UNFINISHED).rename(out / MANIFEST)
    return manifest


def _there_already(out, asked):
    """Whether ``out`` holds the population; what a run that died had begun there is cleared away."""
    if not out.exists() or not any(out.iterdir()):
        return False
    if (out / UNFINISHED).is_file():
        for folder in FOLDERS:
            shutil.rmtree(out / folder, ignore_errors=True)
        (out / UNFINISHED).unlink()
        return _there_already(out, asked)
    if (out / MANIFEST).is_file():
        found = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
        if {key: found.get(key) for key in (*asked, "plant")} == {"plant": None} | asked:
            return True
    raise Refused(
        f"Received --out {out}, which holds something else than this population; expected an empty folder. "
        "Name another folder, or remove what is there."
    )


class _Writer:
    """The open files of one population and what was counted while they were written."""

    def __init__(self, clock: Clock, out: Path, people: int, seed: int, plant: str | None):
        self.clock, self.out, self.people, self.seed, self.plant = clock, out, people, seed, plant
        self.chunks = -(-people // CHUNK)
        self.truth: Any = None  # the open file of the truth
        self.truth_schema = TRUTH
        if plant == "treatment":
            self.truth_schema = pa.schema([*TRUTH, *(pa.field(*each) for each in OF_TREATMENT)])
        self.malformed = max(2, people // 1000)
        self.planted: Counter[str] = Counter()
        self.quarantine: dict[str, Counter[str]] = {"ehr": Counter(), "payer": Counter(), "wearable": Counter()}
        for folder in FOLDERS:
            (out / folder).mkdir(parents=True, exist_ok=True)
        self.extracts = {("ehr", name): Extract(out / "ehr", name, "ndjson") for name in EHR}
        self.extracts |= {key: Extract(out / key[0], key[1], "csv", header) for key, header in TABLES.items()}

    def write(self) -> dict:
        """Write everything; the manifest without what was asked for."""
        for chunk in chunks(self.people, self.seed, self.plant, programme.list_days(self.clock)):
            self._ehr(chunk)
            self._payer(chunk)
            self._wearable(chunk)
            self._count_people(chunk)
            self._truth(chunk)
        if self.truth is not None:
            self.truth.close()
        files: list[dict] = []
        records: Counter[str] = Counter()
        for (folder, _), extract in self.extracts.items():
            for name, lines in extract.close().items():
                files.append(
                    {"path": f"{folder}/{name}", "bytes": (self.out / folder / name).stat().st_size, "records": lines}
                )
                records[folder] += lines
        return {
            "files": files,
            "records": dict(records),
            "planted": dict(self.planted),
            "quarantine": {source: dict(rules) for source, rules in self.quarantine.items()},
        }

    def _put(self, folder, name, lines, rng=None):
        """Write lines; with ``rng``, a few of them once more in another file."""
        self.extracts[folder, name].write(lines)
        if rng is not None:
            again = planted.copies(rng, lines)
            self.extracts[folder, name].write(again, copy=True)
            self.planted[f"{name} delivered in two files"] += len(again)

    def _put_malformed(self, folder, name, kinds):
        for kind, lines in kinds.items():
            self.extracts[folder, name].write(pa.array([line for _, line in lines], pa.string()))
            self.planted[f"{folder}: {kind}"] += len(lines)
            self.quarantine[folder].update(rule for rule, _ in lines)

    def _ehr(self, chunk: Chunk):
        clock, course, rng, base = self.clock, chunk.course, chunk.rng, chunk.number * STRIDE
        known = course.people.in_ehr
        self._put("ehr", "Patient", ehr.patients(clock, course))
        index = np.flatnonzero(known[chunk.visits.row])
        visits, ids = chunk.visits.take(index), base + index
        self._put("ehr", "Encounter", ehr.encounters(clock, course, visits, ids))
        entries = chunk.diagnoses.take(np.flatnonzero(known[chunk.diagnoses.row]))
        self._put("ehr", "Condition", ehr.conditions(clock, course, entries, base, base))
        self._put("ehr", "Condition", ehr.passing_conditions(clock, course, visits, ids))
        orders = chunk.prescriptions.take(np.flatnonzero(known[chunk.prescriptions.row]))
        self._put("ehr", "MedicationRequest", ehr.prescriptions(clock, course, orders, base))
        self._put("ehr", "Procedure", notes.procedures(rng, clock, course, visits, ids))
        if chunk.offers is not None:
            self._put("ehr", "Procedure", programme.enrolment_lines(clock, course, chunk.offers, base))
        self._put("ehr", "DocumentReference", notes.documents(rng, clock, course, visits, ids))
        versions = planted.result_versions(rng, chunk.results, known[chunk.results.row])
        lines, molar = observations(clock, course, chunk.results, versions, base, base)
        self._put("ehr", "Observation", lines, rng)
        self._appointments(chunk)
        someone = ehr_id(course.people.number[known])[:1].to_pylist()
        if someone:
            mine = planted.share_of(chunk.number, self.chunks, self.malformed)
            self._put_malformed("ehr", "Observation", planted.malformed_observations(mine, someone[0]))
        self.planted["Observation corrected"] += int((versions.status == 1).sum())
        self.planted["Observation entered in error"] += int((versions.status == 2).sum())
        self.planted["results issued after the day of the specimen"] += int(
            (versions.known // MINUTES > chunk.results.time[versions.result] // MINUTES)[versions.status == 0].sum()
        )
        for lab, count in molar.items():
            self.planted[f"{lab} in other units at one site"] += count

    def _appointments(self, chunk: Chunk):
        known = np.flatnonzero(chunk.course.people.in_ehr[chunk.appointments.row])
        made, base = chunk.appointments.take(known), chunk.number * STRIDE
        for lines in (bookings.booked_lines, bookings.outcome_lines):
            self._put("ehr", "Appointment", lines(self.clock, chunk.course, made, base))
        self.planted["appointments booked"] += len(made)
        for name, kind in (("missed", MISSED), ("called off", CALLED_OFF), ("not over yet", AHEAD)):
            self.planted[f"appointments {name}"] += int((made.outcome == kind).sum())

    def _payer(self, chunk: Chunk):
        clock, course, rng, base = self.clock, chunk.course, chunk.rng, chunk.number * STRIDE
        lines, ended = claims.eligibility_lines(clock, course)
        self._put("payer", "eligibility", lines)
        self.planted["eligibility with an earlier end than planned"] += ended
        kind = chunk.visits.kind[chunk.claims.visit]
        covered = np.ones(len(chunk.claims), dtype=bool)
        versions = planted.claim_versions(rng, chunk.claims.paid_day, kind == AMBULATORY, covered)
        lines = claims.medical_lines(clock, course, chunk.visits, chunk.results, chunk.claims, versions, base)
        self._put("payer", "medical_claim", lines, rng)
        if len(lines):
            mine = planted.share_of(chunk.number, self.chunks, self.malformed)
            self._put_malformed(
                "payer", "medical_claim", planted.malformed_claims(mine, lines[0].as_py(), layouts.MEDICAL)
            )
        self._count_claims("medical claim", versions)
        covered = claims.enrolled(course.people, chunk.fills.row, chunk.fills.day)
        versions = planted.claim_versions(rng, chunk.fill_paid_day, np.ones(covered.size, dtype=bool), covered)
        self._put("payer", "pharmacy_claim", claims.pharmacy_lines(clock, course, chunk.fills, versions, base), rng)
        self._count_claims("pharmacy claim", versions)

    def _count_claims(self, name, versions):
        self.planted[f"{name} originals, paid after the service"] += int((versions.version == claims.ORIGINAL).sum())
        self.planted[f"{name} corrected"] += int((versions.version == claims.CORRECTION).sum())
        self.planted[f"{name} voided"] += int((versions.version == claims.VOID).sum())

    def _wearable(self, chunk: Chunk):
        clock, course, worn = self.clock, chunk.course, chunk.wearing
        lines = wearables.activity_lines(clock, course, worn)
        self._put("wearable", "dailyActivity_merged", lines, chunk.rng)
        self._put("wearable", "sleepDay_merged", wearables.sleep_lines(clock, course, worn))
        self._put("wearable", "weightLogInfo_merged", wearables.weight_lines(clock, course, worn))
        if len(lines):
            mine = planted.share_of(chunk.number, self.chunks, self.malformed)
            self._put_malformed(
                "wearable",
                "dailyActivity_merged",
                planted.malformed_activity(mine, lines[0].as_py(), layouts.ACTIVITY),
            )

    def _count_people(self, chunk: Chunk):
        p = chunk.course.people
        known = p.in_ehr.astype(int) + p.in_payer + p.in_wearable
        self.planted.update(
            {
                "people known to one source only": int((known == 1).sum()),
                "people known to EHR and insurance": int((p.in_ehr & p.in_payer).sum()),
                "people with a gap in enrolment": int((p.in_payer & (p.gap_day > NO_DAY)).sum()),
                "deaths": int((chunk.course.death_day < ALIVE).sum()),
                "people of the site with other units": int((p.in_ehr & (p.site == MOLAR_SITE)).sum()),
                "people whose HbA1c is under-recorded": int((p.race == UNDER_RECORDED_RACE).sum()),
                "unplanned admissions": int(chunk.course.admission_row.size),
            }
        )

        if chunk.courses is not None:
            cascades = int(chunk.courses.is_cascade.sum())
            self.planted["diuretics added to a blocker"] += cascades
            self.planted["blockers added to a diuretic"] += len(chunk.courses) - cascades
        if chunk.offers is not None:
            given = int(chunk.offers.is_given.sum())
            self.planted["people enrolled in care management"] += given
            self.planted["people left to usual care by chance"] += len(chunk.offers) - given

    def _truth(self, chunk: Chunk):
        course, people, parts = chunk.course, chunk.course.people, []
        attainable = attainable_probability(self.clock, chunk)
        ids = [
            given(known, made(people.number), None)
            for known, made in (
                (people.in_ehr, ehr_id),
                (people.in_payer, member_id),
                (people.in_wearable, wearable_id),
            )
        ]
        for n, (when, day) in enumerate(zip(self.clock.index_dates, self.clock.index_days, strict=True)):
            probability = true_probability(course, int(day))
            there = np.flatnonzero(~np.isnan(probability))
            rows = pa.array(there)
            known = day + HORIZON_DAYS <= DAYS
            happened = pa.array(outcome(course, int(day))[there]) if known else pa.nulls(there.size, pa.bool_())
            parts.append(
                pa.table(
                    [
                        pa.array(people.number[there]),
                        *(i.take(rows) for i in ids),
                        pa.array([when] * there.size, pa.date32()),
                        pa.array(probability[there]),
                        pa.array(attainable[there, n]),
                        happened,
                        *(each.take(rows) for each in _of_treatment(chunk, int(day))),
                    ],
                    schema=self.truth_schema,
                )
            )
        if self.truth is None or chunk.number % TRUTH_CHUNKS == 0:
            self._open_truth(chunk.number // TRUTH_CHUNKS)
        self.truth.write_table(pa.concat_tables(parts))

    def _open_truth(self, number):
        if self.truth is not None:
            self.truth.close()
        path = self.out / "truth" / f"truth.{number:03d}.parquet"
        self.truth = pq.ParquetWriter(path, self.truth_schema, compression="zstd")


def _of_treatment(chunk, day):
    """The columns ``OF_TREATMENT`` of everybody, where treatment is planted; else none."""
    if chunk.offers is None:
        return []
    today = chunk.offers.take(np.flatnonzero(chunk.offers.day == day))
    decided = np.full(len(chunk.course.people), None, dtype=object)
    decided[today.row] = np.where(today.is_given, "given", "withheld")
    untreated = true_probability(programme.untreated_from(chunk.course, chunk.offers, day), day)
    return [pa.array(untreated), pa.array(decided, pa.string())]
