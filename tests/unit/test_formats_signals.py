"""Signals: what headers and annotations say, against the libraries' own reading and the bytes themselves."""

import shutil
from collections import Counter
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyedflib
import pytest
import wfdb as package

from salus.sources.formats import edf, wfdb

RATE = 128


@pytest.fixture
def record(tmp_path):
    """Two seconds of two channels in format 16, with three annotations and comments that name somebody."""
    samples = np.column_stack([np.arange(2 * RATE) / 10, np.linspace(-1, 1, 2 * RATE)])
    where = {"write_dir": str(tmp_path)}
    package.wrsamp(
        "r1", RATE, ["mV", "mmHg"], ["ECG", "ABP"], samples, fmt=["16", "16"], adc_gain=[100.0, 200.0],
        baseline=[0, 50], base_date=date(2023, 1, 2), base_time=datetime(2023, 1, 2, 3, 4, 5).time(),
        comments=["CANARY, 69 M"], **where,
    )  # fmt: skip
    package.wrann(
        "r1", "atr", np.array([0, 64, 200]), ["+", "N", '"'], aux_note=["(AFIB", "", "CANARY slept"], fs=RATE, **where
    )
    return tmp_path


def only(records):
    (record,) = records
    return record


def test_a_header_says_channels_units_and_how_samples_become_them(record):
    said = only(wfdb.read(str(record / "r1.hea")))
    assert (said.kind, said.broken) == ("recording", None)
    assert (said.fields["record_name"], said.fields["folder"]) == ("r1", record.name)
    assert (said.fields["start"], said.fields["seconds"]) == ("2023-01-02T03:04:05", "2.0")
    channels = said.fields["channels"]
    assert [(one["name"], one["unit"], one["rate_hz"], one["samples"]) for one in channels] == [
        ("ECG", "mV", RATE, 2 * RATE),
        ("ABP", "mmHg", RATE, 2 * RATE),
    ]
    digital = np.fromfile(record / "r1.dat", "<i2").reshape(-1, 2)
    physical = digital * [one["scale"] for one in channels] + [one["offset"] for one in channels]
    np.testing.assert_allclose(physical, package.rdrecord(str(record / "r1")).p_signal, atol=1e-9)


def test_annotations_have_their_time_and_no_prose(record):
    said = only(wfdb.read(str(record / "r1.atr")))
    assert (said.kind, said.broken, said.fields["annotator"]) == ("annotations", None, "atr")
    assert said.fields["annotations"] == [
        {"symbol": "+", "rhythm": "(AFIB", "seconds": "0.000000", "time": "2023-01-02T03:04:05"},
        {"symbol": "N", "rhythm": None, "seconds": "0.500000", "time": "2023-01-02T03:04:05.500000"},
        {"symbol": '"', "rhythm": None, "seconds": "1.562500", "time": "2023-01-02T03:04:06.562500"},
    ]
    assert "CANARY" not in repr([said, *wfdb.read(str(record / "r1.hea"))])


@pytest.mark.parametrize(
    ("damage", "file", "rule"),
    [
        (lambda folder: (folder / "r1.dat").unlink(), "r1.hea", "no_signal"),
        (lambda folder: (folder / "r1.dat").write_bytes(bytes(100)), "r1.hea", "short_signal"),
        (lambda folder: (folder / "r1.hea").write_text("not a header"), "r1.hea", "not_a_header"),
        (lambda folder: (folder / "r1.hea").write_bytes(b"\xff\xfe"), "r1.hea", "not_a_header"),
        (lambda folder: (folder / "r1.hea").unlink(), "r1.atr", "no_header"),
        (lambda folder: (folder / "r1.atr").write_bytes(b"\x01"), "r1.atr", "not_annotations"),
    ],
)
def test_a_record_that_cannot_be_read_is_broken(record, damage, file, rule):
    damage(record)
    said = only(wfdb.read(str(record / file)))
    assert (said.broken, said.fields) == (rule, {})


@pytest.fixture
def sleep(tmp_path):
    """Three seconds of two channels of different rates, in EDF+, with two annotations."""

    def written(name, kind=pyedflib.FILETYPE_EDFPLUS):
        path = tmp_path / name
        writer = pyedflib.EdfWriter(str(path), 2, file_type=kind)
        writer.setStartdatetime(datetime(2020, 1, 1, 22, 30, 0))
        writer.setPatientName("CANARY")
        if kind == pyedflib.FILETYPE_EDFPLUS:
            writer.setPatientCode("P1")
            writer.setBirthdate(date(1951, 5, 2))
            writer.setSex(0)
            writer.setTechnician("CANARY")
        for number, (label, unit, rate) in enumerate([("EEG Fpz-Cz", "uV", 100), ("Resp", "", 10)]):
            writer.setSignalHeader(number, {
                "label": label, "dimension": unit, "sample_frequency": rate, "physical_max": 200.0,
                "physical_min": -100.0, "digital_max": 2047, "digital_min": -2048, "transducer": "", "prefilter": "",
            })  # fmt: skip
        writer.writeSamples([np.linspace(-90, 190, 300), np.linspace(-50, 50, 30)])
        if kind == pyedflib.FILETYPE_EDFPLUS:
            writer.writeAnnotation(0, 30, "Sleep stage W")
            writer.writeAnnotation(1.5, -1, "CANARY turned over")
        writer.close()
        return path

    return written


def test_an_edf_file_says_whose_it_is_without_the_name(sleep):
    path = sleep("night.edf")
    said = only(edf.read(str(path)))
    assert (said.kind, said.broken) == ("recording", None)
    told = {
        name: said.fields[name] for name in ("record_name", "patient_code", "birth", "sex", "start", "end", "seconds")
    }
    assert told == {
        "record_name": "night",
        "patient_code": "P1",
        "birth": "1951-05-02",
        "sex": "Female",
        "start": "2020-01-01T22:30:00",
        "end": "2020-01-01T22:30:03",
        "seconds": "3.0",
    }
    assert said.fields["annotations"] == [
        {"text": "Sleep stage W", "time": "2020-01-01T22:30:00", "seconds": "0.000000"},
        {"text": None, "time": "2020-01-01T22:30:01.500000", "seconds": "1.500000"},
    ]
    assert b"CANARY" in path.read_bytes()
    assert "CANARY" not in repr(said)


def test_an_edf_files_channels_are_those_of_its_header_bytes(sleep):
    path = sleep("night.edf")
    channels = only(edf.read(str(path))).fields["channels"]
    head = path.read_bytes()
    signals = int(head[252:256])
    labels = [head[256 + 16 * number : 272 + 16 * number].decode().strip() for number in range(signals)]
    assert [one["name"] for one in channels] == [label for label in labels if label != "EDF Annotations"]
    assert [(one["unit"], one["rate_hz"], one["samples"]) for one in channels] == [("uV", 100, 300), (None, 10, 30)]
    with pyedflib.EdfReader(str(path)) as file:
        physical, digital = file.readSignal(0), file.readSignal(0, digital=True)
    np.testing.assert_allclose(digital * channels[0]["scale"] + channels[0]["offset"], physical, atol=1e-9)


def test_a_plain_edf_file_names_nobody(sleep):
    said = only(edf.read(str(sleep("plain.edf", pyedflib.FILETYPE_EDF))))
    assert (said.broken, said.fields["patient_code"], said.fields["annotations"]) == (None, None, [])
    assert "CANARY" not in repr(said)


def test_what_is_no_edf_is_one_broken_record(tmp_path):
    path = tmp_path / "x.edf"
    path.write_bytes(b"no signal")
    assert only(edf.read(str(path))).broken == "not_edf"


def test_signals_fit_their_schemas(record, sleep):
    found = [*wfdb.read(str(record / "r1.hea")), *wfdb.read(str(record / "r1.atr")), *edf.read(str(sleep("n.edf")))]
    for module, one in zip((wfdb, wfdb, edf), found):
        assert pa.Table.from_pylist([one.fields], module.SCHEMAS[one.kind]).to_pylist() == [one.fields]


@pytest.mark.real_data
def test_a_real_record_has_the_published_samples_and_beats(real_data, tmp_path):
    folder = real_data / "device" / "wfdb_mitbih_100"
    said = only(wfdb.read(str(folder / "100.hea"))).fields
    assert [(one["name"], one["unit"], one["rate_hz"], one["samples"]) for one in said["channels"]] == [
        ("MLII", "mV", 360, 650_000),
        ("V5", "mV", 360, 650_000),
    ]
    # Format 212 packs two samples into three bytes.
    assert (folder / "100.dat").stat().st_size * 2 // 3 == sum(one["samples"] for one in said["channels"])
    beats = only(wfdb.read(str(folder / "100.atr"))).fields["annotations"]
    assert Counter(one["symbol"] for one in beats) == {"N": 2239, "A": 33, "V": 1, "+": 1}
    # An annotation is 16 bits, 6 of type and 10 of time (https://wfdb.io/spec/annotations.html); notes follow 63 << 10.
    words = np.fromfile(folder / "100.atr", "<u2")
    note = int(np.flatnonzero(words >> 10 == 63)[0])
    length = (int(words[note] & 1023) + 1) // 2
    plain = np.concatenate([words[:note], words[note + 1 + length :]])
    plain = plain[: int(np.flatnonzero(plain == 0)[0])]
    plain = plain[plain >> 10 < 59]  # from 59 on it is no annotation, but says more of one
    assert [float(one["seconds"]) for one in beats] == pytest.approx(np.cumsum(plain & 1023) / 360, abs=1e-6)
    shutil.copy(folder / "100.hea", tmp_path)
    assert only(wfdb.read(str(tmp_path / "100.hea"))).broken == "no_signal"
