"""Compounds: CSV files with a column of SMILES and columns of measured outcomes, one record a row.

RDKit reads each structure and writes it in its one canonical form, so that a molecule is the same however it was
drawn; what RDKit cannot read is broken. The column ``smiles`` holds the structure, ``mol_id`` or ``Compound ID`` the
row's id; every other column is an outcome (MoleculeNet's layout). A row without an id is known by its own hash and its
ordinal among equal rows.
"""

import bz2
import csv
import gzip
import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from rdkit import Chem, rdBase
from rdkit.Chem.Descriptors import MolWt
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from salus.sources.formats import Record

STRUCTURE = "smiles"
IDS = ("mol_id", "Compound ID")
COMPOUND = "compound"
SCHEMAS = {
    COMPOUND: pa.schema(
        [
            ("dataset", pa.string()),
            ("compound_id", pa.string()),
            ("smiles", pa.string()),
            ("inchi_key", pa.string()),
            ("formula", pa.string()),
            ("molecular_weight", pa.string()),
            ("outcomes", pa.map_(pa.string(), pa.float64())),
        ]
    )
}
OPENED: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open}


def count(path: str) -> int:
    """How many rows follow the header; a file that cannot be read is one."""
    return sum(1 for row in _rows(path) if row) if _readable_header(path) else 1


def read(path: str) -> Iterator[Record]:
    """The compounds of ``path``; a file without a column ``smiles`` is one broken record."""
    header = _readable_header(path)
    if header is None:
        yield Record(COMPOUND, "no_structures", {})
        return
    dataset, seen = Path(path).name.split(".")[0], Counter[str]()
    for row in _rows(path):
        if row:
            yield _record(dataset, header, row, seen)


def _readable_header(path: str) -> list[str] | None:
    """The names of the columns of a file that has structures and can be read to its end."""
    try:
        with _opened(path) as file:
            rows = csv.reader(file)
            header = next(rows, [])
            for _ in rows:
                pass
    except (OSError, EOFError, UnicodeDecodeError, csv.Error):
        return None
    return header if STRUCTURE in header else None


def _rows(path: str) -> Iterator[list[str]]:
    with _opened(path) as file:
        rows = csv.reader(file)
        next(rows, None)
        yield from rows


def _opened(path: str) -> Any:
    return OPENED.get(Path(path).suffix, open)(path, "rt", encoding="utf-8-sig", newline="")


def _record(dataset: str, header: list[str], row: list[str], seen: Counter[str]) -> Record:
    if len(row) != len(header):
        return Record(COMPOUND, "not_a_row", {})
    values = dict(zip(header, row))
    text = values.pop(STRUCTURE).strip()
    own = next((values.pop(name) for name in IDS if name in values), None)
    digest = hashlib.sha256("\x1f".join(row).encode()).hexdigest()
    seen[digest] += 1
    with rdBase.BlockLogs():  # else each structure that cannot be read is explained on stderr
        molecule = Chem.MolFromSmiles(text) if text else None
        key = Chem.MolToInchiKey(molecule) if molecule else None
    if molecule is None or molecule.GetNumAtoms() == 0:
        return Record(COMPOUND, "not_a_structure", {})
    outcomes: dict[str, float] = {}
    for name, value in values.items():
        if value.strip():
            number = _number(value)
            if number is None:
                return Record(COMPOUND, "not_a_number", {})
            outcomes[name] = number
    return Record(
        COMPOUND,
        None,
        {
            "dataset": dataset,
            "compound_id": own or f"{digest}|{seen[digest]}",
            "smiles": Chem.MolToSmiles(molecule),
            "inchi_key": key or None,
            "formula": CalcMolFormula(molecule),
            "molecular_weight": f"{MolWt(molecule):.4f}",
            "outcomes": list(outcomes.items()),
        },
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
