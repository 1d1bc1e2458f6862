"""A population of Synthea, the field's open patient simulator, in its own formats."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def population(folder, people, years=5):
    """A folder with Synthea's ``fhir`` and ``csv`` of ``people`` people or more, and ``years`` of their records.

    It is the one that ``SALUS_SYNTHEA`` names; without it they are generated into ``folder``, where the generator and
    Maven are there.
    """
    if given := os.environ.get("SALUS_SYNTHEA"):
        with open(Path(given) / "fhir" / "Patient.ndjson", encoding="utf-8") as file:
            found = sum(1 for _ in file)
        if found < people:
            pytest.skip(f"SALUS_SYNTHEA names a population of {found} people, and {people} are needed")
        return Path(given)
    generator = DATA.resolve().parent / "tools" / "synthea"
    if not generator.exists() or not shutil.which("mvn"):
        pytest.skip("SALUS_SYNTHEA names no population, and there is no generator with Maven to make one")
    asked = {"--people": people, "--seed": 7, "--years": years, "--out": folder}
    subprocess.run([str(generator), *(str(each) for pair in asked.items() for each in pair)], check=True)
    return folder
