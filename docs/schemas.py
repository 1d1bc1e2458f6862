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
    return {"source.json": either(source), "task.json": Task.model_json_schema(by_alias=True)}


def either(source: dict[str, Any]) -> dict[str, Any]:
    """The schema of a file that says all of a source (``source``), or only what differs from one that it extends."""
    named = source.pop("$defs")
    changes = {f"{name}Changes": changed(part) for name, part in named.items()}
    return {
        "if": {"required": ["extends"]},
        "then": changed(source),
        "else": source,
        "$defs": named | changes,
    }


def changed(schema: dict[str, Any]) -> dict[str, Any]:
    """``schema`` of what another file says already: nothing is required, and null takes a key away. Lists are whole."""
    if "$ref" in schema:
        return {"$ref": f"{schema['$ref']}Changes"}
    if "anyOf" in schema:
        return schema | {"anyOf": [changed(one) for one in schema["anyOf"]]}
    found = {key: value for key, value in schema.items() if key not in ("required", "minProperties")}
    if "properties" in found:
        found["properties"] = {key: or_null(value) for key, value in found["properties"].items()}
    if isinstance(found.get("additionalProperties"), dict):
        found["additionalProperties"] = or_null(found["additionalProperties"])
    return found


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """``changed`` ``schema``, or null."""
    return {"anyOf": [changed(schema), {"type": "null"}]}


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
