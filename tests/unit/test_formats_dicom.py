"""DICOM: what is read of a file, in whatever transfer syntax, and what stays in it."""

import re
from pathlib import Path

import pyarrow as pa
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, generate_uid

from salus.sources.formats import dicom

COMPUTED_TOMOGRAPHY = "1.2.840.10008.5.1.4.1.1.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture
def written(tmp_path):
    """An image of eight pixels with a name in many places, and ``said`` on top."""

    def written(syntax=ExplicitVRLittleEndian, kind=COMPUTED_TOMOGRAPHY, **said):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, generate_uid(entropy_srcs=["i"])
        meta.TransferSyntaxUID = syntax
        dataset = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
        dataset.update(
            {
                "SOPClassUID": kind, "SOPInstanceUID": "1.2.3", "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.1",
                "PatientID": "P1", "PatientName": "CANARY^ANN", "PatientAddress": "CANARY", "PatientSex": "F",
                "PatientBirthDate": "19600229", "Modality": "CT", "StudyDate": "20230101", "StudyTime": "101500",
                "ReferringPhysicianName": "CANARY", "ImageComments": "CANARY", "StudyDescription": "CANARY",
                "Rows": 2, "Columns": 4, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
                "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0,
                "RescaleSlope": "2", "RescaleIntercept": "-1024", "PixelSpacing": ["0.5", "0.7"],
            }
        )  # fmt: skip
        for keyword, value in said.items():
            setattr(dataset, keyword, value)
        dataset.PixelData = (
            bytes(8) if syntax == ExplicitVRLittleEndian else pydicom.encaps.encapsulate([b"\xff\x4f" * 4])
        )
        path = tmp_path / "image.dcm"
        pydicom.dcmwrite(path, dataset, enforce_file_format=True)
        return str(path)

    return written


def only(path):
    (record,) = dicom.read(path)
    assert dicom.count(path) == 1
    return record


def test_an_image_is_recorded_and_its_pixels_and_names_are_not(written):
    path = written()
    record = only(path)
    said = record.fields
    assert (record.kind, record.broken, said["location"]) == ("image", None, path)
    assert (said["patient_id"], said["birth_date"], said["sex"]) == ("P1", "19600229", "F")
    assert (said["instance_uid"], said["study_uid"], said["modality"]) == ("1.2.3", "1.2", "CT")
    assert (said["rows"], said["columns"], said["photometric_interpretation"]) == ("2", "4", "MONOCHROME2")
    assert (said["rescale_slope"], said["rescale_intercept"]) == ("2", "-1024")
    assert (said["row_spacing_mm"], said["column_spacing_mm"]) == ("0.5", "0.7")
    assert (said["transfer_syntax"], said["is_compressed"]) == (str(ExplicitVRLittleEndian), "false")
    assert b"CANARY" in Path(path).read_bytes()
    assert "CANARY" not in repr(record)


def test_a_compressed_image_needs_no_decoder(written):
    said = only(written(JPEG2000Lossless)).fields
    assert (said["transfer_syntax"], said["is_compressed"], said["rows"]) == (str(JPEG2000Lossless), "true", "2")


@pytest.mark.parametrize(
    ("kind", "declared", "may"),
    [
        (COMPUTED_TOMOGRAPHY, None, "false"),
        (COMPUTED_TOMOGRAPHY, "YES", "true"),
        (SECONDARY_CAPTURE, None, "true"),
        (SECONDARY_CAPTURE, "NO", "false"),
    ],
)
def test_pixels_may_identify_where_text_is_burnt_in_or_often_is(written, kind, declared, may):
    said = only(written(kind=kind, **({"BurnedInAnnotation": declared} if declared else {}))).fields
    assert (said["burned_in_annotation"], said["may_identify"]) == (declared, may)


@pytest.mark.parametrize(
    ("stated", "acquired"),
    [
        ({}, "20230101101500"),
        ({"ContentDate": "20230102", "ContentTime": "1200"}, "202301021200"),
        ({"ContentDate": "20230102"}, "20230102"),
        ({"AcquisitionDateTime": "20230103080000.5+0100"}, "20230103080000.5+0100"),
        ({"TimezoneOffsetFromUTC": "-0500"}, "20230101101500-0500"),
    ],
)
def test_an_image_was_acquired_at_the_first_moment_that_is_stated(written, stated, acquired):
    assert only(written(**stated)).fields["acquired"] == acquired


def test_what_is_no_image_is_of_another_type_and_what_is_no_dicom_is_broken(written, tmp_path):
    path = written()
    dataset = pydicom.dcmread(path)
    for keyword in ("Rows", "Columns", "PixelData"):
        delattr(dataset, keyword)
    dataset.save_as(path)
    assert (only(path).kind, only(path).broken) == ("other", None)
    junk = tmp_path / "junk.dcm"
    junk.write_bytes(b"no preamble")
    assert (only(str(junk)).broken, only(str(junk)).fields) == ("not_dicom", {})


@pytest.mark.real_data
def test_real_files_say_what_pydicom_says_with_every_attribute_loaded(real_data):
    kinds = {}
    for path in sorted((real_data / "device" / "dicom").glob("*.dcm")):
        record, whole = only(str(path)), pydicom.dcmread(path)
        assert record.broken is None
        kinds[path.name] = record.kind
        for keyword, field in dicom.ATTRIBUTES.items():
            if field in record.fields:
                value = whole.get(keyword)
                assert record.fields[field] == (None if value in (None, "") else str(value)), (path.name, keyword)
        if record.kind == "image":
            assert pa.Table.from_pylist([record.fields], dicom.SCHEMAS["image"]).to_pylist() == [record.fields]
            assert (record.fields["is_compressed"] == "true") == whole.file_meta.TransferSyntaxUID.is_compressed
        else:
            group = whole.WaveformSequence[0]
            physical = whole.waveform_array(0)
            channels = record.fields["channels"][: group.NumberOfWaveformChannels]
            raw = pydicom.waveforms.numpy_handler.generate_multiplex(whole, as_raw=True)
            scaled = next(iter(raw)) * [one["scale"] for one in channels] + [one["offset"] for one in channels]
            assert abs(scaled - physical).max() < 1e-9
            assert {one["unit"] for one in channels} == {"uV"}
            assert sum(one["samples"] for one in record.fields["channels"]) == sum(
                one.NumberOfWaveformSamples * one.NumberOfWaveformChannels for one in whole.WaveformSequence
            )
        assert not re.search("Compressed|CompressedSamples", repr(record.fields))
    assert kinds == {
        "CT_small.dcm": "image",
        "JPEG2000.dcm": "image",
        "MR_small.dcm": "image",
        "examples_rgb_color.dcm": "image",
        "waveform_ecg.dcm": "waveform",
    }
