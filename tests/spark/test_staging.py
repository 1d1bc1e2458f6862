"""A place for what a run works out once: whole while it is read, gone at its end."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from salus.sources.mapping import with_every_payload
from salus.sources.payloads import PAYLOADS
from salus.storage.query import Query, views
from salus.storage.staging import FOLDER, staging


def parts(spark):
    return [
        lambda: spark.sql("SELECT 1L AS id, 'a' AS name, named_struct('day', TIMESTAMP_NTZ'2026-06-30') AS person"),
        lambda: spark.sql("SELECT 2L AS id, CAST(0.5 AS DECIMAL(18, 4)) AS paid"),
    ]


def test_what_parts_lack_is_null_and_takes_nothing_in_their_files(spark, tables):
    with staging(tables) as keep:
        kept = keep("rows", parts(spark))
        assert [(row["id"], row["name"], row["paid"]) for row in kept.orderBy("id").collect()] == [
            (1, "a", None),
            (2, None, pytest.approx(0.5)),
        ]
        files = sorted(Path(tables.warehouse, FOLDER).rglob("*.parquet"))
        assert [set(pq.read_schema(file).names) for file in files] == [{"id", "name", "person"}, {"id", "paid"}]


def test_nothing_is_staged_with_a_dictionary(spark, tables):
    alike, encodings = spark.range(2000).repartition(1).withColumnRenamed("id", "number"), {}
    with staging(tables) as keep:
        keep("rows", [lambda part=part: alike.crossJoin(part()).drop("number") for part in parts(spark)])
        for file in Path(tables.warehouse, FOLDER).rglob("*.parquet"):
            group = pq.ParquetFile(file).metadata.row_group(0)
            encodings |= {group.column(i).path_in_schema: group.column(i).encodings for i in range(group.num_columns)}
    assert set(encodings) == {"id", "name", "person.day", "paid"}
    assert not [path for path, used in encodings.items() if any("DICTIONARY" in one for one in used)]


@pytest.mark.parametrize("is_broken_off", [False, True])
def test_nothing_is_left_at_the_end(spark, tables, is_broken_off):
    try:
        with staging(tables) as keep:
            keep("rows", parts(spark))
            assert list(Path(tables.warehouse, FOLDER).rglob("*.parquet"))
            if is_broken_off:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert not Path(tables.warehouse, FOLDER).exists()


def test_every_payload_is_there_and_null_where_no_record_type_fills_it(spark):
    rows = with_every_payload(spark.sql("SELECT 1 AS record_id"))
    assert set(rows.columns) == {"record_id", *PAYLOADS}
    [row] = rows.collect()
    assert [name for name in PAYLOADS if row[name] is not None] == []


def test_shared_values_can_be_named_by_the_columns_and_are_none_of_them(spark):
    with views(spark, spark.sql("SELECT 2 AS number")) as [name]:
        query = Query.of_view(name, {"twice": "half * 4", "own": "number"}, {"half": "number / 2"})
        found = spark.sql(query.text).collect()
    assert query.columns == ("twice", "own")
    assert [row.asDict() for row in found] == [{"twice": 4.0, "own": 2}]
