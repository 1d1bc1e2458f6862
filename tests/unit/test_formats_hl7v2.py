"""HL7 v2: messages out of files as interfaces write them, and what each says of whom."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.sources.formats import hl7v2


def segment(tag: str, **fields: str) -> str:
    """A segment by the numbers of its fields: ``segment("PV1", _2="I")``."""
    said = {int(name[1:]): text for name, text in fields.items()}
    return "|".join([tag, *(said.get(number, "") for number in range(1, max(said) + 1))])


PV1 = segment("PV1", _1="1", _2="I", _3="4W^401^A", _4="E", _19="V9^^^HOSP", _44="20230301093000")
ADMITTED = r"""MSH|^~\&|ADT|HOSP|SALUS|SALUS|20230301101500||ADT^A01^ADT_A01|MSG00042|P|2.5.1
EVN|A01|20230301101600
PID|1||M7^^^HOSP^MR~999-11-2222^^^USA^SS~D1^^^^DL||CANARY^ANN^Q||19600229|F|||12 CANARY ST^^TOWN||555-CANARY
DG1|1||E11.9^Type 2 diabetes \T\ more^I10|||A
DG1|2||I10^Hypertension^I10|||W""".replace("DG1|1", f"{PV1}\nDG1|1")
MERGED = r"""MSH|^~\&|ADT|HOSP|SALUS|SALUS|20230305||ADT^A40|MSG00050|P|2.5.1
EVN|A40|202303051200+0100
PID|1||M7^^^HOSP^MR
MRG|M6^^^HOSP^MR"""
RESULTS = r"""MSH|^~\&|LAB|HOSP|SALUS|SALUS|20230302080000||ORU^R01|LAB7|P|2.5.1
PID|1||M7^^^HOSP^MR||CANARY
PV1|1|I|||||||||||||||||V9
OBR|1|P1|F1|24323-8^CMP^LN|||20230301180000|||||||||||||||20230302073000
OBX|1|NM|2345-7^Glucose^LN||99|mg/dL|||||F
OBX|2|SN|1988-5^CRP^LN||<^5|mg/L|||||F
OBX|3|SN|2160-0^Creatinine^LN||^1.1|mg/dL|||||C|||20230301181500
OBX|4|CE|882-1^ABO^LN||278149003^A pos^SCT||||||F
OBX|5|TX|8251-1^Comment^LN||Told Mr CANARY to come back||||||F
OBR|2|P2|F2|5802-4^Nitrite^LN|||20230301190000
OBX|1|ST|5802-4^Nitrite^LN||Negative||||||P"""


@pytest.fixture
def messages(tmp_path):
    def messages(text: str | bytes):
        path = tmp_path / "feed.hl7"
        path.write_bytes(text if isinstance(text, bytes) else text.replace("\n", "\r").encode())
        found = list(hl7v2.read(str(path)))
        assert hl7v2.count(str(path)) == len(found)
        return found

    return messages


def test_an_admission_is_a_visit_of_the_person_whom_pid_names(messages):
    ((kind, broken, said),) = messages(ADMITTED)
    assert (kind, broken, said["trigger"]) == ("visit", None, "ADT^A01")
    assert (said["patient_id"], said["authority"], said["birth"], said["sex"]) == ("M7", "HOSP", "19600229", "F")
    assert [(one["authority"], one["value"]) for one in said["identifiers"]] == [("HOSP", "M7"), ("USA", "999-11-2222")]
    assert (said["class"], said["admission_type"], said["unit"]) == ("I", "E", "4W")
    assert (said["visit_number"], said["admitted"], said["discharged"]) == ("V9", "20230301093000", None)
    assert [(one["system"], one["code"], one["kind"]) for one in said["diagnoses"]] == [
        ("I10", "E11.9", "A"),
        ("I10", "I10", "W"),
    ]


def test_a_version_is_the_recorded_second_in_utc_and_then_the_control_id(messages):
    said = [record.fields["version"] for record in messages("\n".join([ADMITTED, MERGED, RESULTS]))]
    assert said == ["202303011016000042", "202303051100000050", "202303020800000007"]


def test_a_merge_gives_the_surviving_person_the_other_identifier(messages):
    ((kind, broken, said),) = messages(MERGED)
    assert (kind, broken, said["patient_id"]) == ("merge", None, "M7")
    assert [one["value"] for one in said["identifiers"]] == ["M7", "M6"]
    second = "\nPID|2||M9^^^HOSP^MR\nMRG|M8^^^HOSP^MR"
    assert messages(MERGED + second)[0].broken == "several_patients"


def test_results_stand_under_their_order(messages):
    ((kind, _, said),) = messages(RESULTS)
    assert (kind, said["order"]) == ("result", "F1|F2")
    told = [(one["code"], one["number"], one["text"], one["unit"], one["status"]) for one in said["results"]]
    assert told == [
        ("2345-7", "99", None, "mg/dL", "F"),
        ("1988-5", None, "<5", "mg/L", "F"),
        ("2160-0", "1.1", None, "mg/dL", "C"),
        ("882-1", None, "SCT/278149003", None, "F"),
        ("8251-1", None, None, None, "F"),
        ("5802-4", None, "Negative", None, "P"),
    ]
    times = [(one["observed"], one["reported"]) for one in said["results"]]
    assert times[0] == ("20230301180000", "20230302073000")
    assert times[2] == ("20230301181500", "20230302073000")
    assert times[5] == ("20230301190000", None)


def test_names_addresses_and_prose_are_in_no_field(messages):
    assert "CANARY" not in repr(messages("\n".join([ADMITTED, MERGED, RESULTS])))


def test_records_fit_their_schemas(messages):
    for record in messages("\n".join([ADMITTED, MERGED, RESULTS])):
        table = pa.Table.from_pylist([record.fields], hl7v2.SCHEMAS[record.kind])
        assert {name for name, column in zip(table.column_names, table.columns) if column.null_count == 0}
        assert record.fields.keys() == set(table.column_names)


@given(
    ending=st.sampled_from(["\r", "\n", "\r\n"]),
    framed=st.booleans(),
    size=st.integers(1, 40),
    order=st.permutations([ADMITTED, MERGED, RESULTS]),
)
def test_files_are_read_however_messages_are_framed_and_ended(tmp_path_factory, ending, framed, size, order):
    head, tail = ("\x0b", f"\x1c{ending}") if framed else ("", ending)
    text = f"FHS|^~\\&|X{ending}" + "".join(head + one.replace("\n", ending) + tail for one in order) + f"FTS|1{ending}"
    path = tmp_path_factory.mktemp("hl7") / "feed"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hl7v2, "CHUNK_BYTES", size)
        found = [(record.kind, record.fields["control_id"]) for record in hl7v2.read(str(path))]
    names = {ADMITTED: ("visit", "MSG00042"), MERGED: ("merge", "MSG00050"), RESULTS: ("result", "LAB7")}
    assert found == [names[one] for one in order]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [("other", "not_hl7")]),
        ("no message", [("other", "not_hl7")]),
        ("junk\n" + MERGED, [("other", "not_hl7"), ("merge", None)]),
        (MERGED + "\nMSH", [("merge", None), ("other", "not_hl7")]),
        (MERGED.replace("PID", "ZID"), [("merge", "no_patient_segment")]),
        (MERGED.replace("A40", "A45"), [("other", None)]),
        (MERGED.encode().replace(b"\n", b"\r") + b"|\xff", [("other", "not_utf8")]),
        (
            MERGED.replace("2.5.1", "2.5.1||||||8859/1").encode("latin-1").replace(b"\n", b"\r") + b"|\xe9",
            [("merge", None)],
        ),
    ],
)
def test_a_message_that_is_none_leaves_its_neighbours_alone(messages, text, expected):
    assert [(record.kind, record.broken) for record in messages(text)] == expected
