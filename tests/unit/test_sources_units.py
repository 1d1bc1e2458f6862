"""The table of units."""

import pytest

from salus.errors import Refused
from salus.sources.units import read_units, units_path


def test_every_code_has_one_canonical_unit_that_stays_as_it_is():
    for code, units in read_units(units_path()).items():
        canonical = {unit for unit, _, _ in units.values()}
        assert len(canonical) == 1, code
        assert units[canonical.pop()][1:] == (1, 0), code


@pytest.mark.parametrize(
    ("code", "unit", "value", "expected"),
    [
        ("LOINC/2345-7", "mmol/L", 5.5, 99.09),  # glucose, 180.156 g/mol
        ("LOINC/2160-0", "umol/L", 88.4, 1.0),  # creatinine, 113.12 g/mol
        ("LOINC/4548-4", "mmol/mol", 53, 7.0),  # NGSP = 0.09148 x IFCC + 2.152, ngsp.org/ifcc.asp
        ("LOINC/8310-5", "[degF]", 98.6, 37.0),
    ],
)
def test_published_pairs_convert(code, unit, value, expected):
    _, slope, offset = read_units(units_path())[code][unit]
    assert value * slope + offset == pytest.approx(expected, rel=2e-3)


def test_two_canonical_units_for_a_code_are_refused(tmp_path):
    path = tmp_path / "units.csv"
    path.write_text("code,unit,canonical_unit,slope,offset\nA,g,g,1,0\nA,kg,kg,1,0\n")
    with pytest.raises(Refused, match="two canonical units for A"):
        read_units(path)
