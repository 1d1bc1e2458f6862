"""Compounds: structures in one canonical form, outcomes as numbers, and what is neither."""

import csv
import gzip
from collections import Counter

import pyarrow as pa
import pytest
from rdkit import Chem, rdBase

from salus.sources.formats import compounds


@pytest.fixture
def rows(tmp_path):
    def rows(text, name="toxicity.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        found = list(compounds.read(str(path)))
        assert compounds.count(str(path)) == len(found)
        return found

    return rows


def test_one_molecule_drawn_in_three_ways_is_one_structure(rows):
    found = rows("smiles,mol_id,toxic\nOCC,a,1\nC(O)C,b,0\n[CH3][CH2][OH],c,\n")
    assert {(one.fields["smiles"], one.fields["inchi_key"], one.fields["formula"]) for one in found} == {
        ("CCO", "LFQSCWFLJHTTHZ-UHFFFAOYSA-N", "C2H6O")
    }
    assert [(one.fields["compound_id"], one.fields["outcomes"]) for one in found] == [
        ("a", [("toxic", 1.0)]),
        ("b", [("toxic", 0.0)]),
        ("c", []),
    ]
    assert {one.fields["molecular_weight"] for one in found} == {"46.0690"}
    assert {one.fields["dataset"] for one in found} == {"toxicity"}


def test_rows_without_an_id_are_known_by_their_content(rows):
    first, second, other = (one.fields["compound_id"] for one in rows("smiles,y\nCCO,1\nCCO,1\nCCO,2\n"))
    assert len({first, second, other}) == 3
    assert first.split("|")[0] == second.split("|")[0] != other.split("|")[0]


def test_a_row_that_is_no_compound_leaves_its_neighbours_alone(rows, capfd):
    text = "smiles,y\nCCO,1\nC(,1\n,1\nCCO,high\nCCO,inf\nCCO\n\nCCO,2\n"
    assert [one.broken for one in rows(text)] == [
        None, "not_a_structure", "not_a_structure", "not_a_number", "not_a_number", "not_a_row", None,
    ]  # fmt: skip
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "x.csv"),
        (b"structure,y\nCCO,1\n", "x.csv"),
        (b"smiles,y\n\xff,1\n", "x.csv"),
        (gzip.compress(b"smiles,y\nCCO,1\n", mtime=0)[:-6], "x.csv.gz"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_broken_record(rows, content, name):
    assert [one.broken for one in rows(content, name)] == ["no_structures"]


def test_records_fit_their_schema(rows):
    fields = [one.fields for one in rows(gzip.compress(b"smiles,y\nCCO,1\n"), "x.csv.gz")]
    assert pa.Table.from_pylist(fields, compounds.SCHEMAS["compound"]).to_pylist() == fields


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["clintox.csv.gz", "delaney-processed.csv"])
def test_real_compounds_are_those_that_rdkit_reads(real_data, name):
    path = real_data / "drug" / name
    with (gzip.open if name.endswith(".gz") else open)(path, "rt", newline="") as file:
        raw = list(csv.DictReader(file))
    with rdBase.BlockLogs():
        molecules = [Chem.MolFromSmiles(row["smiles"]) for row in raw]
    found = list(compounds.read(str(path)))
    assert [one.broken is None for one in found] == [molecule is not None for molecule in molecules]
    assert Counter(one.fields["smiles"] for one in found if not one.broken) == Counter(
        Chem.MolToSmiles(molecule) for molecule in molecules if molecule
    )
    for outcome in set(raw[0]) - {"smiles", "Compound ID"}:
        told = sum(dict(one.fields["outcomes"]).get(outcome, 0) for one in found if not one.broken)
        assert told == pytest.approx(sum(float(row[outcome] or 0) for row, one in zip(raw, molecules) if one))
