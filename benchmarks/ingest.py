"""How fast does a first load of FHIR NDJSON land, against bare readers, and what does it cost to keep and to repeat?

Each way reads the same files, interleaved, medians of five, and what it wrote is compared: records of each type, and
number and sum of every code's values. The bare readers only parse, and write Parquet: Spark with the schema that it
infers, DuckDB with the schema that conf/sources/fhir_r4.yml declares. Salus accounts for each record, maps it, gives
it both clocks, pseudonyms, versions and identities, and writes Delta tables. Its bars:

- at least as fast as Spark with an inferred schema, and at least 0.08 of DuckDB's speed;
- at most 16 bytes an event in the table, where the files hold Observations (and their patients);
- ten times the bytes, which more people bring, take at most ten times as long;
- the same files again take at most a tenth of the first load.

    python benchmarks/ingest.py [FOLDER]

FOLDER holds FHIR R4 NDJSON, a file or several of each resource type, named after it (Observation.ndjson).
results/ingest.json is of 1,000 people of Synthea (2.4 GB), ingest_simulated.json of Salus's own (0.2 GB). Of resource
types that the source does not map, and of records without a patient, nothing is read in any way.
"""

import argparse
import re
import shutil
import sys
import tempfile
from collections import Counter
from datetime import date, datetime
from pathlib import Path

import duckdb
import pandas as pd
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, StructType

from salus.job import spark_job
from salus.privacy.pseudonyms import create_key
from salus.session import spark_session
from salus.settings import load_settings
from salus.simulate.writer import simulate
from salus.sources.ingest import ingest
from salus.sources.loading import load_source
from salus.sources.units import read_spellings, read_units, spellings_path, units_path, written
from salus.storage.tables import Tables
from timing import compare, save, show

SALUS, SPARK, DUCKDB = "salus, first load", "spark, inferred schema", "duckdb, declared schema"
TENTH, AGAIN = "salus, a tenth of the people", "salus, the same files again"
OF_SPARK, OF_DUCKDB, BYTES_AN_EVENT, GROWTH, OF_FIRST = 1.0, 0.08, 16.0, 10.0, 0.1
BARS = {
    "times Spark's speed": ("at least", OF_SPARK),
    "of DuckDB's speed": ("at least", OF_DUCKDB),
    "bytes an Observation event": ("at most", BYTES_AN_EVENT),
    "times as long for ten times the bytes": ("at most", GROWTH),
    "of the first load for the same files again": ("at most", OF_FIRST),
}
PATIENT = re.compile(rb"\bPatient/([A-Za-z0-9.-]+)")
ID = re.compile(rb'"id"\s*:\s*"([^"]+)"')
DELIVERED = datetime(2030, 1, 1)
VALUES = """
    WITH told AS (
        SELECT code.coding[1].code AS code, CAST(valueQuantity.value AS DOUBLE) AS value, valueQuantity.code AS unit
        FROM {observations}
        UNION ALL
        SELECT item.code.coding[1].code, CAST(item.valueQuantity.value AS DOUBLE), item.valueQuantity.code
        FROM (SELECT unnest(component) AS item FROM {observations})
    )
    SELECT code, count(*) AS number, sum(CAST(value * coalesce(slope, 1) + coalesce("offset", 0) AS FLOAT)) AS total
    FROM told LEFT JOIN units USING (code, unit) WHERE value IS NOT NULL GROUP BY code ORDER BY code
"""


def main(argv=None):
    """Measure, print and keep."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("folder", type=Path, nargs="?", help="FHIR R4 NDJSON (default: simulated people's)")
    made.add_argument("--people", type=int, default=5000, help="simulated people (default: %(default)s)")
    made.add_argument("--runs", type=int, default=5)
    args = made.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="salus-benchmark-") as scratch:
        work = Path(scratch)
        if args.folder is None:
            simulate(args.people, 7, date(2026, 6, 30), work / "simulated")
        people = landed(args.folder or work / "simulated" / "ehr", work)
        spark = spark_session(load_settings(), name="benchmark")
        result = first_load(spark, work, args.runs)
        result["people"] = people
        result["bytes"] = {part: sum(map(size, (work / part).iterdir())) for part in people}
        result["data"] = "given" if args.folder else "simulated"
        result["bytes_an_event"] = bytes_an_event(spark, work)
        spark.stop()
    seconds = result["median_seconds"]
    figures = (
        seconds[SPARK] / seconds[SALUS],
        seconds[DUCKDB] / seconds[SALUS],
        result["bytes_an_event"],
        seconds[SALUS] / seconds[TENTH] * 10 * result["bytes"]["tenth"] / result["bytes"]["whole"],
        seconds[AGAIN] / seconds[SALUS],
    )
    result["bars"] = {
        name: {
            "figure": figure,
            "bar": f"{side} {bar:g}",
            "holds": figure >= bar if side == "at least" else figure <= bar,
        }
        for (name, (side, bar)), figure in zip(BARS.items(), figures, strict=True)
    }
    show(result)
    megabytes = result["bytes"]["whole"] / 1e6
    print(f"  {people['whole']:,} people, {megabytes:,.0f} MB: {megabytes / seconds[SALUS]:.1f} MB a second")
    for name, held in result["bars"].items():
        print(f"  {held['figure']:8.3f} {name} ({held['bar']}){'' if held['holds'] else ': falls short'}")
    print(save("ingest" if args.folder else "ingest_simulated", result))
    return 0 if all(held["holds"] for held in result["bars"].values()) else 1


def landed(folder: Path, work: Path) -> dict[str, int]:
    """Lay out ``folder``'s files in ``whole``, those of every tenth person in ``tenth``; how many people each holds.

    A record is left out where an earlier line has its id, or where it was made to be refused: a bare reader would
    either stop there or count what is none.
    """
    kinds = load_source("fhir_r4").records
    files = [path for path in sorted(folder.rglob("*.ndjson")) if path.name.partition(".")[0] in kinds]
    files.sort(key=lambda path: not path.name.startswith("Patient."))
    seen: set[tuple[str, bytes]] = set()
    every: dict[bytes, bool] = {}
    for part in ("whole", "tenth", "observations"):
        (work / part).mkdir()
    for path in files:
        kind = path.name.partition(".")[0]
        with (
            open(path, "rb") as lines,
            open(work / "whole" / path.name, "wb") as whole,
            open(work / "tenth" / path.name, "wb") as tenth,
        ):
            for line in lines:
                found, whose = ID.search(line), ID.search(line) if kind == "Patient" else PATIENT.search(line)
                if not found or not whose or (kind, found[1]) in seen or b"-malformed-" in line:
                    continue
                seen.add((kind, found[1]))
                if kind == "Patient":
                    every[whose[1]] = len(every) % 10 == 0
                if whose[1] in every:
                    whole.write(line)
                    if every[whose[1]]:
                        tenth.write(line)
        if kind in ("Patient", "Observation"):
            (work / "observations" / path.name).symlink_to(work / "whole" / path.name)
    return {"whole": len(every), "tenth": sum(every.values())}


def first_load(spark, work: Path, runs: int):
    """The first load in each way, a tenth of it, and the same files again."""
    units, number = flat_units(), iter(range(1_000))
    last: list[Path] = []

    def into(name):
        for old in [path for path in work.glob(f"{name}-*") if path.is_dir() and path not in last]:
            shutil.rmtree(old)
        return work / f"{name}-{next(number)}"

    def load():
        warehouse = into("salus")
        take_in(work / "whole", warehouse)
        last[:] = [warehouse]
        return warehouse

    def same(outputs):
        expected = told_by_parquet(outputs[DUCKDB], units)
        for way, told in (
            (SALUS, told_by_salus(spark, outputs[SALUS])),
            (SPARK, told_by_parquet(outputs[SPARK], units)),
        ):
            if told[0] != expected[0]:
                raise AssertionError(f"{way} holds other records than DuckDB: {told[0]} and {expected[0]}")
            pd.testing.assert_frame_equal(told[1], expected[1], rtol=1e-6, check_dtype=False)

    return compare(
        "a first load of FHIR NDJSON",
        {
            SALUS: load,
            SPARK: lambda: by_spark(spark, work / "whole", into("spark")),
            DUCKDB: lambda: by_duckdb(work / "whole", into("duckdb")),
            TENTH: lambda: take_in(work / "tenth", into("tenth")),
            AGAIN: lambda: take_in(work / "whole", last[0]),
        },
        runs,
        same,
    )


def take_in(folder: Path, warehouse: Path) -> None:
    """Ingest ``folder`` as a job does."""
    with spark_job("ingest", argparse.Namespace(warehouse=str(warehouse)), quiet=True) as job:
        ingest(job, "fhir_r4", str(folder), create_key(job.settings.key_path), delivered_at=DELIVERED)


def by_kind(folder: Path) -> dict[str, list[str]]:
    """The files of each resource type in ``folder`` that hold something."""
    kinds: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir()):
        if path.stat().st_size:
            kinds.setdefault(path.name.partition(".")[0], []).append(str(path))
    return kinds


def by_spark(spark, folder: Path, into: Path) -> Path:
    """What Spark makes of each resource type by itself."""
    for kind, files in by_kind(folder).items():
        spark.read.json(files).write.option("compression", "zstd").parquet(str(into / kind))
    return into


def by_duckdb(folder: Path, into: Path) -> Path:
    """What DuckDB makes of the fields that the source declares."""
    declared = load_source("fhir_r4").records
    with duckdb.connect(config={"threads": load_threads()}) as database:
        for kind, files in by_kind(folder).items():
            fields = StructType.fromDDL(declared[kind].columns)
            columns = ", ".join(f"'{field.name}': '{duckdb_type(field.dataType)}'" for field in fields)
            (into / kind).mkdir(parents=True)
            read = (
                f"read_json({files}, format='newline_delimited', columns={{{columns}}}, maximum_object_size=33554432)"
            )
            database.execute(f"COPY (FROM {read}) TO '{into / kind / '0.parquet'}' (COMPRESSION zstd)")
    return into


def load_threads() -> int:
    """As many threads as Spark's local master has."""
    from pyspark import SparkContext

    return SparkContext.getOrCreate().defaultParallelism


def duckdb_type(kind: DataType) -> str:
    """Spark's type in DuckDB's words."""
    if isinstance(kind, ArrayType):
        return f"{duckdb_type(kind.elementType)}[]"
    if isinstance(kind, StructType):
        fields = ", ".join(f'"{field.name}" {duckdb_type(field.dataType)}' for field in kind)
        return f"STRUCT({fields})"
    return {"string": "VARCHAR"}.get(kind.simpleString(), kind.simpleString().upper())


def flat_units() -> pd.DataFrame:
    """Each way of writing a unit of a LOINC code, with its conversion: ``code, unit, slope, offset``."""
    spellings = read_spellings(spellings_path())
    rows = [
        (code.partition("/")[2], way, slope, offset)
        for code, known in read_units(units_path()).items()
        for way, (_, slope, offset) in written(known, spellings).items()
    ]
    return pd.DataFrame(rows, columns=["code", "unit", "slope", "offset"])


def told_by_parquet(folder: Path, units: pd.DataFrame) -> tuple[dict[str, int], pd.DataFrame]:
    """Records of each type in a bare reader's files, and each code's values in canonical units."""
    with duckdb.connect() as database:
        database.register("units", units)
        counts = {
            path.name: database.execute(f"SELECT count(*) FROM '{path}/*.parquet'").fetchone()[0]
            for path in sorted(folder.iterdir())
        }
        return counts, database.execute(VALUES.format(observations=f"'{folder}/Observation/*.parquet'")).df()


def told_by_salus(spark, warehouse: Path) -> tuple[dict[str, int], pd.DataFrame]:
    """Records of each type that the tables account for, and each code's values among the Observations'."""
    tables = Tables(spark, str(warehouse))
    counts: Counter[str] = Counter()
    for row in tables.read("ingested_files").where("rows_read > 0").collect():
        counts[row["record_type"]] += row["rows_read"]
    records = tables.read("records").where("record_type = 'fhir_r4/Observation'")
    values = tables.read("events").where("numeric_value IS NOT NULL").join(records, "record_id", "left_semi")
    told = values.groupBy(F.substring_index("code", "/", -1).alias("code")).agg(
        F.count("*").alias("number"), F.sum(F.col("numeric_value").cast("double")).alias("total")
    )
    return dict(sorted(counts.items())), told.orderBy("code").toPandas()


def bytes_an_event(spark, work: Path) -> float:
    """Bytes of the table of events, where the files hold patients and Observations, a row."""
    take_in(work / "observations", work / "observed")
    detail = spark.sql(f"DESCRIBE DETAIL delta.`{work / 'observed' / 'events'}`").head()
    return detail["sizeInBytes"] / spark.read.format("delta").load(str(work / "observed" / "events")).count()


def size(path: Path) -> int:
    """Bytes of a file."""
    return path.stat().st_size


if __name__ == "__main__":
    sys.exit(main())
