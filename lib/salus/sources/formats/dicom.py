"""DICOM: one record a file, of type ``image`` or ``waveform``, or ``other`` where it is neither.

Only the attributes of ``ATTRIBUTES`` are read, by keyword: names, addresses, comments and private attributes stay in
the file, and so do pixels and samples, whatever their transfer syntax. What is needed to read them right is recorded:
photometric interpretation, rescale, and whether somebody's name may be burnt into the pixels.
https://dicom.nema.org/medical/dicom/current/output/html/part03.html
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from salus.sources.formats import Record

ATTRIBUTES = {
    "PatientID": "patient_id",
    "IssuerOfPatientID": "issuer",
    "PatientBirthDate": "birth_date",
    "PatientSex": "sex",
    "StudyInstanceUID": "study_uid",
    "SeriesInstanceUID": "series_uid",
    "SOPInstanceUID": "instance_uid",
    "SOPClassUID": "class_uid",
    "Modality": "modality",
    "BodyPartExamined": "body_part",
    "TimezoneOffsetFromUTC": "timezone",
    "PhotometricInterpretation": "photometric_interpretation",
    "SamplesPerPixel": "samples_per_pixel",
    "Rows": "rows",
    "Columns": "columns",
    "NumberOfFrames": "frames",
    "BitsAllocated": "bits_allocated",
    "BitsStored": "bits_stored",
    "PixelRepresentation": "pixel_representation",
    "RescaleSlope": "rescale_slope",
    "RescaleIntercept": "rescale_intercept",
    "RescaleType": "rescale_type",
    "BurnedInAnnotation": "burned_in_annotation",
    "LossyImageCompression": "lossy",
}
"""Every attribute that is read as it stands, and the field that it fills."""

MOMENTS = (("AcquisitionDateTime",), ("AcquisitionDate", "AcquisitionTime"), ("ContentDate", "ContentTime"),
           ("SeriesDate", "SeriesTime"), ("StudyDate", "StudyTime"))  # fmt: skip
"""When it was acquired: the first of these that the file states."""

OFTEN_BURNT = ("1.2.840.10008.5.1.4.1.1.6.", "1.2.840.10008.5.1.4.1.1.3.", "1.2.840.10008.5.1.4.1.1.7")
"""SOP classes of ultrasound and secondary capture, whose pixels often carry text (PS3.15 E.3.1)."""

CHANNEL = pa.struct(
    [
        ("name", pa.string()),
        ("unit", pa.string()),
        ("rate_hz", pa.float64()),
        ("samples", pa.int64()),
        ("scale", pa.float64()),
        ("offset", pa.float64()),
    ]
)
COMMON = [
    ("location", pa.string()),
    *((name, pa.string()) for name in list(ATTRIBUTES.values())[:11]),
    ("acquired", pa.string()),
    ("transfer_syntax", pa.string()),
]
SCHEMAS = {
    "image": pa.schema(
        [
            *COMMON,
            *((name, pa.string()) for name in list(ATTRIBUTES.values())[11:]),
            ("row_spacing_mm", pa.string()),
            ("column_spacing_mm", pa.string()),
            ("is_compressed", pa.string()),
            ("may_identify", pa.string()),
        ]
    ),
    "waveform": pa.schema([*COMMON, ("seconds", pa.string()), ("channels", pa.list_(CHANNEL))]),
    "other": pa.schema(COMMON),
}
LARGEST_VALUE = 1024
"""Bytes; longer values (pixels, samples, embedded documents) are left in the file."""


def count(path: str) -> int:
    """A file is a record."""
    return 1


def read(path: str) -> Iterator[Record]:
    """The object in ``path``."""
    try:
        found = pydicom.dcmread(path, defer_size=LARGEST_VALUE, specific_tags=READ)
        fields = _common(found, path)
    except (InvalidDicomError, EOFError, OSError, ValueError, AttributeError, NotImplementedError):
        yield Record("other", "not_dicom", {})
        return
    if "WaveformSequence" in found:
        yield Record("waveform", None, fields | _waveform(found))
    elif "Rows" in found:
        yield Record("image", None, fields | _image(found))
    else:
        yield Record("other", None, {name: fields[name] for name in SCHEMAS["other"].names})


READ = [
    *ATTRIBUTES,
    *(keyword for moment in MOMENTS for keyword in moment),
    "PixelSpacing",
    "ImagerPixelSpacing",
    "WaveformSequence",
    "SpecificCharacterSet",
]


def _text(value: Any) -> str | None:
    text = "" if value is None else str(value).strip()
    return text or None


def _common(found: pydicom.Dataset, path: str) -> dict[str, Any]:
    syntax = found.file_meta.get("TransferSyntaxUID")
    return {
        "location": path,
        **{field: _text(found.get(keyword)) for keyword, field in ATTRIBUTES.items()},
        "acquired": _acquired(found),
        "transfer_syntax": _text(syntax),
    }


def _acquired(found: pydicom.Dataset) -> str | None:
    """The first moment that is stated, as YYYYMMDDHHMMSS with what fraction and offset it has."""
    for day, *clock in MOMENTS:
        if text := _text(found.get(day)):
            time = _text(found.get(clock[0])) if clock else None
            whole = text.replace(".", "") + time.replace(":", "") if time else text
            zone = _text(found.get("TimezoneOffsetFromUTC"))
            return whole + zone if zone and len(whole) >= 14 and whole[-5:-4] not in ("+", "-") else whole
    return None


def _image(found: pydicom.Dataset) -> dict[str, Any]:
    spacing = found.get("PixelSpacing") or found.get("ImagerPixelSpacing") or [None, None]
    syntax = found.file_meta.get("TransferSyntaxUID")
    is_declared = _text(found.get("BurnedInAnnotation"))
    often = str(found.get("SOPClassUID", "")).startswith(OFTEN_BURNT)
    return {
        "row_spacing_mm": _text(spacing[0]),
        "column_spacing_mm": _text(spacing[1]),
        "is_compressed": str(UID(syntax).is_compressed).lower() if syntax and UID(syntax).is_transfer_syntax else None,
        "may_identify": str(is_declared == "YES" or (is_declared is None and often)).lower(),
    }


def _waveform(found: pydicom.Dataset) -> dict[str, Any]:
    channels, seconds = [], 0.0
    for group in found.WaveformSequence:
        rate, samples = float(group.SamplingFrequency), int(group.NumberOfWaveformSamples)
        seconds = max(seconds, samples / rate)
        for number, channel in enumerate(group.ChannelDefinitionSequence, 1):
            source = next(iter(channel.get("ChannelSourceSequence") or []), None)
            unit = next(iter(channel.get("ChannelSensitivityUnitsSequence") or []), None)
            # physical = digital x sensitivity x correction + baseline (PS3.3 C.10.9.1.4.2)
            scale = float(channel.get("ChannelSensitivity") or 1) * float(
                channel.get("ChannelSensitivityCorrectionFactor") or 1
            )
            channels.append(
                {
                    "name": _text(source.get("CodeMeaning")) if source is not None else str(number),
                    "unit": _text(unit.get("CodeValue")) if unit is not None else None,
                    "rate_hz": rate,
                    "samples": samples,
                    "scale": scale,
                    "offset": float(channel.get("ChannelBaseline") or 0),
                }
            )
    return {"seconds": str(seconds), "channels": channels}
