"""Formats that need code: their records, and the batches in which these reach Spark."""

from itertools import repeat

import pyarrow as pa
import pytest

from salus.sources import formats
from salus.sources.formats import Record, apple_health
from salus.sources.python_source import BYTES_AT_ONCE, RECORDS_AT_ONCE, batches

EXPORT = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE HealthData [<!ELEMENT HealthData (ExportDate,Me,(Record|Workout)*)>]>
<HealthData locale="en_GB">
 <ExportDate value="2024-03-01 10:00:00 +0000"/>
 <Me HKCharacteristicTypeIdentifierDateOfBirth="1980-02-01"/>
 <Record type="HKQuantityTypeIdentifierHeartRate" unit="count/min" value="61" startDate="2024-02-01 10:00:00 +0000">
  <MetadataEntry key="HKMetadataKeyHeartRateMotionContext" value="0"/>
 </Record>
 <Workout workoutActivityType="HKWorkoutActivityTypeRunning" duration="31.5" durationUnit="min"/>
</HealthData>
"""


def test_every_element_of_an_apple_health_export_is_a_record(tmp_path):
    path = tmp_path / "ann" / "export.xml"
    path.parent.mkdir()
    path.write_text(EXPORT)
    found = list(apple_health.read(str(path)))
    assert [(record.kind, record.broken, record.fields["export"]) for record in found] == [
        ("Me", None, "ann"),
        ("Record", None, "ann"),
        ("Workout", None, "ann"),
    ]
    assert (found[1].fields["value"], found[1].fields["endDate"]) == ("61", None)
    assert all(record.fields.keys() == set(apple_health.SCHEMAS[record.kind].names) for record in found)
    path.write_text(EXPORT.replace("<Workout", "<Workout <"))
    assert [record.kind for record in apple_health.read(str(path))] == ["Me", "Record", ""]
    assert formats.count("apple_health", str(path)) == 3


@pytest.mark.parametrize("name", formats.names())
def test_every_format_keeps_the_contract(name):
    module = formats.format_named(name)
    assert all(isinstance(schema, pa.Schema) for schema in module.SCHEMAS.values())
    assert {field for schema in module.SCHEMAS.values() for field in schema.names} == set(formats.fields(name).names)


def test_records_come_in_batches_of_bounded_number_and_size():
    fields = pa.schema([("text", pa.string()), ("samples", pa.binary())])
    few = [Record("a", None, {"text": "x"}), Record("b", "not_b", {"samples": b"12"})]
    (batch,) = batches(iter(few), "/landing/a b.x", fields)
    place = {"_path": "file:/landing/a%20b.x"}
    assert batch.to_pylist() == [
        place | {"_record": 0, "_kind": "a", "_broken": None, "text": "x", "samples": None},
        place | {"_record": 1, "_kind": "b", "_broken": "not_b", "text": None, "samples": b"12"},
    ]
    many = list(batches(repeat(few[0], 2 * RECORDS_AT_ONCE + 1), "/x", fields))
    assert [batch.num_rows for batch in many] == [RECORDS_AT_ONCE, RECORDS_AT_ONCE, 1]
    assert [place for batch in many for place in batch["_record"].to_pylist()] == list(range(2 * RECORDS_AT_ONCE + 1))
    half = Record("a", None, {"samples": bytes(BYTES_AT_ONCE // 2 + 1)})
    assert [batch.num_rows for batch in batches(iter([half] * 5), "/x", fields)] == [2, 2, 1]


def test_two_types_under_one_field_are_refused(monkeypatch):
    both = {"a": pa.schema([("x", pa.string())]), "b": pa.schema([("x", pa.binary())])}
    monkeypatch.setattr(apple_health, "SCHEMAS", both)
    with pytest.raises(TypeError, match="field x as string and as binary"):
        formats.fields("apple_health")
