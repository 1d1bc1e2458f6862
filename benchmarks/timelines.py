"""How long does a night's update of the timelines take, where few people changed, against making everybody's anew?

Simulated people go through simulate, ingest and timelines. Then deliveries come, each of which corrects a tenth of the
records of a share of the source subjects, others each time. Every delivery reaches two copies of the warehouse: one
updates its timelines, the other makes all of them. Interleaved, with every row, code and figure compared. Both ways are
whole jobs of one session, from looking what is to be done to the figures of the ledger; lock and publication are in.

    python benchmarks/timelines.py --people 20000 --shares 0.02 0.2
"""

import argparse
import shutil
import sys
import tempfile
from datetime import date
from itertools import count
from pathlib import Path

from pyspark.sql import functions as F

from salus.job import Job, spark_job
from salus.privacy.pseudonyms import create_key
from salus.session import spark_session
from salus.settings import load_settings
from salus.simulate.writer import simulate
from salus.sources.ingest import ingest
from salus.timelines.build import build
from timing import compare, save, show

AS_OF = date(2026, 6, 30)
SOURCES = {"fhir_r4": "ehr", "payer_extract": "payer"}
UPDATE, EVERYBODY = "changed people only", "everybody anew"
FASTER = 1.5
"""At the least share asked about."""

PARTS, CORRECTED = 1_000, 10
"""Subjects are drawn by thousandths, and every tenth record of theirs is corrected."""

DRAWS = count(1)
"""Each delivery's own."""


def main(argv=None) -> int:
    """Make the world, measure each share and save."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--people", type=int, default=20_000, help="simulated people (default: %(default)s)")
    made.add_argument("--seed", type=int, default=7, help="of the simulation (default: %(default)s)")
    made.add_argument(
        "--shares", type=float, nargs="+", default=[0.02, 0.2], help="of subjects that a delivery touches"
    )
    made.add_argument(
        "--runs", type=int, default=3, help="deliveries of each share that are timed (default: %(default)s)"
    )
    args = made.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="salus-timelines-") as folder:
        spark = spark_session(load_settings(master="local[2]", driver_memory="3g"), name="benchmark")
        prepare(folder, args.people, args.seed)
        found = [measured(folder, share, args.runs) for share in sorted(args.shares)]
        spark.stop()
    for result in found:
        show(result)
    verdict = {f"at least {FASTER:g} times as fast": found[0]["times_faster"][EVERYBODY] >= FASTER}
    print(verdict)
    save("timelines", {"people": args.people, "seed": args.seed, "shares": found, "verdict": verdict})
    return 0 if all(verdict.values()) else 1


def here(warehouse: str) -> argparse.Namespace:
    """The command line of a job of ``warehouse``."""
    return argparse.Namespace(warehouse=warehouse, master="local[2]")


def prepare(folder: str, people: int, seed: int) -> None:
    """Two warehouses of the same people, with their timelines."""
    simulate(people, seed, AS_OF, Path(folder, "landing"))
    key = create_key(Path(folder, "key"))
    warehouses = [f"{folder}/{name}" for name in (UPDATE, EVERYBODY)]
    for source, name in SOURCES.items():
        with spark_job("ingest", here(warehouses[0])) as job:
            ingest(job, source, f"{folder}/landing/{name}", key)
    with spark_job("timelines", here(warehouses[0])) as job:
        build(job)
    shutil.copytree(*warehouses)


def measured(folder: str, share: float, runs: int) -> dict:
    """Seconds of either way over deliveries that touch ``share`` of the subjects."""
    told: dict[str, int] = {}

    def deliver() -> None:
        drawn = next(DRAWS)
        for name in (UPDATE, EVERYBODY):
            with spark_job("delivery", here(f"{folder}/{name}"), quiet=True) as job:
                correct(job, share, drawn)

    def same(jobs: dict[str, Job]) -> None:
        one, other = jobs.values()
        figures = [job.figures | {"people_rebuilt": 0} for job in jobs.values()]
        assert figures[0] == figures[1], "the figures differ"
        for name in ("timelines", "codes"):
            rows, others = one.tables.read(name), other.tables.read(name)
            assert rows.exceptAll(others).isEmpty(), f"{name}: a row is made that is not there"
            assert others.exceptAll(rows).isEmpty(), f"{name}: a row is missing"
        told.update({name: one.figures[name] for name in ("people", "people_rebuilt", "events")})
        told["files"] = len(one.tables.read("timelines").inputFiles())
        told["files_of_everybody"] = len(other.tables.read("timelines").inputFiles())
        deliver()

    deliver()
    ways = {UPDATE: lambda: update(folder), EVERYBODY: lambda: everybody(folder)}
    return compare(f"a delivery that touches {share:.1%} of the subjects", ways, runs, same) | told | {"share": share}


def correct(job: Job, share: float, drawn: int) -> None:
    """A newer version of every tenth record of some subjects, whose numbers are half a unit higher."""
    lot = F.pmod(F.xxhash64("source_subject_id", F.lit(drawn)), F.lit(PARTS))
    events = job.tables.read("events").where(lot < share * PARTS)
    events = events.where(F.pmod(F.xxhash64("record_id"), F.lit(CORRECTED)) == 0)
    newest = events.groupBy("record_id").agg(F.max("version").alias("version"))
    changed = events.join(newest, ["record_id", "version"]).withColumns(
        {
            "version": F.col("version") + 1,
            "available_time": F.expr("available_time + INTERVAL 1 DAY"),
            "numeric_value": (F.col("numeric_value") + 0.5).cast("float"),
        }
    )
    job.tables.append("events", changed)


def update(folder: str) -> Job:
    """The job as it is."""
    with spark_job("timelines", here(f"{folder}/{UPDATE}"), quiet=True) as job:
        build(job)
    return job


def everybody(folder: str) -> Job:
    """The job where there is no build to build upon."""
    with spark_job("timelines", here(f"{folder}/{EVERYBODY}"), quiet=True) as job:
        job.last_alike = lambda: None
        build(job)
    return job


if __name__ == "__main__":
    sys.exit(main())
