"""Apple Health's export.xml: the measurements and workouts that a phone and a watch collected about their wearer.

Every ``Record`` and ``Workout`` element is a record, and ``Me``, the wearer, is one. The file does not say whose it is:
``export`` is the name of the folder it lies in, which the delivery names after the wearer.
Source of the elements: the document type declaration that each export.xml carries at its head.
"""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa

from salus.sources.formats import Record

SPAN = ["sourceName", "creationDate", "startDate", "endDate"]
ATTRIBUTES = {
    "Me": ["HKCharacteristicTypeIdentifierDateOfBirth", "HKCharacteristicTypeIdentifierBiologicalSex"],
    "Record": ["type", "unit", "value", *SPAN],
    "Workout": ["workoutActivityType", "duration", "durationUnit", *SPAN],
}
SCHEMAS = {
    kind: pa.schema([("export", pa.string()), *((name, pa.string()) for name in names)])
    for kind, names in ATTRIBUTES.items()
}


def read(path: str) -> Iterator[Record]:
    """The wearer, measurements and workouts in ``path``; what follows a break in its XML is one broken record."""
    export = Path(path).parent.name
    depth = 0
    root = None
    try:
        for moment, element in ElementTree.iterparse(path, events=("start", "end")):
            depth += 1 if moment == "start" else -1
            if root is None:
                root = element
            if moment == "end" and depth == 1:
                if element.tag in ATTRIBUTES:
                    found = {name: element.get(name) for name in ATTRIBUTES[element.tag]}
                    yield Record(element.tag, None, {"export": export, **found})
                root.clear()
    except ElementTree.ParseError:
        yield Record("", "not_xml", {})
