"""Write the JSON Schemas of sources and tasks into docs/schemas, from which editors complete them: `make schemas`."""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "schemas"


def schemas() -> dict[str, dict[str, Any]]:
    """Each language's JSON Schema, by the name of its file."""
    from salus.cohorts.task import Task
    from salus.sources.declaration import Source

    source = Source.model_json_schema(by_alias=True)
    source["required"].remove("name")  # a source is named after its file
    del source["properties"]["name"]
    return {"source.json": source, "task.json": Task.model_json_schema(by_alias=True)}


def written(schema: dict[str, Any]) -> str:
    """``schema`` as its file holds it."""
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"


def main() -> None:
    """Write every schema."""
    FOLDER.mkdir(exist_ok=True)
    for name, schema in schemas().items():
        (FOLDER / name).write_text(written(schema), encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "lib"))
    main()
