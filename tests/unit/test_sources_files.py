"""What a file is by its bytes: its records are counted in chunks, whatever falls on their borders."""

import bz2
import csv
import gzip
import io
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from salus.errors import Refused
from salus.sources.batch import Batch
from salus.sources.files import hashed, inspect, listed, record_type_of
from salus.sources.ingest import refuse_unusable
from salus.sources.loading import load_source
from salus.sources.text import RecordCounter, Utf8Check, records_in, text_of

line = st.text(alphabet=' \t\r{}":,a', max_size=6)
field = st.text(alphabet='a", \n', max_size=6)


PACKED = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zstandard.compress}


def counted(content: bytes, size: int, quoted: bool) -> RecordCounter:
    counter = RecordCounter('"' if quoted else "")
    for start in range(0, len(content), size):
        counter.feed(content[start : start + size])
    return counter


@given(st.lists(line, max_size=8), st.booleans(), st.integers(1, 7))
def test_lines_with_more_than_blanks_are_counted_whatever_the_chunks(lines, is_ended, size):
    content = ("\n".join(lines) + ("\n" if is_ended else "")).encode()
    assert counted(content, size, False).total() == sum(1 for one in lines if one.strip(" \t\r"))


@given(st.lists(st.lists(field, min_size=2, max_size=3), max_size=6), st.integers(1, 7))
def test_quoted_rows_are_counted_as_the_csv_module_reads_them(rows, size):
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    counter = counted(text.getvalue().encode(), size, True)
    assert counter.total() == len(rows)
    assert counter.wrapped == any("\n" in cell for row in rows for cell in row)


@given(st.text(alphabet='aa,"\n ', max_size=40), st.integers(1, 7))
@example('a,b"c\nd,"e\nf"\n', 3)
def test_a_quote_within_a_field_is_a_character_as_for_the_csv_module(text, size):
    reader, lines, before, rows = csv.reader(io.StringIO(text, newline="")), text.splitlines(True), 0, []
    for _ in reader:
        rows.append("".join(lines[before : reader.line_num]))
        before = reader.line_num
    rows = [row.removesuffix("\n").encode() for row in rows if row.strip()]
    content = text.encode()
    assert counted(content, size, True).total() == len(rows)
    found = list(records_in((content[start : start + size] for start in range(0, len(content), size)), '"'))
    assert [row.removesuffix(b"\n") for row in found] == rows


@given(st.lists(line, max_size=8), st.booleans(), st.integers(1, 7), st.integers(2, 5))
def test_text_is_cut_into_the_records_that_are_counted(lines, is_quoted, size, largest):
    content = "\n".join(lines).encode()
    chunks = [content[start : start + size] for start in range(0, len(content), size)]
    quote, counter = '"' if is_quoted else "", counted(content, size, is_quoted)
    found = list(records_in(iter(chunks), quote))
    assert len(found) == counter.total()
    if not is_quoted:
        assert found == [one.encode() for one in lines if one.strip(" \t\r")]
    assert max(map(len, found), default=0) <= counter.longest
    bounded = list(records_in(iter(chunks), quote, largest))
    assert bounded == [record if len(record) <= largest else None for record in found]


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "latin-1", "utf-8"])
@pytest.mark.parametrize("packed", ["", ".gz", ".bz2", ".zst"])
def test_text_comes_in_utf8_whatever_its_encoding_and_packing(tmp_path, encoding, packed):
    text = "id,é\n" + "1,Zoë\n" * 3 if encoding == "latin-1" else "id,名\n1,頭痛，三天\n"
    path = tmp_path / f"a.csv{packed}"
    path.write_bytes(PACKED[packed](text.encode(encoding)))
    assert b"".join(text_of(str(path), encoding)).decode() == text


def test_bytes_that_are_no_text_are_none_in_utf8_either(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("1,頭痛\n".encode("gb18030") + b"2,\x80\xff\n" + "3,好\n".encode("gb18030"))
    first, second, third = records_in(text_of(str(path), "gb18030"))
    assert (first.decode(), third.decode()) == ("1,頭痛", "3,好")
    with pytest.raises(UnicodeDecodeError):
        second.decode()


BYTES = st.one_of(
    st.binary(max_size=12),
    st.text(max_size=12).map(str.encode),
    st.sampled_from([b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"]),  # a surrogate, overlong, beyond Unicode
)


@given(st.lists(BYTES, max_size=6), st.integers(1, 7))
@example([b"\xc3a\xab"], 1)  # a character that is broken off by ASCII, and would go on after it
def test_bytes_are_text_where_python_decodes_them_whatever_the_chunks(parts, size):
    content = b"".join(parts)
    check = Utf8Check()
    for start in range(0, len(content), size):
        check.feed(content[start : start + size])
    try:
        content.decode("utf-8")
        is_text = True
    except UnicodeDecodeError:
        is_text = False
    assert check.is_valid() is is_text


@pytest.mark.parametrize(
    ("content", "is_text"),
    [
        ('{"resourceType":"Patient","id":"Zoë"}\n'.encode(), True),
        (b'{"resourceType":"Patient","id":"\xff"}\n', False),
        ('{"resourceType":"Patient","id":"Zoë'.encode()[:-1], False),
    ],
)
def test_a_file_is_known_to_be_text_only_where_all_of_it_is(tmp_path, content, is_text):
    (tmp_path / "Patient.000.ndjson").write_bytes(content)
    found = hashed(str(tmp_path / "Patient.000.ndjson"), str(tmp_path))
    assert inspect(found, load_source("fhir_r4")).is_text is is_text


def test_a_bom_is_no_record():
    assert counted(b"\xef\xbb\xbf\n", 100, False).total() == 0


def test_the_first_readable_line_says_what_a_file_is():
    fhir = load_source("fhir_r4")
    assert record_type_of(fhir, "export.ndjson", [b"{broken", b'{"resourceType":"Patient"}']) == "Patient"
    assert record_type_of(fhir, "Patient.000.ndjson", [b"\x89PNG", b"junk"]) == "Patient"
    assert record_type_of(fhir, "Location.ndjson", [b'{"resourceType":"Location"}']) == ""
    assert record_type_of(fhir, "log.ndjson", [b'{"exportId":"1"}']) == ""
    assert record_type_of(fhir, "holiday.ndjson", [b"\x89PNG"]) is None
    assert record_type_of(fhir, "Patient.ndjson", [b'{"resourceType":"Spaceship"}']) is None


def test_a_truncated_gzip_is_one_record_that_cannot_be_read(tmp_path):
    whole = gzip.compress(b'{"resourceType":"Patient"}\n' * 5000)
    path = tmp_path / "Patient.ndjson.gz"
    path.write_bytes(whole)
    sound = inspect(hashed(str(path), str(tmp_path)), load_source("fhir_r4"))
    assert (sound.records, sound.error) == (5000, None)
    path.write_bytes(whole[:-12])
    cut = inspect(hashed(str(path), str(tmp_path)), load_source("fhir_r4"))
    assert cut.records == 1
    assert "EOFError" in cut.error
    path.write_bytes(b"not compressed at all")
    assert "BadGzipFile" in inspect(hashed(str(path), str(tmp_path)), load_source("fhir_r4")).error
    path = tmp_path / "Patient.ndjson.zst"
    path.write_bytes(zstandard.compress(b'{"resourceType":"Patient"}\n' * 5000)[:-5])
    assert "OSError" in inspect(hashed(str(path), str(tmp_path)), load_source("fhir_r4")).error


def test_a_table_is_known_by_the_nearest_folder_and_what_is_ignored_is_not_opened(tmp_path):
    """Under a folder that is itself named like a record type."""
    root, meds = tmp_path / "data", load_source("meds")
    for name in ("metadata/codes.parquet", "labels/death/0.parquet", "data/train/0.parquet", "README.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"no Parquet")
    found = {file.name: file for file in (inspect(hashed(path, str(root)), meds) for path in listed(str(root)))}
    ignored = [name for name, file in found.items() if (file.record_type, file.records, file.error) == ("", 1, None)]
    assert sorted(ignored) == ["README.md", "labels/death/0.parquet", "metadata/codes.parquet"]
    assert found["data/train/0.parquet"].record_type == "measurement"
    assert "ArrowInvalid" in found["data/train/0.parquet"].error


def test_a_table_without_a_declared_column_is_refused_before_it_is_read(tmp_path):
    (tmp_path / "data").mkdir()
    path, meds = tmp_path / "data" / "0.parquet", load_source("meds")
    columns = {"subject_id": [1], "time": [datetime(2020, 1, 1)], "code": ["A"]}
    for lacking in (None, "code"):
        pq.write_table(pa.table({name: value for name, value in columns.items() if name != lacking}), path)
        batch = Batch(meds, "main", "", [inspect(hashed(str(path), str(tmp_path)), meds)], None, 0)
        if lacking is None:
            refuse_unusable(batch)
    with pytest.raises(Refused, match=r"data/0.parquet, which lacks the columns code \(rule wrong_columns\)"):
        refuse_unusable(batch)


def test_a_file_is_named_by_its_content(tmp_path):
    for name in ("a.ndjson", "b.ndjson"):
        (tmp_path / name).write_bytes(b'{"resourceType":"Patient"}\n')
    first, second = (hashed(path, str(tmp_path)) for path in listed(str(tmp_path)))
    assert first.file_id == second.file_id
    assert 0 <= first.file_id < 2**63


def test_no_folder_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(Refused, match="a folder of files"):
        listed(str(tmp_path / "nowhere"))
    (tmp_path / ".hidden").touch()
    with pytest.raises(Refused, match="holds no file"):
        listed(str(tmp_path))
