"""The table of units against pint, and the spellings against what real files write."""

import csv
import re

import pint
import pytest

from salus.errors import Refused
from salus.sources.units import read_spellings, read_units, spellings_path, squeezed, units_path, written

PINT = pint.UnitRegistry()
NAMES = {
    "[IU]": "enzyme_unit",  # arbitrary: only ever converted into itself
    "U": "enzyme_unit",
    "eq": "mole",  # of charges: divided by the valence
    "mm[Hg]": "mmHg",
    "[lb_av]": "pound",
    "[oz_av]": "ounce",
    "[in_i]": "inch",
    "[ft_i]": "foot",
    "[pH]": "",
    "%": "percent",
}
PREFIXES = {"m": "milli", "u": "micro"}
NGSP = ("mmol/mol", "%")
ATOMS = {"H": 1.008, "C": 12.011, "N": 14.007, "O": 15.999, "Mg": 24.305, "P": 30.974, "Ca": 40.078, "Fe": 55.845}
ATOMS |= {"Co": 58.933, "I": 126.904}
FORMULAS = {
    "2345-7": "C6H12O6",  # glucose
    "2160-0": "C4H7N3O",  # creatinine
    "3094-0": "N2",  # urea nitrogen: both atoms of a mole of urea
    "3084-1": "C5H4N4O3",  # uric acid
    "2093-3": "C27H46O",  # cholesterol
    "2571-8": "C57H104O6",  # triolein stands for triglycerides
    "1975-2": "C33H36N4O6",  # bilirubin
    "17861-6": "Ca",
    "19123-9": "Mg",
    "2777-1": "P",  # phosphate is reported as phosphorus
    "2524-7": "C3H6O3",  # lactic acid
    "3024-7": "C15H11I4NO4",  # thyroxine
    "3053-6": "C15H12I3NO4",  # triiodothyronine
    "2498-4": "Fe",
    "2132-9": "C63H88CoN14O14P",  # cyanocobalamin
    "2284-8": "C19H19N7O6",  # folic acid
    "1989-3": "C27H44O2",  # calcifediol
}


def rows():
    with units_path().open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def atom(text):
    """One factor of a UCUM unit as a pint quantity."""
    if power := re.fullmatch(r"10\*(\d+)", text):
        return PINT.Quantity(10.0 ** int(power[1]))
    if text in ("", "1"):
        return PINT.Quantity(1.0)
    if text in NAMES:
        return PINT.Quantity(1.0, NAMES[text])
    if text[0] in PREFIXES and text[1:] in NAMES:
        return PINT.Quantity(1.0, PREFIXES[text[0]] + NAMES[text[1:]])
    if power := re.fullmatch(r"([a-zA-Z]+)([23])", text):
        return atom(power[1]) ** int(power[2])
    return PINT.Quantity(1.0, text)


def quantity(ucum):
    """A UCUM unit, without its annotations, as a pint quantity."""
    first, *divisors = re.sub(r"\{[^}]*\}", "", ucum).split("/")
    found = atom(first)
    for divisor in divisors:
        found = found / atom(divisor)
    return found


def temperature(unit, value):
    return PINT.Quantity(value, {"[degF]": "degF", "K": "kelvin", "Cel": "degC"}[unit]).to("degC").magnitude


def test_every_slope_and_offset_follows_from_pint_and_the_molar_mass():
    for row in rows():
        unit, canonical, where = row["unit"], row["canonical_unit"], (row["code"], row["unit"])
        told = (float(row["slope"]), float(row["offset"]))
        if (unit, canonical) == NGSP:
            expected = (0.09148, 2.152)  # NGSP = 0.09148 x IFCC + 2.152, ngsp.org/ifcc.asp
        elif canonical == "Cel":
            expected = (temperature(unit, 1.0) - temperature(unit, 0.0), temperature(unit, 0.0))
        else:
            ratio = quantity(unit) / quantity(canonical) / float(row["valence"] or 1)
            if not ratio.dimensionless:
                mass = PINT.Quantity(float(row["molar_mass"]), "g/mol")
                ratio = ratio * mass if (ratio * mass).dimensionless else ratio / mass
            expected = (ratio.to("").magnitude, 0.0)
        assert told == pytest.approx(expected, rel=1e-8, abs=1e-12), where


@pytest.mark.parametrize(("loinc", "formula"), FORMULAS.items())
def test_a_molar_mass_is_that_of_the_molecule(loinc, formula):
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", formula)
    mass = sum(ATOMS[element] * int(number or 1) for element, number in parts)
    told = {float(row["molar_mass"]) for row in rows() if row["code"] == f"LOINC/{loinc}" and row["molar_mass"]}
    assert len(told) == 1
    assert told.pop() == pytest.approx(mass, abs=0.01)


def test_every_code_has_one_canonical_unit_that_stays_as_it_is():
    units = read_units(units_path())
    assert len(units) >= 80
    for code, known in units.items():
        [canonical] = {unit for unit, _, _ in known.values()}
        assert known[canonical][1:] == (1, 0), code


@pytest.mark.parametrize(
    ("code", "unit", "value", "expected"),
    [
        ("2345-7", "mmol/L", 5.5, 99.09),
        ("2160-0", "umol/L", 88.4, 1.0),
        ("4548-4", "mmol/mol", 53, 7.0),
        ("8310-5", "[degF]", 98.6, 37.0),
        ("2571-8", "mmol/L", 1.7, 150.5),
        ("17861-6", "meq/L", 5.0, 10.02),
        ("718-7", "mmol/L", 9.0, 14.5),
        ("3024-7", "pmol/L", 15.0, 1.165),
        ("9318-7", "mg/mmol", 3.39, 30.0),
        ("1995-0", "mg/dL", 4.8, 1.198),
        ("29463-7", "[lb_av]", 150, 68.04),
    ],
)
def test_published_pairs_convert(code, unit, value, expected):
    _, slope, offset = read_units(units_path())[f"LOINC/{code}"][unit]
    assert value * slope + offset == pytest.approx(expected, rel=3e-3)


@pytest.mark.parametrize(
    ("code", "text", "unit"),
    [
        ("2345-7", "MG/DL", "mg/dL"),
        ("2345-7", "mg / dl", "mg/dL"),
        ("2345-7", "mmol/l", "mmol/L"),
        ("1988-5", "mg/L", "mg/L"),
        ("6690-2", "K/uL", "10*3/uL"),
        ("6690-2", "10*3/UL", "10*3/uL"),
        ("6690-2", "x10E3/uL", "10*3/uL"),
        ("6690-2", "THOU/uL", "10*3/uL"),
        ("6690-2", "10^9/L", "10*9/L"),
        ("6690-2", "G/L", "10*9/L"),
        ("718-7", "G/L", "g/L"),
        ("789-8", "MILL/uL", "10*6/uL"),
        ("2951-2", "mEq/L", "meq/L"),
        ("3016-3", "uIU/mL", "u[IU]/mL"),
        ("2160-0", "µmol/L", "umol/L"),
        ("2498-4", "mcg/dL", "ug/dL"),
        ("8480-6", "mmHg", "mm[Hg]"),
        ("8310-5", "°F", "[degF]"),
        ("8310-5", "F", "[degF]"),
        ("8310-5", "C", "Cel"),
        ("29463-7", "LB", "[lb_av]"),
        ("8302-2", "IN", "[in_i]"),
        ("8867-4", "BEATS/MIN", "{beats}/min"),
        ("2744-1", "NO UNITS", "1"),
        ("33914-3", "mL/min/1.73m2", "mL/min/{1.73_m2}"),
        ("736-9", "FRACTION", "1"),
        ("5811-5", "{SG}", "{SG}"),
    ],
)
def test_what_real_files_write_is_read_as_the_unit_that_is_meant(code, text, unit):
    known = read_units(units_path())[f"LOINC/{code}"]
    ways = written(known, read_spellings(spellings_path()))
    assert ways.get(text, ways.get(squeezed(text))) == known[unit]


def test_no_code_reads_a_spelling_in_two_ways_and_none_is_read_across_kinds():
    spellings = read_spellings(spellings_path())
    units = read_units(units_path())
    for code, known in units.items():
        ways = written(known, spellings)
        assert all(squeezed(unit) in ways for unit in known), code
    assert set(spellings.values()) <= {unit for known in units.values() for unit in known}, "spells a unit of no code"
    assert "k/ul" not in written(units["LOINC/718-7"], spellings)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("A,g,g,1,0\nA,kg,kg,1,0\n", "3: received two canonical units for A"),
        ("A,g,g,one,0\n", "2: received a row that is no conversion"),
        ("A,g,g,1\n", "2: received a row that is no conversion"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path, rows, says):
    path = tmp_path / "units.csv"
    path.write_text(f"code,unit,canonical_unit,slope,offset\n{rows}")
    with pytest.raises(Refused, match=says):
        read_units(path)


@pytest.mark.parametrize("row", ["MG/DL,mg/dL", "mg dl,mg/dL", "mg%,mg/dL\nmg%,g/dL", "mg%,"])
def test_a_wrong_spelling_is_refused_with_its_line(tmp_path, row):
    path = tmp_path / "unit_spellings.csv"
    path.write_text(f"spelling,unit\n{row}\n")
    with pytest.raises(Refused, match=r"csv:\d: received a row that is no new spelling"):
        read_spellings(path)


def test_a_spelling_of_two_units_of_one_code_is_refused():
    units = {"mg": ("mg", 1.0, 0.0), "Mg": ("mg", 1e9, 0.0)}
    with pytest.raises(Refused, match="the spelling mg"):
        written({"MG": ("mg", 1e9, 0.0), "mG": ("mg", 1.0, 0.0)}, {})
    assert written(units, {})["mg"] == ("mg", 1.0, 0.0), "what is written exactly so is meant"
