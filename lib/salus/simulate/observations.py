"""The EHR's measurements as FHIR Observation lines, with the site that reports in other units and later versions."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from salus.simulate.catalogue import LABS, MOLAR
from salus.simulate.clock import Clock
from salus.simulate.course import Course
from salus.simulate.ehr import coding, meta
from salus.simulate.names import ehr_id
from salus.simulate.people import MOLAR_SITE
from salus.simulate.records import PRESSURE, Results
from salus.simulate.text import digits, fixed, given, instants, joined, picked

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
CATEGORY = '"category":[{"coding":[{"code":"%s"}]}],'
FINAL, CORRECTED, ENTERED_IN_ERROR = 0, 1, 2


@dataclass(frozen=True)
class Versions:
    """Which results are delivered, in which version; arrays over lines."""

    result: np.ndarray  # int64, index into the results
    status: np.ndarray  # int8: FINAL, CORRECTED, ENTERED_IN_ERROR
    known: np.ndarray  # int64, minutes: issue of the version
    value: np.ndarray  # float64, in the catalogue's unit


def observations(clock: Clock, course: Course, results: Results, lines: Versions, first: int, first_visit: int):
    """One Observation line a version of a result; by lab, and within it in the order of ``lines``.

    Returns:
        The text of all lines (pa.StringArray) and the number of lines in other units by lab name.
    """
    lab_of, parts, molar = results.lab[lines.result], [], {}
    for lab in range(len(LABS) + 1):
        here = np.flatnonzero(lab_of == lab)
        if not here.size:
            continue
        picks = lines.result[here]
        row = results.row[picks]
        if lab == PRESSURE:
            value = _pressure(lines.value[here], results.second[picks])
            code, kind = coding(LOINC, "85354-9", "Blood pressure panel with all children optional"), "vital-signs"
        else:
            at_site = course.people.site[row] == MOLAR_SITE
            if LABS[lab].name in MOLAR:
                molar[LABS[lab].name] = int(at_site.sum())
            value = _quantity(lab, lines.value[here], at_site)
            code = coding(LOINC, LABS[lab].loinc, LABS[lab].display)
            kind = "vital-signs" if LABS[lab].name == "weight" else "laboratory"
        known = instants(clock, lines.known[here])
        parts.append(
            joined(
                '{"resourceType":"Observation","id":"ob-',
                digits(first + picks),
                '",',
                meta(picked(["1", "2", "2"], lines.status[here]), known),
                '"status":"',
                picked(["final", "corrected", "entered-in-error"], lines.status[here]),
                '",' + CATEGORY % kind + '"code":{"coding":[' + code + ']},"subject":{"reference":"Patient/',
                ehr_id(course.people.number[row]),
                '"},"encounter":{"reference":"Encounter/en-',
                digits(first_visit + results.visit[picks]),
                '"},"effectiveDateTime":"',
                instants(clock, results.time[picks]),
                '","issued":"',
                known,
                '",',
                value,
            )
        )
    return pa.concat_arrays(parts) if parts else pa.array([], pa.string()), molar


def _quantity(lab, value, at_site):
    measure = LABS[lab]
    own = joined(
        '"valueQuantity":{"value":',
        fixed(value, measure.decimals),
        f',"unit":"{measure.unit}","system":"{UCUM}","code":"{measure.unit}"}}}}\n',
    )
    if measure.name not in MOLAR:
        return own
    factor, unit, decimals = MOLAR[measure.name]
    other = joined(
        '"valueQuantity":{"value":',
        fixed(value * factor, decimals),
        f',"unit":"{unit}","system":"{UCUM}","code":"{unit}"}}}}\n',
    )
    return given(at_site, other, own)


def _pressure(systolic, diastolic):
    part = f'{{"code":{{"coding":[{coding(LOINC, "%s", "%s")}]}},"valueQuantity":{{"value":'
    unit = f',"unit":"mm[Hg]","system":"{UCUM}","code":"mm[Hg]"}}}}'
    return joined(
        '"component":[' + part % ("8480-6", "Systolic blood pressure"),
        fixed(systolic, 0),
        unit + "," + part % ("8462-4", "Diastolic blood pressure"),
        fixed(diastolic, 0),
        unit + "]}\n",
    )
