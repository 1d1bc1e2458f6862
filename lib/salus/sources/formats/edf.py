"""EDF and EDF+ (BDF too): one record a file, with its channels and annotations; samples stay where they lie.

EDF+ names the patient's code, sex and birth date apart from the name, which is not read; plain EDF has one free text,
so such a file belongs to ``folder`` or to nobody. Of annotations only the standard texts are kept: others are prose.
https://www.edfplus.info/specs/edfplus.html, https://www.edfplus.info/specs/edftexts.html
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyedflib

from salus.sources.formats import Record

STANDARD = re.compile(
    "Sleep stage (W|N|1|2|3|4|R|N1|N2|N3|\\?)|Sleep onset|Lights (on|off)|Recording (starts|ends)|Movement time|"
    "(Obstructive |Central |Mixed )?[Aa]pnea|Hypopnea|Limb movement|EEG arousal|Seizure|Event|Stimulus|"
    "Oxygen desaturation|Sinus tachycardia|Asystole|Ventricular tachycardia"
)
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
ANNOTATION = pa.struct([("text", pa.string()), ("time", pa.string()), ("seconds", pa.string())])
SCHEMAS = {
    "recording": pa.schema(
        [
            ("record_name", pa.string()),
            ("folder", pa.string()),
            ("location", pa.string()),
            ("patient_code", pa.string()),
            ("birth", pa.string()),
            ("sex", pa.string()),
            ("start", pa.string()),
            ("end", pa.string()),
            ("seconds", pa.string()),
            ("channels", pa.list_(CHANNEL)),
            ("annotations", pa.list_(ANNOTATION)),
        ]
    )
}
PLAIN = (pyedflib.FILETYPE_EDF, pyedflib.FILETYPE_BDF)
UNKNOWN = ("", "X")
"""How EDF+ writes a subfield of the patient that is not known or not to be told."""


def count(path: str) -> int:
    """A file is a record."""
    return 1


def read(path: str) -> Iterator[Record]:
    """The recording in ``path``."""
    try:
        file = pyedflib.EdfReader(path)
    except (OSError, ValueError):
        yield Record("recording", "not_edf", {})
        return
    with file:
        start = file.getStartdatetime()
        yield Record(
            "recording",
            None,
            {
                "record_name": Path(path).stem,
                "folder": Path(path).parent.name,
                "location": path,
                **_patient(file),
                "start": start.isoformat(),
                "end": (start + timedelta(seconds=file.file_duration)).isoformat(),
                "seconds": str(float(file.file_duration)),
                "channels": _channels(file),
                "annotations": _annotations(file, start),
            },
        )


def _patient(file: Any) -> dict[str, str | None]:
    if file.filetype in PLAIN:
        return {"patient_code": None, "birth": None, "sex": None}
    code, birth, sex = file.getPatientCode().strip(), file.getBirthdate(string=False), file.getSex().strip()
    return {
        "patient_code": None if code in UNKNOWN else code,
        "birth": birth.strftime("%Y-%m-%d") if isinstance(birth, datetime) else None,
        "sex": None if sex in UNKNOWN else sex,
    }


def _channels(file: Any) -> list[dict[str, Any]]:
    channels = []
    for number in range(file.signals_in_file):
        head = file.getSignalHeader(number)
        digital = head["digital_max"] - head["digital_min"]
        scale = (head["physical_max"] - head["physical_min"]) / digital
        channels.append(
            {
                "name": head["label"].strip(),
                "unit": head["dimension"].strip() or None,
                "rate_hz": float(head["sample_frequency"]),
                "samples": int(file.getNSamples()[number]),
                "scale": scale,
                "offset": head["physical_min"] - scale * head["digital_min"],
            }
        )
    return channels


def _annotations(file: Any, start: datetime) -> list[dict[str, str | None]]:
    onsets, _, texts = file.readAnnotations()
    return [
        {
            "text": text if STANDARD.fullmatch(text) else None,
            "time": (start + timedelta(seconds=float(onset))).isoformat(),
            "seconds": f"{float(onset):.6f}",
        }
        for onset, text in zip(onsets, texts)
    ]
